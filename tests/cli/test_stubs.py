"""Typed clients: what mypy says of right and wrong calls, and that the values are those that canisters answer."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sandbox import Canister, Sandbox
from sandbox.api.stubs import class_name, typed_client
from sandbox.candid import parse_did
from sandbox.cli import root
from tests.cli.conftest import FIXTURES

ROOT = Path(__file__).resolve().parents[2]
IC = ROOT / "sandbox" / "management" / "ic.did"

HARD = """
type list = opt record { head : nat; tail : list };
type Tree = variant { leaf; node : record { left : Tree; right : Tree } };
type T = opt T;
type V = vec V;
type class = record { "class" : nat; "from" : text; "a key" : bool; 5 : nat; str : text; "__x" : nat };
type byte = nat8;
type Result = variant { ok : Any; err : variant { "Not found"; import_; "a" : record { b : record {} } } };
type Any = record { items : nat; get : nat; pass : opt nat };
type F = func (nat) -> (nat) query;
type S = service { f : F };
type Never = variant {};
type Alias = Any;
service : (record { owner : principal }) -> {
  "list" : (list) -> (list) query;
  "def" : ("class" : nat, "self" : nat, sender : principal, reply : opt nat) -> (Result);
  "int" : (int, opt opt nat, opt null) -> (opt opt nat, nat);
  "a-b" : (vec byte, blob, vec opt nat8) -> (record { nat; text }) query;
  "Principal" : (record { a : nat }) -> (record { a : nat });
  "canister" : (F, S, reserved, null) -> (empty);
  tree : (Tree, T, V, class) -> (Tree);
  "1x" : (Alias) -> (Never);
  "__init__" : () -> () oneway;
  "é" : (float32, float64, nat64, int8, bool) -> (text);
}
"""

LEDGER = """
type Account = record { owner : principal; subaccount : opt blob };
type TransferArg = record { to : Account; amount : nat; fee : opt nat; memo : opt blob };
type TransferError = variant { InsufficientFunds : record { balance : nat }; TooOld; Generic : text };
service : {
  transfer : (TransferArg) -> (variant { Ok : nat; Err : TransferError });
  approve : (to : Account, amount : nat, expires_at : opt nat64) -> (nat);
  balance_of : (Account) -> (nat) query;
}
"""

USE = """
from typing import assert_type
from sandbox import Principal, Sandbox
from sandbox.candid import Func, Service, Some
from people import Input, PeopleV1, Person
from hard import Hard, Result, Tree, class_, list_
from ledger import Account, Ledger, TransferArg
from management import Ic

canister = Sandbox().create_canister()
alice = Principal.anonymous()

people = PeopleV1(canister)
ada: Input = {"name": "Ada", "email": "", "age": 36, "tags": ["first"]}
assert_type(people.add(ada), int)
people.add({"name": "Ada", "email": "", "age": 36, "tags": []}, sender=alice)
people.add(Input(name="Ada", email="", age=36, tags=[]), sender="2vxsx-fae")
assert_type(people.list(0, limit=5), list[Person])
someone = people.get(0)
someone["name"]  # error: [index]
assert someone is not None
assert_type(someone["name"], str)
someone["nmae"]  # error: [typeddict-item]
people.add({"name": "Ada", "email": "", "age": 36})  # error: [typeddict-item]
people.add({"name": "Ada", "email": "", "age": "36", "tags": []})  # error: [typeddict-item]
people.set_age("0", 5)  # error: [arg-type]
people.set_age(0)  # error: [call-arg]
people.set_age(0, aeg=5)  # error: [call-arg]
people.lst(0, 5)  # error: [attr-defined]

ledger = Ledger(canister)
me: Account = {"owner": alice}
reply = ledger.transfer({"to": me, "amount": 5})
ledger.transfer(TransferArg(to=me, amount=5, memo=b"memo"))
assert_type(ledger.approve(to=me, amount=5), int)
ledger.approve(to=me, amount=5, expires_at=7)
ledger.approve(to=me, amount="5")  # error: [arg-type]
ledger.approve(too=me, amount=5)  # error: [call-arg]
ledger.transfer(TransferArg(to=me, amount=5, memo="memo"))  # error: [typeddict-item]
if "Ok" in reply:
    assert_type(reply["Ok"], int)
    reply["Err"]  # error: [typeddict-item]
else:
    error = reply["Err"]
    if "InsufficientFunds" in error:
        assert_type(error["InsufficientFunds"]["balance"], int)
    elif "Generic" in error:
        assert_type(error["Generic"], str)
    else:
        assert_type(error["TooOld"], None)

hard = Hard(canister)
nested: list_ = {"head": 1, "tail": {"head": 2, "tail": None}}
hard.list(nested)
hard.list()
hard.list({"head": 1, "tail": {"head": "2", "tail": None}})  # error: [arg-type]
tree: Tree = {"node": {"left": {"leaf": None}, "right": {"node": {"left": {"leaf": None}, "right": {"leaf": None}}}}}
keywords: class_ = {"class": 1, "from": "", "a key": True, "_5_": 5, "str": "", "__x": 0}
hard.tree(tree, Some(Some(None)), [[], [[]]], keywords)
hard.tree({"leef": None}, None, [], keywords)  # error: [arg-type]
hard.tree(tree, None, [1], keywords)  # error: [list-item]
answer: Result = hard.def_(class_=1, self_=2, sender_=alice)
assert_type(hard.int(1), tuple[Some[int | None] | None, int])
hard.int(1, 2)  # error: [arg-type]
assert_type(hard.a_b(b"", b"", [None, 1]), tuple[int, str])
hard.a_b([1, 2], b"", [])  # error: [arg-type]
hard._init__()
hard.é(1.0, 2, 3, 4, True)

