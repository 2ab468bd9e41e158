#!/usr/bin/env bash
# An Ed25519 key file as the crate `ring` writes it is read by the agents' libraries and refused by OpenSSL and its like.
#
# Packages: ring 0.17.14 from crates.io (makes the key), cryptography 50.0.2, ic-py 1.0.1 and icp-py-core 2.3.1 from PyPI,
#   and the crypto module of Node.
# Most people expect: "BEGIN PRIVATE KEY" is PKCS#8, and every common library reads a PKCS#8 file of an Ed25519 key.
# Seen: `Ed25519KeyPair::generate_pkcs8` writes version 2 of the format (RFC 5958), with the public key behind the private
#   one. The agents' libraries, which look for the bytes themselves, read it; cryptography and Node refuse the file.
#   Without the public key, as version 1, all of them read the same key.
# Why it matters: an identity that controls canisters looks damaged to a script that loads it with an ordinary library,
#   while it is intact. Rewritten as version 1 it works everywhere.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir -p make/src
cat > make/Cargo.toml <<'TOML'
[package]
name = "make"
version = "0.1.0"
edition = "2021"
[dependencies]
ring = "=0.17.14"
TOML
cat > make/src/main.rs <<'RUST'
use std::io::Write;
fn main() {
    let key = ring::signature::Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new()).unwrap();
    std::io::stdout().write_all(key.as_ref()).unwrap();
}
RUST
cargo run --quiet --manifest-path make/Cargo.toml > key.der
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check cryptography==50.0.2 ic-py==1.0.1 icp-py-core==2.3.1
cat > read.py <<'PY'
import base64
import subprocess
import textwrap
from pathlib import Path

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from ic.identity import Identity as OfIcPy
from icp_identity.identity import Identity as OfIcpPyCore

made = Path("key.der").read_bytes()
private, public = made[16:48], made[-32:]
keys = {"as ring wrote it": made, "as version 1": bytes.fromhex("302e020100300506032b657004220420") + private}


def answer(read, pem):
    try:
        return read(pem)
    except Exception as error:
        return f"refused, {type(error).__name__}"


def by_node(pem):
    Path("key.pem").write_text(pem)
    program = "console.log(require('crypto').createPrivateKey(require('fs').readFileSync('key.pem')).asymmetricKeyType)"
    done = subprocess.run(["node", "-e", program], capture_output=True, text=True)
    return "read" if done.stdout.strip() == "ed25519" else "refused"


readers = {
    "cryptography": lambda pem: load_pem_private_key(pem.encode(), None) and "read",
    "node": by_node,
    "ic-py": lambda pem: "read" if OfIcPy.from_pem(pem).der_pubkey[-32:] == public else "another key",
    "icp-py-core": lambda pem: "read" if OfIcpPyCore.from_pem(pem).der_pubkey[-32:] == public else "another key",
}
print("version field and length:", made[2:5].hex(), len(made))
for form, der in keys.items():
    text = "\n".join(textwrap.wrap(base64.b64encode(der).decode(), 64))
    pem = f"-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n"
    for name, read in readers.items():
        print(f"{form}, {name}: {answer(read, pem)}")
PY
seen=$(venv/bin/python read.py)
want='version field and length: 020101 83
as ring wrote it, cryptography: refused, ValueError
as ring wrote it, node: refused
as ring wrote it, ic-py: read
as ring wrote it, icp-py-core: read
as version 1, cryptography: read
as version 1, node: read
as version 1, ic-py: read
as version 1, icp-py-core: read'
echo "expected by most: a PKCS#8 file is read by all"
echo "seen:"
echo "$seen"
[ "$seen" = "$want" ] || { printf 'this has changed; it was:\n%s\n' "$want" >&2; exit 1; }
