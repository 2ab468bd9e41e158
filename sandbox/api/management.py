"""The management canister as users call it, by its Candid methods."""

from __future__ import annotations

from typing import Any

from sandbox.api import typed
from sandbox.api.attempt import whole
from sandbox.api.identity import Sender
from sandbox.api.runtime import SubnetRuntime
from sandbox.candid import Interface
from sandbox.execution import CallResult
from sandbox.management import table
from sandbox.principal import Principal


class Management:
    """`aaaaa-aa`: the methods of the platform, and the snapshots of the community proposal of 2023. Calls are made by
    the anonymous principal unless `sender` says who; `CallRejected` carries the platform's code and text."""

    id = Principal.management()

    def __init__(self, runtime: SubnetRuntime) -> None:
        self._runtime = runtime

    @property
    def interface(self) -> Interface:
        """All its methods."""
        return table.whole()

    @whole
    def call(self, method: str, *values: Any, sender: Sender = None) -> Any:
        """Call with Python values; None, the value, or a tuple, as for `Canister.call`. Fields of a record that are
        options may be left out."""
        function = self.interface.method(method)
        ask = self.query_raw if typed.is_query(function) else self.update
        return typed.answer(function, values, lambda arg: ask(method, arg, sender))

    @whole
    def query(self, method: str, *values: Any, sender: Sender = None) -> Any:
        """Query with Python values, as `call`; rejected if the method is no query method."""
        function = self.interface.method(method)
        return typed.answer(function, values, lambda arg: self.query_raw(method, arg, sender))

    @whole
    def update(self, method: str, arg: bytes = typed.EMPTY_ARGUMENT, sender: Sender = None) -> CallResult:
        """An update call with raw bytes."""
        return self._runtime.update(self.id, method, arg, sender).or_raise()

    @whole
    def query_raw(self, method: str, arg: bytes = typed.EMPTY_ARGUMENT, sender: Sender = None) -> CallResult:
        """A query call with raw bytes."""
        return self._runtime.query(self.id, method, arg, sender).or_raise()
