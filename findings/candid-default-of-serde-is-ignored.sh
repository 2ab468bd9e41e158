#!/usr/bin/env bash
# A field with serde's "default" still makes old Candid data unreadable, unless it is an Option.
#
# Package: candid 0.10.39 (Rust crate), with serde 1.0.229 and serde_json 1.0.154.
# Most people expect: #[serde(default)] on a new field lets old data be read, as with every other serde format; candid's
#   Deserialize is serde's, and other attributes (rename) are honoured.
# Seen: the types are compared before serde is asked at all. A missing field is allowed for opt, null and reserved only,
#   so the attribute compiles, changes nothing, and old records are refused. The same attribute and type with JSON work.
# Why it matters: a record type in a canister's stable memory gains a field in nearly every release. With the attribute
#   the code looks safe, tests on new data pass, and old entries trap when they are read after the upgrade.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$work/target}" RUSTFLAGS=-Awarnings
mkdir -p "$work/src"
cat > "$work/Cargo.toml" <<'TOML'
[package]
name = "finding"
version = "0.0.0"
edition = "2021"
[dependencies]
candid = "=0.10.39"
serde = { version = "=1.0.229", features = ["derive"] }
serde_json = "=1.0.154"
[profile.dev]
debug = 0
TOML
cat > "$work/src/main.rs" <<'RUST'
use candid::CandidType;
use serde::{Deserialize, Serialize};

#[derive(CandidType, Serialize)]
struct Old {
    name: String,
}

#[derive(CandidType, Deserialize, Debug)]
struct WithDefault {
    name: String,
    #[serde(default)]
    visits: u64,
}

#[derive(CandidType, Deserialize, Debug)]
struct WithOption {
    name: String,
    visits: Option<u64>,
}

fn main() {
    let old = Old { name: "kept".into() };
    let json = serde_json::to_string(&old).unwrap();
    let bytes = candid::encode_one(&old).unwrap();
    println!("JSON, default: {:?}", serde_json::from_str::<WithDefault>(&json).unwrap());
    match candid::decode_one::<WithDefault>(&bytes) {
        Ok(read) => println!("Candid, default: {read:?}"),
        Err(why) if format!("{why:?}").contains("Subtyping error") => println!("Candid, default: subtyping error"),
        Err(why) => println!("Candid, default: {why:?}"),
    }
    println!("Candid, Option: {:?}", candid::decode_one::<WithOption>(&bytes).unwrap());
}
RUST
seen=$(cd "$work" && cargo run --quiet)
want='JSON, default: WithDefault { name: "kept", visits: 0 }
Candid, default: subtyping error
Candid, Option: WithOption { name: "kept", visits: None }'
echo "expected by most: old data reads with visits 0 in both forms"
echo "seen:"
echo "$seen"
[ "$seen" = "$want" ] || { printf 'this has changed; it was:\n%s\n' "$want" >&2; exit 1; }
