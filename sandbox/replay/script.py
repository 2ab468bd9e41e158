"""Drun scripts: one command a line, in the words of `drun`, the platform's first command-line runner of canisters.

    create                              a new canister, under the next id
    install ID MODULE ARG               also reinstall, upgrade
    ingress ID METHOD ARG               an update call
    query ID METHOD ARG                 a query call
    stop ID, start ID                   short for ingress aaaaa-aa stop_canister

Empty lines and lines that begin with `#` are ignored. ARG is `0x` and hexadecimal digits, or ASCII text in double
quotes with the escapes `\\xHH` (hexadecimal), `\\bBBBBBBBB` (binary), `\\"` and `\\\\`. `$ID` stands for the first
canister, `$PRINCIPAL` for the bytes of the Candid record of its id, the argument of `stop_canister`.

Source: `dfinity/ic` `rs/drun` (README.adoc, src/message.rs); `$ID` and `$PRINCIPAL`: `dfinity/motoko`
`test/drun-wrapper.sh`.
"""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.candid import encode, parse_types
from sandbox.errors import PrincipalError, SandboxError
from sandbox.principal import Principal

FIRST = Principal.from_index(0)
"""`rwlgt-iiaaa-aaaaa-aaaaa-cai`, the canister that `$ID` stands for."""
_OPERANDS = {
    "create": (),
    "install": ("ID", "MODULE", "ARG"),
    "reinstall": ("ID", "MODULE", "ARG"),
    "upgrade": ("ID", "MODULE", "ARG"),
    "ingress": ("ID", "METHOD", "ARG"),
    "query": ("ID", "METHOD", "ARG"),
    "stop": ("ID",),
    "start": ("ID",),
}
_ESCAPES = {"x": (2, 16), "b": (8, 2)}


class ScriptError(SandboxError):
    """The error of a drun script that cannot be run, with its line number."""

    def __init__(self, number: int, problem: str) -> None:
        self.number = number
        super().__init__(f"line {number}: {problem}")


@dataclass(frozen=True, slots=True)
class Line:
    """One command. `name` is the MODULE or the METHOD; `number` counts all lines of the script from 1."""

    number: int
    command: str
    canister_id: Principal
    name: str = ""
    arg: bytes = b""


def read_script(text: str, first: Principal = FIRST) -> list[Line]:
    """Parse a script; `ScriptError` if it is invalid. `first` is the canister that `$ID` stands for.

    A script without `create` gets one in front, as the scripts of the Motoko compiler expect.
    """
    lines = []
    for number, raw in enumerate(text.splitlines(), 1):
        stripped = raw.strip()
        if stripped and not stripped.startswith("#"):
            lines.append(_line(number, stripped, first))
    if lines and all(line.command != "create" for line in lines):
        lines.insert(0, Line(lines[0].number, "create", first))
    return lines


def identified(canister_id: Principal) -> bytes:
    """Return `record { canister_id }` in Candid: the answer to `create` and the argument of `stop_canister`."""
    return encode(parse_types("(record { canister_id : principal })"), [{"canister_id": canister_id}])


def octets(text: str) -> bytes:
    """Return the bytes of an ARG; `ValueError` says what is wrong with it."""
    if text.startswith('"'):
        return _quoted(text)
    if not text.startswith("0x"):
        raise ValueError(f"{text!r} is neither 0x and hexadecimal digits nor text in double quotes")
    try:
        return bytes.fromhex(text[2:])
    except ValueError:
        raise ValueError(f"{text!r} is not hexadecimal") from None


def _line(number: int, text: str, first: Principal) -> Line:
    text = text.replace("$PRINCIPAL", f"0x{identified(first).hex()}").replace("$ID", str(first))
    command, *operands = text.split(maxsplit=3)
    expected = _OPERANDS.get(command)
    if expected is None:
        raise ScriptError(number, f"unknown command {command!r}; known are {', '.join(_OPERANDS)}")
    if len(operands) != len(expected):
        raise ScriptError(number, f"{command} takes {' '.join(expected) or 'nothing'}")
    try:
        target = Principal.from_text(operands[0]) if operands else first
        arg = octets(operands[2]) if len(operands) == 3 else b""
    except (PrincipalError, ValueError) as error:
        raise ScriptError(number, str(error)) from None
    return Line(number, command, target, operands[1] if len(operands) == 3 else "", arg)


def _quoted(text: str) -> bytes:
    if not text.isascii():
        raise ValueError("text in double quotes is ASCII only")
    content, at = bytearray(), 1
    while at < len(text) and text[at] != '"':
        if text[at] == "\\":
            byte, at = _escaped(text, at + 1)
            content.append(byte)
        else:
            content.append(ord(text[at]))
            at += 1
    if at >= len(text):
        raise ValueError("the closing double quote is missing")
    if at + 1 < len(text):
        raise ValueError(f"{text[at + 1 :]!r} follows the closing double quote")
    return bytes(content)


def _escaped(text: str, at: int) -> tuple[int, int]:
    """Return the byte of the escape whose backslash is before `at`, and the position after it."""
    letter = text[at : at + 1]
    if letter in ('"', "\\"):
        return ord(letter), at + 1
    if letter not in _ESCAPES:
        raise ValueError(f"'\\{letter}' is no escape; there are \\x, \\b, \\\" and \\\\")
    length, base = _ESCAPES[letter]
    digits = text[at + 1 : at + 1 + length]
    if len(digits) < length or not all(digit in "0123456789abcdef"[:base] for digit in digits.lower()):
        raise ValueError(f"'\\{letter}{digits}' needs {length} digits of base {base}")
    return int(digits, base), at + 1 + length
