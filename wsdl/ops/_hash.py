"""Random bits that are a function of a seed, a step, a place in the program and a position, not of a state.

ONNX's own random operators keep a state for each session, so a run can't be resumed in the middle, nor repeated on
another machine. Here the bits are a hash of these four numbers, which consists of integer operators that give the same
bits in every build of ONNX Runtime. `docs/decisions/0022-dropout.md` says how it was chosen.
"""

from __future__ import annotations

from wsdl.ir.dims import Dim
from wsdl.ir.types import TensorType
from wsdl.ops._errors import OpError
from wsdl.ops._interfaces import Array, Emitter, NumPy, Ref
from wsdl.ops._lowering import cast_to, size_of, unsqueezed

# Successive seeds, steps and positions land far from each other: two multipliers with a good spectrum (Steele and Vigna
# 2021), and the golden ratio. Then each bit is mixed into the upper ones, with the multipliers of SplitMix64 (Steele,
# Lea and Flood 2014).
OF_SEED, OF_STEP, OF_POSITION = 0xD1342543DE82EF95, 0xDABA0B6EB09322E3, 0x9E3779B97F4A7C15
MIXING = ((32, 0xBF58476D1CE4E5B9), (29, 0x94D049BB133111EB))
UINT64 = 13  # TensorProto.UINT64: the dtype that ONNX shifts, which the language doesn't have


def require_numbers(**numbers: TensorType | None) -> None:
    """Raises `OpError` unless they are what random bits are made of: scalars, but for `place`."""
    for argument, number in numbers.items():
        if number is not None and (number.dtype != "i64" or (number.rank and argument != "place")):
            raise OpError(f"`{argument}` must be i64[], but is {number}", argument=argument)


def positions_from(np: NumPy, count: int, start: Array | None = None) -> Array:
    """`count` positions from `start` (0) on, u64[count]."""
    return np.arange(count, dtype=np.uint64) + np.uint64(0 if start is None else start)


def random_bits(np: NumPy, seed: Array, step: Array, place: Array, positions: Array) -> Array:
    """For each element of `place` numbers of 64 random bits, u64[*place, positions]; the upper bits are the better
    mixed."""
    seed, step, place = (np.asarray(number).astype(np.uint64)[..., None] for number in (seed, step, place))
    bits = seed * np.uint64(OF_SEED) + step * np.uint64(OF_STEP) + place + positions * np.uint64(OF_POSITION)
    for shift, factor in MIXING:
        bits = (bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)
    return bits


def emit_positions(e: Emitter, count: Dim, start: Ref | None = None) -> Ref:
    """The same as ONNX nodes, i64[count]. ONNX Range."""
    zero, one = e.constant(0, "i64"), e.constant(1, "i64")
    positions = e.node("Range", zero, size_of(e, count), one)
    return positions if start is None else e.node("Add", positions, start)


def emit_random_bits(e: Emitter, seed: Ref, step: Ref, place: Ref, positions: Ref) -> Ref:
    """The same as ONNX nodes, i64[*place, positions]. ONNX Mul, BitShift, BitwiseXor.

    Products are i64, which all runtimes have and let overflow; shifts are u64.
    """
    outer = place.type.rank
    whole = e.node("Add", e.node("Mul", seed, _factor(e, OF_SEED)), e.node("Mul", step, _factor(e, OF_STEP)))
    whole = e.node("Add", whole, unsqueezed(e, place, outer) if outer else place)
    bits = e.node("Add", e.node("Mul", positions, _factor(e, OF_POSITION)), whole)
    for shift, factor in MIXING:
        unsigned = e.node("Cast", bits, to=UINT64)
        mixed = e.node("BitwiseXor", unsigned, shifted(e, unsigned, shift))
        bits = e.node("Mul", cast_to(e, mixed, "i64"), _factor(e, factor))
    return bits


def upper_bits(e: Emitter, bits: Ref, count: int) -> Ref:
    """The upper `count` bits of each number of 64, as u64."""
    return shifted(e, e.node("Cast", bits, to=UINT64), 64 - count)


def shifted(e: Emitter, bits: Ref, by: int) -> Ref:
    """Numbers of u64 shifted to the right."""
    return e.node("BitShift", bits, e.node("Cast", e.constant(by, "i64"), to=UINT64), direction="RIGHT")


def _factor(e: Emitter, unsigned: int) -> Ref:
    """The i64 that has these bits."""
    return e.constant(unsigned - 2**64 if unsigned >= 2**63 else unsigned, "i64")
