"""Names of Candid fields from a module's data: a message has only hashes, and the module that writes it has the names.

Compilers put texts one after the other without separators (`idnameemail`), so every part of a run of letters, digits
and underscores is tried. With n parts and k hashes, a wrong name turns up with probability n * k / 2**32.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from sandbox.wasm import ModuleFacts

_LONGEST = 32
"""Characters of a name."""
_MOST = 4 << 20
"""Bytes of data that are searched."""
_RUN = re.compile(rb"[A-Za-z_][A-Za-z0-9_]*")
_FACTOR, _MODULUS = 223, 1 << 32
"""Of the hash of a field name (dfinity/candid `spec/Candid.md`, "Shorthand: Symbolic Field Ids")."""


def names_in_data(facts: ModuleFacts, ids: Collection[int]) -> dict[int, str]:
    """Return the names in the module's data segments that hash to these field ids; the first and longest of each."""
    wanted = {*ids}
    names: dict[int, str] = {}
    left = _MOST
    for segment in facts.data if wanted else ():
        for run in _RUN.finditer(facts.wasm, segment.start, min(segment.end, segment.start + max(left, 0))):
            _search(run[0], wanted, names)
        left -= segment.end - segment.start
    return names


def _search(run: bytes, wanted: set[int], names: dict[int, str]) -> None:
    for start in range(len(run)):
        value = 0
        for at in range(start, min(len(run), start + _LONGEST)):
            value = (value * _FACTOR + run[at]) % _MODULUS
            if value in wanted:
                name = run[start : at + 1].decode()
                if len(name) > len(names.get(value, "")):
                    names[value] = name
