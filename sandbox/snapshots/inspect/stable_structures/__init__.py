"""The data structures of the Rust library `ic-stable-structures`, decoded from bytes."""
