"""Operations that change the shape of a tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wsdl.ir.dims import Dim, product, same
from wsdl.ir.graph import Value
from wsdl.ir.types import TensorType, shape_text
from wsdl.ir.views import View
from wsdl.ops._define import Rules
from wsdl.ops._errors import OpError, require_equal
from wsdl.ops._interfaces import Array, Emitter, NumPy, Ref, Stacks
from wsdl.ops._lowering import expanded, squeezed, unsqueezed
from wsdl.ops._rules import axes_of, axis_of, divided, equally_many, is_one
from wsdl.ops.build import Build

Gradients = dict[str, Value]


class Reshape(Rules, name="reshape", half="moves", mixes={"x": lambda op, x: _split_axes(x, op.infer(x))}):
    """`x` in another shape, its elements in row-major order; a size of -1 is inferred from the others. ONNX Reshape.

    reshape(x: f32[n, t, 4], shape=[n * t, 4]) -> f32[n * t, 4]
    """

    shape: list[Dim]

    def infer(self, x: TensorType) -> TensorType:
        dims = [Dim.of(d) for d in self.shape]
        what = f"{x} and the shape {shape_text(dims)} must have the same number of elements"
        free = [i for i, d in enumerate(dims) if same(d, -1)]
        if len(free) > 1:
            raise OpError("only one size of a shape may be -1", argument="shape")
        if free:
            known = product([d for i, d in enumerate(dims) if i not in free])
            if known.constant == 0:
                raise OpError("a size of -1 can't be inferred beside a size of 0", argument="shape")
            dims[free[0]] = divided(x.elements, known, what, "shape")
        _not_negative(dims)
        equally_many(x.elements, product(dims), what, "shape")
        return x.with_shape(dims)

    def reference(self, np: NumPy, x: Array) -> Array:
        return x.reshape(self.shape)

    def lower(self, e: Emitter, x: Ref) -> Ref:
        return e.reshape(x, e.results[0].shape)

    def batch(self, stacks: Stacks, x: Value) -> Any:
        return stacks.build("reshape", stacks.stack(x), shape=[stacks.steps, *self.infer(x.type).shape])

    def gradient(self, g: Build, dy: Value, y: Value, x: Value) -> Gradients:
        return {"x": g.like(dy, x.type)}

    def view(self, view: View, y: TensorType) -> View:
        return view.reshape(y.sizes or ())


def _split_axes(x: TensorType, y: TensorType) -> list[int]:
    """The axes that the new shape doesn't keep: those for which no axis of `y` has the names of its size and
    as many elements before it."""
    return [
        a
        for a, dim in enumerate(x.shape)
        if not any(
            dim.names() <= other.names() and same(product(x.shape[:a]), product(y.shape[:at]))
            for at, other in enumerate(y.shape)
        )
    ]


class Flatten(
    Rules, name="flatten", half="moves", mixes={"x": lambda op, x: _split_axes(x, op.infer(x))}, steps_along=None
):
    """`x` with all axes from `start` on merged into one. ONNX Reshape.

    flatten(x: f32[n, t, 4]) -> f32[n, 4 * t]
    """

    start: int = 1

    def infer(self, x: TensorType) -> TensorType:
        first = axis_of(self.start, x.rank, "start") if x.rank or self.start else 0
        return x.with_shape((*x.shape[:first], product(x.shape[first:])))

    def reference(self, np: NumPy, x: Array) -> Array:
        first = self.start % x.ndim if x.ndim else 0
        return x.reshape(*x.shape[:first], int(np.prod(x.shape[first:])))

    def lower(self, e: Emitter, x: Ref) -> Ref:
        return e.reshape(x, e.results[0].shape)

    def gradient(self, g: Build, dy: Value, y: Value, x: Value) -> Gradients:
        return {"x": g.like(dy, x.type)}

    def view(self, view: View, y: TensorType) -> View:
        return view.reshape(y.sizes or ())


class Squeeze(Rules, name="squeeze", half="moves", mixes={}, steps_along="axis"):
    """`x` without axes of size 1. ONNX Squeeze.

    squeeze(x: f32[n, 1, t], axis=1) -> f32[n, t]
    """

    axis: int | list[int]

    def infer(self, x: TensorType) -> TensorType:
        gone = axes_of(self.axis, x.rank)
        for a in gone:
            what = f"only an axis of size 1 can be squeezed, but this is axis {a} of {x}"
            require_equal(x.shape[a], Dim.of(1), what, argument="axis")
        return x.with_shape(d for a, d in enumerate(x.shape) if a not in gone)

    def reference(self, np: NumPy, x: Array) -> Array:
        return np.squeeze(x, tuple(axes_of(self.axis, x.ndim)))

    def lower(self, e: Emitter, x: Ref) -> Ref:
        return squeezed(e, x, *axes_of(self.axis, x.type.rank))

    def gradient(self, g: Build, dy: Value, y: Value, x: Value) -> Gradients:
        return {"x": g("unsqueeze", dy, axis=axes_of(self.axis, x.type.rank))}

    def view(self, view: View, y: TensorType) -> View:
        return view.reshape(y.sizes or ())


class Unsqueeze(Rules, name="unsqueeze", half="moves", mixes={}):
    """`x` with axes of size 1 inserted; `axis` counts in the result. ONNX Unsqueeze.

    unsqueeze(x: f32[n, t], axis=1) -> f32[n, 1, t]
    """

    axis: int | list[int]

    def infer(self, x: TensorType) -> TensorType:
        new = _new_axes(x.rank, self.axis)
        old = iter(x.shape)
        return x.with_shape(1 if a in new else next(old) for a in range(x.rank + len(new)))

    def reference(self, np: NumPy, x: Array) -> Array:
        return np.expand_dims(x, tuple(_new_axes(x.ndim, self.axis)))

    def lower(self, e: Emitter, x: Ref) -> Ref:
        return unsqueezed(e, x, *_new_axes(x.type.rank, self.axis))

    def batch(self, stacks: Stacks, x: Value) -> Any:
        return stacks.build("unsqueeze", stacks.stack(x), axis=[a + 1 for a in _new_axes(x.type.rank, self.axis)])

    def gradient(self, g: Build, dy: Value, y: Value, x: Value) -> Gradients:
        return {"x": g("squeeze", dy, axis=_new_axes(x.type.rank, self.axis))}

    def view(self, view: View, y: TensorType) -> View:
        return view.reshape(y.sizes or ())


def _new_axes(rank: int, axis: int | Sequence[int]) -> list[int]:
    return axes_of(axis, rank + (1 if isinstance(axis, int) else len(axis)))


class Expand(Rules, name="expand", half="moves", mixes={}, steps_along=None):
    """`x` repeated along axes of size 1, and along new ones in front; -1 keeps a size. ONNX Expand.

    expand(x: f32[n, 1], shape=[n, 4]) -> f32[n, 4]
    """

    shape: list[Dim]

    def infer(self, x: TensorType) -> TensorType:
        return x.with_shape(_expanded(x, self.shape))

    def reference(self, np: NumPy, x: Array) -> Array:
        old = (1,) * (len(self.shape) - x.ndim) + x.shape
        return np.broadcast_to(x, [o if s == -1 else s for o, s in zip(old, self.shape, strict=True)])

    def lower(self, e: Emitter, x: Ref) -> Ref:
        """(If the result is known to be empty, ONNX Runtime 1.32 drops an Expand in f16, so it is a constant.)"""
        shape = e.results[0].shape
        return expanded(e, e.constant(0, x.type.dtype) if product(shape).constant == 0 else x, shape)

    def gradient(self, g: Build, dy: Value, y: Value, x: Value) -> Gradients:
        return {"x": dy}


def _expanded(x: TensorType, shape: Sequence[Dim | int]) -> list[Dim]:
    new = len(shape) - x.rank
    if new < 0:
        raise OpError(f"{shape_text(shape)} has fewer axes than {x}", argument="shape")
    dims = [Dim.of(d) for d in shape]
    for a, old in enumerate(x.shape, new):
        if same(dims[a], -1):
            dims[a] = old
        elif not is_one(old):
            require_equal(old, dims[a], f"axis {a - new} of {x} is not of size 1, so it stays", argument="shape")
    _not_negative(dims)
    return dims


def _not_negative(dims: Sequence[Dim]) -> None:
    for dim in dims:
        if dim.constant is not None and dim.constant < 0:
            raise OpError(f"a size can't be {dim}", argument="shape", code="E0405")
