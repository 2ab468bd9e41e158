"""Certified data: interface specification, "Certified data". Texts: `dfinity/ic` `system_api.rs`."""

from __future__ import annotations

from sandbox.ic0.access import heap_of, violation
from sandbox.ic0.modes import CQ, NRQ
from sandbox.ic0.state import Execution
from sandbox.limits import CERTIFIED_DATA

_WITH_CERTIFICATE = int(NRQ | CQ)


def certified_data_set(x: Execution, src: int, size: int) -> None:
    heap = heap_of(x)
    if size > CERTIFIED_DATA:
        raise violation(
            "ic0_certified_data_set failed because the passed data must be no larger than "
            f"{CERTIFIED_DATA} bytes. Found {size} bytes."
        )
    if src + size > heap.size:
        raise violation(
            "ic0_certified_data_set failed because src + size is out of bounds. "
            f"Found src = {src} and size = {size} while src + size must be <= {heap.size}"
        )
    x.certified_data = heap.read(src, size)


def data_certificate_present(x: Execution) -> int:
    return int(x.certificate is not None and bool(x.mode_bit & _WITH_CERTIFICATE))


def _certificate(x: Execution, name: str) -> bytes:
    """The certificate; without one the error is, as in the replica, that of the wrong mode."""
    if x.certificate is None:
        raise violation(f'"ic0_{name}" cannot be executed in {x.mode_name} mode')
    return x.certificate()


def data_certificate_size(x: Execution) -> int:
    return len(_certificate(x, "data_certificate_size"))


def data_certificate_copy(x: Execution, dst: int, offset: int, size: int) -> None:
    heap = heap_of(x)
    certificate = _certificate(x, "data_certificate_copy")
    if offset + size > len(certificate):
        raise violation(
            "ic0_data_certificate_copy failed because offset + size is out of bounds. "
            f"Found offset = {offset} and size = {size} while offset + size must be <= {len(certificate)}"
        )
    if dst + size > heap.size:
        raise violation(
            "ic0_data_certificate_copy failed because dst + size is out of bounds. "
            f"Found dst = {dst} and size = {size} while dst + size must be <= {heap.size}"
        )
    heap.write(dst, certificate[offset : offset + size])