ic = Ic(canister)
ic.update_settings({"canister_id": alice, "settings": {"freezing_threshold": 5}})
ic.update_settings({"canister_id": alice, "settings": {"freezing": 5}})  # error: [typeddict-unknown-key]

hard.canister_(Func(alice, "f"), Service(alice), "anything")  # nothing comes after it: its result is `empty`
"""


def stubs(*arguments: object) -> Result:
    """The command, which must succeed."""
    result = CliRunner().invoke(root, ["stubs", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result


def test_mypy_accepts_every_client_and_sees_wrong_calls_and_results(tmp_path: Path) -> None:
    """All modules of the fixtures with an interface, the management canister, a ledger, and hard names and types."""
    for name, text in {"hard": HARD, "ledger": LEDGER}.items():
        (tmp_path / f"{name}.did").write_text(text)
        stubs(tmp_path / f"{name}.did", "-o", tmp_path / f"{name}.py")
    stubs(IC, "-o", tmp_path / "management.py")
    for file in sorted(FIXTURES.glob("*.wasm")):
        if not file.name.startswith(("universal", "notes_as")):  # which have no interface
            stubs(file, "-o", tmp_path / f"{file.name.replace('.', '_')}.py")
    (tmp_path / "people.py").write_text(stubs(FIXTURES / "people_v1.enhanced.wasm").output)
    (tmp_path / "use.py").write_text(USE)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--cache-dir=cache", "."]
    environment = {"MYPYPATH": str(ROOT), "PATH": ""}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    errors = re.findall(r"^use\.py:(\d+): error: .*(\[[\w-]+\])$", run.stdout, re.MULTILINE)
    others = [line for line in run.stdout.splitlines() if ": error: " in line and not line.startswith("use.py:")]
    assert others == []
    assert run.stderr == ""
    wrong = [
        (str(number), line.partition("# error: ")[2])
        for number, line in enumerate(USE.split("\n"), 1)
        if "# error: " in line
    ]
    assert errors == wrong, run.stdout


def loaded(text: str) -> ModuleType:
    """The module of a client."""
    module = ModuleType("client")
    exec(compile(text, "client.py", "exec"), module.__dict__)
    return module


@pytest.fixture
def people() -> Canister:
    canister = Sandbox().create_canister()
    canister.install(FIXTURES / "people_v1.enhanced.wasm")
    return canister


def test_the_client_calls_the_canister(people: Canister) -> None:
    module = loaded(stubs(FIXTURES / "people_v1.enhanced.wasm").output)
    client = module.PeopleV1(people)
    ada = {"name": "Ada", "email": "", "age": 36, "tags": ["first"]}
    assert client.add(ada) == 0
    assert client.get(0) == {"id": 0, **ada}
    assert client.get(1) is None
    assert client.list(offset=0, limit=9) == [{"id": 0, **ada}]
    assert client.set_age(0, age=37) is True
    assert set(client.get(0)) == set(module.Person.__annotations__)


def test_callers_and_optional_arguments_are_passed_on() -> None:
    calls: list[tuple[Any, ...]] = []

    class Recorder:
        def call(self, *arguments: Any, **options: Any) -> None:
            calls.append((*arguments, options))

    client = loaded(typed_client(parse_did(HARD), "Hard", "hard.did")).Hard(Recorder())
    client.int(1)
    client.def_(1, self_=2, sender_="x", sender="y")
    client._init__()
    assert calls == [
        ("int", 1, None, None, {"sender": None}),
        ("def", 1, 2, "x", None, {"sender": "y"}),
        ("__init__", {"sender": None}),
    ]


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("people_v1.enhanced.wasm", "PeopleV1"),
        ("a/b-c.did", "BC"),
        ("1.wasm", "_1"),
        (".wasm", "Client"),
    ],
)
def test_names_of_classes(file: str, name: str) -> None:
    assert class_name(file) == name


def test_a_class_that_is_named_like_an_import_gets_another_name() -> None:
    assert "class Service_:" in typed_client(parse_did("service : {}"), "Service", "service.did")


def test_options(tmp_path: Path) -> None:
    did = tmp_path / "other.did"
    did.write_text("service : { only : () -> (text) query }")
    output = stubs(FIXTURES / "universal.wasm32.wasm", "--did", did, "--class", "Only").output
    assert "class Only:" in output
    assert "def only(self" in output
    assert '"source": "' in stubs(did, "--output", "json").output


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["{wasm}/universal.wasm32.wasm"], 2, "the module has no candid:service section"),
        (["{wasm}/people_v1.enhanced.wasm", "--class", "1x"], 2, "'1x' cannot be the name of a class"),
        (["{here}/types.did"], 2, "types.did has no service"),
        (["{here}/bad.did"], 2, "bad.did: line 1, column 11"),
        (["{here}/text.wasm"], 1, "unsupported canister module format"),
        (["{wasm}/people_v1.enhanced.wasm", "-o", "{here}/none/x.py"], 2, "cannot be written: No such file"),
        (["{here}/deep.did"], 2, "nested too deeply"),
    ],
)
def test_what_cannot_be_done_is_said(tmp_path: Path, arguments: list[str], code: int, text: str) -> None:
    (tmp_path / "types.did").write_text("type A = nat;")
    (tmp_path / "bad.did").write_text("service : nonsense")
    (tmp_path / "text.wasm").write_text("no module")
    (tmp_path / "deep.did").write_text(f"service : {{ a : ({'vec ' * 3000} nat) -> () }}")
    result = CliRunner().invoke(root, ["stubs", *(a.format(wasm=FIXTURES, here=tmp_path) for a in arguments)])
    assert result.exit_code == code, result.output
    assert text in result.output
    assert "Traceback" not in result.output
