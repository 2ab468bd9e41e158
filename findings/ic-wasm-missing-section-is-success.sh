#!/usr/bin/env bash
# ic-wasm answers for a metadata section that is not there with success, and with a sentence in place of the content.
#
# Package: @icp-sdk/ic-wasm-linux-x64 0.11.1 from npm (the program ic-wasm; Linux on x86-64).
# Most people expect: an exit code other than zero and an empty standard output, as from other tools that print one
#   named part of a file.
# Seen: exit code 0, and "Cannot find metadata ..." on the standard output, where the section's content would be.
# Why it matters: "ic-wasm a.wasm metadata candid:service > service.did" in a build with "set -e" goes on, and the
#   sentence is kept or published as the interface, or compared as the list of stable variables.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --no-audit --no-fund --silent --prefix "$work" @icp-sdk/ic-wasm-linux-x64@0.11.1
ic_wasm=node_modules/@icp-sdk/ic-wasm-linux-x64/bin/ic-wasm
printf '\0asm\1\0\0\0' > empty.wasm
code=0
"$ic_wasm" empty.wasm metadata candid:service > out 2> err || code=$?
seen="exit code $code
standard output: $(cat out)
standard error: $(cat err)"
want='exit code 0
standard output: Cannot find metadata candid:service
standard error: '
echo "expected by most: an exit code other than 0, nothing on the standard output"
echo "seen:"
echo "$seen"
[ "$seen" = "$want" ] || { printf 'this has changed; it was:\n%s\n' "$want" >&2; exit 1; }
