"""A sandbox on disk: a directory that is always the state before or after a command, never between."""
