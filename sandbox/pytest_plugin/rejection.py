"""`rejects`: a block whose call must be rejected."""

from __future__ import annotations

import re
from types import TracebackType

import pytest

from sandbox.errors import CallRejected, ErrorCode, RejectCode


class rejects:
    """A block that must end in `CallRejected`, as with `pytest.raises`; `value` is the error afterwards.

    `code`: its reject code, as a `RejectCode`, number or name (`"CANISTER_ERROR"`). `error_code`: as an `ErrorCode`,
    number, name or text (`"IC0503"`). `match`: a regular expression found in the message. Where one of them differs the
    test fails, and any other exception goes on.

        with rejects("CANISTER_ERROR", match="on purpose") as rejected:
            counter.call("boom")
        assert rejected.value.result.instructions > 0
    """

    def __init__(
        self,
        code: RejectCode | int | str | None = None,
        match: str | re.Pattern[str] | None = None,
        error_code: ErrorCode | int | str | None = None,
    ) -> None:
        self.code = None if code is None else RejectCode[code] if isinstance(code, str) else RejectCode(code)
        self.error_code = None if error_code is None else _error_code(error_code)
        self.match = match
        self._value: CallRejected | None = None

    @property
    def value(self) -> CallRejected:
        """The error; AttributeError while there is none."""
        if self._value is None:
            raise AttributeError("nothing was rejected yet")
        return self._value

    def __enter__(self) -> rejects:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> bool:
        __tracebackhide__ = True
        if error is None:
            pytest.fail("nothing was rejected")
        if not isinstance(error, CallRejected):
            return False
        self._value = error
        problem = self._problem(error)
        if problem is not None:
            raise AssertionError(f"{problem}: {error}") from error
        return True

    def _problem(self, error: CallRejected) -> str | None:
        if self.code not in (None, error.reject_code):
            return f"rejected, but not with {self.code.name} ({self.code.value})"
        if self.error_code not in (None, error.error_code):
            return f"rejected, but not with {self.error_code} ({self.error_code.name})"
        if self.match is not None and not re.search(self.match, error.message):
            return f"rejected, but not with a message that matches {self.match!r}"
        return None


def _error_code(code: ErrorCode | int | str) -> ErrorCode:
    if isinstance(code, str):
        return ErrorCode(int(code[2:])) if re.fullmatch(r"IC\d{4}", code) else ErrorCode[code]
    return ErrorCode(code)
