"""What drun scripts see: answers, rejects and traps as drun prints them, ids, controllers, time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox.candid import encode, parse_types
from sandbox.principal import Principal
from sandbox.replay import Drun, Modules, ScriptError, read_script
from tests.conftest import FIXTURES, wat
from tests.spec import guest as u

CREATED = "ingress Completed: Reply: 0x4449444c016c01b3c4b1f204680100010a00000000000000000101"
DONE = "ingress Completed: Reply: 0x4449444c0000"
ID = "rwlgt-iiaaa-aaaaa-aaaaa-cai"
LINKS = "See documentation: https://internetcomputer.org/docs/current/references/execution-errors#"
HANDLE = "Consider gracefully handling failures from this canister or altering the canister to handle exceptions."

Run = Callable[[str], list[str]]


@pytest.fixture
def printed() -> list[str]:
    return []


@pytest.fixture
def run(tmp_path: Path, printed: list[str]) -> Iterator[Run]:
    """Runs a script on the fixtures and on what the test wrote to its directory; the answers as drun prints them."""
    for wasm in FIXTURES.glob("*.wasm"):
        (tmp_path / wasm.name).symlink_to(wasm)
    runners = []

    def run_script(text: str) -> list[str]:
        runners.append(Drun(Modules(tmp_path), printed.append))
        return [str(answer) for answer in runners[-1].run(read_script(text))]

    yield run_script
    for runner in runners:
        runner.close()


GUEST = """(module
  (import "ic0" "debug_print" (func $print (param i32 i32)))
  (import "ic0" "trap" (func $trap (param i32 i32)))
  (import "ic0" "msg_reject" (func $reject (param i32 i32)))
  (import "ic0" "msg_reply" (func $reply))
  (import "ic0" "msg_reply_data_append" (func $append (param i32 i32)))
  (import "ic0" "msg_caller_size" (func $caller_size (result i32)))
  (import "ic0" "msg_caller_copy" (func $caller (param i32 i32 i32)))
  (import "ic0" "canister_self_copy" (func $self (param i32 i32 i32)))
  (import "ic0" "is_controller" (func $controller (param i32 i32) (result i32)))
  (import "ic0" "time" (func $time (result i64)))
  (memory (export "memory") 1) (data (i32.const 0) "hello")
  (func (export "canister_update prints") (call $print (i32.const 0) (i32.const 5)) (call $reply))
  (func (export "canister_update traps") (call $trap (i32.const 0) (i32.const 5)))
  (func $named_function unreachable)
  (func (export "canister_update unreachable") (call $named_function))
  (func (export "canister_update rejects") (call $reject (i32.const 0) (i32.const 5)))
  (func (export "canister_update silent"))
  (func (export "canister_query q") (call $print (i32.const 0) (i32.const 5)) (call $reply))
  (func (export "canister_query caller")
    (call $caller (i32.const 8) (i32.const 0) (call $caller_size))
    (call $append (i32.const 8) (call $caller_size))
    (i32.store8 (i32.const 40) (call $controller (i32.const 8) (call $caller_size)))
    (call $self (i32.const 50) (i32.const 0) (i32.const 10))
    (i32.store8 (i32.const 41) (call $controller (i32.const 50) (i32.const 10)))
    (call $append (i32.const 40) (i32.const 2)) (call $reply))
  (func (export "canister_query now")
    (i64.store (i32.const 8) (call $time)) (call $append (i32.const 8) (i32.const 8)) (call $reply)))"""


@pytest.fixture
def guest(tmp_path: Path) -> str:
    """The script's beginning that installs the guest above as `$ID`."""
    (tmp_path / "guest.wasm").write_bytes(wat(GUEST))
    return 'install $ID guest.wasm ""\n'


@pytest.mark.parametrize("mode", ["classical", "enhanced"])
def test_a_counter_installed_upgraded_and_reinstalled(run: Run, mode: str) -> None:
    answers = run(
        f"""install $ID counter.{mode}.wasm ""
        ingress $ID inc "DIDL\\x00\\x00"
        ingress $ID inc 0x4449444c0000
        upgrade $ID counter.{mode}.wasm ""
        query $ID get "DIDL\\x00\\x00"
        reinstall $ID counter.{mode}.wasm ""
        query $ID get "DIDL\\x00\\x00"
        """
    )
    inc = "ingress Completed: Reply: 0x4449444c00017d0"
    assert answers == [CREATED, DONE, inc + "1", inc + "2", DONE, "Ok: Reply: 0x4449444c00017d02", DONE, answers[7]]
    assert answers[7] == "Ok: Reply: 0x4449444c00017d00"


