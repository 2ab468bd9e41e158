"""Stable variables of Motoko canisters, decoded from bytes."""
