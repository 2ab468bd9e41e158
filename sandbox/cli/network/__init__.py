"""The commands that act at a network in place of a state directory."""
