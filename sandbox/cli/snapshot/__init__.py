"""The `snapshot` commands."""
