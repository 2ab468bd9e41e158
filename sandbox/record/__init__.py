"""Records of a sandbox: every input and its outcome, written as it happens, for replay.

`Recording` writes one; `read` yields the steps and outcomes of a file; `Watcher` is the base class of observers of
inputs and outcomes.
"""

from sandbox.record.compare import Comparison, Divergence, described
from sandbox.record.file import End, Header, read
from sandbox.record.recording import Recording
from sandbox.record.watch import Begin, Outcome, Position, Step, Undo, Watcher, watched

__all__ = [
    "Begin",
    "Comparison",
    "Divergence",
    "End",
    "Header",
    "Outcome",
    "Position",
    "Recording",
    "Step",
    "Undo",
    "Watcher",
    "described",
    "read",
    "watched",
]
