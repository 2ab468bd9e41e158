#!/usr/bin/env bash
# A map opened with a smaller bound for its keys reads everything, and refuses to take a new key, even a short one.
#
# Package: ic-stable-structures 0.7.2 (Rust crate).
# Most people expect: a refusal when the map is opened, or trouble with the keys that are too long now. New keys that
#   keep to the new bound should go in.
# Seen: the map opens, len(), get() and iteration are right for all old keys. insert() of a key of two bytes panics,
#   since the node it goes into is written anew with all its old keys, and the new declaration holds these too long.
# Why it matters: an upgrade with such a change passes each check that only reads. The first user who writes finds it,
#   perhaps days later, when data of the new version cannot be given up any more by going back.
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
struct Key<const MOST: u32>(Vec<u8>);

impl<const MOST: u32> Storable for Key<MOST> {
    fn to_bytes(&self) -> Cow<'_, [u8]> { Cow::Borrowed(&self.0) }
    fn into_bytes(self) -> Vec<u8> { self.0 }
    fn from_bytes(bytes: Cow<[u8]>) -> Self { Key(bytes.into_owned()) }
    const BOUND: Bound = Bound::Bounded { max_size: MOST, is_fixed_size: false };
}

fn main() {
    panic::set_hook(Box::new(|_| {}));
    let memory = Rc::new(RefCell::new(Vec::<u8>::new()));
    let mut before = BTreeMap::<Key<20>, u64, _>::init(memory.clone());
    for number in 0..30u64 {
        before.insert(Key(number.to_be_bytes().to_vec()), number);
    }
    let mut after = BTreeMap::<Key<4>, u64, _>::init(memory.clone());
    let right = (0..30u64).filter(|n| after.get(&Key(n.to_be_bytes().to_vec())) == Some(*n)).count();
    println!("opened, length {}, {right} keys read right, {} iterated", after.len(), after.iter().count());
    let wrote = panic::catch_unwind(panic::AssertUnwindSafe(|| after.insert(Key(vec![1, 2]), 7)));
    match wrote {
        Ok(_) => println!("a key of 2 bytes: inserted"),
        Err(why) => {
            let text = why.downcast_ref::<String>().cloned().unwrap_or_default();
            println!("a key of 2 bytes: panic, {text}");
        }
    }
}
RUST
seen=$(cd "$work" && cargo run --quiet)
want='opened, length 30, 30 keys read right, 30 iterated
a key of 2 bytes: panic, expected an element with length <= 4 bytes, but found 8 bytes'
echo "expected by most: the map is refused when it is opened, or the short key goes in"
echo "seen:"
echo "$seen"
[ "$seen" = "$want" ] || { printf 'this has changed; it was:\n%s\n' "$want" >&2; exit 1; }
