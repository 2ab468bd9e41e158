#!/usr/bin/env bash
# candid's Int can be written as JSON but not read back; its Nat reads back, as lists of 32-bit digits.
#
# Package: candid 0.10.39 (Rust crate), with serde_json 1.0.154.
# Most people expect: a type with both Serialize and Deserialize reads its own output, and a number looks like a number.
# Seen: both write the inner form of the big-number library: Nat 5 is [5], Int -5 is [-1,[5]]. Nat's reader takes that
#   form, Int's reader takes numbers only and refuses its own writer's output, however small the number is.
# Why it matters: tools keep decoded canister data as JSON next to a snapshot. A dump of records with an int field is
#   written without an error; that it can't be loaded shows on the day it is needed, and other programs see a list.
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
serde_json = "=1.0.154"
[profile.dev]
debug = 0
TOML
cat > "$work/src/main.rs" <<'RUST'
use candid::{Int, Nat};

fn main() {
    for value in [5u64, 1 << 40] {
        let text = serde_json::to_string(&Nat::from(value)).unwrap();
        let read = serde_json::from_str::<Nat>(&text);
        println!("nat {value} as {text}: {}", if read.is_ok_and(|read| read == value) { "reads back" } else { "refused" });
    }
    for value in [5i64, -5] {
        let text = serde_json::to_string(&Int::from(value)).unwrap();
        let read = serde_json::from_str::<Int>(&text);
        println!("int {value} as {text}: {}", if read.is_ok() { "reads back" } else { "refused" });
    }
    println!("int from the number -5: {}", serde_json::from_str::<Int>("-5").unwrap());
}
RUST
seen=$(cd "$work" && cargo run --quiet)
want='nat 5 as [5]: reads back
nat 1099511627776 as [0,256]: reads back
int 5 as [1,[5]]: refused
int -5 as [-1,[5]]: refused
int from the number -5: -5'
echo "expected by most: each number reads back"
echo "seen:"
echo "$seen"
[ "$seen" = "$want" ] || { printf 'this has changed; it was:\n%s\n' "$want" >&2; exit 1; }
