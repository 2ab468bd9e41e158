"""Readers of the builds of a matrix: a directory, a list of paths, a YAML file."""

from __future__ import annotations

import re
from pathlib import Path

from sandbox.proofs.matrix.builds import Build, Matrix, MatrixError
from sandbox.proofs.matrix.file import read_file

_SUFFIXES = (".wasm", ".wasm.gz")
_NUMBER = re.compile(r"(\d+)")


def read_matrix(path: Path) -> Matrix:
    """Return the matrix of a directory of modules, a YAML file, or a text file with a path in each line.

    `MatrixError`, or `ScenarioError` for a YAML file, names the unusable input and its place.
    """
    if path.is_dir():
        return Matrix(_directory(path))
    if path.suffix in (".yaml", ".yml"):
        return read_file(path)
    return Matrix(_list(path))


def natural(name: str) -> list[tuple[int, int | str]]:
    """Return a key that sorts `v9` before `v10`."""
    return [(0, int(part)) if part.isdigit() else (1, part) for part in _NUMBER.split(name) if part]


def _directory(path: Path) -> tuple[Build, ...]:
    files = [file for file in path.iterdir() if file.name.endswith(_SUFFIXES) and file.is_file()]
    if not files:
        raise MatrixError(f"{path} has no .wasm and no .wasm.gz file")
    return tuple(Build.read(file) for file in sorted(files, key=lambda file: natural(file.name)))


def _list(path: Path) -> tuple[Build, ...]:
    """Read a list of paths, relative to the list; lines that are empty or begin with `#` are left out."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise MatrixError(f"{path}: {error}") from error
    builds = []
    for number, line in enumerate(lines, 1):
        name = line.strip()
        if name and not name.startswith("#"):
            builds.append(_listed(path, name, f"{path}:{number}:{line.index(name) + 1}"))
    if not builds:
        raise MatrixError(f"{path}:1:1: expected the path of a module in each line; the list is empty")
    return tuple(builds)


def _listed(path: Path, name: str, place: str) -> Build:
    try:
        return Build.read(path.parent / name)
    except (OSError, ValueError) as error:
        raise MatrixError(f"{place}: expected the path of a module: {error}") from error
