#!/usr/bin/env bash
# A vector opened with another element type of the same size is accepted, and its numbers are read as that type.
#
# Package: ic-stable-structures 0.7.2 (Rust crate).
# Most people expect: a refusal, as for a type of another size (the vector has a check and an error of its own for that,
#   IncompatibleElementType), or a conversion of the numbers.
# Seen: only the size and whether it is fixed are compared. A vector of u64 opens as one of f64: 7 reads as 3.5e-323,
#   and a push stores a float beside the integers, so that neither declaration reads all elements afterwards.
# Why it matters: "change the amount to a float" passes the upgrade and every check on lengths and bytes; the answers are
#   wrong, and after the first push no version of the code reads the vector right.
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
ic-stable-structures = "=0.7.2"
[profile.dev]
debug = 0
TOML
cat > "$work/src/main.rs" <<'RUST'
use ic_stable_structures::Vec as StableVec;
use std::{cell::RefCell, rc::Rc};

fn main() {
    let memory = Rc::new(RefCell::new(Vec::<u8>::new()));
    let before = StableVec::<u64, _>::init(memory.clone());
    before.push(&7);
    let after = StableVec::<f64, _>::init(memory.clone());
    println!("opened as f64, length {}, element 0: {:e}", after.len(), after.get(0).unwrap());
    after.push(&1.0);
    let again = StableVec::<u64, _>::init(memory.clone());
    println!("as u64 after a push of 1.0: {:?} {:?}", again.get(0).unwrap(), again.get(1).unwrap());
    std::panic::set_hook(Box::new(|_| {}));
    let other = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| StableVec::<u128, _>::init(memory).len()));
    println!("as u128: {}", if other.is_err() { "refused" } else { "opened" });
}
RUST
seen=$(cd "$work" && cargo run --quiet)
want='opened as f64, length 1, element 0: 3.5e-323
as u64 after a push of 1.0: 7 4607182418800017408
as u128: refused'
echo "expected by most: f64 is refused as u128 is, or element 0 reads as 7"
echo "seen:"
echo "$seen"
[ "$seen" = "$want" ] || { printf 'this has changed; it was:\n%s\n' "$want" >&2; exit 1; }
