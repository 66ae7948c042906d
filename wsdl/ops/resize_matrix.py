"""Resizing along one axis as a product with a matrix."""

from __future__ import annotations

from collections.abc import Sequence

from wsdl.ir.dims import Dim, product, same
from wsdl.ir.graph import Value
from wsdl.ir.types import DType, TensorType
from wsdl.ops._define import Rules
from wsdl.ops._interfaces import Array, Emitter, NumPy, Ref
from wsdl.ops._lowering import axes_tensor, cast_to, size_of, unsqueezed
from wsdl.ops.build import Build

CUBIC, CUBIC_ANTIALIASED = -0.75, -0.5  # the slope of the cubic kernel at distance 1, as in PyTorch


class ResizeMatrix(
    Rules,
    name="resize_matrix",
    internal=True,
    half="makes",
    mixes={"result": slice(None)},
    steps_along=None,
    no_gradient="it depends on no tensor",
):
    """What each of `old` elements contributes to each of `new` ones, [old, new]. ONNX Range and elementwise operators.

    For the modes that ONNX Resize doesn't have as PyTorch does: `area`, and `linear` and `cubic` with antialiasing.
    """

    old: Dim
    new: Dim
    mode: str
    scale: float | None = None
    dtype: DType = "f32"

    def infer(self) -> TensorType:
        return TensorType.of(self.dtype, [self.old, self.new])

    def reference(self, np: NumPy) -> Array:
        old, new = (Dim.of(size).evaluate({}) for size in (self.old, self.new))
        return resize_matrix(np, self.mode, old, new, self.scale, antialias=True)

    def lower(self, e: Emitter) -> Ref:
        return emitted_matrix(e, self.mode, Dim.of(self.old), Dim.of(self.new), self.scale, self.dtype)


Steps = Sequence[float | None]  # for each spatial axis the scale by which positions are computed; `None`: by the sizes


def changed(x: TensorType, y: TensorType, steps: Steps) -> list[int]:
    """The axes along which a resized `y` isn't `x`."""
    pairs = zip(range(2, x.rank), x.shape[2:], y.shape[2:], steps, strict=True)
    return [axis for axis, old, new, step in pairs if step not in (None, 1) or not same(old, new)]


def multiplications(x: TensorType, y: TensorType, steps: Steps) -> Dim:
    """Those of the products of these axes with their matrices, one after the other."""
    total, now = Dim.of(0), x
    for axis in changed(x, y, steps):
        total += now.elements * y.shape[axis]
        now = now.with_dim(axis, y.shape[axis])
    return total


def multiplied(e: Emitter, x: Ref, matrix: Ref, axis: int, new: Dim) -> Ref:
    """The product of an axis of `x` with a matrix [old, new]."""
    shape = list(x.type.shape)
    result = x.type.with_dim(axis, new)
    if axis == x.type.rank - 1:
        return e.node("MatMul", x, matrix).typed(result)
    behind = e.reshape(x, [*shape[: axis + 1], product(shape[axis + 1 :])])
    y = e.node("MatMul", e.node("Transpose", matrix, perm=[1, 0]), behind)
    return e.reshape(y.typed(x.type.with_shape([*shape[:axis], new, product(shape[axis + 1 :])])), result.shape).typed(
        result
    )


def spread_back(g: Build, dy: Value, matrix: Value, axis: int) -> Value:
    """The gradient of such a product: that of an axis of size new with the matrix transposed."""
    shape = dy.type.shape
    if axis == dy.type.rank - 1:
        return g("matmul", dy, g("transpose", matrix))
    behind = g("reshape", dy, shape=[*shape[: axis + 1], product(shape[axis + 1 :])])
    return g("reshape", g("matmul", matrix, behind), shape=[*shape[:axis], matrix.type.shape[0], *shape[axis + 1 :]])


