"""A record of a sandbox as a scenario: its inputs as steps, its answers as expectations, its modules as files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

import yaml

from sandbox.api.identity import identity
from sandbox.api.runtime import GENESIS
from sandbox.api.typed import init_types, interface_of
from sandbox.candid import FuncType, Interface, Type, decode_to_text, encode_text
from sandbox.errors import CandidError, ErrorCode, RecordError, RejectCode, SandboxError, Unsupported
from sandbox.execution import Advance, Query, Round, UntilIdle, UntilStopped, Update
from sandbox.limits import PROVISIONAL_BALANCE
from sandbox.management.code import InstallCode
from sandbox.management.commands import Command
from sandbox.pagestore.durable_files import put_in_place
from sandbox.principal import Principal
from sandbox.proofs.scenario.loader import load
from sandbox.record import Begin, End, Header, Outcome, Undo, described, read
from sandbox.record import Step as Recorded
from sandbox.state import InstructionLimits, WasmModule
from sandbox.state.messages import EMPTY_CANDID

T = TypeVar("T")
_Yaml: TypeAlias = dict[str, Any]
_MOST_TEXT: Final = 300
"""Characters of a reject's message that are expected."""


class _Hex(str):
    """Bytes in hexadecimal, written with the tag `!hex`."""


class _Dumper(yaml.SafeDumper):
    """YAML writer: `_Hex` with its tag, and `$` in texts escaped."""


_Dumper.add_representer(_Hex, lambda dumper, value: dumper.represent_scalar("!hex", str(value)))
_Dumper.add_representer(
    str, lambda dumper, value: dumper.represent_scalar("tag:yaml.org,2002:str", value.replace("$", "$$"))
)


@dataclass
class _Canister:
    """A canister of the record. `code`: its module at this step."""

    name: str
    declared: _Yaml
    versions: dict[WasmModule, str] = field(default_factory=dict)
    code: WasmModule | None = None


def write_scenario(record: Path, target: Path) -> list[Path]:
    """Write the record as a scenario with its modules beside it, and return the files. `Unsupported` names the first
    input that no step can express; then nothing is written."""
    made = _Converter(record, target)
    modules = made.modules()
    text = yaml.dump(made.document(), sort_keys=False, allow_unicode=True, width=110, Dumper=_Dumper)
    for path, content in modules.items():
        put_in_place(path, content, 0o644)
    put_in_place(target, f"# Made by `canister-sandbox verify --from-record {record.name}`.\n{text}".encode(), 0o644)
    load(target)
    return [*modules, target]


