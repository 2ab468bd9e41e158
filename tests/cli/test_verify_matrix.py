"""The command `verify-matrix`: grid, findings, exit code, files, and what cannot begin."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import FIXTURES, Cli

V1, GOOD, DROPS = (f"people_v{name}.classical" for name in ("1", "2_good", "2_drops"))


@pytest.fixture
def builds(tmp_path: Path) -> str:
    """A directory with three builds, and one of calls beside it."""
    folder = tmp_path / "builds"
    folder.mkdir()
    for number, name in enumerate((V1, DROPS, GOOD), 1):
        (folder / f"v{number}.wasm").symlink_to(FIXTURES / f"{name}.wasm")
    (tmp_path / "calls").write_text("fill(5)\n")
    (tmp_path / "queries").write_text("get(1)\n")
    return str(folder)


def calls(builds: str) -> str:
    return str(Path(builds).parent / "calls")


def test_the_grid_has_a_mark_for_each_cell(cli: Cli, builds: str) -> None:
    text = cli.run("verify-matrix", builds, "--calls", calls(builds)).stdout
    assert text.startswith("broken: upgrades ")
    grid = [line.split() for line in text.splitlines() if line[:1].isdigit()]
    assert grid == [["1", "v1", "✓", "✗", "✓"], ["2", "v2", "✗", "!", "✗"], ["3", "v3", "✗", "✗", "✓"]]
    assert "✓ safe   ! risky   ✗ broken   above the diagonal upgrades, below it downgrades" in text
    assert "\ndata-lost  5 values: people.blocks[][].email gone\n  v1 → v2, v3 → v2\n" in text
    assert "→ Keep the field or structure" in text


def test_exit_codes_and_accepted_findings(cli: Cli, builds: str, tmp_path: Path) -> None:
    Path(builds, "v2.wasm").unlink()
    options = ("--calls", calls(builds), "--queries", str(tmp_path / "queries"))
    safe = cli("verify-matrix", builds, *options)
    assert safe.startswith("safe: upgrades 3 safe; downgrades 1 broken (they do not count)\n")
    again = cli("verify-matrix", builds, *options, "--downgrades", code=1)
    assert again.startswith("broken: upgrades 3 safe; downgrades 1 broken; 4 cells known from before\n")
    facts = cli.json("verify-matrix", builds, *options, "--downgrades", code=1)
    [back] = [cell for cell in facts["cells"] if cell["kind"] == "downgrade"]
    accept = [option for each in back["findings"] for option in ("--accept", each["id"])]
    assert cli("verify-matrix", builds, *options, "--downgrades", *accept).startswith("safe: ")


def test_results_are_kept_beside_the_state_which_is_no_state_then(cli: Cli, builds: str) -> None:
    cli.run("verify-matrix", builds)
    assert (cli.state / "matrix" / "results").is_dir()
    assert cli.json("verify-matrix", builds)["known"] == 9
    assert cli.json("canister", "list") == []
    cli("canister", "create", "people")
    assert cli.json("verify-matrix", builds)["known"] == 9


def test_the_page_is_written(cli: Cli, builds: str, tmp_path: Path) -> None:
    page = tmp_path / "matrix.html"
    cli.run("verify-matrix", builds, "--html", str(page))
    assert "Release matrix" in page.read_text("utf-8")
    error = cli("verify-matrix", builds, "--html", str(tmp_path / "none" / "matrix.html"), code=2)
    assert "there is no directory" in error


def test_builds_without_data_are_said_to_prove_little(cli: Cli, builds: str) -> None:
    assert (
        "There was no data to lose in any build: give calls (--calls) or states."
        in cli.run("verify-matrix", builds).stdout
    )


def test_what_cannot_begin_is_misuse(cli: Cli, builds: str, tmp_path: Path) -> None:
    bad = tmp_path / "m.yaml"
    bad.write_text("builds:\n- builds/v1.wasm\n- builds/v4.wasm\n")
    assert f"{bad}:3:3: there is no file" in cli("verify-matrix", str(bad), code=2)
    bad.write_text("")
    assert f"{bad}:1:1: the file is empty; expected a matrix" in cli("verify-matrix", str(bad), code=2)
    (tmp_path / "calls").write_text("fil(1)\n")
    error = cli("verify-matrix", builds, "--calls", calls(builds), code=2)
    assert f"{tmp_path / 'calls'}:1: fil: the service has no method fil" in error
    assert "there is no finding 'loss'; there are: little-proved" in cli(
        "verify-matrix", builds, "--accept", "loss", code=2
    )
    assert "a cluster is dask or dask://HOST:PORT" in cli("verify-matrix", builds, "--cluster", "x", code=2)
    assert "does not exist" in cli("verify-matrix", str(tmp_path / "none"), code=2)


def test_an_interrupted_run_says_what_is_kept(cli: Cli) -> None:
    """Ctrl-C, as a terminal sends it: to the command and its workers."""
    arguments = ["verify-matrix", str(FIXTURES.parent / "matrices" / "people.yaml"), "--full", "--jobs", "2"]
    command = [sys.executable, "-c", "from sandbox.cli import main; main()", "--state", str(cli.state), *arguments]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True)
    results, end = cli.state / "matrix" / "results", time.monotonic() + 120
    while not (results.is_dir() and any(results.iterdir())):
        assert time.monotonic() < end
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    said = re.fullmatch(r"interrupted: (\d+) of 25 cells are kept in (.*); the same command goes on\n", errors)
    assert said is not None, errors
    assert (process.returncode, said[2]) == (130, str(cli.state / "matrix"))
    kept = len(list(results.glob("*.json")))
    assert int(said[1]) in (kept - 1, kept)  # the last one may be written and not counted yet
    assert 0 < kept < 25
