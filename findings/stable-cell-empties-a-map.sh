#!/usr/bin/env bash
# Opening a stable cell on the memory of a map wipes the map, though both are of the same library with marked headers.
#
# Package: ic-stable-structures 0.7.2 (Rust crate).
# Most people expect: a refusal. Every structure begins with its own three letters and a version, and opening a stable
#   vector where a map lies does fail ("BadMagic").
# Seen: Cell::init takes the foreign header for "nothing here yet" and writes its default value over it. It returns
#   normally. The map that is still open goes on answering from its copy of the header; opened again it is new and empty.
# Why it matters: exchanging two memory ids in an upgrade, or reusing one, is a one-digit slip. "init" reads as "open if
#   there" and is in fact "open, or erase whatever is not mine": the loss comes at the first touch, or one upgrade later.
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
use ic_stable_structures::{BTreeMap, Cell, Vec as StableVec};
use std::{cell::RefCell, rc::Rc};

type Memory = Rc<RefCell<Vec<u8>>>;

fn filled() -> (Memory, BTreeMap<u64, u64, Memory>) {
    let memory = Memory::default();
    let mut map = BTreeMap::init(memory.clone());
    for key in 0..30 {
        map.insert(key, key);
    }
    (memory, map)
}

fn main() {
    std::panic::set_hook(Box::new(|_| {}));
    let (memory, _map) = filled();
    let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| StableVec::<u64, _>::init(memory.clone()))).is_err();
    println!("a vector on the map: {}", if refused { "refused" } else { "opened" });
    println!("map opened again: {} entries", BTreeMap::<u64, u64, _>::init(memory).len());

    let (memory, map) = filled();
    let cell = Cell::init(memory.clone(), 7u64);
    println!("a cell on the map: opened, value {}", cell.get());
    println!("map still open: {} entries", map.len());
    println!("map opened again: {} entries", BTreeMap::<u64, u64, _>::init(memory).len());
}
RUST
seen=$(cd "$work" && cargo run --quiet)
want='a vector on the map: refused
map opened again: 30 entries
a cell on the map: opened, value 7
map still open: 30 entries
map opened again: 0 entries'
echo "expected by most: a cell on the memory of a map is refused as a vector is, and the map keeps its 30 entries"
echo "seen:"
echo "$seen"
[ "$seen" = "$want" ] || { printf 'this has changed; it was:\n%s\n' "$want" >&2; exit 1; }
