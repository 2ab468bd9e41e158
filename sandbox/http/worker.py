"""The one thread that uses the sandbox, and what waits for it.

A message of a canister may run for minutes. Meanwhile calls answer 202 after `Patience.call`, queries 503 after
`Patience.query`, and `read_state` reads the last view that was signed: its certificate is older, and still valid.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeVar

from sandbox.engine.shutdown import interrupt
from sandbox.errors import Reject, SandboxError
from sandbox.execution.ingress import KEPT
from sandbox.http.answer import ACCEPTED, Answer, Refused, of_error
from sandbox.http.replica import Replica, Step, View
from sandbox.http.request import NONCE, Call, anonymous_call
from sandbox.http.routes import CallWork, QueryWork, ReadWork, StatusWork, prepare
from sandbox.principal import Principal

T = TypeVar("T")
LOG: Final = logging.getLogger("canister_sandbox.http")
_ASK_AGAIN: Final = 0.02  # seconds


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: for the answer of a call (as in the replica: `ingress_message_certificate_timeout_seconds` in
    `dfinity/ic` `rs/config/src/http_handler.rs`), for that of a call for a page, for that of a query, for a fresh view;
    between two rounds without a call; between two saves; at the end, for what is under way."""

    call: float = 10
    page: float = 60
    query: float = 30
    view: float = 0.2
    tick: float = 0.5
    save: float = 5
    end: float = 5


