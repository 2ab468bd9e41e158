"""Install, reinstall and upgrade step by step (SPECIFICATION 5.2, 5.3): which hook runs when, and what it sees."""

from __future__ import annotations

import pytest

from sandbox import CallRejected, Canister, ErrorCode, InstructionLimits, Sandbox
from sandbox.api import runtime_of
from tests.conftest import everything, fixture, guest, rejected, sandbox_of, wat, with_section

EOP = "icp:private enhanced-orthogonal-persistence"


def teller(name: str, *, start: bool = True, extra: str = "", hooks: str = "") -> bytes:
    """A module whose hooks print `<name> <hook>`, the argument's size, version and timer as single digits: each hook
    writes its line at 1000 and prints it. `start` may not ask for anything and prints two words only."""

    def line(hook: str, facts: bool) -> str:
        text = f"{name} {hook} avt"
        store = f"(memory.init $text_{hook} (i32.const 1000) (i32.const 0) (i32.const {len(text)}))"
        place = 1000 + len(text) - 3
        if facts:
            store += f"""
              (i32.store8 (i32.const {place}) (i32.add (i32.const 48) (call $arg_size)))
              (i32.store8 (i32.const {place + 1}) (i32.add (i32.const 48) (i32.wrap_i64 (call $canister_version))))
              (i32.store8 (i32.const {place + 2}) (i32.add (i32.const 48) (i32.wrap_i64
                (global.get $old_timer))))"""
        return f"{store} (call $debug_print (i32.const 1000) (i32.const {len(text)}))"

    def data(hook: str) -> str:
        return f'(data $text_{hook} "{name} {hook} avt")'

    timer = "(global.set $old_timer (call $global_timer_set (i64.const 0)))"
    names = ("start", "init", "pre", "post")
    begin = f"(start $start) (func $start {line('start', False)})" if start else ""
    body = f"""
      (global $old_timer (mut i64) (i64.const 0))
      (func $arg_size (result i32)
        (if (result i32) (global.get $asks) (then (call $msg_arg_data_size)) (else (i32.const 0))))
      (global $asks (mut i32) (i32.const 1))
      {"".join(map(data, names))}
      {begin}
      (func (export "canister_init") {timer} {line("init", True)} {extra})
      (func (export "canister_pre_upgrade") (global.set $asks (i32.const 0)) {timer} {line("pre", True)}
        (drop (call $global_timer_set (i64.const 7))))
      (func (export "canister_post_upgrade") {timer} {line("post", True)} {extra})
      (func (export "canister_update set_timer") (drop (call $global_timer_set (i64.const 5)))
        (call $reply64 (i64.const 0)))
      (func (export "canister_update x") (call $reply64 (i64.const 0)))
      {hooks}"""
    return guest(body)


def printed(sandbox: Sandbox) -> list[str]:
    heard: list[str] = []
    sandbox.on_log = lambda _, text: heard.append(text)
    return heard


def test_install_runs_start_then_init_with_the_next_version_and_no_timer(sandbox: Sandbox) -> None:
    heard, canister = printed(sandbox), sandbox.create_canister()
    canister.install(teller("a"), b"123")
    assert heard == ["a start avt", "a init 310"]
    assert canister.status().version == 1


def test_upgrade_runs_old_pre_then_new_start_then_new_post(sandbox: Sandbox) -> None:
    canister = sandbox.create_canister()
    canister.install(teller("a"))
    canister.update("set_timer")
    assert runtime_of(sandbox).state_of(canister.id).global_timer == 5
    heard = printed(sandbox)
    result = canister.install(teller("b"), b"12", mode="upgrade")
    # the old hook sees the old version and timer, the new one the next version and no timer; init does not run
    assert heard == ["a pre 025", "b start avt", "b post 230"]
    assert result.logs == tuple(heard)
    assert result.instructions > 0
    assert canister.status().version == 3
    assert runtime_of(sandbox).state_of(canister.id).global_timer == 0


def test_skip_pre_upgrade_skips_it(sandbox: Sandbox) -> None:
    canister = sandbox.create_canister()
    canister.install(teller("a"))
    heard = printed(sandbox)
    canister.install(teller("b"), mode="upgrade", skip_pre_upgrade=True)
    assert heard == ["b start avt", "b post 620"]


