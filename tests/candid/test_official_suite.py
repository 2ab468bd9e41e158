"""The official conformance suite, run from a checkout of dfinity/candid that the variable CANDID_SUITE names.

Format: `test/README.md` of that repository. Nothing of the suite is kept here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sandbox.candid import Type, decode, parse_values
from sandbox.candid.lexer import Source, string_bytes
from sandbox.candid.parser import Parser
from sandbox.candid.type_base import Env
from sandbox.errors import CandidError

CHECKOUT = os.environ.get("CANDID_SUITE", "")


@dataclass(frozen=True)
class Input:
    content: bytes
    is_binary: bool

    def read(self, types: tuple[Type, ...]) -> list[Any]:
        if self.is_binary:
            return decode(types, self.content)
        return parse_values(self.content.decode(), types, exact=False)


@dataclass(frozen=True)
class Assertion:
    left: Input
    relation: str
    right: Input | None
    types: tuple[Type, ...]
    title: str


class SuiteParser(Parser):
    """The grammar of a suite file: type definitions, then assertions."""

    def assertions(self) -> Iterator[Assertion]:
        env = Env()
        self.env = env
        while self.accept("type"):
            name = self.identifier()
            self.expect("=")
            env.define(name, self.type())
            self.expect(";")
        while self.token.kind != "end":
            yield self._assertion()
            if not self.accept(";"):
                break
        self.finish()

    def _assertion(self) -> Assertion:
        at = self.token.at
        self.expect("assert")
        left, right = self._input(), None
        relation = self.advance().text
        if relation in ("==", "!="):
            right = self._input()
            self.expect(":")
        types, _ = self.types()
        title = self.string() if self.token.kind == "text" else ""
        return Assertion(left, relation, right, types, f"{self.source.place(at)}: {title}")

    def _input(self) -> Input:
        is_binary = self.accept("blob")
        return Input(string_bytes(self.source, self.advance()), is_binary)


def suite() -> list[Any]:
    if not CHECKOUT:
        reason = "CANDID_SUITE does not name a checkout of dfinity/candid"
        return [pytest.param(None, marks=pytest.mark.skip(reason=reason), id="not given")]
    files = sorted(Path(CHECKOUT, "test").glob("*.test.did"))
    assert files, f"no *.test.did below {CHECKOUT}/test"
    sources = [Source(file.read_text("utf-8"), file.name) for file in files]
    return [pytest.param(case, id=case.title) for source in sources for case in SuiteParser(source).assertions()]


@pytest.mark.parametrize("case", suite())
def test_assertion(case: Assertion) -> None:
    if case.relation == "!:":
        with pytest.raises(CandidError):
            case.left.read(case.types)
        return
    left = case.left.read(case.types)
    if case.right is not None:
        right = case.right.read(case.types)
        assert (left == right) is (case.relation == "==")
