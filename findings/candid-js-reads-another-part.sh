#!/usr/bin/env bash
# The JavaScript decoder, given a part of a larger array, decodes the beginning of the larger array.
#
# Packages: @icp-sdk/core 6.1.0 and @dfinity/candid 3.4.3 from npm.
# Most people expect: IDL.decode takes a Uint8Array and reads the bytes of that array, also where it is a view of a
#   larger one (subarray, or a Buffer of Node, which for small sizes is a part of a shared block).
# Seen: the view's offset is ignored and the underlying memory is read from its start. The second of two messages in one
#   array decodes as the first, without an error; a copy (slice) decodes right. A small Buffer raises "Wrong magic
#   number", since other data lies at the start of its block.
# Why it matters: dumps and stable memory hold many Candid messages in a row, and subarray is the usual way to take one
#   of them without a copy. The values that come out are well-formed and belong to another record.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --no-audit --no-fund --silent --prefix "$work" @icp-sdk/core@6.1.0 @dfinity/candid@3.4.3 @dfinity/principal@3.4.3
cat > parts.mjs <<'JS'
for (const name of ["@icp-sdk/core/candid", "@dfinity/candid"]) {
  const { IDL } = await import(name);
  const [first, second] = [1, 2].map((number) => IDL.encode([IDL.Nat], [number]));
  const both = Uint8Array.of(...first, ...second);
  console.log(`${name}, second as a copy: ${IDL.decode([IDL.Nat], both.slice(first.length))[0]}`);
  console.log(`${name}, second as a view: ${IDL.decode([IDL.Nat], both.subarray(first.length))[0]}`);
}
JS
seen=$(node parts.mjs)
want='@icp-sdk/core/candid, second as a copy: 2
@icp-sdk/core/candid, second as a view: 1
@dfinity/candid, second as a copy: 2
@dfinity/candid, second as a view: 1'
echo "expected by most: 2 in all four cases"
echo "seen:"
echo "$seen"
[ "$seen" = "$want" ] || { printf 'this has changed; it was:\n%s\n' "$want" >&2; exit 1; }
