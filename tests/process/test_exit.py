"""The interpreter ends while a canister runs in a thread that is not waited for: the process ends with its own code."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.conftest import guest

_WRITES = "(i64.store (local.get 0) (i64.add (i64.load (local.get 0)) (i64.const 1)))"
_GUESTS = {
    "writes to its memory": _WRITES,
    "calls the host": "(call $debug_print (i32.const 0) (i32.const 0))",
    "writes and calls": f"{_WRITES} (call $debug_print (i32.const 0) (i32.const 0))",
}
_PROCESS = """
    import atexit, sys, threading, time
    atexit.register(time.sleep, 0.2)  # runs last: a thread that lives has time to use what was freed
    from pathlib import Path
    from sandbox import Sandbox

    canister = Sandbox().create_canister()
    canister.install(Path(sys.argv[1]).read_bytes())
    threading.Thread(target=canister.update, args=("spin",), daemon=True).start()
    time.sleep(0.3)
    threading.excepthook = lambda failure: print(failure.exc_value)
    sys.exit(3)
"""


@pytest.mark.parametrize("does", _GUESTS)
@pytest.mark.parametrize("attempt", range(3))
def test_a_guest_in_a_daemon_thread_does_not_crash_the_process(does: str, attempt: int, tmp_path: Path) -> None:
    module = tmp_path / "guest.wasm"
    module.write_bytes(
        guest(
            f"""(func (export "canister_update spin") (local i32)
              (loop {_GUESTS[does]}
                (local.set 0 (i32.and (i32.add (local.get 0) (i32.const 4096)) (i32.const 0xff00)))
                (br 0)))"""
        )
    )
    command = [sys.executable, "-c", textwrap.dedent(_PROCESS), str(module)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout in ("", "the interpreter ends: the canister was stopped\n")
