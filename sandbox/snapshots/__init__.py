"""Snapshots as things of their own: checksums, and how they are kept."""
