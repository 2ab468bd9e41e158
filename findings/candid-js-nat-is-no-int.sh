#!/usr/bin/env bash
# The JavaScript library refuses a nat where an int is expected, the first example of a subtype that Candid gives.
#
# Packages: @icp-sdk/core 6.1.0 and @dfinity/candid 3.4.3 from npm; icp-py-core 2.3.1 from PyPI as one that accepts.
# Most people expect: nat is a subtype of int by Candid's rules, so a service that narrows an answer from int to nat
#   stays compatible, and all clients with the old description go on working.
# Seen: both packages throw a type mismatch. Inside an opt no error is raised: the number is dropped and the answer is
#   "none".
# Why it matters: an upgrade that passes the compatibility check stops browser clients, and where the field was
#   optional, they show "no value" for values that are there, and write that back.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --no-audit --no-fund --silent --prefix "$work" @icp-sdk/core@6.1.0 @dfinity/candid@3.4.3 @dfinity/principal@3.4.3
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check icp-py-core==2.3.1
cat > js.mjs <<'JS'
for (const name of ["@icp-sdk/core/candid", "@dfinity/candid"]) {
  const { IDL } = await import(name);
  const nat = IDL.encode([IDL.Nat], [3]);
  try {
    console.log(`${name}: ${IDL.decode([IDL.Int], nat)[0]}`);
  } catch (why) {
    console.log(`${name}: ${why.message}`);
  }
  const some = IDL.encode([IDL.Opt(IDL.Nat)], [[3]]);
  try {
    console.log(`${name}, in an opt: ${JSON.stringify(IDL.decode([IDL.Opt(IDL.Int)], some)[0])}`);
  } catch (why) {
    console.log(`${name}, in an opt: ${why.message}`);
  }
}
JS
cat > python.py <<'PY'
from icp_candid import Types, decode, encode

nat = encode([{"type": Types.Nat, "value": 3}])
some = encode([{"type": Types.Opt(Types.Nat), "value": [3]}])
print("icp_candid:", decode(nat, [Types.Int])[0]["value"])
print("icp_candid, in an opt:", decode(some, [Types.Opt(Types.Int)])[0]["value"])
PY
seen=$(node js.mjs && venv/bin/python python.py)
want='@icp-sdk/core/candid: type mismatch: type on the wire nat, expect type int
@icp-sdk/core/candid, in an opt: []
@dfinity/candid: type mismatch: type on the wire nat, expect type int
@dfinity/candid, in an opt: []
icp_candid: 3
icp_candid, in an opt: [3]'
echo "expected by most: 3 and some 3 from each library"
echo "seen:"
echo "$seen"
[ "$seen" = "$want" ] || { printf 'this has changed; it was:\n%s\n' "$want" >&2; exit 1; }
