"""A write-once store of pages named by their hashes; knows no canister."""