def test_reinstall_runs_no_hook_of_the_old_code(sandbox: Sandbox) -> None:
    canister = sandbox.create_canister()
    canister.install(teller("a"))
    heard = printed(sandbox)
    canister.install(teller("b"), b"", mode="reinstall")
    assert heard == ["b start avt", "b init 020"]


def test_start_runs_at_deployments_only(sandbox: Sandbox) -> None:
    canister = sandbox.create_canister()
    canister.install(teller("a"))
    snapshot = canister.take_snapshot()
    heard = printed(sandbox)
    canister.update("x")
    canister.install(guest('(func (export "canister_update other"))'), mode="upgrade", skip_pre_upgrade=True)
    canister.load_snapshot(snapshot.id)
    canister.update("x")
    with sandbox.anchor():
        canister.update("x")
    canister.update("x")
    assert heard == []


def test_a_timer_of_pre_upgrade_is_lost_even_without_post_upgrade(sandbox: Sandbox) -> None:
    canister = sandbox.create_canister()
    pre = '(func (export "canister_pre_upgrade") (drop (call $global_timer_set (i64.const 77))))'
    canister.install(guest(pre))
    canister.install(guest(pre), mode="upgrade")
    assert runtime_of(sandbox).state_of(canister.id).global_timer == 0
    both = '(func (export "canister_post_upgrade") (drop (call $global_timer_set (i64.const 88))))'
    canister.install(guest(pre + both), mode="upgrade")
    assert runtime_of(sandbox).state_of(canister.id).global_timer == 88


CERTIFIED = """
(data (i32.const 0) "abcdefgh")
(func (export "canister_update set")
  (call $certified_data_set (i32.const 0) (i32.const 4)) (call $reply64 (i64.const 0)))
(func (export "canister_update set_and_trap") (call $certified_data_set (i32.const 4) (i32.const 4)) unreachable)"""


def test_certified_data_survives_an_upgrade_but_no_reinstallation_and_no_uninstallation(sandbox: Sandbox) -> None:
    canister = sandbox.create_canister()
    canister.install(guest(CERTIFIED))

    def certified() -> bytes:
        return runtime_of(sandbox).state_of(canister.id).certified_data

    canister.update("set")
    rejected(ErrorCode.CANISTER_TRAPPED, "unreachable", canister.update, "set_and_trap")
    assert certified() == b"abcd"
    canister.install(guest(CERTIFIED), mode="upgrade")
    assert certified() == b"abcd"
    hook = '(func (export "canister_{}") (call $certified_data_set (i32.const 6) (i32.const 2)))'
    canister.install(guest(CERTIFIED + hook.format("post_upgrade")), mode="upgrade")
    assert certified() == b"gh"
    canister.install(guest(CERTIFIED), mode="reinstall")
    assert certified() == b""
    canister.install(guest(CERTIFIED + hook.format("init")), mode="reinstall")
    assert certified() == b"gh"
    canister.uninstall()
    assert certified() == b""


MEMORY = """
(global $counter (export "counter") (mut i64) (i64.const {initial}))
(data (i32.const 16) "{text}")
(data $passive "passive")
(func (export "canister_update write")
  (global.set $counter (i64.const 99))
  (i32.store8 (i32.const 16) (i32.const 88)) (i32.store8 (i32.const 200) (i32.const 89))
  (drop (call $stable64_grow (i64.const 1))) (call $stable64_write (i64.const 0) (i64.const 16) (i64.const 4))
  (call $reply64 (i64.const 0)))
(func (export "canister_update passive")
  (memory.init $passive (i32.const 300) (i32.const 0) (i32.const 7)) (call $reply (i32.const 300) (i32.const 7)))
(func (export "canister_query counter") (call $reply64 (global.get $counter)))"""


def memory_guest(initial: int, text: str, pages: int = 1, eop: bool = True) -> bytes:
    module = guest(MEMORY.format(initial=initial, text=text), f'(memory (export "memory") {pages})')
    return with_section(module, EOP, b"x") if eop else module


def written(sandbox: Sandbox, module: bytes) -> Canister:
    canister = sandbox.create_canister()
    canister.install(module)
    canister.update("write")
    assert canister.raw_state().heap[16:20] == b"Xbcd"
    return canister


