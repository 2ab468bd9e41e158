"""The one thread that uses the sandbox, and what waits for it.

A message of a canister may run for minutes. Meanwhile calls answer 202 after `Patience.call`, queries 503 after
`Patience.query`, and `read_state` reads the last view that was signed: its certificate is older, and still valid.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeVar

from sandbox.errors import SandboxError
from sandbox.http.answer import ACCEPTED, Answer, of_error
from sandbox.http.replica import Replica, View
from sandbox.http.routes import CallWork, QueryWork, ReadWork, StatusWork, prepare

T = TypeVar("T")
LOG: Final = logging.getLogger("canister_sandbox.http")
SAVING: Final = ("update", "interval", "exit")


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: for the answer of a call (as in the replica: `ingress_message_certificate_timeout_seconds` in
    `dfinity/ic` `rs/config/src/http_handler.rs`), for that of a query, for a fresh view; between two rounds without a
    call; between two saves."""

    call: float = 10
    query: float = 30
    view: float = 0.2
    tick: float = 0.5
    save: float = 5


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
        self._tasks: list[asyncio.Task[None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    # --- life

    async def start(self) -> None:
        """Begin: from now on time passes, and timers run."""
        self._loop = asyncio.get_running_loop()
        self._view = await self._run(self._replica.view)
        self._tasks = [asyncio.create_task(self._tick()), asyncio.create_task(self._save_at_times())]

    async def stop(self) -> None:
        """End: what runs comes to its end, and the state is saved."""
        for task in self._tasks:
            task.cancel()
        await self._run(self._save)
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

    async def _query(self, work: QueryWork) -> Answer:
        answer = asyncio.ensure_future(self._run(self._replica.query, work))
        done, _ = await asyncio.wait({answer}, timeout=self._patience.query)
        if not done:
            return Answer(503, body=b"The sandbox is executing another message. Please try again.")
        return answer.result()

    async def _fresh(self) -> View:
        view = asyncio.ensure_future(self._run(self._replica.view))
        done, _ = await asyncio.wait({view}, timeout=self._patience.view)
        if done:
            self._view = view.result()
        assert self._view is not None
        return self._view

    async def _call(self, work: CallWork) -> Answer:
        request_id = work.envelope.request_id
        answered: asyncio.Future[View] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(request_id, []).append(answered)
        submitted = asyncio.ensure_future(self._run(self._submit, work))
        try:
            async with asyncio.timeout(self._patience.call):
                answer = await asyncio.shield(submitted)
                return answer or (await answered).answer(request_id)
        except TimeoutError:
            return ACCEPTED
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
        try:
            more = self._replica.step()
        except Exception:
            LOG.exception("a round failed and was taken back")
            more = False
        self._deliver([name for name in list(self._waiting) if self._replica.answered(name)])
        return more

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
