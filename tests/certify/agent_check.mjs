// Reads certificates, query answers and statuses from standard input and judges them with the JavaScript agent found
// in the folder of the first argument; prints one JSON object of answers.
import { verify } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.argv[2], "index.js"));
const agentLibrary = require("@icp-sdk/core/agent");
const { Principal } = require("@icp-sdk/core/principal");
const { Certificate, HttpAgent, CanisterStatus, SubnetStatus, Cbor, hashOfMap, IC_RESPONSE_DOMAIN_SEPARATOR } = agentLibrary;
const input = JSON.parse(readFileSync(0, "utf8"));
const bytes = (hex) => new Uint8Array(Buffer.from(hex, "hex"));
const hex = (data) => Buffer.from(data).toString("hex");
const canisterId = Principal.fromUint8Array(bytes(input.canister_id));
const principal = (text) => Principal.fromUint8Array(bytes(text));

async function judge({ certificate, paths, root_key }) {
  try {
    const read = await Certificate.create({
      certificate: bytes(certificate), rootKey: bytes(root_key), principal: { canisterId }, disableTimeVerification: true,
    });
    return paths.map((path) => {
      const found = read.lookup_path(path.map(bytes));
      return found.status === "Found" ? hex(found.value) : found.status;
    });
  } catch (error) {
    return String(error.message).split("\n")[0];
  }
}

function agentThatReads({ certificate, root_key }) {
  const body = Cbor.encode({ certificate: bytes(certificate) });
  const fetch = async () => new Response(body, { status: 200 });
  return HttpAgent.createSync({ host: "http://127.0.0.1", fetch, rootKey: bytes(root_key), shouldSyncTime: false });
}

function signedByNode({ response, request_id, signature }) {
  const fields = { ...response, timestamp: BigInt(signature.timestamp), request_id: bytes(request_id) };
  if (response.reply) fields.reply = { arg: bytes(response.reply.arg) };
  const message = Buffer.concat([IC_RESPONSE_DOMAIN_SEPARATOR, hashOfMap(fields)]);
  const key = { key: Buffer.from(bytes(input.node_key)), format: "der", type: "spki" };
  return verify(null, message, key, bytes(signature.signature));
}

async function canisterStatus(question) {
  const status = await CanisterStatus.request({
    canisterId: principal(question.id), agent: agentThatReads(question), disableCertificateTimeVerification: true,
    paths: ["time", "controllers", "module_hash", "candid"],
  });
  return {
    time: status.get("time").getTime(),
    controllers: status.get("controllers").map(String),
    module_hash: status.get("module_hash"),
    candid: status.get("candid"),
  };
}

async function subnetStatus(question) {
  const status = await SubnetStatus.request({
    subnetId: principal(question.id), agent: agentThatReads(question), disableCertificateTimeVerification: true,
    paths: ["time", "publicKey", "nodeKeys", "canisterRanges"],
  });
  return {
    time: status.get("time").getTime(),
    public_key: hex(status.get("publicKey")),
    node_keys: [...status.get("nodeKeys")].map(([id, key]) => [id, hex(key)]),
    canister_ranges: status.get("canisterRanges").map((range) => range.map(String)),
  };
}

console.log(JSON.stringify({
  judged: await Promise.all(input.certificates.map(judge)),
  signed: input.queries.map(signedByNode),
  canisters: await Promise.all(input.canisters.map(canisterStatus)),
  subnets: await Promise.all(input.subnets.map(subnetStatus)),
}));
