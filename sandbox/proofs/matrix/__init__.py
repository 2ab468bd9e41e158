"""The release matrix: every past build to every later one and back, non-adjacent pairs too.

- `builds`: the inputs; `sources`, `file`: their readers
- `tasks`: the work as pure functions for any executor; `cell`: the checks of one cell
- `workers`: this process, a pool, a Dask cluster
- `cache`: results on disk by the hash of their inputs
- `run`: `verify_matrix`; `report`, `page`: the result
"""

from __future__ import annotations

from sandbox.proofs.matrix.builds import Accepted, Build, Matrix, MatrixError
from sandbox.proofs.matrix.report import MatrixReport
from sandbox.proofs.matrix.run import MatrixOptions, MatrixProgress, verify_matrix
from sandbox.proofs.matrix.workers import Workers

__all__ = [
    "Accepted",
    "Build",
    "Matrix",
    "MatrixError",
    "MatrixOptions",
    "MatrixProgress",
    "MatrixReport",
    "Workers",
    "verify_matrix",
]
