"""The examples of README and guide about pytest are run by pytest."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(("document", "tests"), [("README.md", 1), ("sandbox/GUIDE.md", 6)])
def test_the_examples_pass(pytester: pytest.Pytester, document: str, tests: int) -> None:
    section = re.split(r"^#+ Test with pytest$", (ROOT / document).read_text(), flags=re.MULTILINE)[1]
    [block] = re.findall(r"^```python\n(.*?)^```$", section.partition("\n## ")[0], re.MULTILINE | re.DOTALL)
    (pytester.path / "fixtures").symlink_to(ROOT / "fixtures")
    (pytester.path / "test_it.py").write_text(block)
    pytester.runpytest_inprocess().assert_outcomes(passed=tests)
