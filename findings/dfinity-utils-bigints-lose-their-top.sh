#!/usr/bin/env bash
# bigIntToUint8Array keeps the low 64 bits of a number of any size, and the way back reads eight bytes only.
#
# Package: @dfinity/utils 5.0.0 from npm.
# Most people expect: a bigint becomes as many bytes as it needs, or an error; the functions' names have no size, and
#   bigint is the type that the libraries of this field use for nat, which has no limit.
# Seen: 2^64 + 5 becomes the eight bytes of 5. Nine bytes become the number of the first eight.
# Why it matters: balances of tokens with 18 decimals pass 2^64 at 19 tokens. Such a number made into bytes for a key, a
#   memo or a subaccount and back is another number, without an error.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --no-audit --no-fund --silent --prefix "$work" @dfinity/utils@5.0.0
cat > numbers.mjs <<'JS'
import { bigIntToUint8Array, uint8ArrayToBigInt } from "@dfinity/utils";
for (const number of [5n, 2n ** 64n - 1n, 2n ** 64n + 5n, 20n * 10n ** 18n]) {
  console.log(`${number} -> ${uint8ArrayToBigInt(bigIntToUint8Array(number))}`);
}
console.log(`1 0 0 0 0 0 0 0 5 -> ${uint8ArrayToBigInt(Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0, 5))}`);
JS
seen=$(node numbers.mjs)
want='5 -> 5
18446744073709551615 -> 18446744073709551615
18446744073709551621 -> 5
20000000000000000000 -> 1553255926290448384
1 0 0 0 0 0 0 0 5 -> 72057594037927936'
echo "expected by most: each number comes back, the last as 18446744073709551621"
echo "seen:"
echo "$seen"
[ "$seen" = "$want" ] || { printf 'this has changed; it was:\n%s\n' "$want" >&2; exit 1; }
