"""Where builds come from, and what is said of inputs that cannot be used: file, line, column."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from sandbox import Accepted, Build, Matrix, MatrixError, SandboxError, verify_matrix
from sandbox.proofs.matrix.sources import read_matrix
from tests.conftest import FIXTURES, fixture, guest

EMPTY = guest("")


def names(matrix: Matrix) -> list[str]:
    return [build.name for build in matrix.builds]


def test_a_directory_is_in_natural_order(tmp_path: Path) -> None:
    for name in ("v10.wasm", "v9.wasm", "v1.2.wasm", "notes.txt"):
        (tmp_path / name).write_bytes(EMPTY)
    (tmp_path / "v1.10.wasm.gz").write_bytes(gzip.compress(EMPTY))
    assert names(read_matrix(tmp_path)) == ["v1.2", "v1.10", "v9", "v10"]
    assert verify_matrix(tmp_path).verdict == "safe"


def test_a_list_is_in_its_own_order(tmp_path: Path) -> None:
    (tmp_path / "old.wasm").write_bytes(EMPTY)
    (tmp_path / "a.wasm").write_bytes(EMPTY)
    (tmp_path / "list").write_text("# the oldest first\nold.wasm\n\n  a.wasm\n")
    assert names(read_matrix(tmp_path / "list")) == ["old", "a"]


def test_a_yaml_file_gives_each_build_its_own(tmp_path: Path) -> None:
    (tmp_path / "a.did").write_text("service : { get : () -> (nat) query }")
    (tmp_path / "a.wasm").write_bytes(EMPTY)
    (tmp_path / "m.yaml").write_text(
        f"""builds:
  - a.wasm
  - {{path: {FIXTURES / "people_stable_rs_v1.wasm"}, name: people, init_arg: '(null)', calls: [fill(2)]}}
  - {{path: a.wasm, name: typed, did: a.did, calls: []}}
accept: [query-fails, {{id: data-lost, old: people, new: a}}]
limits: {{install: 5_000_000}}
"""
    )
    matrix = read_matrix(tmp_path / "m.yaml")
    assert names(matrix) == ["a", "people", "typed"]
    assert matrix.accept == (Accepted("query-fails"), Accepted("data-lost", "people", "a"))
    assert matrix.limits is not None
    assert matrix.limits.install == 5_000_000
    people, typed = matrix.builds[1:]
    assert people.argument(people.init_arg)[-1:] == b"\0"  # none
    assert [call.method for call in matrix.calls_of(people)] == ["fill"]
    assert typed.interface is not None
    assert list(typed.interface.methods) == ["get"]


BAD = {
    "builds: [a.wasm, b.wasm]": "m.yaml:1:18: there is no file",
    "bilds: []": "m.yaml:1:1: a matrix has no key 'bilds'; did you mean 'builds'?; it has: builds, calls",
    "calls: []": "m.yaml:1:1: a matrix needs the key 'builds'",
    "builds: []": "m.yaml:1:9: there are no builds",
    "builds:\n- a.wasm\n- {path: a.wasm, name: a}": "m.yaml:2:3: two builds have the name 'a'",
    "builds:\n- {path: a.wasm, calls: [go]}": 'm.yaml:2:26: expected a call, such as greet("World"), not the text',
    "builds:\n- a.wasm\naccept: [data-los]": "m.yaml:3:10: expected one of",
    "builds:\n- a.wasm\naccept:\n- {id: data-lost, old: b}": "m.yaml:4:3: there is no build 'b'; there are: a",
    "builds:\n- {path: a.wasm, did: a.wasm}": "m.yaml:2:23: ",
    "builds:\n- {path: p.wasm, name: p}\ncalls:\n- fill(true)": "m.yaml:4:3: fill: ",
    "builds:\n- {path: p.wasm, name: p}\ncalls:\n- fil(1)": "m.yaml:4:3: fil: the service has no method fil; it has: ",
    "builds:\n- {path: p.wasm, name: p}\nqueries:\n- got(1)": "m.yaml:4:3: no build has the method of got(1)",
    "builds:\n- {path: p.wasm, init_arg: (5)}": "m.yaml:2:28: ",
    "builds: [a.wasm": "m.yaml:2:1: this is no YAML: ",
}


@pytest.mark.parametrize("text", BAD)
def test_a_yaml_file_that_cannot_be_used_says_where(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.wasm").write_bytes(EMPTY)
    (tmp_path / "p.wasm").symlink_to(FIXTURES / "people_stable_rs_v1.wasm")
    (tmp_path / "m.yaml").write_text(text)
    with pytest.raises(SandboxError) as caught:
        verify_matrix(tmp_path / "m.yaml")
    assert BAD[text] in str(caught.value), caught.value


def test_a_list_that_cannot_be_used_says_where(tmp_path: Path) -> None:
    (tmp_path / "a.wasm").write_bytes(EMPTY)
    for text, said in (("a.wasm\n  b.wasm\n", ":2:3: expected the path of a module"), ("# none\n", ":1:1: expected")):
        (tmp_path / "list").write_text(text)
        with pytest.raises(MatrixError, match=said):
            read_matrix(tmp_path / "list")
    (tmp_path / "none").mkdir()
    with pytest.raises(MatrixError, match=r"none has no \.wasm and no \.wasm\.gz file"):
        read_matrix(tmp_path / "none")


def test_inputs_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(MatrixError, match="two builds have the name 'a'"):
        verify_matrix([Build("a", EMPTY), Build("a", EMPTY)])
    with pytest.raises(MatrixError, match="there is no finding 'loss'; there are: little-proved"):
        verify_matrix([Build("a", EMPTY)], accept=["loss"])
    with pytest.raises(MatrixError, match="the argument of a: "):
        verify_matrix([Build("a", fixture("people_stable_rs_v1"), init_arg={"title": 5})])
    with pytest.raises(MatrixError, match="calls: expected method"):
        verify_matrix([Build("a", EMPTY)], calls=["go"])


def test_a_query_is_asked_where_its_method_is() -> None:
    builds = [Build(name, fixture(f"people_{name}.classical")) for name in ("v1", "v2_good")]
    report = verify_matrix(builds, queries=["active_count()"], calls=["fill(2)"])
    texts = {new: check.text for (old, new), cell in report.cells.items() for check in cell.checks if old != new}
    assert set(texts) == {"v1", "v2_good"}