def test_an_upgrade_that_keeps_the_heap_reinitialises_globals_and_applies_no_segments(sandbox: Sandbox) -> None:
    canister = written(sandbox, memory_guest(1, "abcd"))
    heap = canister.raw_state().heap
    canister.install(memory_guest(5, "wxyz"), mode="upgrade", wasm_memory_persistence="keep")
    raw = canister.raw_state()
    assert raw.heap == heap
    assert raw.stable[:4] == b"Xbcd"
    assert canister.query_raw("counter").reply == (5).to_bytes(8, "little")
    assert canister.update("passive").reply == b"passive"


@pytest.mark.parametrize("persistence", [None, "replace"])
def test_an_upgrade_that_replaces_the_heap_keeps_stable_memory_only(sandbox: Sandbox, persistence: str | None) -> None:
    canister = written(sandbox, memory_guest(1, "abcd", eop=persistence is not None))
    canister.install(memory_guest(5, "wxyz"), mode="upgrade", wasm_memory_persistence=persistence)
    raw = canister.raw_state()
    assert raw.heap[16:20] == b"wxyz"
    assert raw.heap[200] == 0
    assert raw.stable[:4] == b"Xbcd"


def test_a_reinstallation_empties_everything(sandbox: Sandbox) -> None:
    canister = written(sandbox, memory_guest(1, "abcd"))
    canister.install(memory_guest(5, "wxyz"), mode="reinstall")
    raw = canister.raw_state()
    assert (raw.heap[16:20], raw.heap[200], raw.stable) == (b"wxyz", 0, b"")
    assert canister.query_raw("counter").reply == (5).to_bytes(8, "little")


def test_the_persistence_option_must_fit_both_modules(sandbox: Sandbox) -> None:
    code = ErrorCode.CANISTER_CONTRACT_VIOLATION
    new, plain = memory_guest(1, "abcd"), memory_guest(1, "abcd", eop=False)
    canister = written(sandbox, new)
    before = everything(sandbox, canister)
    missing = (
        "Missing upgrade option: Enhanced orthogonal persistence requires the `wasm_memory_persistence` upgrade option."
    )
    rejected(code, missing, canister.install, new, mode="upgrade")
    invalid = "Invalid upgrade option: The `wasm_memory_persistence: opt Keep` upgrade option requires that the new"
    rejected(code, invalid, canister.install, plain, mode="upgrade", wasm_memory_persistence="keep")
    assert everything(sandbox, canister) == before
    canister.install(plain, mode="upgrade", wasm_memory_persistence="replace")
    canister.install(plain, mode="upgrade")
    canister.install(new, mode="upgrade", wasm_memory_persistence="keep")


def test_pre_upgrade_runs_before_the_persistence_option_is_checked(sandbox: Sandbox) -> None:
    canister = sandbox.create_canister()
    canister.install(with_section(guest('(func (export "canister_pre_upgrade") unreachable)'), EOP))
    rejected(ErrorCode.CANISTER_TRAPPED, "unreachable", canister.install, memory_guest(1, "a"), mode="upgrade")


@pytest.mark.parametrize("where", ["start", "canister_init", "canister_pre_upgrade", "canister_post_upgrade"])
@pytest.mark.parametrize("persistence", [None, "keep", "replace"])
def test_a_trap_in_any_hook_changes_nothing(where: str, persistence: str | None, sandbox: Sandbox) -> None:
    dirty = """(i32.store (i32.const 16) (i32.const -1)) (drop (memory.grow (i32.const 2)))
      (drop (call $stable64_grow (i64.const 3))) (call $stable64_write (i64.const 70000) (i64.const 16) (i64.const 4))
      (global.set $counter (i64.const 1234)) unreachable"""
    hook = f"(start $f) (func $f {dirty})" if where == "start" else f'(func (export "{where}") {dirty})'
    body = MEMORY.format(initial=1, text="abcd")
    eop = persistence is not None
    bad = guest(body + hook)
    bad = with_section(bad, EOP) if eop else bad
    canister = written(sandbox, memory_guest(1, "abcd", eop=eop))
    if where == "canister_pre_upgrade":  # a module that can be installed and not be left
        canister.install(bad, mode="upgrade", wasm_memory_persistence=persistence)
        canister.update("write")
    mode = "reinstall" if where == "canister_init" else "upgrade"
    options = {"mode": mode, "wasm_memory_persistence": persistence if mode == "upgrade" else None}
    for _ in range(2):
        before = everything(sandbox, canister)
        error = rejected(ErrorCode.CANISTER_TRAPPED, "unreachable", canister.install, bad, **options)
        assert everything(sandbox, canister) == before
        assert canister.logs()[-1].content.startswith(b"[TRAP]: unreachable")
        assert error.result.instructions > 0
        assert canister.query_raw("counter").reply == (99).to_bytes(8, "little")
        assert canister.update("passive").reply == b"passive"


