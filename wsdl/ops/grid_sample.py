"""Images sampled at positions that the network computes."""

from __future__ import annotations

from dataclasses import dataclass

from wsdl.ir.dims import Dim, same
from wsdl.ir.graph import Value
from wsdl.ir.types import TensorType
from wsdl.ops._define import Rules
from wsdl.ops._errors import OpError
from wsdl.ops._interfaces import Array, Emitter, NumPy, Ref
from wsdl.ops._lowering import float_node
from wsdl.ops._rules import agreed, floating, one_of, same_dtype
from wsdl.ops.build import Build

MODES = ("linear", "nearest")
PADDINGS = ("zeros", "border", "reflection")
FAR = 1e4  # half images; positions beyond, and NaN, are limited to this: there ONNX Runtime 1.32 picks any pixel
Gradients = dict[str, Value]


class GridSample(Rules, name="grid_sample", half="f32", mixes={"x": slice(2, None), "grid": [-1]}, steps_along=None):
    """`[n, channels, h, w]` sampled at the positions `[n, p, q, 2]` of a grid: `[n, channels, p, q]`.

    A position is (x, y): -1 is the left or upper end of the image, 1 the right or lower one, which is the edge of the
    last pixel or, with `align_corners`, its center. Between pixels it interpolates (`linear`) or takes the `nearest`;
    outside there are `zeros`, the `border`, or the image's `reflection` (Jaderberg et al. 2015). PyTorch's
    `grid_sample`. ONNX GridSample.

        grid_sample(x: f32[n, 3, t, s], grid: f32[n, 4, t, 2]) -> f32[n, 3, 4, t]
    """

    mode: str = "linear"
    padding: str = "zeros"
    align_corners: bool = False

    def infer(self, x: TensorType, grid: TensorType) -> TensorType:
        one_of(self.mode, MODES, "mode")
        one_of(self.padding, PADDINGS, "padding")
        same_dtype("grid", floating(x), floating(grid, "grid"))
        if x.rank != 4:
            raise OpError(f"`x` must be [n, channels, height, width], but is {x}", argument="x")
        if grid.rank != 4 or not same(grid.shape[-1], 2):
            what = f"`grid` must be [n, height, width, 2], the last axis for x and y, but is {grid}"
            raise OpError(what, argument="grid")
        n = agreed(x.shape[0], grid.shape[0], f"the first axes of {x} and {grid} must be equal", "grid")
        return x.with_shape([n, x.shape[1], *grid.shape[1:3]])

    def reference(self, np: NumPy, x: Array, grid: Array) -> Array:
        sizes = (x.shape[3], x.shape[2])
        at = [_position(np, grid[..., i], sizes[i], self.padding, self.align_corners) for i in (0, 1)]
        batch = np.arange(x.shape[0])[:, None, None]

        def pixel(column: Array, row: Array) -> Array:
            inside = (column >= 0) & (column < sizes[0]) & (row >= 0) & (row < sizes[1])
            row, column = (np.where(inside, i, 0).astype(np.int64) for i in (row, column))
            return np.moveaxis(x[batch, :, row, column], -1, 1) * inside[:, None]

        if self.mode == "nearest":
            return pixel(np.round(at[0]), np.round(at[1]))
        low = [np.floor(a) for a in at]
        high = [(a - f)[:, None] for a, f in zip(at, low, strict=True)]
        total = np.zeros_like(pixel(*low))
        for right in (0, 1):
            for down in (0, 1):
                weight = (high[0] if right else 1 - high[0]) * (high[1] if down else 1 - high[1])
                total = total + weight * pixel(low[0] + right, low[1] + down)
        return total

    def lower(self, e: Emitter, x: Ref, grid: Ref) -> Ref:
        mode_name = "bilinear" if e.opset < 20 and self.mode == "linear" else self.mode
        far = [e.constant(sign * FAR, grid.type.dtype) for sign in (-1, 1)]
        known = e.node("Where", e.node("IsNaN", grid), far[1], grid)
        clamped = e.node("Min", e.node("Max", known, far[0]), far[1]).typed(grid.type)
        return float_node(
            e,
            "GridSample",
            x,
            clamped,
            mode=mode_name,
            padding_mode=self.padding,
            align_corners=int(self.align_corners),
        )

    def gradient(self, g: Build, dy: Value, y: Value, x: Value, grid: Value) -> Gradients:
        """Each of the four pixels around a position gets its share; the gradient of a position is how much they
        differ."""
        n, channels, height, width = x.type.shape
        p, q = grid.type.shape[1:3]
        image = g("reshape", x, shape=[n, channels, height * width])
        upstream = g("reshape", dy, shape=[n, channels, p * q])
        across, along = (
            _Positions.of(g, g("reshape", part, shape=[n, 1, p * q]), size, self.padding, self.align_corners)
            for part, size in zip(g.all("split", grid, parts=2, axis=3), (width, height), strict=True)
        )

        def place(column: Value, row: Value) -> tuple[Value, Value]:
            """The flat indices of pixels, and 1 where they are in the image."""
            inside = g.mul(across.inside(g, column), along.inside(g, row))
            line, offset = (g("cast", g.mul(at, inside), dtype="i64") for at in (row, column))
            at = g("add", g.mul(line, g.size(width, line.type)), offset)  # floats have too few digits for large images
            return g("expand", at, shape=[n, channels, p * q]), inside

        by_x = g.zeros(image.type)
        if self.mode == "nearest":
            at, inside = place(g("round", across.at), g("round", along.at))
            by_x = g("scatter_add_along", by_x, at, g.mul(upstream, inside), axis=2)
            return {"x": g.like(by_x, x.type)}
        columns, rows = across.neighbors(g), along.neighbors(g)
        slopes: dict[_Positions, list[Value]] = {across: [], along: []}
        for i, column in enumerate(columns):
            for j, row in enumerate(rows):
                at, inside = place(column.at, row.at)
                by_x = g(
                    "scatter_add_along", by_x, at, g.mul(upstream, g.mul(column.weight, row.weight, inside)), axis=2
                )
                matters = g.mul(g("take_along", image, at, axis=2), upstream, inside)
                any_matters = g("sum", matters, axis=1, keepdims=True)
                slopes[across].append(g.mul(any_matters, row.weight, 1.0 if i else -1.0))
                slopes[along].append(g.mul(any_matters, column.weight, 1.0 if j else -1.0))
        by_grid = [g.mul(g.add(parts), positions.slope) for positions, parts in slopes.items()]
        pairs = g("reshape", g("concat", by_grid, axis=1), shape=[n, 2, p, q])
        return {"x": g.like(by_x, x.type), "grid": g("permute", pairs, axes=[0, 2, 3, 1])}


