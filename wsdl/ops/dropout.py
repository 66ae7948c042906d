"""Dropout, and its mask: random numbers that are a function of seed, step and position.

The method is that of `docs/decisions/0022-dropout.md`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from wsdl.ir.dims import Dim, product
from wsdl.ir.graph import Value
from wsdl.ir.types import DType, TensorType
from wsdl.ops._define import Rules
from wsdl.ops._errors import OpError
from wsdl.ops._hash import (
    emit_positions,
    emit_random_bits,
    positions_from,
    random_bits,
    require_numbers,
    upper_bits,
)
from wsdl.ops._interfaces import Array, Emitter, NumPy, Ref, Stacks
from wsdl.ops._lowering import cast_to
from wsdl.ops._rules import axes_of, boolean, broadcast, floating
from wsdl.ops.build import Build


class Dropout(Rules, name="dropout", half="expanded", mixes={}, training="masked"):
    """In training each element is 0 with probability `p`, otherwise `x / (1 - p)`. In inference it is `x`.

    With `axis` all elements at one index of these axes are 0 together: with 0 whole rows, with `[0, 1]` whole channels.
    A compiled model has no ONNX node for it.

        dropout(x: f32[n, t], p=0.3) -> f32[n, t]
    """

    p: float = 0.5
    axis: int | list[int] | None = None

    def infer(self, x: TensorType) -> TensorType:
        _probability(self.p)
        axes_of(self.axis, x.rank)
        return floating(x)

    def expand(self, b: Build, x: Value) -> Value:
        """As in compiled models; training steps have `random_mask` and `dropout_training` instead."""
        return x


def _probability(p: float) -> None:
    if not 0 <= p < 1:
        what = f"`p` is a probability from 0 up to, but not including, 1, and can't be {p}"
        raise OpError(what, argument="p", code="E0414")


# -- the mask ----------------------------------------------------------------------------------------------------------


class RandomMask(
    Rules,
    name="random_mask",
    internal=True,
    half="as is",
    mixes={},  # a part of the rows has its `start`
    random=True,
    no_gradient="it is random, and depends on no float",
    integer_operands=["seed", "step", "place"],
):
    """False with the probability `p`, the same for the same three numbers (i64). ONNX Mul, BitShift, BitwiseXor.

    Half of the axes are rows and the others columns; each row and each column has a random odd number, and where the
    product of both, modulo 2**32, is large the mask is true. So few numbers have to be hashed, and any two elements are
    independent. Where `place` has axes there is a mask for each of its elements: [*place, *shape].

    A part of a larger mask begins at row `start` of `rows`.
    """

    shape: list[Dim]
    p: float = 0.5

    def infer(
        self,
        seed: TensorType,
        step: TensorType,
        place: TensorType,
        start: TensorType | None = None,
        rows: TensorType | None = None,
    ) -> TensorType:
        require_numbers(seed=seed, step=step, place=place, start=start, rows=rows)
        _probability(self.p)
        return TensorType.of("bool", [*place.shape, *self.shape])

    def reference(
        self, np: NumPy, seed: Array, step: Array, place: Array, start: Array | None, rows: Array | None
    ) -> Array:
        count, columns = (product(half).evaluate({}) for half in halves(self.shape))
        starts = [start, count if rows is None else rows]
        positions = [positions_from(np, n, first) for n, first in zip([count, columns], starts, strict=True)]
        bits = random_bits(np, seed, step, place, np.concatenate(positions))
        odd = (bits >> np.uint64(32)).astype(np.uint32) | np.uint32(1)
        products = odd[..., :count, None] * odd[..., None, count:]
        return (products.astype(np.int32) >= _threshold(self.p)).reshape([*np.shape(place), *self.shape])

    def lower(self, e: Emitter, seed: Ref, step: Ref, place: Ref, start: Ref | None, rows: Ref | None) -> Ref:
        """Products as i32, which all runtimes have and let overflow."""
        row_axes, column_axes = halves(self.shape)
        counts = [product(row_axes), product(column_axes)]
        places, outer = place.type.shape, place.type.rank
        if start is None:
            positions = emit_positions(e, counts[0] + counts[1])
        else:
            parts = [emit_positions(e, count, first) for count, first in zip(counts, [start, rows], strict=True)]
            positions = e.node("Concat", *parts, axis=0)
        bits = emit_random_bits(e, seed, step, place, positions)
        upper = cast_to(e, upper_bits(e, bits, 32), "i32")
        odd = e.node("BitwiseOr", upper, e.constant(1, "i32"))
        sides = e.nodes("Split", odd, e.dims(counts), outputs=2, axis=outer)
        left, right = (
            half.typed(TensorType.of("i32", [*places, count])) for half, count in zip(sides, counts, strict=True)
        )
        one_row, one_column = [Dim.of(1)] * len(row_axes), [Dim.of(1)] * len(column_axes)
        products = e.node(
            "Mul",
            e.reshape(left, [*places, *row_axes, *one_column]),
            e.reshape(right, [*places, *one_row, *column_axes]),
        )
        return e.node("GreaterOrEqual", products, e.constant(_threshold(self.p), "i32"))

    def batch(
        self, stacks: Stacks, seed: Value, step: Value, place: Value, start: Value | None, rows: Value | None
    ) -> Any:
        """The masks of all places."""
        if any(number is not None and stacks.stack(number) is not None for number in (seed, step, start, rows)):
            return None
        return stacks.build("random_mask", seed, step, stacks.stack(place), start, rows, shape=self.shape, p=self.p)


def halves(shape: Iterable[Dim | int]) -> tuple[list[Dim], list[Dim]]:
    """The axes of rows and of columns of a mask, chosen so that there are about as many of both and few numbers have to
    be hashed."""
    sizes = [Dim.of(size) for size in shape]
    half = (len(sizes) + 1) // 2
    return sizes[:half], sizes[half:]


def _threshold(p: float) -> int:
    """The number that a uniformly distributed i32 is below with the probability `p`."""
    return min(round(p * 2**32), 2**32 - 1) - 2**31


# -- what it is applied to ---------------------------------------------------------------------------------------------


class _Dropped(Rules):
    """Base of `x / (1 - p)` where `keep` is true, 0 elsewhere."""

    p: float = 0.5

    opposite: ClassVar[str]  # the operation of the other direction, forward or backward

    def infer(self, x: TensorType, keep: TensorType) -> TensorType:
        _probability(self.p)
        broadcast(floating(x).shape, boolean(keep, "keep").shape, argument="keep")
        return x

    def reference(self, np: NumPy, x: Array, keep: Array) -> Array:
        return x * (keep / (1 - self.p)).astype(x.dtype)

    def gradient(self, g: Build, dy: Value, y: Value, x: Value, keep: Value) -> dict[str, Value]:
        return {"x": g(self.opposite, dy, keep, p=self.p)}

    def batch(self, stacks: Stacks, x: Value, keep: Value) -> Any:
        """Where `x` has a stack: otherwise it would grow by the masks of all steps."""
        if stacks.stack(x) is None:
            return None
        rank = max(x.type.rank, keep.type.rank)
        return stacks.build(self.name, stacks.aligned(x, rank), stacks.aligned(keep, rank), p=self.p)


class DropoutTraining(
    _Dropped, name="dropout_training", internal=True, half="f32", mixes={}, at_inference="its operand"
):
    """`x / (1 - p)` where `keep` is true, 0 elsewhere: `dropout` while training. ONNX Mul, DequantizeLinear."""

    opposite = "dropout_gradient"

    def lower(self, e: Emitter, x: Ref, keep: Ref) -> Ref:
        return e.node("Mul", x, _factors(e, keep, self.p, x.type.dtype))


class DropoutGradient(_Dropped, name="dropout_gradient", internal=True, half="f32", mixes={}):
    """The gradient of `dropout_training`, where `x` is the gradient of its result. ONNX Mul, DequantizeLinear.

    The same factors by other nodes, so that the runtime doesn't merge them with those of the forward direction: between
    both it then keeps a byte for each element, not a float.
    """

    opposite = "dropout_training"

    def lower(self, e: Emitter, x: Ref, keep: Ref) -> Ref:
        return e.node("Mul", x, _factors(e, keep, self.p, x.type.dtype, e.constant(0, "u8")))


def _factors(e: Emitter, keep: Ref, p: float, dtype: DType, zero: Ref | None = None) -> Ref:
    """`1 / (1 - p)` where `keep` is true, 0 elsewhere: in f32 as bytes with a scale, which takes one pass less. `zero`
    is the zero point 0, which is the default anyway."""
    if dtype == "f32":
        return e.node("DequantizeLinear", cast_to(e, keep, "u8"), e.constant(1 / (1 - p), "f32"), zero)
    return e.node("Mul", cast_to(e, keep, dtype), e.constant(1 / (1 - p), dtype))