def resize_matrix(
    np: NumPy,
    mode: str,
    old: int,
    new: int,
    scale: float | None,
    *,
    align_corners: bool = False,
    antialias: bool = False,
) -> Array:
    """The matrix of a mode of `resize`, [old, new], by PyTorch's formulas."""
    step = old / max(new, 1) if scale is None else 1 / scale
    targets, sources = np.arange(new), np.arange(old)
    if mode == "area":
        starts, stops = targets * old // max(new, 1), -(-(targets + 1) * old // max(new, 1))
        inside = (sources[:, None] >= starts) & (sources[:, None] < stops)
        return inside / (stops - starts)
    if mode.startswith("nearest"):
        places = (targets + (0.5 if mode == "nearest-exact" else 0)) * step
        return _spread(np, old, [(np.floor(places), np.ones(new))])
    if antialias:
        far = np.abs((sources[:, None] + 0.5 - (targets + 0.5) * step) / max(step, 1))
        shares = np.maximum(1 - far, 0) if mode == "linear" else _cubic(np, far, CUBIC_ANTIALIASED)
        return shares / shares.sum(0, keepdims=True)
    places = targets * ((old - 1) / max(new - 1, 1)) if align_corners else (targets + 0.5) * step - 0.5
    if mode == "linear":
        places = np.clip(places, 0, old - 1)
    low = np.floor(places)
    offsets = (0, 1) if mode == "linear" else (-1, 0, 1, 2)
    far = [np.abs(places - low - offset) for offset in offsets]
    shares = [1 - f if mode == "linear" else _cubic(np, f, CUBIC) for f in far]
    return _spread(np, old, [(low + offset, share) for offset, share in zip(offsets, shares, strict=True)])


def _spread(np: NumPy, old: int, parts: list[tuple[Array, Array]]) -> Array:
    """The matrix with shares of each target at its source, or at the nearest one that exists."""
    new = len(parts[0][0])
    matrix = np.zeros((old, new))
    for sources, shares in parts:
        np.add.at(matrix, (np.clip(sources, 0, old - 1).astype(int), np.arange(new)), shares)
    return matrix


def _cubic(np: NumPy, far: Array, slope: float) -> Array:
    """Keys (1981), "Cubic convolution interpolation for digital image processing"."""
    near = ((slope + 2) * far - (slope + 3)) * far**2 + 1
    away = slope * (((far - 5) * far + 8) * far - 4)
    return np.where(far < 1, near, np.where(far < 2, away, 0))


def emitted_matrix(e: Emitter, mode: str, old: Dim, new: Dim, scale: float | None, dtype: DType) -> Ref:
    """The same as ONNX nodes, for `area` and the antialiased modes; positions are computed in f64."""
    count, targets = size_of(e, new), _range(e, new)
    sources = unsqueezed(e, _range(e, old), 1)
    one = e.constant(1, "i64")
    if mode == "area":
        starts = e.node("Div", e.node("Mul", targets, size_of(e, old)), count)
        ends = e.node("Mul", e.node("Add", targets, one), size_of(e, old))
        stops = e.node("Div", e.node("Add", ends, e.node("Sub", count, one)), count)
        inside = e.node("And", e.node("GreaterOrEqual", sources, starts), e.node("Less", sources, stops))
        return e.node("Div", cast_to(e, inside, dtype), cast_to(e, e.node("Sub", stops, starts), dtype))

    def number(value: float) -> Ref:
        return e.constant(value, "f64")

    step = number(1 / scale) if scale else e.node("Div", cast_to(e, size_of(e, old), "f64"), cast_to(e, count, "f64"))
    centers = [e.node("Add", cast_to(e, places, "f64"), number(0.5)) for places in (sources, targets)]
    apart = e.node("Sub", centers[0], e.node("Mul", centers[1], step))
    far = e.node("Abs", e.node("Div", apart, e.node("Max", step, number(1))))
    if mode == "linear":
        shares = e.node("Max", e.node("Sub", number(1), far), number(0))
    else:
        shares = _emitted_cubic(e, far, CUBIC_ANTIALIASED)
    return cast_to(e, e.node("Div", shares, e.node("ReduceSum", shares, axes_tensor(e, [0]), keepdims=1)), dtype)


def _emitted_cubic(e: Emitter, far: Ref, slope: float) -> Ref:
    def polynomial(*coefficients: float) -> Ref:
        """By Horner's rule, from the highest power."""
        total = e.constant(coefficients[0], "f64")
        for coefficient in coefficients[1:]:
            total = e.node("Add", e.node("Mul", total, far), e.constant(coefficient, "f64"))
        return total

    near, away = polynomial(slope + 2, -slope - 3, 0, 1), polynomial(slope, -5 * slope, 8 * slope, -4 * slope)
    beyond = e.node("Where", e.node("Less", far, e.constant(2, "f64")), away, e.constant(0, "f64"))
    return e.node("Where", e.node("Less", far, e.constant(1, "f64")), near, beyond)


def _range(e: Emitter, size: Dim) -> Ref:
    return e.node("Range", e.constant(0, "i64"), size_of(e, size), e.constant(1, "i64"))
