// Decrypts keys of vetKD with the library @dfinity/vetkeys of the folder in the first argument. Standard input: the
// secret transport key, public keys and an encrypted key in hex; output: one JSON object of what the library computes.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const library = join(process.argv[2], "node_modules/@dfinity/vetkeys/dist/lib/index.es.js");
const vetkeys = await import(pathToFileURL(library));
const bytes = (hex) => new Uint8Array(Buffer.from(hex, "hex"));
const input = JSON.parse(readFileSync(0, "utf8"));
const transport = vetkeys.TransportSecretKey.deserialize(bytes(input.transport_secret));

function opened() {
  const key = vetkeys.DerivedPublicKey.deserialize(bytes(input.public_key));
  const identity = bytes(input.input);
  const message = new TextEncoder().encode("a secret for one identity");
  const seed = vetkeys.IbeSeed.fromBytes(bytes(input.transport_secret));
  const sealed = vetkeys.IbeCiphertext.encrypt(key, vetkeys.IbeIdentity.fromBytes(identity), message, seed).serialize();
  const encrypted = vetkeys.EncryptedVetKey.deserialize(bytes(input.encrypted_key));
  const vetkey = encrypted.decryptAndVerify(transport, key, identity);
  return new TextDecoder().decode(vetkeys.IbeCiphertext.deserialize(sealed).decrypt(vetkey));
}

const answer = { transport: Buffer.from(transport.publicKeyBytes()).toString("hex") };
if (input.encrypted_key) {
  const canister = vetkeys.DerivedPublicKey.deserialize(bytes(input.canister_key));
  answer.derived = Buffer.from(canister.deriveSubKey(bytes(input.context)).publicKeyBytes()).toString("hex");
  try {
    answer.opened = opened();
  } catch (error) {
    answer.error = String(error.message);
  }
}
console.log(JSON.stringify(answer));
