#!/usr/bin/env bash
# Motoko's runtime refuses an upgrade that drops a variable, but accepts the same loss if a certain new one comes along.
#
# Packages: motoko 4.10.0 from npm (the compiler, enhanced orthogonal persistence, its default) and wasmtime 50.0.1 from
#   PyPI (runs the modules; a few functions of the system interface are written here, nothing of this project is used).
# Most people expect: a variable of the old version that is missing in the new one stops the upgrade, as the compiler's
#   own comparison of stable types does and as the runtime does when nothing else changes.
# Seen: the runtime compares the two lists of variables in the order of their names' Candid hashes. A new variable whose
#   hash lies below that of the lost one, with no variable of both versions between or behind, ends the comparison early:
#   "tags" in place of "notes" is accepted, "users" in its place is refused. The lost value does not come back when a
#   later version declares it again.
# Why it matters: "the platform would have refused it" is no proof that an upgrade keeps all data. The compiler's check
#   of the stable types of both versions is one, and has to be run.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --no-audit --no-fund --silent --prefix "$work" motoko@4.10.0
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check wasmtime==50.0.1
cat > compile.cjs <<'JS'
const fs = require("fs");
const motoko = require("motoko").default;
const [name, fields] = process.argv.slice(2);
const query = fields.includes("notes") ? "notes" : "debug_show(kept)";
motoko.write("Main.mo", `persistent actor { var kept : Nat = 1; ${fields}
  public query func answer() : async Text { ${query} } };`);
fs.writeFileSync(`${name}.wasm`, motoko.wasm("Main.mo", "ic").wasm);
JS
node compile.cjs first 'var notes : Text = "kept since the first version";'
node compile.cjs dropped ''
node compile.cjs users 'var users : Nat = 0;'
node compile.cjs tags 'var tags : Nat = 0;'
node compile.cjs again 'var tags : Nat = 0; var notes : Text = "initial value";'
cat > compare.cjs <<'JS'
const motoko = require("motoko").default;
motoko.write("old.most", "// Version: 1.0.0\nactor { stable var kept : Nat; stable var notes : Text };");
motoko.write("new.most", "// Version: 1.0.0\nactor { stable var kept : Nat; stable var tags : Nat };");
const codes = motoko.compiler.stableCompatible("old.most", "new.most").diagnostics.map((one) => one.code);
console.log("compiler, tags for notes:", codes.length ? `refused, ${codes.join(" ")}` : "accepted");
JS
cat > upgrade.py <<'PY'
from pathlib import Path

import wasmtime


class Trap(Exception):
    pass


def number(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at, value, shift = at + 1, value | (byte & 127) << shift, shift + 7
        if byte < 128:
            return value, at


def encoded(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def with_start_exported(module):
    """The module with its start function as an export, so that memory can be put back before it runs."""
    sections, at = [], 8
    while at < len(module):
        size, begin = number(module, at + 1)
        sections.append((module[at], module[begin : begin + size]))
        at = begin + size
    start = next(number(body, 0)[0] for kind, body in sections if kind == 8)
    out = module[:8]
    for kind, body in sections:
        if kind == 7:
            count, rest = number(body, 0)
            body = encoded(count + 1) + body[rest:] + b"\x05start\x00" + encoded(start)
        if kind != 8:
            out += bytes([kind]) + encoded(len(body)) + body
    return out


class Canister:
    def __init__(self, name, image=None):
        config = wasmtime.Config()
        config.wasm_memory64 = True
        engine = wasmtime.Engine(config)
        self.store, self.reply = wasmtime.Store(engine), b""
        module = wasmtime.Module(engine, with_start_exported(Path(f"{name}.wasm").read_bytes()))
        linker = wasmtime.Linker(engine)
        for item in module.imports:
            linker.define(self.store, item.module, item.name, wasmtime.Func(self.store, item.type, self.system(item)))
        self.exports = linker.instantiate(self.store, module).exports(self.store)
        self.memory = self.exports["mem"]
        if image is not None:
            self.memory.grow(self.store, max(0, len(image) - self.memory.data_len(self.store)) // 65536)
            self.memory.write(self.store, image, 0)
        self.exports["start"](self.store)
        self.call("canister_init" if image is None else "canister_post_upgrade")

    def call(self, name):
        self.exports[name](self.store)

    def read(self, at, size):
        return bytes(self.memory.read(self.store, at, at + size))

    def image(self):
        """The main memory as an upgrade keeps it."""
        self.call("canister_pre_upgrade")
        return self.read(0, self.memory.data_len(self.store))

    def answer(self):
        self.call("canister_query answer")
        return self.reply[8:].decode()

    def system(self, item):
        argument = b"DIDL\0\0"

        def call(*given):
            match item.name:
                case "trap":
                    raise Trap(self.read(*given).decode())
                case "msg_arg_data_size":
                    return len(argument)
                case "msg_arg_data_copy":
                    self.memory.write(self.store, argument[given[1] : given[1] + given[2]], given[0])
                case "msg_reply_data_append":
                    self.reply += self.read(*given)
                case "canister_self_size" | "msg_caller_size" | "canister_status" | "is_controller":
                    return 1
                case "canister_self_copy" | "msg_caller_copy":
                    self.memory.write(self.store, b"\x04", given[0])
                case _:
                    return 0 if list(item.type.results) else None

        return call


before = Canister("first").image()
for name in ("dropped", "users", "tags"):
    try:
        Canister(name, before)
        print(f"runtime, {name}: accepted")
    except Trap as trap:
        print(f"runtime, {name}: {trap}")
print("notes declared again, after no loss:", Canister("again", before).answer())
print("notes declared again, after tags:", Canister("again", Canister("tags", before).image()).answer())
PY
seen=$(node compare.cjs && venv/bin/python upgrade.py)
want='compiler, tags for notes: refused, M0169
runtime, dropped: RTS error: Memory-incompatible program upgrade
runtime, users: RTS error: Memory-incompatible program upgrade
runtime, tags: accepted
notes declared again, after no loss: kept since the first version
notes declared again, after tags: initial value'
echo "expected by most: each version without \"notes\" is refused, by the compiler and by the runtime"
echo "seen:"
echo "$seen"
[ "$seen" = "$want" ] || { printf 'this has changed; it was:\n%s\n' "$want" >&2; exit 1; }
