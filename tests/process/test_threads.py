"""Sandboxes in several threads: the first use by many at once, and one sandbox used by two."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.conftest import guest

_GUEST = guest(
    """(func (export "canister_update inc")
      (i64.store (i32.const 0) (i64.add (i64.load (i32.const 0)) (i64.const 1)))
      (call $reply64 (i64.load (i32.const 0))))"""
)
_FIRST_USE = """
    import sys, threading
    from pathlib import Path
    from sandbox import Sandbox
    module, failures = Path(sys.argv[1]).read_bytes(), []
    together = threading.Barrier(8)

    def work():
        try:
            together.wait()
            canister = Sandbox().create_canister()
            canister.install(module)
            for number in (1, 2, 3):
                assert canister.update("inc").reply == number.to_bytes(8, "little")
        except BaseException as error:
            failures.append(repr(error))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    print("all" if not failures else failures)
"""


@pytest.mark.parametrize("attempt", range(4))
def test_sandboxes_first_used_in_many_threads_at_once_work(attempt: int, tmp_path: Path) -> None:
    module = tmp_path / "guest.wasm"
    module.write_bytes(_GUEST)
    command = [sys.executable, "-c", textwrap.dedent(_FIRST_USE), str(module)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("all\n", "")
