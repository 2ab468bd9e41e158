"""`wasm inspect`."""

from __future__ import annotations

from pathlib import Path

import wasmtime

from tests.cli.conftest import Cli, module


def test_inspect_for_people(cli: Cli) -> None:
    text = cli("wasm", "inspect", module("people_v1.enhanced"))
    assert "wasm64, enhanced orthogonal persistence" in text
    assert "add_many" in text
    assert text.splitlines()[-1].split() == ["accepted", "yes"]


def test_inspect_as_json(cli: Cli) -> None:
    facts = cli.json("wasm", "inspect", module("people_stable_rs_v1"))
    assert facts["sha256"] == "39bcdef2299e6bb8c90930aef013846629bb6ac765d5874dd480b3a50d453f9e"
    assert (facts["accepted"], facts["problem"]) == (True, None)
    assert "size" in facts["methods"]["query"]


def test_a_module_that_the_platform_refuses(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "two.wasm"
    file.write_bytes(bytes(wasmtime.wat2wasm('(module (import "env" "f" (func)))')))
    shown = cli("wasm", "inspect", str(file), code=1)
    assert "the platform refuses this module" in shown
    facts = cli.json("wasm", "inspect", str(file), code=1)
    assert facts["accepted"] is False
    assert "env" in facts["problem"]


def test_what_is_not_a_module(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "x.wasm"
    file.write_bytes(b"nonsense")
    assert "error: " in cli("wasm", "inspect", str(file), code=1)
    assert "does not exist" in cli("wasm", "inspect", str(tmp_path / "absent.wasm"), code=2)
