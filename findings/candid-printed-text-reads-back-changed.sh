#!/usr/bin/env bash
# A text with a zero character, printed as Candid text and read again, is another text.
#
# Packages: candid 0.10.39 and candid_parser 0.4.1, Rust crates (the reference library; its printer and its parser).
# Most people expect: the parser reads the printer's output as the same value, or refuses it; that is the purpose of
#   the textual form.
# Seen: the printer writes the zero character as \0, as Rust does. In Candid a backslash and two hex digits are one
#   byte: a zero character followed by "b" is read back as the one character U+000B, without an error. Followed by a
#   letter that is no hex digit it is refused. So are not-a-number and infinity, which are printed as NaN and inf.
# Why it matters: arguments and answers are kept as Candid text in logs, scripts and migrations. Fixed-width and padded
#   keys do hold zero characters, and one that is fed back this way names another record.
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
candid = { version = "=0.10.39", features = ["value"] }
candid_parser = "=0.4.1"
[profile.dev]
debug = 0
TOML
cat > "$work/src/main.rs" <<'RUST'
use candid::{types::value::IDLValue, IDLArgs};

fn again(value: IDLValue) {
    let args = IDLArgs::new(&[value.clone()]);
    let printed = args.to_string().replace('\n', "");
    match candid_parser::parse_idl_args(&printed) {
        Err(_) => println!("{printed}: refused"),
        Ok(read) if read.args[0] == value => println!("{printed}: the same"),
        Ok(read) => println!("{printed}: now {:?}", read.args[0].to_string()),
    }
}

fn main() {
    again(IDLValue::Text("a\tb".into()));
    again(IDLValue::Text("a\u{0}b".into()));
    again(IDLValue::Text("a\u{0}z".into()));
    again(IDLValue::Float64(f64::NAN));
    again(IDLValue::Float64(f64::INFINITY));
}
RUST
seen=$(cd "$work" && cargo run --quiet)
want='("a\tb"): the same
("a\0b"): now "\"a\\u{b}\""
("a\0z"): refused
(NaN : float64): refused
(inf : float64): refused'
echo "expected by most: each printed value reads back as the same value"
echo "seen:"
echo "$seen"
[ "$seen" = "$want" ] || { printf 'this has changed; it was:\n%s\n' "$want" >&2; exit 1; }
