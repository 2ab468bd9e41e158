"""README and guide are run: the Python of each in one go, the shell sessions with their output."""

from __future__ import annotations

import fnmatch
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from sandbox import CallRejected, Canister, InstructionLimits, Principal, Sandbox
from sandbox.cli import root
from sandbox.cli.canister import canister
from sandbox.cli.root import COMMANDS
from sandbox.cli.snapshot.commands import snapshot
from tests.cli.conftest import FIXTURES

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")
GUIDE = (ROOT / "sandbox" / "GUIDE.md").read_text("utf-8")
DOCUMENTS = pytest.mark.parametrize("document", [README, GUIDE], ids=["README", "GUIDE"])


def blocks(document: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", document, re.MULTILINE | re.DOTALL)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place where the examples find the fixtures and may leave what they like."""
    (tmp_path / "fixtures").symlink_to(ROOT / "fixtures")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_block_is_of_a_kind_that_is_tested() -> None:
    assert set(re.findall(r"^```(\w+)$", README, re.MULTILINE)) == {"sh", "python", "console", "bash", "js"}
    assert set(re.findall(r"^```(\w+)$", GUIDE, re.MULTILINE)) == {"python", "console", "yaml"}
    assert (len(blocks(README, "python")), len(blocks(README, "console"))) == (8, 4)
    assert len(blocks(GUIDE, "python")) >= 12
    assert len(blocks(GUIDE, "console")) == 8


def test_every_link_leads_to_a_file_and_a_heading() -> None:
    for base, document in (
        (ROOT, README),
        (ROOT / "sandbox", GUIDE),
        (ROOT / "sandbox", (ROOT / "sandbox/README.md").read_text()),
    ):
        for target in re.findall(r"\]\(([^)]+)\)", document.replace("\n", " ")):
            file, _, anchor = target.partition("#")
            path = base / file
            assert path.exists(), target
            if anchor:
                titles = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
                assert anchor in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}, target


@DOCUMENTS
@pytest.mark.usefixtures("elsewhere")
def test_python_examples(document: str) -> None:
    names: dict[str, object] = {}
    for block in blocks(document, "python"):
        exec(compile(block, "example", "exec"), names)


def test_set_up_is_exactly_two_commands() -> None:
    assert blocks(README, "sh") == ["./scripts/demo\n./scripts/test\n"]
    for script in ("demo", "test"):
        assert os.access(ROOT / "scripts" / script, os.X_OK)


@DOCUMENTS
def test_shell_sessions(document: str, elsewhere: Path) -> None:
    bin_directory = elsewhere / "bin"
    bin_directory.mkdir()
    command = bin_directory / "canister-sandbox"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -c "from sandbox.cli import main; main()" "$@"\n')
    command.chmod(0o755)
    (bin_directory / "python").symlink_to(sys.executable)
    path = f"{bin_directory}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    for block in blocks(document, "yaml"):
        (elsewhere / block.partition("\n")[0].removeprefix("# ")).write_text(block)
    for line, expected in _sessions(document):
        shown = _piped(line, environment) if "|" in line else _direct(line)
        assert fnmatch.fnmatchcase(shown, expected), f"$ {line}\n{shown}\nis not\n{expected}"


@pytest.mark.usefixtures("elsewhere")
def test_commands_of_continuous_integration() -> None:
    files = {block.partition("\n")[0].removeprefix("# "): block for block in blocks(GUIDE, "yaml")}
    Path("registry.yaml").write_text(files["registry.yaml"])
    [hook] = yaml.safe_load(files["pre-commit.yaml"])[0]["hooks"]
    steps = yaml.safe_load(files["upgrade.yml"])["jobs"]["upgrade"]["steps"]
    [proof] = [step["run"] for step in steps if step.get("run", "").startswith("canister-sandbox")]
    for line in (hook["entry"], proof):
        result = CliRunner().invoke(root, shlex.split(line)[1:])
        assert result.exit_code == 0, result.output
    assert "<!DOCTYPE html>" in Path("proof.html").read_text()


def _direct(line: str) -> str:
    return CliRunner().invoke(root, shlex.split(line)[1:]).output


def _piped(line: str, environment: dict[str, str]) -> str:
    command = ["bash", "-c", line]
    piped, both = subprocess.PIPE, subprocess.STDOUT
    return subprocess.run(
        command, stdout=piped, stderr=both, text=True, env=environment, timeout=120, check=False
    ).stdout


def _sessions(document: str) -> list[tuple[str, str]]:
    """Commands, and patterns of what they print: `...` stands for anything."""
    found = []
    for part in "".join(blocks(document, "console")).split("$ canister-sandbox ")[1:]:
        line, _, expected = part.partition("\n")
        pattern = re.sub(r"([*?\[])", r"[\1]", expected).replace("...", "*")
        found.append((f"canister-sandbox {line}", pattern))
    return found


def test_commands_of_the_table_exist() -> None:
    table = "\n".join(re.findall(r"^\| (`.*?) \|", GUIDE, re.MULTILINE))
    for word in [
        "demo",
        "identity",
        "wasm inspect",
        "drun",
        "replay",
        "state check",
        "stubs",
        "verify",
        "verify-upgrade",
        *canister.commands,
        *snapshot.commands,
    ]:
        assert re.search(rf"\b{word}\b", table), word
    assert set(COMMANDS) <= {word.split()[0] for word in re.findall(r"`([^`]+)`", table)}


@pytest.fixture(scope="module")
def counter() -> Canister:
    canister = Sandbox().create_canister()
    canister.install(FIXTURES / "counter.enhanced.wasm")
    return canister


def test_what_is_missing_is_rejected_by_name(counter: Canister) -> None:
    missing = README.partition("Not yet.")[2].partition("with the reason")[0]
    names = re.findall(r"`(\w+)`", missing)
    assert len(names) >= 4
    for name in names:
        with pytest.raises(CallRejected, match=f"IC0406.*does not support {name}: "):
            counter.call("forward", Principal.management(), name, b"DIDL\0\0")


def test_the_strategy_of_other_platforms_can_be_tried() -> None:
    assert 'Sandbox(strategy="compare")' in README
    canister = Sandbox(strategy="compare").create_canister()
    canister.install(FIXTURES / "counter.enhanced.wasm")
    assert canister.call("inc") == 1


def test_what_never_ends_traps() -> None:
    assert "InstructionLimits(update=100_000_000)" in GUIDE
    canister = Sandbox(instruction_limits=InstructionLimits(update=100_000_000)).create_canister()
    canister.install(FIXTURES / "counter.enhanced.wasm")
    for method, args, code in (("spin", (), "IC0522"), ("recurse_forever", (), "IC0502"), ("grow", (10**7,), "IC0522")):
        with pytest.raises(CallRejected, match=code):
            canister.call(method, *args)
    assert canister.call("inc") == 1