@pytest.mark.parametrize("compiling", [False, True])
def test_compiling_and_all_hooks_share_one_budget(compiling: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit below the platform's is for the hooks alone."""
    burn = "(local $n i32) (local.set $n (i32.const 100000)) (loop $l (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))"  # noqa: E501
    hook = '(func (export "canister_{}") ' + burn + ")"
    one = 1 + 2 + 6 * 100_000
    first, second = (guest("".join(map(hook.format, hooks))) for hooks in (("pre_upgrade", "init"), ("post_upgrade",)))
    # the instructions of a hook, and those that count them; what the replica appends; its three globals
    compilation = 6_000 * (10 + 10 + 10 + 66 + 6)
    for short in (0, 1):
        limit = 2 * one + compiling * compilation - short
        if compiling:
            monkeypatch.setattr("sandbox.canister.install.INSTRUCTIONS_INSTALL", limit)
        canister = Sandbox(instruction_limits=InstructionLimits(install=limit)).create_canister()
        assert canister.install(first).instructions == one
        before = everything(sandbox_of(canister), canister)
        if short:
            code, text = ErrorCode.CANISTER_INSTRUCTION_LIMIT_EXCEEDED, f"Canister exceeded the limit of {limit} instr"
            rejected(code, text, canister.install, second, mode="upgrade")
            assert everything(sandbox_of(canister), canister) == before
        else:
            result = canister.install(second, mode="upgrade")
            assert (result.instructions, result.compilation) == (2 * one, compilation)
    canister.install(second, mode="upgrade", skip_pre_upgrade=True)


STABLE_BYTE = """(module
  (import "ic0" "stable64_grow" (func $grow (param i64) (result i64)))
  (import "ic0" "stable64_write" (func $write (param i64 i64 i64)))
  (import "ic0" "stable64_read" (func $read (param i64 i64 i64)))
  (import "ic0" "msg_reply_data_append" (func $append (param i32 i32)))
  (import "ic0" "msg_reply" (func $reply))
  (memory 1)
  (data (i32.const 0) "new")
  (func (export "canister_init")
    (drop (call $grow (i64.const 1)))
    (i32.store (i32.const 0) (i32.const 0x646c6f))
    (call $write (i64.const 0) (i64.const 0) (i64.const 3)))
  (func (export "canister_post_upgrade") (call $write (i64.const 0) (i64.const 0) (i64.const 3)) unreachable)
  (func (export "canister_update read")
    (call $read (i64.const 8) (i64.const 0) (i64.const 3))
    (call $append (i32.const 8) (i32.const 3))
    (call $reply)))"""


def test_what_a_trapped_post_upgrade_wrote_to_stable_memory_is_never_read(sandbox: Sandbox) -> None:
    canister = sandbox.create_canister()
    canister.install(wat(STABLE_BYTE))
    assert canister.update("read").reply == b"old"
    rejected(ErrorCode.CANISTER_TRAPPED, "unreachable", canister.install, wat(STABLE_BYTE), mode="upgrade")
    assert canister.update("read").reply == b"old"


def test_the_result_says_what_each_hook_took() -> None:
    c = Sandbox().create_canister()
    c.install(fixture("people_v1.classical"))
    c.call("fill", 500)
    result = c.upgrade(fixture("people_v2_good.classical"))
    assert [hook.name for hook in result.hooks] == ["canister_pre_upgrade", "start", "canister_post_upgrade"]
    assert sum(hook.instructions for hook in result.hooks) == result.instructions
    last = result.hooks[-1]
    assert (last.heap, last.stable) == (c.status().heap_size, c.status().stable_size)
    with pytest.raises(CallRejected) as caught:
        c.upgrade(fixture("people_v2_traps.classical"))
    assert caught.value.result is not None
    assert [hook.name for hook in caught.value.result.hooks][-1] == "canister_post_upgrade"
    assert c.install(fixture("counter.classical"), mode="reinstall").hooks[0].name in ("start", "canister_init")