class _Converter:
    """The conversion of the steps of a record into steps of a scenario."""

    def __init__(self, record: Path, target: Path) -> None:
        self._record, self._target = record, target
        self._canisters: dict[Principal, _Canister] = {}
        self._labels: dict[bytes, str] = {}
        self._steps: list[_Yaml] = []
        self._anchors: list[tuple[int, dict[Principal, _Canister]]] = []
        content = read(record)
        header = next(content)
        assert isinstance(header, Header)
        self._header = header
        step: Recorded | None = None
        for number, item in enumerate(content):
            if isinstance(item, Outcome) and step is not None:
                self._take(step, item, number // 2 + 1)
                step = None
            elif not isinstance(item, Outcome | End | Header):
                step = item

    def document(self) -> _Yaml:
        """Return the scenario."""
        header = self._header
        limits = asdict(InstructionLimits()) | header.instruction_limits
        usual = asdict(InstructionLimits())
        changed = {name: limits[name] for name in ("update", "query", "install") if limits[name] != usual[name]}
        options: _Yaml = {
            "seed": header.seed,
            "time": header.time if header.time != GENESIS else 0,
            "costs": header.costs if header.costs != "free" else None,
            "limits": changed,
        }
        return {
            "scenario": f"what {self._record.name} recorded",
            "canisters": {canister.name: self._declared(canister) for canister in self._canisters.values()},
            **{name: value for name, value in options.items() if value},
            "steps": self._steps,
        }

    def modules(self) -> dict[Path, bytes]:
        """Return the modules that the scenario names, by their files."""
        used = (code for canister in self._canisters.values() for code in canister.versions)
        return {self._file(code): code.submitted for code in used}

    def _file(self, code: WasmModule) -> Path:
        return self._target.with_name(f"{self._target.stem}.{code.hash.hex()[:8]}.wasm")

    def _declared(self, canister: _Canister) -> _Yaml:
        versions = {name: self._file(code).name for code, name in canister.versions.items()}
        return canister.declared | ({"versions": versions} if versions else {})

    def _take(self, step: Recorded, outcome: Outcome, number: int) -> None:
        if isinstance(step, Begin):
            known = {key: replace(each, versions=dict(each.versions)) for key, each in self._canisters.items()}
            self._anchors.append((len(self._steps), known))
        elif isinstance(step, Undo):
            if not self._anchors:
                raise RecordError(f"{self._record}: step {number} undoes an anchor that never began")
            kept, self._canisters = self._anchors.pop()
            del self._steps[kept:]
        else:
            converted = self._converted(step, outcome, number)
            if converted is not None:
                self._steps.append(converted)

    def _converted(self, step: Recorded, outcome: Outcome, number: int) -> _Yaml | None:
        match step:
            case Update() | Query():
                return self._call(step, outcome, number)
            case Advance():
                return {"advance": f"{step.nanoseconds}ns"}
            case Round():
                return {"tick": 1}
            case UntilIdle():
                return {"tick": "idle"}
            case UntilStopped():
                return None  # a part of the step `stop`
            case Command():
                convert = _COMMANDS.get(step.handler)
                if convert is not None:
                    return convert(self, step, outcome, number)
        raise self._unsupported(number, described(step))

    def _unsupported(self, number: int, what: str) -> Unsupported:
        return Unsupported(f"{self._record}: step {number} cannot be a step of a scenario: {what}")

    def _canister(self, canister_id: Principal, number: int) -> _Canister:
        if canister_id not in self._canisters:
            raise self._unsupported(number, f"it is about {canister_id}, which no step of the record created")
        return self._canisters[canister_id]

    # --- commands

    def _create(self, step: Command, outcome: Outcome, number: int) -> None:
        settings, _, cycles = step.arguments
        answer = outcome.answer
        if answer[0] != "done":
            raise self._unsupported(number, "a canister that was not created")
        others = sorted(set(settings) - {"controllers"})
        if others:
            raise self._unsupported(number, f"a canister with the settings {', '.join(others)}")
        canister_id = Principal(answer[1])
        controllers = [str(Principal.of(c)) for c in settings.get("controllers", ())]
        declared: _Yaml = {"id": str(canister_id)}
        declared |= {"controllers": controllers} if controllers else {}
        declared |= {"cycles": cycles} if cycles != PROVISIONAL_BALANCE else {}
        self._canisters[canister_id] = _Canister(f"canister{len(self._canisters) + 1}", declared)

    def _install(self, step: Command, outcome: Outcome, number: int) -> _Yaml:
        [argument] = step.arguments
        assert isinstance(argument, InstallCode)
        canister = self._canister(argument.canister_id, number)
        code = WasmModule.from_bytes(argument.module)
        if code not in canister.versions:
            canister.versions[code] = f"v{len(canister.versions) + 1}"
        made: _Yaml = {argument.mode: f"{canister.name}.{canister.versions[code]}"}
        if argument.arg != EMPTY_CANDID:
            made["arg"] = _text(argument.arg, _known(lambda: init_types(code)))
        if argument.skip_pre_upgrade:
            made["skip_pre_upgrade"] = True
        if argument.persistence is not None:
            made["persistence"] = argument.persistence
        made |= self._acting(step.caller, canister) | self._ended(outcome, number)
        if outcome.answer[0] == "done":
            canister.code = code
        return made

    def _life(self, step: Command, outcome: Outcome, number: int) -> _Yaml:
        canister = self._canister(step.arguments[0], number)
        made = {step.handler.removesuffix("_canister"): canister.name}
        return made | self._acting(step.caller, canister) | self._ended(outcome, number)

    def _snapshot(self, step: Command, outcome: Outcome, number: int) -> _Yaml:
        canister_id, label, *_ = step.arguments
        canister = self._canister(canister_id, number)
        name = label if isinstance(label, str) and label and label not in self._labels.values() else None
        name = name or f"snapshot {len(self._labels) + 1}"
        if outcome.answer[0] == "done":
            self._labels[bytes(outcome.answer[1])] = name
        made = {"snapshot": name, "canister": canister.name}
        return made | self._acting(step.caller, canister) | self._ended(outcome, number)

    def _rollback(self, step: Command, outcome: Outcome, number: int) -> _Yaml:
        canister_id, snapshot_id = step.arguments
        canister = self._canister(canister_id, number)
        label = self._labels.get(bytes(snapshot_id))
        if label is None:
            raise self._unsupported(number, "a load of a snapshot that no step of the record took")
        made = {"rollback": label, "canister": canister.name}
        return made | self._acting(step.caller, canister) | self._ended(outcome, number)

    # --- calls

    def _call(self, step: Update | Query, outcome: Outcome, number: int) -> _Yaml:
        canister = self._canister(step.canister_id, number)
        function = _method(canister.code, step.method)
        kind = "query" if isinstance(step, Query) else "update"
        made: _Yaml = {kind: f"{canister.name}.{step.method}"}
        if function is None or step.arg != EMPTY_CANDID:
            made["args"] = _Hex(step.arg.hex()) if function is None else _text(step.arg, function.args)
        if step.sender != Principal.anonymous():
            made["as"] = _sender(step.sender)
        if outcome.answer[0] != "reply":
            return made | self._ended(outcome, number)
        reply = outcome.answer[1]
        return made | {"expect": {"reply": _text(reply, None if function is None else function.results)}}

    def _acting(self, caller: Principal, canister: _Canister) -> _Yaml:
        """Return the acting principal if it is not the first controller."""
        first = canister.declared.get("controllers", [str(identity("default"))])[0]
        return {} if str(caller) == first else {"as": _sender(caller)}

    def _ended(self, outcome: Outcome, number: int) -> _Yaml:
        match outcome.answer:
            case ["reject", code, error, text, _]:
                wanted: _Yaml = {"code": RejectCode(code).name} if error is None else {"error": str(ErrorCode(error))}
                wanted["text"] = text.split("\n")[0][:_MOST_TEXT]
                return {"expect": {"reject": wanted}}
            case ["error", name, text]:
                raise self._unsupported(number, f"it ended with {name}: {text}")
        return {}


_COMMANDS: Final[Mapping[str, Callable[[_Converter, Command, Outcome, int], _Yaml | None]]] = {
    "create_canister": _Converter._create,
    "install_code": _Converter._install,
    "start_canister": _Converter._life,
    "stop_canister": _Converter._life,
    "take_snapshot": _Converter._snapshot,
    "load_snapshot": _Converter._rollback,
}


def _sender(principal: Principal) -> str:
    return next((name for name in ("default", "anonymous") if identity(name) == principal), str(principal))


def _known(read: Callable[[], T]) -> T | None:
    try:
        return read()
    except SandboxError:
        return None


def _method(code: WasmModule | None, name: str) -> FuncType | None:
    interface: Interface | None = _known(lambda: interface_of(code, None))
    return None if interface is None else interface.methods.get(name)


def _text(message: bytes, types: tuple[Type, ...] | None) -> str:
    """Return a message as Candid text if that stands for the same bytes, else in hexadecimal."""
    if types is not None:
        try:
            text = decode_to_text(message, types)
            if encode_text(text, types) == message:
                return text
        except CandidError:
            pass
    return _Hex(message.hex())
