"""Certification: hash trees, the state tree, keys, certificates, request ids. Knows no sandbox state."""
