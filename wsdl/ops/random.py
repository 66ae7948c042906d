"""Random numbers, which are functions of a seed, of the training step and of the place in the program.

`docs/decisions/0056-random-numbers.md` says how they were chosen.
"""

from __future__ import annotations

from math import pi
from typing import Any, ClassVar

from wsdl.ir.dims import Dim, product
from wsdl.ir.graph import Value
from wsdl.ir.types import DType, TensorType
from wsdl.ops._define import Rules
from wsdl.ops._errors import OpError
from wsdl.ops._hash import (
    UINT64,
    emit_positions,
    emit_random_bits,
    positions_from,
    random_bits,
    require_numbers,
    upper_bits,
)
from wsdl.ops._interfaces import Array, Emitter, NumPy, Ref, Stacks
from wsdl.ops._lowering import cast_to
from wsdl.ops.build import Build

RANDOM = "it is random, and depends on no float"
DIGITS: dict[DType, int] = {"f16": 11, "bf16": 8, "f32": 24, "f64": 53}  # of binary fractions below 1


# -- what programs call ------------------------------------------------------------------------------------------------


class _Random(Rules):
    """Base of the operations that programs call. Elaboration adds the step and the place."""

    shape: list[Dim]

    def expand(self, b: Build, seed: Value | None) -> Value:
        """As in a compiled model, in place 0."""
        zero = b("constant", value=0, dtype="i64")
        return self.drawn(b, seed or zero, zero, zero)

    def drawn(self, b: Build, seed: Value, step: Value, place: Value) -> Value:
        raise NotImplementedError

    def _sizes(self, seed: TensorType | None) -> list[Dim]:
        """The shape; `OpError` where it or the seed doesn't fit."""
        if seed is not None and (seed.dtype != "i64" or seed.rank):
            help = None if seed.rank or seed.is_float else "`cast(seed, i64)` converts it"
            raise OpError(f"`seed` must be i64[], but is {seed}", argument="seed", help=help)
        for size in map(Dim.of, self.shape):
            if size.constant is not None and size.constant < 0:
                raise OpError(f"a size can't be {size}", argument="shape", code="E0405")
        return self.shape


class _RandomFloats(_Random):
    """Base of those that return floats."""

    dtype: DType = "f32"

    numbers: ClassVar[str]  # the operation that computes them

    def infer(self, seed: TensorType | None = None) -> TensorType:
        if self.dtype not in DIGITS:
            raise OpError(f"random numbers are floats, and {self.dtype} is not", argument="dtype")
        return TensorType.of(self.dtype, self._sizes(seed))

    def drawn(self, b: Build, seed: Value, step: Value, place: Value) -> Value:
        return b(self.numbers, seed, step, place, shape=self.shape, dtype=self.dtype)


class RandomUniform(_RandomFloats, name="random_uniform", half="expanded", mixes={}, order=("shape", "seed", "dtype")):
    """Uniformly distributed values from 0 (included) to 1 (excluded). ONNX Mul, BitShift, BitwiseXor.

    The values are determined by the seed (i64), the training step and the place in the program, bit for bit on every
    machine. In a `train` the seed defaults to that of the run.

        random_uniform([n, 4], seed: i64[]) -> f32[n, 4]
    """

    numbers = "uniform_numbers"


class RandomNormal(_RandomFloats, name="random_normal", half="expanded", mixes={}, order=("shape", "seed", "dtype")):
    """Values of a normal distribution with mean 0 and standard deviation 1. ONNX Mul, BitShift, Log, Sqrt, Cos.

    The values are determined by the seed (i64), the training step and the place in the program. They are computed in
    f64 (Box and Muller 1958) and then rounded. In a `train` the seed defaults to that of the run.

        random_normal([n, 4], seed: i64[]) -> f32[n, 4]
    """

    numbers = "normal_numbers"


class RandomBernoulli(_Random, name="random_bernoulli", half="expanded", mixes={}, order=("p", "shape", "seed")):
    """True with probability `p`. ONNX Mul, BitShift, BitwiseXor, Less.

    The values are determined by the seed (i64), the training step and the place in the program. In a `train` the seed
    defaults to that of the run. If the probability is a tensor, write `random_uniform(…) < p`.

        random_bernoulli(0.3, [n, 4], seed: i64[]) -> bool[n, 4]
    """

    p: float

    def infer(self, seed: TensorType | None = None) -> TensorType:
        if not 0 <= self.p <= 1:
            raise OpError(f"`p` is a probability from 0 to 1, and can't be {self.p}", argument="p", code="E0414")
        return TensorType.of("bool", self._sizes(seed))

    def drawn(self, b: Build, seed: Value, step: Value, place: Value) -> Value:
        return b("less", b("uniform_numbers", seed, step, place, shape=self.shape), float(self.p))


# -- their parts -------------------------------------------------------------------------------------------------------


