"""A write-once, content-addressed store for large sparse memories: pages of 4 KiB, each kept once, by its hash.

- `hash_tree`, `memory_trees`: the BLAKE3 tree over the bytes of a memory, updated at the cost of the pages changed
- `ingest`, `ingest_stream`: add a memory, or one that arrives as a stream; only pages that are not stored are written
- `objects`, `pack`, `pack_writer`: the pack files, compressed and checksummed, and the index over them
- `stored_memory`, `restore`: read a stored memory in place, or bring its bytes back into a memory
- `prune`: give back the space of pages that nothing refers to
- `durable_files`, `envelope`: files that survive power loss, with a header, a version and a checksum

The store depends on `sandbox.memory` (sparse memories with cheap images) and `sandbox.errors` alone. An interrupted
operation loses nothing that was stored: files are complete and on the disk before they have their names. Every page
that is read is checked against its hash; a mismatch raises StateCorrupt.
"""
