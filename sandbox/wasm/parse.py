"""The reader of a module's facts (WebAssembly 2.0, chapter 5, with memory64).

Vectors have the limits of the engine's parser, so that a hostile module cannot require larger lists than the engine
would build; the platform's own, smaller limits are in `sandbox.wasm.validation`. Function bodies are skipped here:
`sandbox.wasm.code` reads them.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from sandbox.wasm.facts import ModuleFacts
from sandbox.wasm.reader import Id, Reader, Section, malformed, sections
from sandbox.wasm.types import (
    KINDS,
    VALUE_TYPES,
    CustomSection,
    DataSegment,
    ElementSegment,
    Export,
    FuncType,
    Global,
    Import,
    InitExpr,
    Kind,
    Memory,
    Table,
)

_MILLION = 1_000_000
_SEGMENTS = 100_000
_TABLES_AND_MEMORIES = 100
_PARAMETERS = 1_000
_TABLE_ENTRIES = 10_000_000

_FUNC_TYPE = re.compile(rb"\x60(?:[\x01-\x09][\x6f-\x7f]*+|\x00)(?:[\x01-\x09][\x6f-\x7f]*+|\x00)")
_AT_ONCE = 1_000
_REFERENCES = re.compile(rb"(?:(?:\xd2[\x80-\xff]*+[\x00-\x7f]|\xd0[\x6f\x70])\x0b){%d}" % _AT_ONCE)


def read_facts(wasm: bytes) -> ModuleFacts:
    """Read the facts of a decoded module; InvalidModule if bytes cannot be read. Other rules are not checked."""
    in_order = tuple(sections(wasm))
    parser = _Parser(wasm)
    for section in in_order:
        parser.read(section)
    parser.check_counts()
    return ModuleFacts(
        wasm=wasm,
        sections=in_order,
        types=tuple(parser.types),
        imports=tuple(parser.imports),
        functions=tuple(parser.functions),
        tables=tuple(parser.tables),
        memories=tuple(parser.memories),
        globals=tuple(parser.globals),
        exports=tuple(parser.exports),
        start=parser.start,
        elements=tuple(parser.elements),
        data_count=parser.data_count,
        bodies=tuple(parser.bodies),
        data=tuple(parser.data),
        customs=tuple(parser.customs),
    )


class _Parser:
    """Collector of facts, one section after the other."""

    def __init__(self, wasm: bytes) -> None:
        self.wasm = wasm
        self.types: list[FuncType] = []
        self.imports: list[Import] = []
        self.functions: list[int] = []
        self.defined = 0
        self.tables: list[Table] = []
        self.memories: list[Memory] = []
        self.globals: list[Global] = []
        self.exports: list[Export] = []
        self.start: int | None = None
        self.elements: list[ElementSegment] = []
        self.data_count: int | None = None
        self.bodies: list[tuple[int, int]] = []
        self.data: list[DataSegment] = []
        self.customs: list[CustomSection] = []

    def read(self, section: Section) -> None:
        reader = Reader(self.wasm, section.start, section.end)
        if section.id is Id.CUSTOM:
            name = reader.name()
            self.customs.append(CustomSection(name, reader.at, section.end))
            return
        _READ[section.id](self, reader)
        reader.finish()

    def check_counts(self) -> None:
        if self.defined and not self.bodies:
            raise malformed("function section has non-zero count but code section is absent", len(self.wasm))
        if self.defined != len(self.bodies):
            raise malformed("function and code section have inconsistent lengths", len(self.wasm))
        if self.data_count and not self.data:
            raise malformed("data count is non-zero but data section is absent", len(self.wasm))
        if self.data_count is not None and self.data_count != len(self.data):
            raise malformed("data count and data section have inconsistent lengths", len(self.wasm))

    def read_types(self, reader: Reader) -> None:
        known: dict[bytes, FuncType] = {}
        for _ in range(reader.count("types", _MILLION)):
            at = reader.at
            match = _FUNC_TYPE.match(self.wasm, at, reader.end)
            type_ = known.get(match[0]) if match else None
            if match and type_:
                reader.at = match.end()
            else:
                type_ = _func_type(reader)
                known[self.wasm[at : reader.at]] = type_
            self.types.append(type_)

    def read_imports(self, reader: Reader) -> None:
        for _ in range(reader.count("imports", _MILLION)):
            module, name, at = reader.name(), reader.name(), reader.at
            kind = _kind(reader)
            type_: FuncType | None = None
            if kind is Kind.FUNCTION:
                index = reader.u32()
                type_ = self._type(index, at)
                self.functions.append(index)
            elif kind is Kind.TABLE:
                self.tables.append(_table(reader, imported=True))
            elif kind is Kind.MEMORY:
                self.memories.append(_memory(reader, imported=True))
            elif kind is Kind.GLOBAL:
                self.globals.append(Global(_value_type(reader), _mutable(reader), imported=True))
            else:
                reader.byte()
                reader.u32()
            self.imports.append(Import(module, name, kind, type_))

    def _type(self, index: int, at: int) -> FuncType:
        if index >= len(self.types):
            raise malformed(f"unknown type {index}: type index out of bounds", at)
        return self.types[index]

    def read_functions(self, reader: Reader) -> None:
        self.defined = reader.count("functions", _MILLION)
        at, content = reader.at, self.wasm[reader.at : reader.end]
        if len(content) == self.defined and content.isascii():  # the usual case: every index is one byte
            indices = list(content)
            reader.skip(self.defined)
        else:
            indices = [reader.u32() for _ in range(self.defined)]
        if indices:
            self._type(max(indices), at)
        self.functions += indices

    def read_tables(self, reader: Reader) -> None:
        for _ in range(reader.count("tables", _TABLES_AND_MEMORIES)):
            self.tables.append(_table(reader))

    def read_memories(self, reader: Reader) -> None:
        for _ in range(reader.count("memories", _TABLES_AND_MEMORIES)):
            self.memories.append(_memory(reader))

    def read_tags(self, reader: Reader) -> None:
        raise malformed("exceptions proposal not enabled", reader.at)

    def read_globals(self, reader: Reader) -> None:
        for _ in range(reader.count("globals", _MILLION)):
            type_, mutable = _value_type(reader), _mutable(reader)
            value = _single(reader)
            self.globals.append(Global(type_, mutable, value.bits if value.plain else None))

    def read_exports(self, reader: Reader) -> None:
        sizes = {
            Kind.FUNCTION: len(self.functions),
            Kind.TABLE: len(self.tables),
            Kind.MEMORY: len(self.memories),
            Kind.GLOBAL: len(self.globals),
            Kind.TAG: 0,
        }
        for _ in range(reader.count("exports", _MILLION)):
            name, kind, at = reader.name(), _kind(reader), reader.at
            index = reader.u32()
            if index >= sizes[kind]:
                raise malformed(f"unknown {kind} {index}: exported {kind} index out of bounds", at)
            self.exports.append(Export(name, kind, index))

    def read_start(self, reader: Reader) -> None:
        at = reader.at
        self.start = reader.u32()
        if self.start >= len(self.functions):
            raise malformed(f"unknown function {self.start}: start function index out of bounds", at)

    def read_elements(self, reader: Reader) -> None:
        for _ in range(reader.count("element segments", _SEGMENTS)):
            self.elements.append(_element(reader))

    def read_data_count(self, reader: Reader) -> None:
        self.data_count = reader.u32()

    def read_code(self, reader: Reader) -> None:
        for _ in range(reader.count("functions", _MILLION)):
            size = reader.u32()
            start = reader.at
            reader.skip(size)
            self.bodies.append((start, reader.at))

    def read_data(self, reader: Reader) -> None:
        for _ in range(reader.count("data segments", _SEGMENTS)):
            at = reader.at
            flags = reader.u32()
            if flags > 2:
                raise malformed("invalid flags byte in data segment", at)
            memory = reader.u32() if flags == 2 else 0
            offset = None if flags == 1 else _init_expr(reader)
            size = reader.u32()
            start = reader.at
            reader.skip(size)
            self.data.append(DataSegment(memory, offset, start, reader.at))


_READ: dict[Id, Callable[[_Parser, Reader], None]] = {
    Id.TYPE: _Parser.read_types,
    Id.IMPORT: _Parser.read_imports,
    Id.FUNCTION: _Parser.read_functions,
    Id.TABLE: _Parser.read_tables,
    Id.MEMORY: _Parser.read_memories,
    Id.TAG: _Parser.read_tags,
    Id.GLOBAL: _Parser.read_globals,
    Id.EXPORT: _Parser.read_exports,
    Id.START: _Parser.read_start,
    Id.ELEMENT: _Parser.read_elements,
    Id.DATA_COUNT: _Parser.read_data_count,
    Id.CODE: _Parser.read_code,
    Id.DATA: _Parser.read_data,
}


def _func_type(reader: Reader) -> FuncType:
    at = reader.at
    if (form := reader.byte()) != 0x60:
        raise malformed(f"invalid leading byte (0x{form:x}) for type", at)
    params = _value_types(reader, "function params")
    return FuncType(params, _value_types(reader, "function returns"))


def _value_type(reader: Reader) -> str:
    at = reader.at
    letter = VALUE_TYPES.get(reader.byte())
    if letter is None:
        raise malformed("invalid value type", at)
    return letter


def _value_types(reader: Reader, what: str) -> str:
    return "".join([_value_type(reader) for _ in range(reader.count(what, _PARAMETERS))])


def _ref_type(reader: Reader) -> str:
    at = reader.at
    letter = _value_type(reader)
    if letter not in "rx":
        raise malformed("malformed reference type", at)
    return letter


def _kind(reader: Reader) -> Kind:
    at = reader.at
    byte = reader.byte()
    if byte >= len(KINDS):
        raise malformed(f"invalid leading byte (0x{byte:x}) for external kind", at)
    return KINDS[byte]


def _mutable(reader: Reader) -> bool:
    at = reader.at
    flag = reader.byte()
    if flag > 1:
        raise malformed("malformed mutability", at)
    return flag == 1


def _limits(reader: Reader, what: str) -> tuple[int, int | None, bool]:
    """Read (minimum, maximum, is64); shared memories and custom page sizes are off (SPECIFICATION 2.6)."""
    at = reader.at
    flags = reader.byte()
    if flags & ~0b101:
        raise malformed(f"invalid {what} limits flags", at)
    read = reader.u64 if flags & 4 else reader.u32
    minimum = read()
    return minimum, read() if flags & 1 else None, bool(flags & 4)


def _memory(reader: Reader, imported: bool = False) -> Memory:
    return Memory(*_limits(reader, "memory"), imported)


def _table(reader: Reader, imported: bool = False) -> Table:
    return Table(_ref_type(reader), *_limits(reader, "table"), imported)


def _init_expr(reader: Reader) -> InitExpr:
    """Read a constant expression up to its `end`. The engine checks its type."""
    first: tuple[str, int | None] | None = None
    plain = True
    while True:
        at = reader.at
        opcode = reader.byte()
        if opcode == 0x0B:
            break
        plain = first is None
        instruction = _constant(reader, opcode, at)
        first = first or instruction
    if first is None:
        return InitExpr("End", False, None)
    return InitExpr(first[0], plain, first[1] if plain else None)


def _single(reader: Reader) -> InitExpr:
    """Read a constant expression of one instruction: arithmetic in it (extended-const) is off (SPECIFICATION 2.6)."""
    at = reader.at
    expression = _init_expr(reader)
    if not expression.plain:
        raise malformed("constant expression required: non-constant operator", at)
    return expression


def _constant(reader: Reader, opcode: int, at: int) -> tuple[str, int | None]:
    """Read one instruction of a constant expression as (text, bits)."""
    match opcode:
        case 0x41:
            value = reader.s32()
            return f"I32Const {{ value: {value} }}", value & 0xFFFF_FFFF
        case 0x42:
            value = reader.s64()
            return f"I64Const {{ value: {value} }}", value & 0xFFFF_FFFF_FFFF_FFFF
        case 0x43 | 0x44:
            size = 4 if opcode == 0x43 else 8
            return f"F{size * 8}Const", int.from_bytes(reader.take(size), "little")
        case 0x23:
            return f"GlobalGet {{ global_index: {reader.u32()} }}", None
        case 0xD0:
            return f"RefNull {{ hty: {reader.s33()} }}", None
        case 0xD2:
            return f"RefFunc {{ function_index: {reader.u32()} }}", None
        case 0xFD if reader.u32() == 0x0C:
            return "V128Const", int.from_bytes(reader.take(16), "little")
        case 0x6A | 0x6B | 0x6C | 0x7C | 0x7D | 0x7E:
            return "arithmetic", None
    raise malformed("constant expression required: non-constant operator", at)


def _element(reader: Reader) -> ElementSegment:
    """Read one element segment; its references are only counted."""
    at = reader.at
    flags = reader.u32()
    if flags > 7:
        raise malformed("invalid flags byte in element segment", at)
    table, offset, mode = 0, None, "declarative" if flags & 2 else "passive"
    if not flags & 1:
        mode = "active"
        table = reader.u32() if flags & 2 else 0
        offset = _single(reader)
    type_ = "r"
    if flags & 3:
        if flags & 4:
            type_ = _ref_type(reader)
        elif reader.byte() != 0:
            raise malformed("only the function external type is supported in elem segment", reader.at - 1)
    count = reader.count("element segment items", _TABLE_ENTRIES)
    if flags & 4:
        _skip_references(reader, count)
    else:
        reader.skip_integers(count)
    return ElementSegment(mode, table, offset, type_, count)


def _skip_references(reader: Reader, count: int) -> None:
    """Skip `count` constant expressions, the usual kinds of them a thousand at a time."""
    while count:
        match = _REFERENCES.match(reader.data, reader.at, reader.end) if count >= _AT_ONCE else None
        if match:
            reader.at = match.end()
            count -= _AT_ONCE
        else:
            _single(reader)
            count -= 1