class _Numbers(Rules):
    """Base of random floats, each from 64 bits; the result has the axes of `place`, then `shape`.

    `start` is the position of the first element, by default 0; it differs for a part of the rows of a larger tensor.
    """

    shape: list[Dim]
    dtype: DType = "f32"

    def infer(
        self, seed: TensorType, step: TensorType, place: TensorType, start: TensorType | None = None
    ) -> TensorType:
        require_numbers(seed=seed, step=step, place=place, start=start)
        return TensorType.of(self.dtype, [*place.shape, *self.shape])

    def reference(self, np: NumPy, seed: Array, step: Array, place: Array, start: Array | None) -> Array:
        positions = positions_from(np, product(map(Dim.of, self.shape)).evaluate({}), start)
        bits = random_bits(np, seed, step, place, positions)
        return self.floats(np, bits).reshape([*np.shape(place), *self.shape])

    def lower(self, e: Emitter, seed: Ref, step: Ref, place: Ref, start: Ref | None) -> Ref:
        sizes = [Dim.of(d) for d in self.shape]
        positions = emit_positions(e, product(sizes), start)
        numbers = self.emit_floats(e, emit_random_bits(e, seed, step, place, positions))
        flat = numbers.typed(TensorType.of(self.dtype, [*place.type.shape, product(sizes)]))
        return e.reshape(flat, [*place.type.shape, *sizes])

    def floats(self, np: NumPy, bits: Array) -> Array:
        raise NotImplementedError

    def emit_floats(self, e: Emitter, bits: Ref) -> Ref:
        raise NotImplementedError

    def batch(self, stacks: Stacks, seed: Value, step: Value, place: Value, start: Value | None) -> Any:
        """The numbers of all places."""
        if any(number is not None and stacks.stack(number) is not None for number in (seed, step, start)):
            return None
        return stacks.build(self.name, seed, step, stacks.stack(place), start, shape=self.shape, dtype=self.dtype)


class UniformNumbers(
    _Numbers,
    name="uniform_numbers",
    internal=True,
    half="makes",
    mixes={},  # a part of the rows has its `start`
    random=True,
    no_gradient=RANDOM,
    integer_operands=["seed", "step", "place"],
):
    """Floats from 0 (included) to 1 (excluded), from as many upper bits as the dtype holds. ONNX Mul, BitShift."""

    def floats(self, np: NumPy, bits: Array) -> Array:
        digits = DIGITS[self.dtype]
        return (bits >> np.uint64(64 - digits)).astype(np.float64) * 2.0**-digits

    def emit_floats(self, e: Emitter, bits: Ref) -> Ref:
        digits = DIGITS[self.dtype]
        upper: DType = "f32" if self.dtype in ("f16", "bf16") else self.dtype
        return cast_to(e, _fraction(e, upper_bits(e, bits, digits), digits, upper), self.dtype)


class NormalNumbers(
    _Numbers,
    name="normal_numbers",
    internal=True,
    half="makes",
    mixes={},
    random=True,
    no_gradient=RANDOM,
    integer_operands=["seed", "step", "place"],
):
    """Floats with a normal distribution, by the method of Box and Muller (1958). ONNX Mul, BitShift, Log, Sqrt, Cos.

    The upper 32 bits determine the radius, all bits the angle. Both are computed in f64, so that rounding removes the
    last bits of `Log` and `Cos`, in which runtimes differ.
    """

    def floats(self, np: NumPy, bits: Array) -> Array:
        upper = bits >> np.uint64(32)
        lower = (bits ^ upper) & np.uint64(2**32 - 1)
        radius = np.sqrt(np.log((upper.astype(np.float64) + 0.5) * 2.0**-32) * -2.0)
        return radius * np.cos(lower.astype(np.float64) * 2.0**-32 * (2 * pi))

    def emit_floats(self, e: Emitter, bits: Ref) -> Ref:
        upper, wide = upper_bits(e, bits, 32), e.node("Cast", bits, to=UINT64)
        mixed = e.node("BitwiseXor", wide, upper)
        lower = e.node("BitwiseAnd", mixed, e.node("Cast", e.constant(2**32 - 1, "i64"), to=UINT64))
        middle = e.node("Add", cast_to(e, upper, "f64"), e.constant(0.5, "f64"))
        log = e.node("Log", e.node("Mul", middle, e.constant(2.0**-32, "f64")))
        radius = e.node("Sqrt", e.node("Mul", log, e.constant(-2.0, "f64")))
        angle = e.node("Mul", _fraction(e, lower, 32, "f64"), e.constant(2 * pi, "f64"))
        return cast_to(e, e.node("Mul", radius, e.node("Cos", angle)), self.dtype)


def _fraction(e: Emitter, bits: Ref, digits: int, dtype: DType) -> Ref:
    """Binary fractions below 1 from their digits, u64."""
    return e.node("Mul", cast_to(e, bits, dtype), e.constant(2.0**-digits, dtype))
