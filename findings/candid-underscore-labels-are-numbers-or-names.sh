#!/usr/bin/env bash
# A field named _1_ is the number 1 to one half of the Candid libraries, and a name to the other half.
#
# Packages: candid 0.10.39 (Rust crate); @icp-sdk/core 6.1.0 and motoko 4.10.0 from npm; icp-py-core 2.3.1 from PyPI.
# Most people expect: a field is sent as the hash of its name, whatever the name, and all libraries agree on it; this
#   is the first rule of the format. Decoders print fields without a name as _97_, so such names come up by themselves.
# Seen: the JavaScript and the Python library and the Motoko compiler take _1_ for field number 1. The Rust library
#   hashes it as any other name (4735277). The record of a Rust canister with that field can't be read by the others
#   under the very same description: the field is missing.
# Why it matters: a type for data of unknown names, written from a decoder's output with fields _97_ and so on, works in
#   JavaScript and not in Rust.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$work/target}" RUSTFLAGS=-Awarnings
mkdir -p "$work/src"
cd "$work"
npm install --no-audit --no-fund --silent --prefix "$work" @icp-sdk/core@6.1.0 motoko@4.10.0
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check icp-py-core==2.3.1
cat > Cargo.toml <<'TOML'
[package]
name = "finding"
version = "0.0.0"
edition = "2021"
[dependencies]
candid = "=0.10.39"
[profile.dev]
debug = 0
TOML
cat > src/main.rs <<'RUST'
#[derive(candid::CandidType)]
struct Row {
    _1_: u8,
}

fn main() {
    let bytes = candid::encode_one(Row { _1_: 7 }).unwrap();
    println!("{}", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
}
RUST
cat > js.mjs <<'JS'
import { IDL } from "@icp-sdk/core/candid";
const row = IDL.Record({ _1_: IDL.Nat8 });
console.log("JavaScript:", Buffer.from(IDL.encode([row], [{ _1_: 7 }])).toString("hex"));
try {
  IDL.decode([row], Uint8Array.from(Buffer.from(process.argv[2], "hex")));
  console.log("JavaScript reads Rust's: yes");
} catch (why) {
  console.log("JavaScript reads Rust's:", why.message.split(",")[0]);
}
JS
cat > python.py <<'PY'
from icp_candid import Types, encode

print("Python:", encode([{"type": Types.Record({"_1_": Types.Nat8}), "value": {"_1_": 7}}]).hex())
PY
cat > motoko.cjs <<'JS'
const motoko = require("motoko").default;
motoko.write("Main.mo", "persistent actor { public query func row() : async { _1_ : Nat8 } { { _1_ = 7 } } };");
console.log("Motoko's description:", motoko.candid("Main.mo").match(/record *\{([^}]*)\}/)[1].trim());
JS
rust=$(cargo run --quiet)
seen=$(echo "Rust: $rust" && node js.mjs "$rust" && venv/bin/python python.py && node motoko.cjs)
want="Rust: 4449444c016c01ad82a1027b010007
JavaScript: 4449444c016c01017b010007
JavaScript reads Rust's: Cannot find required field '_1_' in record
Python: 4449444c016c01017b010007
Motoko's description: 1: nat8;"
echo "expected by most: one encoding by all libraries, readable by all"
echo "seen:"
echo "$seen"
[ "$seen" = "$want" ] || { printf 'this has changed; it was:\n%s\n' "$want" >&2; exit 1; }
