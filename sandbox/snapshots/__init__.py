"""Snapshots outside of canisters: carry them elsewhere (`portable`), look inside (`inspect`), compare them (`diff`)."""
