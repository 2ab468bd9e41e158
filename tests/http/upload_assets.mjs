// Uploads a folder to an asset canister: `node upload_assets.mjs MODULES URL CANISTER SEED FOLDER`, MODULES a folder with
// `node_modules/@dfinity/assets`, SEED 32 bytes as hex, the key of a controller. Prints the keys of all files there.
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const [, , modules, host, canisterId, seed, folder] = process.argv;
const require = createRequire(join(modules, "index.js"));
const { AssetManager } = require("@dfinity/assets");
const { HttpAgent } = require("@dfinity/agent");
const { Ed25519KeyIdentity } = require("@dfinity/identity");

const identity = Ed25519KeyIdentity.generate(Buffer.from(seed, "hex"));
const agent = await HttpAgent.create({ host, identity, shouldFetchRootKey: true });
const assets = new AssetManager({ canisterId, agent });
const batch = assets.batch();
for (const name of readdirSync(folder)) {
  await batch.store(readFileSync(join(folder, name)), { fileName: name });
}
await batch.commit();
console.log(JSON.stringify((await assets.list()).map((asset) => asset.key).sort()));
