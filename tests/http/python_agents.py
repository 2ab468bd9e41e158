# mypy: ignore-errors
"""Uses a served canister with the two Python agents: `python python_agents.py URL CANISTER ROOT_KEY`.

Run in an environment that has `ic-py` and `icp-py-core`; prints one JSON object of what the agents saw. The first
verifies nothing. The second verifies the signatures of queries; for certificates it has the key of the main network
built in, so that it can check those of no other network.
"""

import json
import sys

import ic.agent
import ic.client
import ic.identity
import icp_agent
import icp_identity

EMPTY = b"DIDL\0\0"
url, canister_id, root_key = sys.argv[1:]
seen: dict[str, object] = {}
for kind in ("ed25519", "secp256k1"):
    identity = ic.identity.Identity(type=kind)
    agent = ic.agent.Agent(identity, ic.client.Client(url=url))
    [caller] = agent.query_raw(canister_id, "whoami", EMPTY)
    [count] = agent.update_raw(canister_id, "inc", EMPTY)
    seen[f"ic-py {kind}"] = [str(caller["value"]) == str(identity.sender()), count["value"]]
    newer = icp_identity.Identity(type=kind)
    key = bytes.fromhex(root_key)
    core = icp_agent.Agent(newer, icp_agent.Client(url=url), root_key=key, verify_query_signatures=True)
    [caller] = core.query_raw(canister_id, "whoami", EMPTY)
    [count] = core.update_raw(canister_id, "inc", EMPTY, verify_certificate=False)
    seen[f"icp-py-core {kind}"] = [str(caller["value"]) == str(newer.sender()), count["value"]]
print(json.dumps(seen))