class Worker:
    """Answers requests from one event loop, with the sandbox in a thread of its own.

    `saving`: when the state is saved. `update`: before a call is answered; `interval`: every `Patience.save` seconds in
    which something happened, and at the end; `exit`: at the end.
    """

    def __init__(self, replica: Replica, saving: str = "interval", patience: Patience | None = None) -> None:
        self._replica = replica
        self._saving = saving
        self._patience = patience or Patience()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sandbox")
        self._waiting: dict[bytes, list[asyncio.Future[View]]] = {}
        self._view: View | None = None
        self._rounds = False
        self._unsaved = False
        self._ending = False
        self._ident = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    # --- life

    async def start(self) -> None:
        """Begin: from now on time passes, and timers run."""
        self._loop = asyncio.get_running_loop()
        self._ident = await self._run(threading.get_ident)
        self._view = await self._run(self._replica.view)
        self._tasks = [asyncio.create_task(self._tick()), asyncio.create_task(self._save_at_times())]

    async def stop(self) -> None:
        """End: what runs may come to its end within `Patience.end`, else it is interrupted and taken back; then the
        state is saved."""
        for task in self._tasks:
            task.cancel()
        self._ending = True
        saved = asyncio.ensure_future(self._run(self._save))
        patience = self._patience.end
        while saved not in (await asyncio.wait({saved}, timeout=patience))[0]:
            patience = _ASK_AGAIN
            interrupt(self._ident, SandboxError("the server ends"))
        saved.result()
        self._thread.shutdown()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(self._patience.tick)
            await self._run(self._round)

    async def _save_at_times(self) -> None:
        while self._saving == "interval":
            await asyncio.sleep(self._patience.save)
            await self._run(self._save)

    # --- requests

    async def handle(self, method: str, path: str, body: bytes) -> Answer:
        """Answer one HTTP request."""
        try:
            work = prepare(method, path, body, self._replica.trust)
            if isinstance(work, StatusWork):
                return self._replica.status()
            if isinstance(work, ReadWork):
                return (await self._fresh()).read(work)
            return await (self._call(work) if isinstance(work, CallWork) else self._query(work))
        except SandboxError as error:
            answer = of_error(error)
            if answer.status == 500:
                LOG.error("%s %s: %s", method, path, error)
            return answer

    def named(self, name: str) -> Principal | None:
        """The canister of this name, in any case of its letters."""
        return self._replica.named(name)

    async def ask(self, canister_id: Principal, method: str, arg: bytes) -> bytes | Reject:
        """Make a query call of the anonymous user; `Refused` with status 503 if its turn does not come in time."""
        return await self._turn(self._replica.ask, canister_id, method, arg)

    async def act(self, canister_id: Principal, method: str, arg: bytes) -> bytes | Reject:
        """Make an update call of the anonymous user; `Refused` with status 504 if it is not answered in time."""
        call = Call(canister_id, method, arg, os.urandom(NONCE))
        envelope = anonymous_call(call, self._replica.trust.now + KEPT)
        if await self._executed(CallWork(call, envelope, waits=True), self._patience.page) is None:
            raise Refused(504, "The canister is still working on this request, and goes on.")
        assert self._view is not None
        return self._view.outcome(envelope.request_id)

    async def _query(self, work: QueryWork) -> Answer:
        return await self._turn(self._replica.query, work)

    async def _turn(self, function: Callable[..., T], *args: object) -> T:
        running = self._begin(function, *args)
        done, _ = await asyncio.wait({running}, timeout=self._patience.query)
        if not done:
            raise Refused(503, "The sandbox is executing another message. Please try again.")
        return running.result()

    async def _fresh(self) -> View:
        view = self._begin(self._replica.view)
        done, _ = await asyncio.wait({view}, timeout=self._patience.view)
        if done:
            self._view = view.result()
        assert self._view is not None
        return self._view

    async def _call(self, work: CallWork) -> Answer:
        view = await self._executed(work, self._patience.call)
        return view.answer(work.envelope.request_id) if isinstance(view, View) else view or ACCEPTED

    async def _executed(self, work: CallWork, patience: float) -> View | Answer | None:
        """Wait until a call is executed: the state then; the answer to one that was refused; None after `patience`."""
        request_id = work.envelope.request_id
        answered: asyncio.Future[View] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(request_id, []).append(answered)
        submitted = self._begin(self._submit, work)
        try:
            async with asyncio.timeout(patience):
                return await asyncio.shield(submitted) or await answered
        except TimeoutError:
            return None
        finally:
            self._forget(request_id, answered)

    def _forget(self, request_id: bytes, answered: asyncio.Future[View]) -> None:
        left = [one for one in self._waiting.get(request_id, ()) if one is not answered]
        if left:
            self._waiting[request_id] = left
        else:
            self._waiting.pop(request_id, None)

    # --- in the thread

    async def _run(self, function: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)

    def _begin(self, function: Callable[..., T], *args: object) -> asyncio.Future[T]:
        """Run a function in the thread; its result may be waited for or not."""
        running = asyncio.ensure_future(self._run(function, *args))
        running.add_done_callback(lambda done: done.cancelled() or done.exception())
        return running

    def _submit(self, work: CallWork) -> Answer | None:
        self._unsaved = True
        answer = self._replica.submit(work)
        if answer is None and self._replica.answered(work.envelope.request_id):
            self._deliver([work.envelope.request_id])
        elif not self._rounds:
            self._rounds = True
            self._thread.submit(self._rounds_until_done)
        return answer

    def _rounds_until_done(self) -> None:
        """Execute one round, and then, behind what came meanwhile, the next while messages are left."""
        self._rounds = False
        if self._round():
            self._rounds = True
            self._thread.submit(self._rounds_until_done)

    def _round(self) -> bool:
        """Execute one round and deliver answers; return whether messages are left."""
        if self._ending:
            return False
        try:
            step = self._replica.step()
        except Exception:
            LOG.exception("a round failed and was taken back")
            step = Step(more=False, worked=False)
        self._unsaved |= step.worked
        self._deliver([name for name in list(self._waiting) if self._replica.answered(name)])
        return step.more

    def _deliver(self, request_ids: list[bytes]) -> None:
        if not request_ids:
            return
        if self._saving == "update":
            self._save()
        self._view = view = self._replica.view()
        assert self._loop is not None
        for request_id in request_ids:
            self._loop.call_soon_threadsafe(self._resolve, request_id, view)

    def _resolve(self, request_id: bytes, view: View) -> None:
        for future in self._waiting.get(request_id, ()):
            if not future.done():
                future.set_result(view)

    def _save(self) -> None:
        if self._unsaved:
            self._replica.sandbox.save()
            self._unsaved = False
