"""Certificates of canisters: who gets one, what it proves, and how certified data comes and goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import cbor2
import pytest

from sandbox import Canister, ErrorCode, InstructionLimits, Principal, Sandbox
from sandbox.api import runtime_of
from sandbox.certify.certificate import Certificate, data_path, verify_certificate
from sandbox.certify.failure import CertificateError
from sandbox.certify.hash_tree import Found, Missing
from sandbox.certify.key import RootKey
from sandbox.certify.state_tree import CanisterFacts
from sandbox.codec.leb128 import decode_unsigned
from sandbox.execution import certificates
from sandbox.ic0.modes import NAMES, Mode
from sandbox.state import CanisterState
from tests.certify.guests import CERTIFIED, certified_with
from tests.conftest import fixture, rejected

Install = Callable[..., Canister]
COUNTER = "counter.enhanced"


@pytest.fixture
def sandbox() -> Sandbox:
    """Every call of a composite query counts for 50 million instructions."""
    return Sandbox(instruction_limits=InstructionLimits(query=1_000_000_000))


def certificate_of(sandbox: Sandbox, canister: Canister, method: str = "certificate") -> Certificate:
    """The canister's certificate, proven by the sandbox's root key."""
    reply = canister.query_raw(method).reply
    assert reply is not None
    return verify_certificate(reply, sandbox.root_key, canister.id)


def certified(sandbox: Sandbox, canister: Canister) -> bytes:
    """The certified data, as the canister's certificate proves it."""
    found = certificate_of(sandbox, canister).lookup(data_path(canister.id))
    assert isinstance(found, Found)
    return found.value


def proven(sandbox: Sandbox, *path: Principal | str | bytes) -> bytes | Missing:
    """What a certificate of one path says about it."""
    labels = [label.encode() if isinstance(label, str) else bytes(label) for label in path]
    found = verify_certificate(sandbox.certificate([path]), sandbox.root_key).lookup(labels)
    return found.value if isinstance(found, Found) else found


def proven_number(sandbox: Sandbox, *path: Principal | str | bytes) -> int:
    """The same for a number."""
    value = proven(sandbox, *path)
    assert isinstance(value, bytes)
    return decode_unsigned(value, 0, len(value), 64)[0]


# --- who gets a certificate


@pytest.mark.parametrize("method", ["certificate", "composite_certificate"])
def test_a_query_call_gets_a_certificate_of_its_canisters_data_and_of_the_time(
    method: str, install: Install, sandbox: Sandbox
) -> None:
    canister, other = install(CERTIFIED), install(CERTIFIED)
    canister.update("set", b"hello")
    other.update("set", b"other")
    read = certificate_of(sandbox, canister, method)
    assert read.lookup(data_path(canister.id)) == Found(b"hello")
    assert read.time == sandbox.time
    assert read.lookup(data_path(other.id)) is Missing.UNKNOWN
    assert read.lookup((b"canister", bytes(canister.id), b"module_hash")) is Missing.UNKNOWN
    assert read.delegation is None


def test_data_that_was_never_set_is_certified_to_be_empty(install: Install, sandbox: Sandbox) -> None:
    assert certified(sandbox, install(CERTIFIED)) == b""


def test_a_forged_certificate_or_another_root_key_proves_nothing(install: Install, sandbox: Sandbox) -> None:
    canister = install(CERTIFIED)
    canister.update("set", b"hello")
    reply = canister.query_raw("certificate").reply
    assert reply is not None
    for raw, key in ((reply.replace(b"hello", b"jello"), sandbox.root_key), (reply, Sandbox(seed=1).root_key)):
        with pytest.raises(CertificateError, match="signature"):
            verify_certificate(raw, key)


def test_an_update_call_has_no_certificate(install: Install) -> None:
    canister = install(CERTIFIED)
    assert canister.query_raw("present").reply == b"\1"
    assert canister.update("present_in_update").reply == b"\0"
    refused = '"ic0_data_certificate_size" cannot be executed in update mode'
    rejected(ErrorCode.CANISTER_CONTRACT_VIOLATION, refused, canister.update, "size_in_update")


@pytest.mark.parametrize("function", ["size", "copy"])
def test_a_query_method_called_as_an_update_has_no_certificate(function: str, install: Install) -> None:
    canister = install(CERTIFIED)
    assert canister.update("present").reply == b"\0"
    refused = f'"ic0_data_certificate_{function}" cannot be executed in {NAMES[Mode.REPLICATED_QUERY]} mode'
    rejected(ErrorCode.CANISTER_CONTRACT_VIOLATION, refused, canister.update, function)


def test_callbacks_and_callees_of_a_composite_query_have_no_certificate(install: Install) -> None:
    caller, callee = install(CERTIFIED), install(CERTIFIED)
    for asked in (callee, caller):
        assert caller.query_raw("ask", bytes(asked.id) + b"present").reply == b"\1\0\0"
    for function in ("size", "copy"):
        refused = f'"ic0_data_certificate_{function}" cannot be executed in non replicated query mode'
        rejected(
            ErrorCode.CANISTER_REJECTED_MESSAGE, refused, caller.query_raw, "ask", bytes(callee.id) + function.encode()
        )


