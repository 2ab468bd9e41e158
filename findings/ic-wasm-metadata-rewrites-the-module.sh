#!/usr/bin/env bash
# Adding one metadata section with ic-wasm takes the functions' names away and rewrites the code section.
#
# Package: @icp-sdk/ic-wasm-linux-x64 0.11.1 and motoko 4.10.0 from npm (a module from Motoko's compiler as the example).
# Most people expect: a custom section is appended and all other sections stay as they are, byte by byte; WebAssembly's
#   format is made for that.
# Seen: the module is decoded and encoded anew. The "name" section is gone unless --keep-name-section is given, and the
#   code section has other bytes, and fewer, even with it.
# Why it matters: traces of traps lose their names by a step that seems to concern metadata alone, and nothing but the
#   metadata is no longer provable by comparing sections: two builds "equal but for the metadata" differ all over.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --no-audit --no-fund --silent --prefix "$work" @icp-sdk/ic-wasm-linux-x64@0.11.1 motoko@4.10.0
ic_wasm=node_modules/@icp-sdk/ic-wasm-linux-x64/bin/ic-wasm
cat > compile.cjs <<'JS'
const motoko = require("motoko").default;
motoko.write("Main.mo", 'persistent actor { public query func greet() : async Text { "hello" } };');
require("fs").writeFileSync("before.wasm", motoko.wasm("Main.mo", "ic").wasm);
JS
node compile.cjs
"$ic_wasm" before.wasm -o plain.wasm metadata note -d hello -v public
"$ic_wasm" before.wasm -o named.wasm metadata note -d hello -v public --keep-name-section
cat > sections.py <<'PY'
from pathlib import Path


def number(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at, value, shift = at + 1, value | (byte & 127) << shift, shift + 7
        if byte < 128:
            return value, at


def sections(path):
    data, at, out = Path(path).read_bytes(), 8, {}
    while at < len(data):
        kind, (size, begin) = data[at], number(data, at + 1)
        body = data[begin : begin + size]
        if kind == 0:
            length, rest = number(body, 0)
            kind = body[rest : rest + length].decode()
        out[kind] = body
        at = begin + size
    return out


before = sections("before.wasm")
for path in ("plain.wasm", "named.wasm"):
    after = sections(path)
    code = "the same" if after[10] == before[10] else "smaller" if len(after[10]) < len(before[10]) else "other"
    print(f"{path}: names {'name' in after}, code section {code}, added {sorted(set(map(str, after)) - set(map(str, before)))}")
PY
seen=$(python3 sections.py)
want="plain.wasm: names False, code section smaller, added ['icp:public note']
named.wasm: names True, code section smaller, added ['icp:public note']"
echo "expected by most: names True, code section the same, one section added"
echo "seen:"
echo "$seen"
[ "$seen" = "$want" ] || { printf 'this has changed; it was:\n%s\n' "$want" >&2; exit 1; }
