// Reads {certificates, query, request} from standard input and judges them with the JavaScript agent found in the
// folder of the first argument; prints one JSON object of answers.
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
const rootKey = bytes(input.root_key);
const canisterId = Principal.fromUint8Array(bytes(input.canister_id));
const statusId = Principal.fromUint8Array(bytes(input.status_canister_id));
const subnetId = Principal.fromUint8Array(bytes(input.subnet_id));

async function judge({ certificate, paths }) {
  try {
    const read = await Certificate.create({
      certificate: bytes(certificate), rootKey, principal: { canisterId }, disableTimeVerification: true,
    });
    return paths.map((path) => {
      const found = read.lookup_path(path.map(bytes));
      return found.status === "Found" ? hex(found.value) : found.status;
    });
  } catch (error) {
    return String(error.message).split("\n")[0];
  }
}

function agentThatReads(certificate) {
  const body = Cbor.encode({ certificate: bytes(certificate) });
  const fetch = async () => new Response(body, { status: 200 });
  return HttpAgent.createSync({ host: "http://127.0.0.1", fetch, rootKey, shouldSyncTime: false });
}

function signedByNode({ response, request_id, signature }) {
  const fields = { ...response, timestamp: BigInt(signature.timestamp), request_id: bytes(request_id) };
  if (response.reply) fields.reply = { arg: bytes(response.reply.arg) };
  const message = Buffer.concat([IC_RESPONSE_DOMAIN_SEPARATOR, hashOfMap(fields)]);
  const key = { key: Buffer.from(bytes(input.node_key)), format: "der", type: "spki" };
  return verify(null, message, key, bytes(signature.signature));
}

const canister = await CanisterStatus.request({
  canisterId: statusId, agent: agentThatReads(input.canister_status), disableCertificateTimeVerification: true,
  paths: ["time", "controllers", "module_hash", "candid"],
});
const subnet = await SubnetStatus.request({
  subnetId, agent: agentThatReads(input.subnet_status), disableCertificateTimeVerification: true,
  paths: ["time", "publicKey", "nodeKeys", "canisterRanges"],
});
console.log(JSON.stringify({
  judged: await Promise.all(input.certificates.map(judge)),
  signed: input.queries.map(signedByNode),
  canister: {
    time: canister.get("time").getTime(),
    controllers: canister.get("controllers").map(String),
    module_hash: canister.get("module_hash"),
    candid: canister.get("candid"),
  },
  subnet: {
    time: subnet.get("time").getTime(),
    public_key: hex(subnet.get("publicKey")),
    node_keys: [...subnet.get("nodeKeys")].map(([id, key]) => [id, hex(key)]),
    canister_ranges: subnet.get("canisterRanges").map((range) => range.map(String)),
  },
}));
