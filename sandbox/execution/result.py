"""The result of a call: a success and a failure have the same fields."""

from __future__ import annotations

from dataclasses import dataclass, field

from sandbox.canister.install import HookMeasure
from sandbox.errors import CallRejected, Reject
from sandbox.principal import Principal
from sandbox.profile import Profile


@dataclass(frozen=True, slots=True, repr=False)
class CallResult:
    """The answer to a call. Exactly one of `reply` and `reject` is not None.

    `instructions`: executed by all hooks and methods of the call, as the platform counts them; `compilation`: what
    compiling a module counted for besides, when one was installed; `logs`: what the canister printed, in order;
    `backtrace`: functions on the stack when it trapped, innermost first, empty otherwise; `hooks`: what each hook of an
    installation or upgrade took, in order, empty for calls; `profile`: of all that was executed, within
    `Sandbox.profile`, else None.
    """

    canister_id: Principal
    method: str
    reply: bytes | None = None
    reject: Reject | None = None
    instructions: int = 0
    logs: tuple[str, ...] = ()
    backtrace: tuple[str, ...] = ()
    hooks: tuple[HookMeasure, ...] = ()
    compilation: int = 0
    profile: Profile | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        answer = f"reply of {len(self.reply or b''):,} bytes"
        if self.reject is not None:
            answer = str(CallRejected(self.reject)).partition("\n")[0]
        call = f"{self.method} of {self.canister_id}" if self.method else str(self.canister_id)
        return f"CallResult({call}: {answer}, {self.instructions:,} instructions)"

    def or_raise(self) -> CallResult:
        """Return this result if it is a reply; else raise `CallRejected` with it."""
        if self.reject is not None:
            raise CallRejected(self.reject, self)
        return self
