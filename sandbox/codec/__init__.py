"""Encodings of numbers that several packages share."""