def test_calls_of_update_calls_have_no_certificate_anywhere(install: Install) -> None:
    caller, callee = install(CERTIFIED), install(CERTIFIED)
    assert caller.update("ask_in_update", bytes(callee.id) + b"present").reply == b"\0\0\0"


def test_a_motoko_canister_reads_its_certificate(install: Install, sandbox: Sandbox) -> None:
    canister = install(fixture(COUNTER))
    canister.call("set_certified", b"motoko")
    raw = canister.call("certificate")
    assert verify_certificate(raw, sandbox.root_key).lookup(data_path(canister.id)) == Found(b"motoko")


# --- how certified data comes and goes


def test_data_is_certified_when_its_message_succeeds(install: Install, sandbox: Sandbox) -> None:
    canister = install(CERTIFIED)
    canister.update("set", b"first")
    assert certified(sandbox, canister) == b"first"
    rejected(ErrorCode.CANISTER_TRAPPED, "unreachable", canister.update, "set_and_trap", b"second")
    assert certified(sandbox, canister) == b"first"
    canister.update("set", b"third")
    assert certified(sandbox, canister) == b"third"
    canister.update("set", b"")
    assert certified(sandbox, canister) == b""


def test_data_survives_an_upgrade_but_no_reinstallation(install: Install, sandbox: Sandbox) -> None:
    canister = install(CERTIFIED)
    canister.update("set", b"old")
    assert certified(sandbox, canister) == b"old"
    canister.install(CERTIFIED, mode="upgrade")
    assert certified(sandbox, canister) == b"old"
    canister.install(certified_with("post_upgrade"), mode="upgrade")
    assert certified(sandbox, canister) == b"post_upgrade"
    canister.install(CERTIFIED, mode="reinstall")
    assert certified(sandbox, canister) == b""
    canister.install(certified_with("init"), mode="reinstall")
    assert certified(sandbox, canister) == b"init"


def test_an_uninstalled_canister_has_no_data_and_a_new_installation_begins_empty(
    install: Install, sandbox: Sandbox
) -> None:
    canister = install(CERTIFIED)
    canister.update("set", b"old")
    assert proven(sandbox, "canister", canister.id, "certified_data") == b"old"
    canister.uninstall()
    for name in ("certified_data", "module_hash", "last_install_timestamp"):
        assert proven(sandbox, "canister", canister.id, name) is Missing.ABSENT
    canister.install(CERTIFIED)
    assert certified(sandbox, canister) == b""


def test_loading_a_snapshot_brings_its_data_back(install: Install, sandbox: Sandbox) -> None:
    canister = install(CERTIFIED)
    canister.update("set", b"taken")
    snapshot = canister.take_snapshot()
    canister.update("set", b"later")
    assert certified(sandbox, canister) == b"later"
    canister.load_snapshot(snapshot.id)
    assert certified(sandbox, canister) == b"taken"


def test_an_anchor_brings_back_what_is_certified(install: Install, sandbox: Sandbox) -> None:
    canister = install(CERTIFIED)
    canister.update("set", b"before")
    raw = canister.query_raw("certificate").reply
    with sandbox.anchor():
        canister.update("set", b"within")
        assert certified(sandbox, canister) == b"within"
        with sandbox.anchor():
            sandbox.advance_time(1)
            canister.uninstall()
            sandbox.certificate([])
        assert certified(sandbox, canister) == b"within"
        canister.update("set", b"still within")
    assert canister.query_raw("certificate").reply == raw
    assert certified(sandbox, canister) == b"before"


def test_time_passes_in_certificates(install: Install, sandbox: Sandbox) -> None:
    canister = install(CERTIFIED)
    before = certificate_of(sandbox, canister).time
    sandbox.advance_time(60)
    assert certificate_of(sandbox, canister).time == before + 60_000_000_000 == sandbox.time


# --- the state tree


def test_the_tree_tells_of_a_canister_what_its_state_is(install: Install, sandbox: Sandbox) -> None:
    alice, bob = sandbox.identity("alice"), sandbox.identity("bob")
    canister = sandbox.create_canister(controllers=[alice])
    created = sandbox.time
    module = fixture(COUNTER)
    sandbox.advance_time(5)
    canister.install(module)
    code = runtime_of(sandbox).state_of(canister.id).code
    assert code is not None
    assert proven(sandbox, "canister", canister.id, "module_hash") == code.hash
    assert proven(sandbox, "canister", canister.id, "controllers") == cbor2.dumps(cbor2.CBORTag(55799, [bytes(alice)]))
    assert proven_number(sandbox, "canister", canister.id, "canister_creation_timestamp") == created
    assert proven_number(sandbox, "canister", canister.id, "last_install_timestamp") == created + 5_000_000_000
    candid = proven(sandbox, "canister", canister.id, "metadata", "candid:service")
    assert isinstance(candid, bytes)
    assert b"set_certified" in candid
    assert proven(sandbox, "canister", canister.id, "metadata", "absent") is Missing.ABSENT
    canister.update_settings(controllers=[alice, bob])
    value = proven(sandbox, "canister", canister.id, "controllers")
    assert isinstance(value, bytes)
    assert list(cbor2.loads(value)) == sorted([bytes(alice), bytes(bob)])


