"""Citations of `sandbox/SPECIFICATION.md` lead to one of its sections."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SECTIONS = set(re.findall(r"^##+ (\d+(?:\.\d+)?)[. ]", (ROOT / "sandbox/SPECIFICATION.md").read_text(), re.MULTILINE))


def citations() -> list[tuple[str, str]]:
    """(file, section) of every citation in the sources and the tests, also of ranges and lists ("4.1, 4.3 to 4.5")."""
    cited = []
    for folder in ("sandbox", "tests"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            for group in re.findall(r"SPECIFICATION\s+((?:\d+(?:\.\d+)?(?:,\s+|\s+to\s+|-)?)+)", file.read_text()):
                cited += [(str(file.relative_to(ROOT)), section) for section in re.findall(r"\d+(?:\.\d+)?", group)]
    return cited


def test_citations_lead_to_a_section() -> None:
    cited = citations()
    assert len(cited) > 50
    assert [(file, section) for file, section in cited if section not in SECTIONS] == []
