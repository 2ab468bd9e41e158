"""The committed modules and their manifest tell the same story."""

import gzip
import hashlib
from pathlib import Path
from typing import Any

import pytest
import yaml

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
WASM = FIXTURES / "wasm"
SYSTEM = FIXTURES.parent / "sandbox" / "http" / "system"
MANIFEST: dict[str, dict[str, Any]] = yaml.safe_load((WASM / "MANIFEST.yaml").read_text())
MODULES = {
    path.name.removesuffix(".gz").removesuffix(".wasm").removesuffix(".zip"): path
    for path in (*WASM.iterdir(), *SYSTEM.iterdir())
    if path.suffix in (".wasm", ".zip", ".gz")
}


def module(name: str) -> bytes:
    """As it was built, before packing."""
    data = MODULES[name].read_bytes()
    return gzip.decompress(data) if MODULES[name].suffix == ".gz" else data


def test_every_module_has_a_row_and_every_row_a_module() -> None:
    assert sorted(MANIFEST) == sorted(MODULES)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_hash_and_size_are_those_of_the_module(name: str) -> None:
    data = module(name)
    assert (hashlib.sha256(data).hexdigest(), len(data)) == (MANIFEST[name]["sha256"], MANIFEST[name]["size"])


@pytest.mark.parametrize("name", sorted(MANIFEST))
def test_every_row_says_where_the_module_comes_from(name: str) -> None:
    row = MANIFEST[name]
    assert (FIXTURES.parent / row["source"]).is_dir()
    assert all(row[key] for key in ("language", "persistence", "toolchain", "command", "purpose"))


@pytest.mark.parametrize(
    "name", [name for name in sorted(MODULES) if MANIFEST[name]["language"] not in ("assemblyscript", "c", "random")]
)
def test_interface_is_public_metadata_of_canisters_that_speak_candid(name: str) -> None:
    assert b"icp:public candid:service" in module(name)


def test_committed_modules_stay_small() -> None:
    assert sum(path.stat().st_size for path in MODULES.values()) < 23_000_000


def test_every_source_of_the_table_is_built() -> None:
    table: dict[str, Any] = yaml.safe_load((FIXTURES / "fixtures.yaml").read_text())
    assert {name.split(".")[0] for name in MANIFEST} == set(table)
