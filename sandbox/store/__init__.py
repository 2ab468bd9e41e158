"""A sandbox on disk: a directory that always holds the state before or after a save, never something between."""

from sandbox.store.directory import StateDirectory

__all__ = ["StateDirectory"]