def _position(np: NumPy, at: Array, size: int, padding: str, align_corners: bool) -> Array:
    """From -1 to 1 to pixel coordinates, moved into the image where `padding` does that."""
    at = np.clip(np.where(np.isnan(at), FAR, at), -FAR, FAR)
    at = (at + 1) / 2 * (size - 1) if align_corners else ((at + 1) * size - 1) / 2
    if padding == "reflection":
        low, span = (0.0, size - 1) if align_corners else (-0.5, size)
        away = np.abs(at - low)
        times = np.floor(away / span) if span else np.zeros_like(away)
        rest = away - times * span
        at = np.where(times % 2 == 0, rest, span - rest) + low if span else np.zeros_like(at)
    return at if padding == "zeros" else np.clip(at, 0, size - 1)


@dataclass(frozen=True, eq=False)
class _Neighbor:
    at: Value
    weight: Value


@dataclass(frozen=True, eq=False)
class _Positions:
    """Positions along one axis in pixels, and their derivative with respect to the grid."""

    at: Value
    slope: Value
    size: Dim

    @staticmethod
    def of(g: Build, at: Value, size: Dim, padding: str, align_corners: bool) -> _Positions:
        last = g("cast", g("size", dim=size - 1), dtype=at.type.dtype)
        slope = g.mul(last, 0.5) if align_corners else g.mul(g("add", last, 1.0), 0.5)
        clamped = g("clip", g("where", g("equal", at, at), at, g.constant(FAR, at.type)), min=-FAR, max=FAR)
        at = g.mul(g("add", clamped, 1.0), slope)
        if not align_corners:
            at = g("sub", at, 0.5)
        if padding == "reflection":
            at, slope = _reflected(g, at, slope, last, align_corners)
        if padding != "zeros":
            inside = g("logical_and", g("greater", at, 0.0), g("less", at, last))
            slope = g.mul(slope, g.mask(inside, at.type))
            at = g("minimum", g("maximum", at, 0.0), last)
        return _Positions(at, slope, size)

    def neighbors(self, g: Build) -> tuple[_Neighbor, _Neighbor]:
        low = g("floor", self.at)
        far = g("sub", self.at, low)
        return _Neighbor(low, g.one_minus(far)), _Neighbor(g("add", low, 1.0), far)

    def inside(self, g: Build, at: Value) -> Value:
        below = g("less", at, g.size(self.size, at.type))
        return g.mask(g("logical_and", g("greater_equal", at, 0.0), below), at.type)


def _reflected(g: Build, at: Value, slope: Value, last: Value, align_corners: bool) -> tuple[Value, Value]:
    """Reflected at the ends of the image, as often as needed; each reflection negates the slope."""
    low = 0.0 if align_corners else -0.5
    span = g("maximum", last, 1e-30) if align_corners else g("add", last, 1.0)
    moved = g("sub", at, low)
    away = g("abs", moved)
    times = g("floor", g("div", away, span))
    rest = g("sub", away, g.mul(times, span))
    odd = g("sub", times, g.mul(g("floor", g.mul(times, 0.5)), 2.0))
    sign = g.mul(g.one_minus(g.mul(odd, 2.0)), g("sign", moved))
    folded = g("add", rest, g.mul(odd, g("sub", span, g.mul(rest, 2.0))))
    return g("add", folded, low), g.mul(slope, sign)
