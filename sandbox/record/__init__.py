"""Records of a sandbox: every input and what came of it, written as it happens, to be had again.

`Recording` writes one; `read` yields what is in a file; `Watcher` is what sees inputs and outcomes, whoever it is.
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
