"""The proof of an upgrade: what it keeps and loses, and whether there is a way back."""

from __future__ import annotations

from sandbox.proofs.upgrade.report import Check, UpgradeReport
from sandbox.proofs.upgrade.start import ProofError, Version
from sandbox.proofs.upgrade.verify import verify_upgrade

__all__ = ["Check", "ProofError", "UpgradeReport", "Version", "verify_upgrade"]
