"""Operators of ONNX that only move elements, as views of their first input: what a `Slice` takes, how a `Transpose`
turns it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, TypeAlias

import numpy as np
from onnx import NodeProto, helper

from wsdl.ir.views import View, ViewError

Array: TypeAlias = np.ndarray[Any, Any]

SAME = {"Identity", "Cast", "DequantizeLinear", "QuantizeLinear"}  # each element stays in its place


@dataclass(frozen=True)
class _Node:
    """A node, and the values of its inputs but the first, where they are known."""

    node: NodeProto
    others: Sequence[Array | None]

    def attribute(self, name: str, default: Any = None) -> Any:
        found = next((attribute for attribute in self.node.attribute if attribute.name == name), None)
        return default if found is None else helper.get_attribute_value(found)

    def numbers(self, name: str, position: int = 1) -> list[int] | None:
        """A list that older operators have as an attribute, and newer ones as an input; `None` if there is none."""
        listed = self.attribute(name)
        if listed is not None:
            return [int(n) for n in listed]
        if position >= len(self.node.input) or not self.node.input[position]:
            return None
        known = self.others[position - 1]
        if known is None or known.ndim > 1:
            raise ViewError(f"`{name}` is not known")
        return [int(n) for n in known.reshape(-1)]


def moved(view: View, node: NodeProto, others: Sequence[Array | None]) -> list[View]:
    """What each output has of a tensor of which the first input is a view. The `others` are the values of the further
    inputs where they are known. Raises `ViewError` if the node computes, takes elements in an order of its own, or has
    inputs of which it depends what it takes."""
    if any(attribute.ref_attr_name for attribute in node.attribute):
        raise ViewError("an attribute of the function's caller")
    if node.op_type in SAME:
        return [view]
    if node.op_type == "Split":
        return _split(view, _Node(node, others))
    if node.op_type not in _MOVES:
        raise ViewError(f"{node.op_type} computes")
    return [_MOVES[node.op_type](view, _Node(node, others))]


def _transpose(view: View, node: _Node) -> View:
    return view.permute(node.attribute("perm", range(len(view.shape))[::-1]))


def _reshape(view: View, node: _Node) -> View:
    shape = node.numbers("shape") or []
    if not node.attribute("allowzero") and shape.count(0):
        if any(size == 0 and axis >= len(view.shape) for axis, size in enumerate(shape)):
            raise ViewError("there is no such axis")
        shape = [size or view.shape[axis] for axis, size in enumerate(shape)]
    return view.reshape(shape)


def _flatten(view: View, node: _Node) -> View:
    axis = node.attribute("axis", 1)
    return view.reshape((prod(view.shape[:axis]), prod(view.shape[axis:])))


def _squeeze(view: View, node: _Node) -> View:
    axes = node.numbers("axes")
    if axes is None:
        return view.reshape([size for size in view.shape if size != 1])
    dropped = {_axis(axis, len(view.shape)) for axis in axes}
    return view.reshape([size for axis, size in enumerate(view.shape) if axis not in dropped])


def _unsqueeze(view: View, node: _Node) -> View:
    axes = node.numbers("axes") or []
    rank = len(view.shape) + len(axes)
    added, sizes = {_axis(axis, rank) for axis in axes}, iter(view.shape)
    return view.reshape([1 if axis in added else next(sizes) for axis in range(rank)])


def _slice(view: View, node: _Node) -> View:
    starts, ends = (node.numbers(name, i) or [] for i, name in ((1, "starts"), (2, "ends")))
    axes = node.numbers("axes", 3) or range(len(starts))
    steps = node.numbers("steps", 4) or [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        view = _ranged(view, _axis(axis, len(view.shape)), slice(start, end, step))
    return view


def _ranged(view: View, axis: int, bounds: slice) -> View:
    """A part along one axis; backwards with a step below 0."""
    if bounds.step == 0:
        raise ViewError("a step of 0")
    taken = range(*bounds.indices(view.shape[axis]))
    if bounds.step < 0:
        view, size = view.flip([axis]), view.shape[axis]
        taken = range(size - 1 - taken.start, size - 1 - taken.stop, -taken.step)
    whole: list[tuple[int | None, int | None, int | None]] = [(None, None, None)] * axis
    return view.slice([*whole, (taken.start, max(taken.start, taken.stop), taken.step)])


def _split(view: View, node: _Node) -> list[View]:
    axis = _axis(node.attribute("axis", 0), len(view.shape))
    each = -(-view.shape[axis] // len(node.node.output))
    sizes = node.numbers("split") or [each] * len(node.node.output)
    ends = np.cumsum(sizes).tolist()
    return [_ranged(view, axis, slice(end - size, end, 1)) for size, end in zip(sizes, ends, strict=True)]


def _gather(view: View, node: _Node) -> View:
    """One element of an axis, or elements at equal distances."""
    axis, known = _axis(node.attribute("axis", 0), len(view.shape)), node.others[0] if node.others else None
    if known is None or known.ndim > 1 or not known.size:
        raise ViewError("indices of any order")
    indices = [_axis(int(i), view.shape[axis]) for i in known.reshape(-1)]
    step = indices[1] - indices[0] if len(indices) > 1 else 1
    if step == 0 or indices != list(range(indices[0], indices[0] + len(indices) * step, step)):
        raise ViewError("indices of any order")
    stop = indices[-1] + (1 if step > 0 else -1)
    view = _ranged(view, axis, slice(indices[0], None if stop < 0 else stop, step))
    return view if known.ndim else view.reshape([*view.shape[:axis], *view.shape[axis + 1 :]])


def _axis(number: int, count: int) -> int:
    if not -count <= number < count:
        raise ViewError(f"there is no {number} of {count}")
    return number % count


_MOVES: dict[str, Callable[[View, _Node], View]] = {
    "Transpose": _transpose, "Reshape": _reshape, "Flatten": _flatten, "Squeeze": _squeeze, "Unsqueeze": _unsqueeze,
    "Slice": _slice, "Gather": _gather,
}  # fmt: skip
