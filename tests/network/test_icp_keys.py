"""Claims about the key files of the `icp` command line, which is run for them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.http.icp import Icp
from tests.http.tools import NEEDS_ICP
from tests.network.place import command


@NEEDS_ICP
@pytest.mark.slow
def test_a_key_that_icp_made_is_the_same_user_here(tmp_path: Path) -> None:
    icp = Icp.make(tmp_path)
    principal = icp("identity", "principal").strip()
    pem = tmp_path / "exported.pem"
    pem.write_text(icp("identity", "export", "alice"))
    done = command(tmp_path, "--output", "json", "--pem", str(pem), "identity")
    assert json.loads(done.stdout)["principal"] == principal
