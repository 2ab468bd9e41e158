#!/usr/bin/env bash
# A list of texts given for an "opt vec text" is sent as the letters of its first text.
#
# Package: icp-py-core 2.3.1 from PyPI.
# Most people expect: the list as given. The library takes a plain value for an opt (5 as well as [5] for opt nat, bytes
#   as well as [bytes] for opt blob), so a list for an opt list looks like one more such case; or else an error.
# Seen: every list is taken for the wrapping of an opt, and only its first item is used. Here that is a text, which can
#   be gone through like a list: its letters are sent. The other texts are dropped, and no error is raised.
# Why it matters: optional lists of names, tags or controllers are common arguments. The call succeeds and the canister
#   keeps the letters. [["first", "second"]] is the form that works.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check icp-py-core==2.3.1
cat > lists.py <<'PY'
from icp_candid import Types, decode, encode


def sent(kind, value):
    return decode(encode([{"type": kind, "value": value}]), [kind])[0]["value"]


print("opt nat, 5:", sent(Types.Opt(Types.Nat), 5))
print("opt blob, b'abc':", sent(Types.Opt(Types.Vec(Types.Nat8)), b"abc"))
print("opt vec text, plain:", sent(Types.Opt(Types.Vec(Types.Text)), ["first", "second"]))
print("opt vec text, wrapped:", sent(Types.Opt(Types.Vec(Types.Text)), [["first", "second"]]))
PY
seen=$(venv/bin/python lists.py)
want="opt nat, 5: [5]
opt blob, b'abc': [b'abc']
opt vec text, plain: [['f', 'i', 'r', 's', 't']]
opt vec text, wrapped: [['first', 'second']]"
echo "expected by most: [['first', 'second']] for the plain list too, or an error"
echo "seen:"
echo "$seen"
[ "$seen" = "$want" ] || { printf 'this has changed; it was:\n%s\n' "$want" >&2; exit 1; }
