"""The identity of the subnet: its root key and its id follow from the seed, and canisters are told them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sandbox import Canister, Principal, Sandbox
from sandbox.api import runtime_of
from sandbox.certify.key import RootKey
from tests.certify.guests import CERTIFIED
from tests.conftest import FIXTURES, guest

Install = Callable[..., Canister]
COUNTER = "counter.enhanced"
TELLING = guest("""(func (export "canister_init")
  (call $root_key_copy (i32.const 0) (i32.const 0) (call $root_key_size))
  (call $debug_print (i32.const 0) (call $root_key_size))
  (call $subnet_self_copy (i32.const 0) (i32.const 0) (call $subnet_self_size))
  (call $debug_print (i32.const 0) (call $subnet_self_size)))""")


def test_a_canister_is_told_the_root_key_and_the_subnet(install: Install, sandbox: Sandbox) -> None:
    canister = install(CERTIFIED)
    assert canister.update("root_key").reply == sandbox.root_key
    assert canister.query_raw("subnet").reply == bytes(sandbox.subnet_id)
    assert (len(sandbox.root_key), len(bytes(sandbox.subnet_id))) == (133, 29)
    assert sandbox.subnet_id == Principal.self_authenticating(sandbox.root_key)


def test_hooks_are_told_the_same(sandbox: Sandbox) -> None:
    canister = sandbox.create_canister()
    sample = runtime_of(sandbox).management_context(Principal.anonymous())
    assert sample.subnet_id == sandbox.subnet_id
    canister.install(TELLING)
    assert canister.logs()[0].content == sandbox.root_key
    assert canister.logs()[1].content == bytes(sandbox.subnet_id)


def test_the_same_seed_gives_the_same_certificates(install: Install) -> None:
    def whole(seed: int) -> tuple[bytes, Principal, bytes, bytes | None]:
        sandbox = Sandbox(seed=seed)
        canister = sandbox.create_canister()
        canister.install(CERTIFIED)
        canister.update("set", b"data")
        return sandbox.root_key, sandbox.subnet_id, sandbox.certificate([()]), canister.query_raw("certificate").reply

    assert whole(5) == whole(5)
    assert all(one != other for one, other in zip(whole(5), whole(6), strict=True))


def test_seeds_of_any_kind_of_number_give_a_key() -> None:
    keys = {Sandbox(seed=seed).root_key for seed in (0, -1, 1 << 200)}
    assert len(keys) == 3
    assert Sandbox().root_key == RootKey.from_seed(b"0").public_key


def test_a_state_directory_keeps_data_and_certificates(tmp_path: Path) -> None:
    with Sandbox.open(tmp_path) as sandbox:
        canister = sandbox.create_canister()
        canister.install(FIXTURES / f"{COUNTER}.wasm")
        canister.call("set_certified", b"kept")
        before = sandbox.root_key, sandbox.subnet_id, sandbox.certificate([()]), canister.call("certificate")
    with Sandbox.open(tmp_path) as sandbox:
        again = sandbox.canister(canister.id)
        after = sandbox.root_key, sandbox.subnet_id, sandbox.certificate([()]), again.call("certificate")
    assert before == after
