"""Proofs: the effects of an upgrade or a rollback on data, scenarios, and the release matrix."""
