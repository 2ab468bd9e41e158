"""The thread that uses the sandbox, the one that queries it, and what waits for them.

A message of a canister may run for minutes. Meanwhile calls answer 202 after `Patience.call`, queries are answered from
what was committed last, and `read_state` reads the last view that was signed: its certificate is older, and still
valid. Where something else takes long, such as an installation or another query, queries answer 503 after
`Patience.query`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeVar

from sandbox.api import runtime_of
from sandbox.api.turn import Turn
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
        self._queries = ThreadPoolExecutor(1, thread_name_prefix="queries")
        self._turn = Turn()
        self.paused: Callable[[], bool] = lambda: False
        """Whether nothing is to be saved now."""
        self.before_end: Callable[[], None] = lambda: None
        """Called in the thread before the state is saved for the last time."""
        self._waiting: dict[bytes, list[asyncio.Future[View]]] = {}
        self._view: View | None = None
        self._rounds = False
        self._unsaved = False
        self._ending = False
        self._idents: list[int] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def replica(self) -> Replica:
        """The sandbox that it serves."""
        return self._replica

    @property
    def saving(self) -> str:
        """When the state is saved."""
        return self._saving

    # --- life

    async def start(self) -> None:
        """Begin: from now on time passes, and timers run."""
        self._loop = asyncio.get_running_loop()
        runtime_of(self._replica.sandbox).turn = self._turn
        self._idents = [await self._run(threading.get_ident), await self._run_query(threading.get_ident)]
        await self._run(self._replica.advance)
        self._view = await self._run(self._replica.view)
        self._tasks = [asyncio.create_task(self._tick()), asyncio.create_task(self._save_at_times())]

    async def stop(self) -> None:
        """End: what runs may come to its end within `Patience.end`, else it is interrupted and taken back; then the
        state is saved."""
        for task in self._tasks:
            task.cancel()
        self._ending = True
        saved = asyncio.ensure_future(self._run(self._finish))
        patience = self._patience.end
        while saved not in (await asyncio.wait({saved}, timeout=patience))[0]:
            patience = _ASK_AGAIN
            for ident in self._idents:
                interrupt(ident, SandboxError("the server ends"))
        saved.result()
        interrupt(self._idents[1], SandboxError("the server ends"))
        self._queries.shutdown(cancel_futures=True)
        self._thread.shutdown()
        runtime_of(self._replica.sandbox).turn = None

    def _finish(self) -> None:
        self.before_end()
        self.save()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(self._patience.tick)
            await self._run(self._round)

    async def _save_at_times(self) -> None:
        while self._saving == "interval":
            await asyncio.sleep(self._patience.save)
            await self._run(self.save)

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
        return await self._answered(self._replica.ask, canister_id, method, arg)

    async def act(self, canister_id: Principal, method: str, arg: bytes) -> bytes | Reject:
        """Make an update call of the anonymous user; `Refused` with status 504 if it is not answered in time."""
        call = Call(canister_id, method, arg, os.urandom(NONCE))
        envelope = anonymous_call(call, self._replica.trust.now + KEPT)
        if await self._executed(CallWork(call, envelope, waits=True), self._patience.page) is None:
            raise Refused(504, "The canister is still working on this request, and goes on.")
        assert self._view is not None
        return self._view.outcome(envelope.request_id)

    async def _query(self, work: QueryWork) -> Answer:
        return await self._answered(self._replica.query, work)

    async def _answered(self, function: Callable[..., T], *args: object) -> T:
        """The answer of a query; `Refused` with 503 if there is none within `Patience.query`."""
        return await self._within(self._patience.query, _watched(self._run_query(function, *args)))

    async def use(self, function: Callable[..., T], *args: object, changes: bool = False) -> T:
        """What a function returns that uses the sandbox; `changes`: whether it may change something. `Refused` with 503
        if it is not done within `Patience.page`: it goes on."""
        return await self._within(self._patience.page, self._begin(self._used, function, args, changes))

    async def _within(self, seconds: float, running: asyncio.Future[T]) -> T:
        done, _ = await asyncio.wait({running}, timeout=seconds)
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
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._in_turn, function, *args)

    async def _run_query(self, function: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._queries, self._in_turn, function, *args)

    def _in_turn(self, function: Callable[..., T], *args: object) -> T:
        with self._turn:
            return function(*args)

    def _begin(self, function: Callable[..., T], *args: object) -> asyncio.Future[T]:
        """Run a function in the thread; its result may be waited for or not."""
        return _watched(self._run(function, *args))

    def _used(self, function: Callable[..., T], args: tuple[object, ...], changes: bool) -> T:
        if self._ending:
            raise Refused(503, "The server ends.")
        self._replica.advance()
        try:
            return function(*args)
        finally:
            if changes:
                self._unsaved = True
                self._deliver([name for name in list(self._waiting) if self._replica.answered(name)])
                if self._saving == "update":
                    self.save()
                self._view = self._replica.view()

    def _submit(self, work: CallWork) -> Answer | None:
        self._unsaved = True
        answer = self._replica.submit(work)
        if answer is None and self._replica.answered(work.envelope.request_id):
            self._deliver([work.envelope.request_id])
        elif not self._rounds:
            self._rounds = True
            self._thread.submit(self._in_turn, self._rounds_until_done)
        return answer

    def _rounds_until_done(self) -> None:
        """Execute one round, and then, behind what came meanwhile, the next while messages are left."""
        self._rounds = False
        if self._round():
            self._rounds = True
            self._thread.submit(self._in_turn, self._rounds_until_done)

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
            self.save()
        self._view = view = self._replica.view()
        assert self._loop is not None
        for request_id in request_ids:
            self._loop.call_soon_threadsafe(self._resolve, request_id, view)

    def _resolve(self, request_id: bytes, view: View) -> None:
        for future in self._waiting.get(request_id, ()):
            if not future.done():
                future.set_result(view)

    @property
    def unsaved(self) -> bool:
        """Whether something was done since the state was saved."""
        return self._unsaved

    def save(self) -> None:
        """Save the state, in the thread; nothing to do while saving is paused or nothing happened."""
        if self._unsaved and not self.paused():
            self._replica.sandbox.save()
            self._unsaved = False


def _watched(running: Coroutine[object, object, T]) -> asyncio.Future[T]:
    """A future whose exception may stay unread."""
    future = asyncio.ensure_future(running)
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return future
