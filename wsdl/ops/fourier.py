"""The Fourier transform of frames in two steps of matrix products (Cooley and Tukey 1965).

With n = n1 * n2 elements, at `n2 * a + b`, and frequencies `c + n1 * d`: n2 transforms of n1 elements each, over a,
then for each c one of n2 elements, over b, whose waves include the turn by `b * c / n`. So about n * (n1 + n2)
multiplications take the place of n * n.
"""

from __future__ import annotations

from math import cos, isqrt, pi, sin

from wsdl.ir.graph import Value
from wsdl.ir.types import DType, TensorType
from wsdl.ops._define import Rules
from wsdl.ops._interfaces import Array, Emitter, NumPy, Ref
from wsdl.ops._lowering import cast_to, unsqueezed
from wsdl.ops.build import Build
from wsdl.ops.unfold import pieces_of

FEW_TIMES = 10  # as many multiplications of a convolution take the time of one of these products, which move more


def factors(n: int) -> tuple[int, int]:
    """The two that are nearest to each other, the smaller first."""
    first = next(d for d in range(isqrt(n), 0, -1) if n % d == 0)
    return first, n // first


def is_worth_it(n_fft: int, hop: int) -> bool:
    """Are these products faster than the convolution with all waves? Measured in docs/decisions/0065-spectra.md."""
    return n_fft > FEW_TIMES * sum(factors(n_fft)) and pieces_of(n_fft, hop) is not None


class FourierStep(
    Rules,
    name="fourier_step",
    internal=True,
    half="makes",
    mixes={"result": slice(None)},
    steps_along=None,
    no_gradient="it depends on no tensor",
):
    """The matrices of one of the two steps: the first [2 * n1, n1], the second [n1, 2 * n2, 2 * (n2 // 2 + 1)].

    Real parts come before imaginary ones, along both axes. ONNX Range, Mod and Gather of tables of one period.
    """

    n_fft: int
    step: int
    dtype: DType = "f32"

    def infer(self) -> TensorType:
        first, second = factors(self.n_fft)
        return TensorType.of(
            self.dtype, [2 * first, first] if self.step == 1 else [first, 2 * second, 2 * half(second)]
        )

    def reference(self, np: NumPy) -> Array:
        first, second = factors(self.n_fft)
        c = np.arange(first)
        if self.step == 1:
            angles = -2 * np.pi / first * (c[:, None] * c % first)
            return np.concatenate([np.cos(angles), np.sin(angles)])
        frequencies = c[:, None, None] + first * np.arange(half(second))
        angles = -2 * np.pi / self.n_fft * (np.arange(second)[:, None] * frequencies % self.n_fft)
        re, im = np.cos(angles), np.sin(angles)
        return np.concatenate([np.concatenate([re, im], 2), np.concatenate([-im, re], 2)], 1)

    def lower(self, e: Emitter) -> Ref:
        first, second = factors(self.n_fft)
        n = self.n_fft

        def numbers(count: int) -> Ref:
            return e.node("Range", e.constant(0, "i64"), e.constant(count, "i64"), e.constant(1, "i64"))

        def waves(elements: Ref, frequencies: Ref) -> tuple[Ref, Ref]:
            at = e.node("Mod", e.node("Mul", elements, frequencies), e.constant(n, "i64"))
            angles = [2 * pi * i / n for i in range(n)]
            tables = ([cos(a) for a in angles], [-sin(a) for a in angles])
            re, im = (e.node("Gather", e.constant(table, "f32"), at) for table in tables)
            return re, im

        if self.step == 1:
            every = e.node("Mul", numbers(first), e.constant(second, "i64"))
            matrices = e.node("Concat", *waves(every, unsqueezed(e, numbers(first), 1)), axis=0)
        else:
            multiples = e.node("Mul", numbers(half(second)), e.constant(first, "i64"))
            frequencies = e.node("Add", unsqueezed(e, numbers(first), 1, 2), multiples)
            elements = unsqueezed(e, numbers(second), 1)
            re, im = waves(elements, frequencies)
            rows = [e.node("Concat", *pair, axis=2) for pair in ((re, im), (e.node("Neg", im), re))]
            matrices = e.node("Concat", *rows, axis=1)
        return matrices if self.dtype == "f32" else cast_to(e, matrices, self.dtype)


def half(n: int) -> int:
    """How many frequencies of n real elements aren't those of others, conjugated."""
    return n // 2 + 1


def transformed(b: Build, frames: Value) -> Value:
    """The spectra of frames [rows, frames, n_fft]: [rows, 2 * (n_fft // 2 + 1), frames], real, then imaginary parts."""
    rows, count, size = frames.type.shape
    n_fft = size.evaluate({})
    first, second = factors(n_fft)
    each = b("reshape", frames, shape=[rows * count, first, second])
    turned = b("matmul", b("fourier_step", n_fft=n_fft, step=1, dtype=frames.type.dtype), each)
    apart = b("permute", b("reshape", turned, shape=[rows * count, 2, first, second]), axes=[2, 0, 1, 3])
    by_frequency = b("reshape", apart, shape=[first, rows * count, 2 * second])
    spectra = b("matmul", by_frequency, b("fourier_step", n_fft=n_fft, step=2, dtype=frames.type.dtype))
    parts = b("reshape", spectra, shape=[first, rows, count, 2, half(second)])
    ordered = b("permute", parts, axes=[1, 3, 4, 0, 2])
    whole = b("reshape", ordered, shape=[rows, 2, half(second) * first, count])
    kept = b("slice", whole, starts=[0], stops=[half(n_fft)], axes=[2])
    return b("reshape", kept, shape=[rows, 2 * half(n_fft), count])


def transformed_back(b: Build, spectra: Value, n_fft: int) -> Value:
    """Its transpose: the frames [rows, frames, n_fft] of spectra [rows, 2, n_fft // 2 + 1, frames]."""
    rows, _, bins, count = spectra.type.shape
    first, second = factors(n_fft)
    more = half(second) * first - bins
    whole = b("pad", spectra, widths=[[0, 0], [0, 0], [0, more], [0, 0]])
    parts = b("permute", b("reshape", whole, shape=[rows, 2, half(second), first, count]), axes=[3, 0, 4, 1, 2])
    by_frequency = b("reshape", parts, shape=[first, rows * count, 2 * half(second)])
    later = b("permute", b("fourier_step", n_fft=n_fft, step=2, dtype=spectra.type.dtype), axes=[0, 2, 1])
    apart = b("reshape", b("matmul", by_frequency, later), shape=[first, rows * count, 2, second])
    turned = b("reshape", b("permute", apart, axes=[1, 2, 0, 3]), shape=[rows * count, 2 * first, second])
    earlier = b("permute", b("fourier_step", n_fft=n_fft, step=1, dtype=spectra.type.dtype), axes=[1, 0])
    return b("reshape", b("matmul", earlier, turned), shape=[rows, count, n_fft])
