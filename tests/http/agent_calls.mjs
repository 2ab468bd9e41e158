// Uses a served canister with a JavaScript agent, everything verified: `node agent_calls.mjs MODULES LIBRARY URL CANISTER`.
// MODULES is a folder with `node_modules/LIBRARY`; prints one JSON object of what the agent saw.
import { createRequire } from "node:module";
import { join } from "node:path";

const [, , modules, library, host, canisterId] = process.argv;
const require = createRequire(join(modules, "index.js"));
const sdk = library === "@icp-sdk/core";
const { HttpAgent, Actor, CanisterStatus, Certificate } = require(sdk ? "@icp-sdk/core/agent" : "@dfinity/agent");
const { Ed25519KeyIdentity, ECDSAKeyIdentity, DelegationChain, DelegationIdentity } = require(
  sdk ? "@icp-sdk/core/identity" : "@dfinity/identity",
);
const { Principal } = require(sdk ? "@icp-sdk/core/principal" : "@dfinity/principal");
const principal = Principal.fromText(canisterId);

const interfaceFactory = ({ IDL }) =>
  IDL.Service({
    inc: IDL.Func([], [IDL.Nat], []),
    get: IDL.Func([], [IDL.Nat], ["query"]),
    whoami: IDL.Func([], [IDL.Principal], []),
    boom: IDL.Func([], [], []),
    boom_in_query: IDL.Func([], [], ["query"]),
    set_certified: IDL.Func([IDL.Vec(IDL.Nat8)], [], []),
    certificate: IDL.Func([], [IDL.Opt(IDL.Vec(IDL.Nat8))], ["query"]),
  });

async function reject(promise) {
  try {
    await promise;
    return "no error";
  } catch (error) {
    return String(error.message).match(/Error code: (\w+)/)?.[1] ?? String(error.message);
  }
}

async function delegated() {
  const root = Ed25519KeyIdentity.generate();
  const session = Ed25519KeyIdentity.generate();
  const until = new Date(Date.now() + 60_000);
  const chain = await DelegationChain.create(root, session.getPublicKey(), until, { targets: [principal] });
  return DelegationIdentity.fromDelegation(session, chain);
}

const seen = { callers: [] };
for (const identity of [Ed25519KeyIdentity.generate(), await ECDSAKeyIdentity.generate(), await delegated()]) {
  const agent = await HttpAgent.create({ host, identity, shouldFetchRootKey: true });
  const actor = Actor.createActor(interfaceFactory, { agent, canisterId });
  await actor.inc();
  seen.callers.push((await actor.whoami()).toText() === identity.getPrincipal().toText());
}
const agent = await HttpAgent.create({ host, shouldFetchRootKey: true });
const actor = Actor.createActor(interfaceFactory, { agent, canisterId });
seen.anonymous = (await actor.whoami()).toText();
seen.count = String(await actor.get());
seen.update = await reject(actor.boom());
seen.query = await reject(actor.boom_in_query());
await actor.set_certified(new Uint8Array([1, 2, 3]));
const [certificate] = await actor.certificate();
const read = await Certificate.create({
  certificate: new Uint8Array(certificate), rootKey: agent.rootKey, principal: { canisterId: principal }, canisterId: principal,
});
const found = read.lookup_path(["canister", principal.toUint8Array(), "certified_data"].map((label) =>
  typeof label === "string" ? new TextEncoder().encode(label) : label));
seen.certified = [...new Uint8Array(found.value)];
const status = await CanisterStatus.request({ agent, canisterId: principal, paths: ["module_hash", "candid"] });
seen.module_hash = status.get("module_hash");
seen.candid = status.get("candid").includes("service");
console.log(JSON.stringify(seen));