def test_a_stopped_canister(run: Run) -> None:
    answers = run(
        """install $ID counter.classical.wasm ""
        stop $ID
        ingress $ID inc 0x4449444c0000
        query $ID get 0x4449444c0000
        start $ID
        query $ID get 0x4449444c0000
        ingress aaaaa-aa stop_canister $PRINCIPAL
        query $ID get 0x4449444c0000"""
    )
    refused = f"Err: IC0508: Canister {ID} is stopped"
    unasked = f"{refused} and therefore does not have a CallContextManager"
    got = "Ok: Reply: 0x4449444c00017d00"
    assert answers[2:] == [DONE, f"ingress {refused}", unasked, DONE, got, DONE, unasked]


def test_rejects_and_traps(run: Run, guest: str) -> None:
    methods = ("traps", "unreachable", "rejects", "silent", "absent")
    answers = run(guest + "\n".join(f"ingress $ID {method} 0x" for method in methods))
    error = f"Error from Canister {ID}: Canister"
    assert answers[2:] == [
        f"ingress Err: IC0503: {error} called `ic0.trap` with message: 'hello'.\n{HANDLE} {LINKS}trapped-explicitly",
        f"ingress Err: IC0502: {error} trapped: unreachable.\n{HANDLE} {LINKS}trapped",
        "ingress Err: IC0406: hello",
        f"ingress Err: IC0506: Canister {ID} did not reply to the call",
        f"ingress Err: IC0536: {error} has no update method 'absent'..\n"
        f"Check that the method being called is exported by the target canister. {LINKS}method-not-found",
    ]


def test_what_canisters_print_carries_time_and_id(run: Run, guest: str, printed: list[str]) -> None:
    run(guest + "ingress $ID prints 0x\ningress $ID prints 0x\nquery $ID q 0x")
    assert printed == [
        f"2021-05-06 19:17:10 UTC: [Canister {ID}] hello",
        f"2021-05-06 19:17:11 UTC: [Canister {ID}] hello",
        f"2021-05-06 19:17:12 UTC: [Canister {ID}] hello",
    ]


def test_the_sender_is_anonymous_and_with_the_canister_its_controller(run: Run, guest: str) -> None:
    assert run(guest + "query $ID caller 0x")[-1] == "Ok: Reply: 0x040101"


def test_a_second_passes_with_every_round_of_an_update(run: Run, guest: str) -> None:
    answers = run(guest + "query $ID now 0x\ningress $ID prints 0x\nquery $ID now 0x")
    before, after = (int.from_bytes(bytes.fromhex(answers[k][-16:]), "little") for k in (2, 4))
    assert after - before == 1_000_000_000


def test_every_create_makes_the_next_canister(run: Run) -> None:
    second = "rrkah-fqaaa-aaaaa-aaaaq-cai"
    answers = run(f'create\ncreate\ninstall {second} counter.classical.wasm ""\nquery {second} get 0x4449444c0000')
    assert answers == [CREATED, CREATED[:-6] + "010101", DONE, "Ok: Reply: 0x4449444c00017d00"]


def test_canisters_that_canisters_create_have_ids_of_their_own_range(run: Run) -> None:
    arg = encode(parse_types("(record { settings : opt record {} })"), [{"settings": None}])
    creation = u.call(bytes(Principal.management()), arg, method="create_canister", cycles=10**12)
    answers = run('install $ID universal.wasm32.wasm ""\n' + f"ingress $ID update 0x{creation.code.hex()}\n" * 2)
    created = [str(Principal(bytes.fromhex(answer[-20:]))) for answer in answers[2:]]
    assert created == ["lxzze-o7777-77777-aaaaa-cai", "lqy7q-dh777-77777-aaaaq-cai"]


def test_a_canister_that_was_never_created(run: Run) -> None:
    answers = run('create\ninstall rrkah-fqaaa-aaaaa-aaaaq-cai counter.classical.wasm ""\nquery aaaaa-aa x 0x')
    assert answers[1].startswith("ingress Err: IC0301: Canister rrkah-fqaaa-aaaaa-aaaaq-cai not found")


def test_modules_are_found_by_the_name_of_their_source(tmp_path: Path) -> None:
    modules = Modules(tmp_path)
    (tmp_path / "life").mkdir()
    for name in ("life/v1.wasm", "life/v2.mo", "plain", "small.wasm.gz"):
        (tmp_path / name).write_bytes(name.encode())
    assert modules.read("life/v1.mo") == modules.read("life/v1") == b"life/v1.wasm"
    assert modules.read("plain") == b"plain"
    assert modules.read("small.wasm") == b"small.wasm.gz"
    assert modules.find("life/v2.mo") is None


def test_a_missing_module_is_reported_before_anything_runs(tmp_path: Path) -> None:
    runner = Drun(Modules(tmp_path))
    with pytest.raises(ScriptError, match=r"^line 2: there is no module 'nothing\.wasm'$"):
        next(runner.run(read_script('create\ninstall $ID nothing.wasm ""')))


def test_a_file_that_is_no_module_is_rejected(run: Run, tmp_path: Path) -> None:
    (tmp_path / "text.wasm").write_text("hello")
    assert run('install $ID text.wasm ""\nupgrade $ID text.wasm ""')[1].startswith("ingress Err: IC0505: ")
