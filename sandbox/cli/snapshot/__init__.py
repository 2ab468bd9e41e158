"""The `snapshot` commands, by topic."""
