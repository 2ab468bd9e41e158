"""Proofs: what an upgrade or a rollback keeps and loses, scenarios, and the release matrix."""
