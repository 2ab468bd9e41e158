"""Proof of responses: HTTP gateway protocol specification, "Response verification", versions 1 and 2.

A response carries a certificate of the canister's certified data, and a hash tree with that root (`header`). In version
1 the tree has the hash of the body by path. In version 2 it has, by path (`expression_path`), what is certified of
requests and responses (`expression`), and the hashes of both (`verify`). Details that the specification leaves open are
as in `dfinity/response-verification`.
"""
