"""The head of a message: its type table and the types of its arguments.

Table entries become `NamedType`s of an environment of their own, named `table0`, `table1` and so on.

Spec: dfinity/candid `spec/Candid.md`, "Types", "Parameters and Results" and "Deserialisation of future types".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sandbox.candid.labels import MAX_FIELD_ID
from sandbox.candid.reader import Malformed, Reader, read_bytes, read_int, read_nat, read_text
from sandbox.candid.type_base import Env, Field, Type
from sandbox.candid.types import (
    FUNC,
    FUNC_MODES,
    OPT,
    PRIMITIVE_BY_OPCODE,
    RECORD,
    SERVICE,
    VARIANT,
    VEC,
    FuncType,
    FutureType,
    NamedType,
    OptType,
    RecordType,
    ServiceType,
    VariantType,
    VecType,
)

MAGIC = b"DIDL"
_MODES = {code: mode for mode, code in FUNC_MODES.items()}
_LOWEST_KNOWN = min(PRIMITIVE_BY_OPCODE)

Names = Mapping[int, str]


def read_header(reader: Reader, names: Names) -> tuple[Type, ...]:
    """Read the types of the arguments, up to the first value; `names` are field names by id."""
    if reader.data[:4] != MAGIC:
        raise Malformed("the message does not begin with DIDL")
    reader.pos = 4
    table = _TypeTable(reader, names)
    count = table.count()
    return tuple(table.reference() for _ in range(count))


class _TypeTable:
    """The type table, read on creation; later reads are references to it."""

    def __init__(self, reader: Reader, names: Names) -> None:
        self.reader = reader
        self.names = names
        self.env = Env()
        self.size = self.count()
        for index in range(self.size):
            self.env.define(f"table{index}", self._entry())
        for definition in self.env.values():
            if isinstance(definition, ServiceType):
                self._check_methods(definition)

    def count(self) -> int:
        """Read the number of items that follow, which take at least one byte each."""
        count = read_nat(self.reader)
        if count > self.reader.remaining:
            raise Malformed("a count goes beyond the end of the message")
        return count

    def reference(self) -> Type:
        code = read_int(self.reader)
        if 0 <= code < self.size:
            return NamedType(f"table{code}", self.env)
        if code not in PRIMITIVE_BY_OPCODE:
            raise Malformed("a reference to no type")
        return PRIMITIVE_BY_OPCODE[code]

    def _entry(self) -> Type:
        code = read_int(self.reader)
        build = _BUILDERS.get(code)
        if build is not None:
            return build(self)
        if code >= _LOWEST_KNOWN:
            raise Malformed("a type in the table that does not belong there")
        read_bytes(self.reader, read_nat(self.reader))
        return FutureType(max(code, -(1 << 31)))

    def _fields(self) -> tuple[Field, ...]:
        fields: list[Field] = []
        last = -1
        for _ in range(self.count()):
            number = read_nat(self.reader)
            if not last < number <= MAX_FIELD_ID:
                raise Malformed("field ids that are not increasing 32-bit numbers")
            last = number
            fields.append(Field(number, self.reference(), self.names.get(number)))
        return tuple(fields)

    def _types(self) -> tuple[Type, ...]:
        return tuple(self.reference() for _ in range(self.count()))

    def _func(self) -> Type:
        args, results = self._types(), self._types()
        codes = [read_bytes(self.reader, 1)[0] for _ in range(self.count())]
        if not set(codes) <= _MODES.keys() or len(codes) > len(_MODES):
            raise Malformed("an unknown function annotation")
        return FuncType(args, results, tuple(_MODES[code] for code in codes))

    def _service(self) -> Type:
        methods: list[tuple[str, Type]] = []
        last: bytes | None = None
        for _ in range(self.count()):
            name = read_text(self.reader)
            raw = name.encode()
            if last is not None and raw <= last:
                raise Malformed("methods that are not in increasing order")
            last = raw
            methods.append((name, self.reference()))
        return ServiceType(tuple(methods))

    def _check_methods(self, service: ServiceType) -> None:
        if not all(isinstance(kind.resolve(), FuncType) for _, kind in service.methods):
            raise Malformed("a method that is not a function")


_BUILDERS: dict[int, Callable[[_TypeTable], Type]] = {
    OPT: lambda table: OptType(table.reference()),
    VEC: lambda table: VecType(table.reference()),
    RECORD: lambda table: RecordType(table._fields()),
    VARIANT: lambda table: VariantType(table._fields()),
    FUNC: _TypeTable._func,
    SERVICE: _TypeTable._service,
}
