"""The weights of instructions in the platform's count of instructions, as one table.

Source of every row: `dfinity/ic` `rs/embedders/src/wasm_utils/instrumentation.rs`, `instruction_to_cost`. Not in the
table: instructions of weight 1, and those that no module may contain (`instructions.REFUSED`).
"""

from __future__ import annotations

from typing import Final

_MEMORY: Final = tuple(range(0x28, 0x3F))  # loads and stores
_PLAIN: Final[tuple[tuple[int, tuple[int | range, ...]], ...]] = (
    (0, (0x02, 0x03, 0x05, 0x0B)),  # block loop else end
    (2, (0x04, 0x0C, 0x0D, 0x0E, 0x23, 0x24)),  # if br br_if br_table global.get global.set
    (2, (range(0x8D, 0x91), range(0x92, 0x95), 0x98)),  # f32 ceil floor trunc nearest add sub mul copysign
    (2, (range(0x9B, 0x9F), range(0xA0, 0xA3))),  # f64 ceil floor trunc nearest add sub mul
    (3, (0x12, range(0x5B, 0x67), 0x95, 0xA6)),  # return_call, float comparisons, f32.div, f64.copysign
    (3, (0xB2, 0xB4, 0xB7, 0xB9)),  # float from signed integer
    (5, (0x10, 0x25, 0x91, 0xA3, 0xD1)),  # call table.get f32.sqrt f64.div ref.is_null
    (8, (0x9F,)),  # f64.sqrt
    (10, (0x11, range(0x6D, 0x71), range(0x7F, 0x83))),  # call_indirect, divisions and remainders
    (16, (0xB3, 0xB5, 0xB8, 0xBA)),  # float from unsigned integer
    (18, (0x96, 0x97, 0xA4, 0xA5)),  # float min max
    (20, (0x3F, range(0xA8, 0xAC), range(0xAE, 0xB2))),  # memory.size, float to integer
    (60, (0x13,)),  # return_call_indirect
    (130, (0xD2,)),  # ref.func
    (300, (0x40,)),  # memory.grow
)
_BULK: Final[tuple[tuple[int, tuple[int | range, ...]], ...]] = (  # after 0xFC
    (20, (range(0x08),)),  # saturating truncations
    (100, (0x08, 0x0A, 0x0B, 0x10)),  # memory.init memory.copy memory.fill table.size
    (300, (0x09, 0x0D)),  # data.drop elem.drop
)
_SIMD_MEMORY: Final = (*range(0x0C), *range(0x54, 0x5E))
_SIMD: Final[tuple[tuple[int, tuple[int | range, ...]], ...]] = (  # after 0xFD
    (2, (0x26, 0x28, 0x30, 0x32, 0x3A, 0x3C)),  # lt_u gt_u of i8x16 i16x8 i32x4
    (2, (range(0x67, 0x6B), 0x74, 0x75, 0x7A, 0x94)),  # f32x4 and f64x2 ceil floor trunc nearest
    (2, (0x6D, range(0x8B, 0x8E), range(0xAB, 0xAE), 0xCB, 0xCD)),  # shifts
    (2, (0x7D, 0x9D, 0x9F, 0xB5, range(0xBC, 0xC0))),  # i16x8.extadd_pairwise_u, extmul, i32x4.mul
    (2, (0xE0, 0xE1, range(0xE4, 0xE7), 0xEC, 0xED, range(0xF0, 0xF3))),  # f32x4 and f64x2 abs neg add sub mul
    (2, (0xF8, 0xFC)),  # i32x4.trunc_sat_f32x4_s i32x4.trunc_sat_f64x2_s_zero
    (3, (0x0D, 0x62, 0x6B, 0x6C, 0xCC)),  # i8x16 shuffle popcnt shl shr_s, i64x2.shr_s
    (3, (0x7F, 0xFD)),  # i32x4.extadd_pairwise_i16x8_u i32x4.trunc_sat_f64x2_u_zero
    (4, (0xD5, 0xE8, 0xE9, 0xF4, 0xF9, 0xFB)),  # i64x2.mul, f32x4 min max, f64x2.min, unsigned f32x4 to and from i32x4
    (5, (0xE3, 0xF5)),  # f32x4.sqrt f64x2.max
    (10, (0xE7,)),  # f32x4.div
    (12, (0xF3,)),  # f64x2.div
    (14, (0xEF,)),  # f64x2.sqrt
)


def instruction_weights(is64: bool) -> dict[tuple[int, int], int]:
    """Return (opcode, opcode after a prefix or 0) → weight, of those that do not weigh 1; `is64`: memory 0 is 64-bit.

    Accesses of linear memory weigh 2 there, also those of SIMD.
    """
    weights: dict[tuple[int, int], int] = {}
    for prefix, table in ((0, _PLAIN), (0xFC, _BULK), (0xFD, _SIMD)):
        for weight, members in table:
            for member in members:
                for opcode in (member,) if isinstance(member, int) else member:
                    weights[(prefix, opcode) if prefix else (opcode, 0)] = weight
    if is64:
        weights |= {(opcode, 0): 2 for opcode in _MEMORY} | {(0xFD, opcode): 2 for opcode in _SIMD_MEMORY}
    return weights
