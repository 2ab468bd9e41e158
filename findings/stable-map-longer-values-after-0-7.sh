#!/usr/bin/env bash
# A stable map made by version 0.5 and opened by 0.7 with a larger max_size damages the values it accepts.
#
# Packages: ic-stable-structures 0.5.6 (makes the map) and 0.7.2 (opens it), Rust crates.
# Most people expect: one of the two behaviours that the library has. Version 0.5.6 refuses to open a map whose
#   max_size has grown; version 0.7.2 keeps a map of its own making and stores the longer values.
# Seen: where the two meet neither holds. 0.7.2 opens the map of 0.5.6 without a word and goes on writing the old
#   nodes, whose places for values have the old size. A longer value is accepted, and the next entry's bytes then lie
#   over its end: insert succeeds, a read returns another text of the right length.
# Why it matters: "update the crate and allow longer names" is one ordinary commit. The upgrade succeeds, the put
#   replies, and the record is damaged from then on; only a read of it shows that.
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
old = { package = "ic-stable-structures", version = "=0.5.6" }
new = { package = "ic-stable-structures", version = "=0.7.2" }
[profile.dev]
debug = 0
TOML
cat > "$work/src/main.rs" <<'RUST'
use std::{borrow::Cow, cell::RefCell, rc::Rc};

#[derive(Clone)]
struct Name(String);

impl old::Storable for Name {
    fn to_bytes(&self) -> Cow<'_, [u8]> { Cow::Borrowed(self.0.as_bytes()) }
    fn from_bytes(bytes: Cow<[u8]>) -> Self { Name(String::from_utf8(bytes.into_owned()).unwrap()) }
}

impl old::BoundedStorable for Name {
    const MAX_SIZE: u32 = 100;
    const IS_FIXED_SIZE: bool = false;
}

impl new::Storable for Name {
    fn to_bytes(&self) -> Cow<'_, [u8]> { Cow::Borrowed(self.0.as_bytes()) }
    fn into_bytes(self) -> Vec<u8> { self.0.into_bytes() }
    fn from_bytes(bytes: Cow<[u8]>) -> Self { Name(String::from_utf8_lossy(&bytes).into_owned()) }
    const BOUND: new::storable::Bound = new::storable::Bound::Bounded { max_size: 200, is_fixed_size: false };
}

fn main() {
    let memory = Rc::new(RefCell::new(Vec::<u8>::new()));
    let mut before = old::BTreeMap::<u64, Name, _>::init(memory.clone());
    for key in 0..5 {
        before.insert(key, Name("short".into()));
    }
    drop(before);

    let mut after = new::BTreeMap::<u64, Name, _>::init(memory.clone());
    let long = "x".repeat(135);
    after.insert(3, Name(long.clone()));
    let read = after.get(&3).unwrap().0;
    println!("opened with {} entries", after.len());
    println!("length as written: {}", read.len() == long.len());
    println!("text as written: {}", read == long);
    println!("leading x: {}", read.chars().take_while(|c| *c == 'x').count());
    println!("neighbours unharmed: {}", [0, 1, 2, 4].iter().all(|key| after.get(key).unwrap().0 == "short"));
}
RUST
seen=$(cd "$work" && cargo run --quiet)
want='opened with 5 entries
length as written: true
text as written: false
leading x: 100
neighbours unharmed: true'
echo "expected by most: the map is refused, as 0.5.6 does, or the text is stored whole, as 0.7.2 does for its own maps"
echo "seen:"
echo "$seen"
[ "$seen" = "$want" ] || { printf 'this has changed; it was:\n%s\n' "$want" >&2; exit 1; }
