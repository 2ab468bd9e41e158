#!/usr/bin/env bash
# Motoko's `from_candid` answers with an option, and still traps: null means another type, never bytes that are no message.
#
# Packages: motoko 4.10.0 from npm (the compiler; programs for WASI, run by Node's own WASI).
# Most people expect: `from_candid b : ?T` is null for every blob that holds no T, the empty blob and a cut one among them.
# Seen: null for a message of another type, or of none. The empty blob, a message cut short and one with a byte too many end
#   the message with a trap that nothing in the language catches.
# Why it matters: a canister that reads saved blobs in `postupgrade`, and trusts the option, cannot be upgraded once a single
#   blob is empty or cut. Look at the bytes first, or keep a version and a length beside them.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --no-audit --no-fund --silent --prefix "$work" motoko@4.10.0
cat > run.cjs <<'JS'
const { WASI } = require("node:wasi");
const motoko = require("motoko").default;
motoko.compiler.gcFlags("classicOP");
const [name, blob] = process.argv.slice(2);
motoko.write("M.mo", `import Prim "mo:⛔"; let read : ?Nat = from_candid(${blob}); Prim.debugPrint("${name}: " # debug_show read);`);
const wasi = new WASI({ version: "preview1" });
WebAssembly.instantiate(motoko.wasm("M.mo", "wasi").wasm, wasi.getImportObject()).then(({ instance }) => {
  try {
    wasi.start(instance);
  } catch (error) {
    console.log(`${name}: trap`);
  }
});
JS
seen=$(
    node --no-warnings run.cjs "a number" 'to_candid(5)' 2>&1 | grep -o "a number: .*"
    node --no-warnings run.cjs "a text" 'to_candid("five")' 2>&1 | grep -o "a text: .*"
    node --no-warnings run.cjs "no value" '"DIDL\00\00" : Blob' 2>&1 | grep -o "no value: .*"
    node --no-warnings run.cjs "no bytes" '"" : Blob' 2>&1 | grep -o "no bytes: .*"
    node --no-warnings run.cjs "cut" '"DIDL\00\01\7d" : Blob' 2>&1 | grep -o "cut: .*"
    node --no-warnings run.cjs "a byte more" '"DIDL\00\01\7d\05\00" : Blob' 2>&1 | grep -o "a byte more: .*"
)
want='a number: ?5
a text: null
no value: null
no bytes: trap
cut: trap
a byte more: trap'
echo "expected by most: null for all but the number"
echo "seen:"
echo "$seen"
[ "$seen" = "$want" ] || { printf 'this has changed; it was:\n%s\n' "$want" >&2; exit 1; }
