"""Run drun scripts: every command until its answer, one after another, on a subnet of their own.

Conventions that such scripts rely on: the sender is anonymous; canisters are controlled by it and by themselves; the
first canister is `rwlgt-iiaaa-aaaaa-aaaaa-cai`, those that canisters create begin at `lxzze-o7777-77777-aaaaa-cai`; an
upgrade to a module with enhanced orthogonal persistence keeps the heap; between rounds without an answer a second
passes; errors carry no backtrace.

Source: `dfinity/ic` `rs/drun/src/lib.rs`, and its successor `dfinity/motoko` `test-runner/src/main.rs`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sandbox.api.runtime import GENESIS
from sandbox.candid import encode
from sandbox.canister.instances import InstanceCache
from sandbox.errors import CallRejected, InvalidModule
from sandbox.execution import CallResult, ExecutionEnvironment, Query, advance, carry_out, query, run_round, submit
from sandbox.execution.ingress import clock
from sandbox.management import lifecycle
from sandbox.management.table import signature
from sandbox.management.transition import ManagementContext
from sandbox.memory import Pool
from sandbox.principal import Principal
from sandbox.replay.script import FIRST, Line, ScriptError, identified
from sandbox.state import Ingress, Subnet
from sandbox.wasm import decode_module, read_facts

_ME, _SENDER = Principal.management(), Principal.anonymous()
_CREATED_FROM = 0xFFFFFFFFFFE00000
"""Index of the first canister that a canister creates."""
_CYCLES = 1_000_000_000_000_000
_MOST_ROUNDS = 100_000
_INSTALLS = ("install", "reinstall", "upgrade")

OnPrint = Callable[[str], None]


class Modules:
    """The modules that scripts name, in `directory`. `a/b.mo` stands for the compiled `a/b.wasm`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.read = cache(self._read)

    def find(self, name: str) -> Path | None:
        """Return the file that `name` stands for, or None."""
        file = self._directory / name
        compiled = file.with_suffix(".wasm")
        candidates = [] if file.suffix == ".mo" else [file]
        candidates += [compiled, compiled.with_suffix(".wasm.gz"), file.with_name(file.name + ".wasm")]
        return next((path for path in candidates if path.is_file()), None)

    def _read(self, name: str) -> bytes:
        file = self.find(name)
        if file is None:
            raise FileNotFoundError(f"no module {name!r} in {self._directory}")
        return file.read_bytes()


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a line."""

    line: Line
    result: CallResult

    def __str__(self) -> str:
        """Return the text that drun prints, without the line end."""
        asked = self.line.command == "query"
        if self.result.reply is not None:
            return f"{'Ok' if asked else 'ingress Completed'}: Reply: 0x{self.result.reply.hex()}"
        reject = self.result.reject
        assert reject is not None
        return f"{'Err' if asked else 'ingress Err'}: {reject.error_code}: {reject.message}"


class Drun:
    """A subnet as drun has it, empty at first. `on_print` is called with the lines that canisters print, in the format
    of the replica; `costs` is `free`, as on a system subnet, or `mainnet`."""

    def __init__(
        self, modules: Modules, on_print: OnPrint | None = None, first: Principal = FIRST, costs: str = "free"
    ) -> None:
        self._modules = modules
        self._on_print = on_print
        self._first = first
        self._created = 0
        self._subnet = Subnet(pool=Pool(), time=GENESIS, next_canister=_CREATED_FROM, backtraces=False, costs=costs)
        self._machines = InstanceCache()

    def close(self) -> None:
        """Free all canisters and instances."""
        self._machines.clear()
        self._subnet.canisters.clear()

    def run(self, lines: Iterable[Line]) -> Iterator[Answer]:
        """Run the lines and yield the answer to each; `ScriptError` before the first if a module is missing."""
        script = list(lines)
        for line in script:
            if line.command in _INSTALLS and self._modules.find(line.name) is None:
                raise ScriptError(line.number, f"there is no module {line.name!r}")
        for line in script:
            yield Answer(line, self._execute(line))

    def _execute(self, line: Line) -> CallResult:
        if line.command == "create":
            return self._create()
        if line.command == "query":
            return query(self._environment(), Query(line.canister_id, line.name, line.arg, _SENDER))
        if line.command in ("start", "stop"):
            return self._update(line, _ME, f"{line.command}_canister", identified(line.canister_id))
        if line.command == "ingress":
            return self._update(line, line.canister_id, line.name, line.arg)
        return self._update(line, _ME, "install_code", self._installation(line))

    def _create(self) -> CallResult:
        canister_id = Principal.from_index(self._created) if self._created else self._first
        self._created += 1
        env = self._environment()
        context = ManagementContext(self._subnet, self._machines, _SENDER, env.on_log)
        settings = {"controllers": [_SENDER, canister_id]}
        try:
            carry_out(env, lifecycle.create_canister(context, settings, canister_id, _CYCLES))
        except CallRejected as refused:
            return CallResult(_ME, "create_canister", reject=refused.reject)
        return CallResult(canister_id, "create_canister", reply=identified(canister_id))

    def _installation(self, line: Line) -> bytes:
        """Return the argument of `install_code`."""
        module = self._modules.read(line.name)
        keep = line.command == "upgrade" and _keeps_heap(module)
        options = {"skip_pre_upgrade": False, "wasm_memory_persistence": {"keep": None} if keep else None}
        argument = {
            "mode": {line.command: options if line.command == "upgrade" else None},
            "canister_id": line.canister_id,
            "wasm_module": module,
            "arg": line.arg,
            "sender_canister_version": None,
        }
        return encode(signature("install_code").args, [argument])

    def _update(self, line: Line, receiver: Principal, method: str, arg: bytes) -> CallResult:
        env, results = self._environment(), self._subnet.results
        message = Ingress(env.new_id(), receiver, method, arg, _SENDER)
        submit(env, message)
        for _ in range(_MOST_ROUNDS):
            run_round(env)
            if line.command == "ingress":
                advance(env, 1_000_000_000)
            result = results.pop(message.message_id, None)
            if isinstance(result, CallResult):
                return result
        raise ScriptError(line.number, f"no answer after {_MOST_ROUNDS} rounds")

    def _environment(self) -> ExecutionEnvironment:
        return ExecutionEnvironment(self._subnet, self._machines, self._print)

    def _print(self, canister_id: Principal, text: str) -> None:
        if self._on_print is not None:
            self._on_print(f"{clock(self._subnet.time)}: [Canister {canister_id}] {text}")


def _keeps_heap(module: bytes) -> bool:
    try:
        return read_facts(decode_module(module)).uses_enhanced_persistence
    except InvalidModule:
        return False
