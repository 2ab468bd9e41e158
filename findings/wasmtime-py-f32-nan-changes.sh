#!/usr/bin/env bash
# Reading an f32 global in Python and setting it to the value just read can change its bits.
#
# Package: wasmtime 50.0.1 from PyPI.
# Most people expect: "set to the value read" changes nothing. It does not for i32, i64 and f64 of any bits.
# Seen: an f32 comes as a Python float, which has 64 bits. For a signalling not-a-number the widening sets the quiet bit
#   (IEEE 754 asks for that), so 0x7fa00000 comes back as 0x7fe00000. The 64-bit twin keeps its bits.
# Why it matters: a tool that carries a module's globals from one instance to another, as a snapshot does, changes the
#   program's state, and only in a value that few tests hold. Such globals have to be read inside WebAssembly, by a
#   function with i32.reinterpret_f32.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check wasmtime==50.0.1
cat > globals.py <<'PY'
import wasmtime

MODULE = """(module
  (global $short (export "f32") (mut f32) (f32.const nan:0x200000))
  (global $long (export "f64") (mut f64) (f64.const nan:0x4000000000000))
  (func (export "f32 bits") (result i32) (i32.reinterpret_f32 (global.get $short)))
  (func (export "f64 bits") (result i64) (i64.reinterpret_f64 (global.get $long))))"""

store = wasmtime.Store()
exports = wasmtime.Instance(store, wasmtime.Module(store.engine, MODULE), []).exports(store)
for name in ("f64", "f32"):
    before = exports[f"{name} bits"](store)
    exports[name].set_value(store, exports[name].value(store))
    print(f"{name}: {before:#x} -> {exports[f'{name} bits'](store):#x}")
PY
seen=$(venv/bin/python globals.py)
want='f64: 0x7ff4000000000000 -> 0x7ff4000000000000
f32: 0x7fa00000 -> 0x7fe00000'
echo "expected by most: both keep their bits"
echo "seen:"
echo "$seen"
[ "$seen" = "$want" ] || { printf 'this has changed; it was:\n%s\n' "$want" >&2; exit 1; }
