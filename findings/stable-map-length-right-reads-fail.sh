#!/usr/bin/env bash
# Declaring a map's keys "of fixed size" later leaves a map that opens, knows its length, and fails at every read.
#
# Package: ic-stable-structures 0.7.2 (Rust crate).
# Most people expect: a hint about layout for new entries, or a refusal when the map is opened. All keys do have the
#   declared size, not one byte of them would be read differently.
# Seen: keys of fixed size are stored without their length, so the flag changes the place of all that follows them in a
#   node. The header holds the sizes but not the flag: the map opens without complaint and len() is right, while get()
#   panics, far from the cause, with an index out of bounds (the number in the message is data taken for an address).
# Why it matters: a canister's upgrade with such a change succeeds, its health check ("how many entries?") is right,
#   and each request that reads an entry traps. The bytes are all there: the former declaration reads them again.
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
use ic_stable_structures::{storable::Bound, BTreeMap, Storable};
use std::{borrow::Cow, cell::RefCell, panic, rc::Rc};

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key<const FIXED: bool>([u8; 8]);

impl<const FIXED: bool> Storable for Key<FIXED> {
    fn to_bytes(&self) -> Cow<'_, [u8]> { Cow::Borrowed(&self.0) }
    fn into_bytes(self) -> Vec<u8> { self.0.to_vec() }
    fn from_bytes(bytes: Cow<[u8]>) -> Self { Key(bytes.as_ref().try_into().unwrap()) }
    const BOUND: Bound = Bound::Bounded { max_size: 8, is_fixed_size: FIXED };
}

fn key<const FIXED: bool>(number: u64) -> Key<FIXED> { Key(number.to_be_bytes()) }

fn main() {
    panic::set_hook(Box::new(|_| {}));
    let memory = Rc::new(RefCell::new(Vec::<u8>::new()));
    let mut before = BTreeMap::<Key<false>, u64, _>::init(memory.clone());
    for number in 0..30 {
        before.insert(key(number), number);
    }
    let after = BTreeMap::<Key<true>, u64, _>::init(memory.clone());
    println!("opened, length {}", after.len());
    let read = panic::catch_unwind(panic::AssertUnwindSafe(|| after.get(&key(5))));
    match read {
        Ok(value) => println!("entry 5: {value:?}"),
        Err(why) => {
            let text = why.downcast_ref::<String>().cloned().unwrap_or_default();
            println!("entry 5: panic, {}", text.split(':').next().unwrap());
        }
    }
    println!("by the former declaration: {:?}", BTreeMap::<Key<false>, u64, _>::init(memory).get(&key(5)));
}
RUST
seen=$(cd "$work" && cargo run --quiet)
want='opened, length 30
entry 5: panic, index out of bounds
by the former declaration: Some(5)'
echo "expected by most: the map is refused when it is opened, or entry 5 reads as Some(5)"
echo "seen:"
echo "$seen"
[ "$seen" = "$want" ] || { printf 'this has changed; it was:\n%s\n' "$want" >&2; exit 1; }
