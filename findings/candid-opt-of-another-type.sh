#!/usr/bin/env bash
# An opt that holds a value of another type than expected is "none" to one library and an error to the next.
#
# Packages: @icp-sdk/core 6.1.0 from npm; ic-py 1.0.1 and icp-py-core 2.3.1 from PyPI.
# Most people expect: a value of the wrong type is an error everywhere, as it is outside an opt.
# Seen: JavaScript answers "none" (this is Candid's rule: opt types are subtypes of one another, and a value that does
#   not fit is null), even for a variant that merely has gained a case. Both Python libraries raise an error.
# Why it matters: after a service adds a case to a variant, an old JavaScript client sees "nothing set" for records that
#   use it, and saves that. A Python script with the same description stops at the same bytes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --no-audit --no-fund --silent --prefix "$work" @icp-sdk/core@6.1.0
for pinned in ic-py==1.0.1 icp-py-core==2.3.1; do
  python3 -m venv "${pinned%%=*}"
  "${pinned%%=*}/bin/pip" install --quiet --disable-pip-version-check "$pinned"
done
cat > js.mjs <<'JS'
import { IDL } from "@icp-sdk/core/candid";
const text = IDL.encode([IDL.Opt(IDL.Text)], [["kept"]]);
const grown = IDL.Opt(IDL.Variant({ open: IDL.Null, closed: IDL.Null }));
const variant = IDL.encode([grown], [[{ closed: null }]]);
console.log("@icp-sdk/core, opt text as opt nat:", JSON.stringify(IDL.decode([IDL.Opt(IDL.Nat)], text)[0]));
const before = IDL.Opt(IDL.Variant({ open: IDL.Null }));
console.log("@icp-sdk/core, a new case:", JSON.stringify(IDL.decode([before], variant)[0]));
JS
cat > python.py <<'PY'
import sys

if sys.argv[1] == "ic-py":
    from ic.candid import Types, decode, encode
else:
    from icp_candid import Types, decode, encode


def tried(case, data, expected):
    try:
        print(f"{sys.argv[1]}, {case}:", decode(data, [expected])[0]["value"])
    except ValueError as why:
        print(f"{sys.argv[1]}, {case}: ValueError, {why}")


text = encode([{"type": Types.Opt(Types.Text), "value": ["kept"]}])
grown = Types.Opt(Types.Variant({"open": Types.Null, "closed": Types.Null}))
variant = encode([{"type": grown, "value": [{"closed": None}]}])
tried("opt text as opt nat", text, Types.Opt(Types.Nat))
tried("a new case", variant, Types.Opt(Types.Variant({"open": Types.Null})))
PY
seen=$(node js.mjs && for name in ic-py icp-py-core; do "$name/bin/python" python.py "$name"; done)
want='@icp-sdk/core, opt text as opt nat: []
@icp-sdk/core, a new case: []
ic-py, opt text as opt nat: ValueError, type mismatch: type on the wire text, expect type nat
ic-py, a new case: ValueError, Cannot find field hash _240232876
icp-py-core, opt text as opt nat: ValueError, Type mismatch: wire text, expect nat
icp-py-core, a new case: ValueError, Unknown variant 240232876'
echo "expected by most: an error in all six cases"
echo "seen:"
echo "$seen"
[ "$seen" = "$want" ] || { printf 'this has changed; it was:\n%s\n' "$want" >&2; exit 1; }
