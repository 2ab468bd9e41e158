"""The proof of an upgrade: kept and lost data, and the ways back."""

from __future__ import annotations

from sandbox.proofs.upgrade.report import SAVE_HINT, Check, Smallest, UpgradeReport
from sandbox.proofs.upgrade.start import ProofError, Version
from sandbox.proofs.upgrade.verify import verify_upgrade

__all__ = ["SAVE_HINT", "Check", "ProofError", "Smallest", "UpgradeReport", "Version", "verify_upgrade"]