def test_installing_the_same_module_again_is_told(install: Install, sandbox: Sandbox) -> None:
    canister = install(CERTIFIED)
    snapshot = canister.take_snapshot()
    first = proven_number(sandbox, "canister", canister.id, "last_install_timestamp")
    deploy: list[Callable[[], object]] = [
        lambda: canister.upgrade(CERTIFIED),
        lambda: canister.load_snapshot(snapshot.id),
    ]
    for seconds, again in enumerate(deploy, 1):
        sandbox.advance_time(1)
        again()
        told = proven_number(sandbox, "canister", canister.id, "last_install_timestamp")
        assert told == first + seconds * 1_000_000_000


def test_a_deleted_canister_is_gone_from_the_tree(install: Install, sandbox: Sandbox) -> None:
    canister, other = install(CERTIFIED), install(CERTIFIED)
    assert proven(sandbox, "canister", canister.id, "certified_data") == b""
    canister.stop()
    canister.delete()
    assert proven(sandbox, "canister", canister.id) is Missing.ABSENT
    assert certified(sandbox, other) == b""


def test_the_tree_tells_of_the_subnet_and_its_node(sandbox: Sandbox) -> None:
    assert proven(sandbox, "subnet", sandbox.subnet_id, "public_key") == sandbox.root_key
    ranges = proven(sandbox, "subnet", sandbox.subnet_id, "canister_ranges")
    assert isinstance(ranges, bytes)
    [[first, last]] = cbor2.loads(ranges)
    canister = sandbox.create_canister()
    assert first <= bytes(canister.id) <= last
    assert proven(sandbox, "canister_ranges", sandbox.subnet_id, first) == ranges


def test_what_was_built_step_by_step_is_what_is_built_at_once(install: Install, sandbox: Sandbox) -> None:
    canisters = [install(CERTIFIED) for _ in range(20)]
    sandbox.certificate([])
    for number, canister in enumerate(canisters):
        canister.update("set", bytes([number]))
        if number % 3 == 0:
            sandbox.certificate([])
        if number % 5 == 0:
            canister.stop()
            canister.delete()
        elif number % 7 == 1:
            canister.uninstall()
    canisters.append(install(CERTIFIED))
    whole = sandbox.certificate([()])
    subnet = runtime_of(sandbox).management_context(Principal.anonymous()).subnet
    subnet.certified = None
    assert sandbox.certificate([()]) == whole


# --- what it costs


class Counted:
    """How often canisters were described and trees signed."""

    def __init__(self) -> None:
        self.described = self.signed = 0


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    counts = Counted()
    describe, sign = certificates._canister, RootKey.sign

    def describing(state: CanisterState) -> CanisterFacts:
        counts.described += 1
        return describe(state)

    def signing(key: RootKey, root_hash: bytes) -> bytes:
        counts.signed += 1
        return sign(key, root_hash)

    monkeypatch.setattr(certificates, "_canister", describing)
    monkeypatch.setattr(RootKey, "sign", signing)
    return counts


@contextmanager
def costs(counts: Counted, described: int, signed: int) -> Iterator[None]:
    """Within, so many canisters are described and trees signed."""
    before = counts.described, counts.signed
    yield
    assert (counts.described - before[0], counts.signed - before[1]) == (described, signed)


def test_only_what_changed_is_built_and_signed_again(install: Install, sandbox: Sandbox, counted: Counted) -> None:
    first, *_, last = (install(CERTIFIED) for _ in range(30))
    with costs(counted, 0, 0):
        first.query_raw("present")
        first.update("set", b"1")
    with costs(counted, 30, 1):
        first.query_raw("certificate")
    with costs(counted, 0, 0):
        first.query_raw("twice")
        last.query_raw("certificate")
        first.update("present_in_update")
        first.query_raw("certificate")
        with sandbox.anchor():
            first.query_raw("certificate")
    with costs(counted, 1, 1):
        first.update("set", b"2")
        last.query_raw("certificate")
    with costs(counted, 0, 1):
        sandbox.advance_time(1)
        last.query_raw("certificate")
    with costs(counted, 1, 1), sandbox.anchor():
        first.update("set", b"3")
        first.query_raw("certificate")
    with costs(counted, 0, 0):
        assert certified(sandbox, first) == b"2"


def test_canisters_know_what_changed_since_someone_looked(install: Install, sandbox: Sandbox) -> None:
    first, second = install(CERTIFIED), install(CERTIFIED)
    canisters = runtime_of(sandbox).management_context(Principal.anonymous()).subnet.canisters
    canisters.changed.clear()
    first.update("present_in_update")
    assert set(canisters.changed) == set()
    first.update("set", b"1")
    assert set(canisters.changed) == {first.id}
    with sandbox.anchor():
        second.stop()
        second.delete()
        assert set(canisters.changed) == {first.id, second.id}
    assert set(canisters.changed) == {first.id}
