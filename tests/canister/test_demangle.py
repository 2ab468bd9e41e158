"""Symbol names made readable; everything else, and everything malformed, stays as it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.canister.demangle import demangle, readable


@pytest.mark.parametrize(
    ("name", "readable"),
    [
        ("_ZN4core9panicking5panic17h0123456789abcdefE", "core::panicking::panic"),
        ("_ZN4core9panicking5panicE", "core::panicking::panic"),
        ("_ZN4core9panicking5panic17h0123456789abcdefE.llvm.0123ABCD", "core::panicking::panic"),
        ("_ZN37_$LT$alloc..string..String$u20$as$GT$3fmt17h0123456789abcdefE", "<alloc::string::String as>::fmt"),
        ("_ZN5$RF$mu$C$E", "_ZN5$RF$mu$C$E"),
        ("_ZN7$RF$a$C$E", "_ZN7$RF$a$C$E"),
        ("_ZN8$RF$a$C$E", "&a,"),
        ("plain", "plain"),
        ("", ""),
        ("_ZN", "_ZN"),
        ("_ZN3abE", "_ZN3abE"),
        ("_ZN99999999999999aE", "_ZN99999999999999aE"),
        ("_ZN9a$ud800$bE", "a$ud800$b"),
        ("_ZN6a$u0$bE", "a$u0$b"),
        ("_ZN11a$uffffff$bE", "a$uffffff$b"),
    ],
)
def test_names(name: str, readable: str) -> None:
    assert demangle(name) == readable


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("_ZN4core9panicking5panic17h0123456789abcdefE", "core::panicking::panic"),
        ("_RNvNtCs1234_7mycrate3foo3bar", "mycrate::foo::bar"),
        ("_RNvMs_NtCsaOIHrL1vEs2_5alloc3vecINtB4_3VechE4push", "<alloc::vec::Vec<u8>>::push"),
        ("_ZNSt6vectorIiSaIiEE9push_backERKi", "std::vector<int, std::allocator<int>>::push_back(int const&)"),
        ("_Z", "_Z"),
        ("_R", "_R"),
        ("_Z99short", "_Z99short"),
        ("@deserialize<N>", "@deserialize<N>"),
        ("canister_update inc", "canister_update inc"),
    ],
)
def test_names_for_people_are_those_of_the_source(name: str, shown: str) -> None:
    assert readable(name) == shown


@given(st.text())
def test_any_text_gives_text_that_can_be_printed_as_utf_8(text: str) -> None:
    for name in (text, f"_ZN{text}E", f"_ZN{len(text)}{text}E", f"_ZN{len(text) + 7}{text}$ud83d$E"):
        demangle(name).encode()
    for prefix in ("_R", "_Z", "___Z", ""):
        readable(prefix + text).encode()
