"""Views: how a slot reads its stored tensor.

A view is a chain of `permute`, `reshape`, `flip` and slices of a stored tensor of known shape. Two chains can be
equivalent; views are compared by their *layout*: the position of each element in the stored tensor, as an offset and a
row-major list of *digits* (size, stride), with neighbors merged. So equality of views is exact, and needs no arrays.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import prod
from types import EllipsisType
from typing import Any, Literal, TypeAlias

from wsdl.diagnostics import limits

Subscript: TypeAlias = "int | slice | EllipsisType"

_STEP = re.compile(r"\.(?P<name>T\b|permute|reshape|flip)(?:\((?P<numbers>[\d, -]*)\))?|\[(?P<slices>[\d:, -]*)\]")

Digit: TypeAlias = tuple[int, int]  # size, stride in elements of the stored tensor


class ViewError(Exception):
    """A step that doesn't fit the shape, or whose result isn't a view."""


@dataclass(frozen=True)
class Step:
    """`permute` (axes), `reshape` (shape), `flip` (axes) or `slice` (start, stop, step for each axis, flat)."""

    kind: Literal["permute", "reshape", "flip", "slice"]
    numbers: tuple[int, ...]

    def shape_after(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if self.kind == "permute":
            return tuple(shape[a] for a in self.numbers)
        if self.kind == "reshape":
            return self.numbers
        if self.kind == "slice":
            return tuple(len(range(a, b, s)) for a, b, s in self.slices)
        return shape

    @property
    def slices(self) -> list[tuple[int, int, int]]:
        n = self.numbers
        return [(n[i], n[i + 1], n[i + 2]) for i in range(0, len(n), 3)]

    def back(self, shape: tuple[int, ...]) -> Step:
        """The inverse of this step, which must not be a slice; `shape` is the shape before it."""
        if self.kind == "permute":
            return Step("permute", tuple(self.numbers.index(i) for i in range(len(shape))))
        return Step("reshape", shape) if self.kind == "reshape" else self

    def of(self, array: Any) -> Any:
        """Apply the step to a NumPy array."""
        if self.kind == "permute":
            return array.transpose(self.numbers)
        if self.kind == "reshape":
            return array.reshape(self.numbers)
        if self.kind == "flip":
            return array[tuple(slice(None, None, -1 if a in self.numbers else 1) for a in range(array.ndim))]
        return array[tuple(slice(*s) for s in self.slices)]


@dataclass(frozen=True)
class View:
    """A chain of steps over a stored tensor of shape `source`. `View.identity(shape)` is the start of each."""

    source: tuple[int, ...]
    steps: tuple[Step, ...] = ()

    @staticmethod
    def identity(shape: Sequence[int]) -> View:
        return View(tuple(shape))

    @cached_property
    def shape(self) -> tuple[int, ...]:
        shape = self.source
        for step in self.steps:
            shape = step.shape_after(shape)
        return shape

    # -- steps ---------------------------------------------------------------------------------------------------------

    def permute(self, axes: Sequence[int]) -> View:
        axes = [self._axis(a) for a in axes]
        if sorted(axes) != list(range(len(self.shape))):
            raise ViewError(f"permute{tuple(axes)} doesn't name each of the {len(self.shape)} axes once")
        return self._with_step(Step("permute", tuple(axes)))

    @property
    def transposed(self) -> View:
        if len(self.shape) != 2:
            raise ViewError(f"`.T` needs two axes, and {list(self.shape)} has {len(self.shape)}")
        return self.permute((1, 0))

    def reshape(self, shape: Sequence[int]) -> View:
        """Reshape; one of the sizes may be -1."""
        shape = list(shape)
        size = prod(self.shape)
        if shape.count(-1) == 1:
            known = -prod(shape)
            shape[shape.index(-1)] = size // known if known else 0
        if prod(shape) != size or any(d < 0 for d in shape):
            raise ViewError(f"{list(self.shape)} has {size} elements, which don't fill {shape}")
        return self._with_step(Step("reshape", tuple(shape)))

    def flip(self, axes: Sequence[int]) -> View:
        return self._with_step(Step("flip", tuple(sorted({self._axis(a) for a in axes}))))

    def slice(self, slices: Sequence[tuple[int | None, int | None, int | None]]) -> View:
        """Python's slices, one for each of the first axes."""
        if len(slices) > len(self.shape):
            raise ViewError(f"{len(slices)} slices, but {list(self.shape)} has {len(self.shape)} axes")
        numbers: list[int] = []
        for size, bounds in zip(self.shape, [*slices, *[(None, None, None)] * len(self.shape)], strict=False):
            for bound in bounds[:2]:
                if bound is not None and not -size <= bound <= size:
                    raise ViewError(f"the slice goes to {bound}, but the axis has {size} elements")
            start, stop, step = slice(*bounds).indices(size)
            if step < 1:
                raise ViewError("the step of a slice must be positive; use `.flip(axis)` to reverse")
            numbers += (start, stop, step)
        return self._with_step(Step("slice", tuple(numbers)))

    def select(self, subscripts: Sequence[Subscript]) -> View:
        """Python's subscripts, one for each of the first axes: an integer selects one element and drops the axis, and
        `...` stands for all axes that have no subscript."""
        each = [s for s in subscripts if s is not ...]
        if len(each) < len(subscripts) - 1:
            raise ViewError("`...` can stand once among subscripts")
        at = subscripts.index(...) if ... in subscripts else len(each)
        each[at:at] = [slice(None)] * (len(self.shape) - len(each))
        for subscript, size in zip(each, self.shape, strict=False):
            if isinstance(subscript, int) and not -size <= subscript < size:
                raise ViewError(f"there is no element {subscript}: the axis has {size}, counted from 0")
        bounds = [slice(s, s + 1 or None) if isinstance(s, int) else s for s in each]
        sliced = self.slice([(b.start, b.stop, b.step) for b in bounds])
        dropped = {axis for axis, subscript in enumerate(each) if isinstance(subscript, int)}
        kept = [size for axis, size in enumerate(sliced.shape) if axis not in dropped]
        return sliced.reshape(kept) if dropped else sliced

    def then(self, other: View) -> View:
        """This view, and `other` on top of it (whose source has this shape)."""
        assert other.source == self.shape
        steps = self.steps + other.steps
        return View(self.source, steps)._simplified() if steps else self

    def of_each(self, leading: tuple[int, ...]) -> View:
        """The same view of each of many tensors, which stand along axes in front."""
        count = len(leading)
        steps = []
        for step in self.steps:
            numbers = step.numbers
            if step.kind == "permute":
                numbers = (*range(count), *(axis + count for axis in numbers))
            elif step.kind == "reshape":
                numbers = (*leading, *numbers)
            elif step.kind == "flip":
                numbers = tuple(axis + count for axis in numbers)
            else:
                numbers = (*(n for size in leading for n in (0, size, 1)), *numbers)
            steps.append(Step(step.kind, numbers))
        return View((*leading, *self.source), tuple(steps))

    def inverse(self) -> View | None:
        """From the view back to the stored tensor; `None` where the view leaves elements out. Its `layout` raises
        `ViewError` where the way back cuts across its own reshapes: it goes back for an array, and is no view."""
        steps: list[Step] = []
        shape = self.source
        for step in self.steps:
            after = step.shape_after(shape)
            if step.kind != "slice":
                steps.append(step.back(shape))
            elif after != shape:
                return None
            shape = after
        return View(self.shape, tuple(reversed(steps)))._simplified()

    # -- meaning -------------------------------------------------------------------------------------------------------

    @cached_property
    def layout(self) -> tuple[tuple[int, ...], int, tuple[Digit, ...]]:
        """Shape, offset and merged digits: equal for two views if and only if they read the same elements."""
        offset, axes = 0, _contiguous(self.source)
        grouped = True  # a reshape only regroups digits, and that waits until a step asks for its axes
        shape = self.source
        for step in self.steps:
            after = step.shape_after(shape)
            if step.kind == "reshape":
                grouped = False
            elif not grouped:
                axes, grouped = _regrouped([d for axis in axes for d in axis], shape), True
            if step.kind == "permute":
                axes = [axes[a] for a in step.numbers]
            elif step.kind == "flip":
                for a in step.numbers:
                    offset += sum((size - 1) * stride for size, stride in axes[a])
                    axes[a] = [(size, -stride) for size, stride in axes[a]]
            elif step.kind == "slice":
                for a, (start, stop, by) in enumerate(step.slices):
                    if (start, stop, by) == (0, shape[a], 1):
                        continue
                    digits = _merged(axes[a])
                    if len(digits) > 1:
                        raise ViewError("a slice across an axis that a reshape made of several is no view")
                    stride = digits[0][1] if digits else 0
                    offset += start * stride
                    axes[a] = [(len(range(start, stop, by)), by * stride)]
            shape = after
        return shape, offset, tuple(_merged([d for axis in axes for d in axis]))

    def reads_like(self, other: View) -> bool:
        """Whether both read the same elements at the same positions."""
        return self.source == other.source and (self.steps == other.steps or self.layout == other.layout)

    @property
    def is_identity(self) -> bool:
        return not self.steps or self.reads_like(View(self.source))

    @property
    def is_whole(self) -> bool:
        """Whether it reads all elements."""
        return prod(self.shape) == prod(self.source)

    @property
    def is_transpose(self) -> bool:
        """Whether it is `.T` of a matrix."""
        return len(self.source) == 2 and self.reads_like(View(self.source).transposed)

    def of(self, array: Any) -> Any:
        """Apply the view to a NumPy array."""
        for step in self.steps:
            array = step.of(array)
        return array

    def put(self, array: Any, part: Any) -> Any:
        """`array` [*source] with `part` [*shape] where the view reads. The array itself may be written to or not: NumPy
        copies for a reshape behind other steps."""
        before = [array]
        for step in self.steps:
            before.append(step.of(before[-1]))
        for step, whole in zip(reversed(self.steps), reversed(before[:-1]), strict=True):
            if step.kind == "slice":
                step.of(whole)[...] = part
                part = whole
            else:
                part = step.back(whole.shape).of(part)
        return part

    def __str__(self) -> str:
        """In the syntax of a share group: `.T`, `[0:64, :]`, an empty text for the identity."""
        text, shape = "", self.source
        for step in self.steps:
            if step.kind == "permute" and step.numbers == (1, 0):
                text += ".T"
            elif step.kind == "slice":
                text += f"[{', '.join(_slice_text(s, size) for s, size in zip(step.slices, shape, strict=True))}]"
            else:
                text += f".{step.kind}({', '.join(map(str, step.numbers))})"
            shape = step.shape_after(shape)
        return text

    @staticmethod
    def parse(text: str, source: Sequence[int]) -> View:
        """Parse the text of a view. Raises `ViewError` if it is invalid."""
        view, end = View.identity(source), 0
        if len(text) > limits.SIZE_TEXT:
            raise ViewError("a view without end")
        for step in _STEP.finditer(text):
            numbers = [int(n) for n in step["numbers"].split(",") if n.strip()] if step["numbers"] else []
            if step.start() != end:
                break
            end = step.end()
            if step["slices"] is not None:
                view = view.slice([_slice_of_text(part) for part in step["slices"].split(",")])
            elif step["name"] == "T":
                view = view.transposed
            else:
                view = getattr(view, step["name"])(numbers)
        if end != len(text):
            raise ViewError(f"`{text}` is no view")
        return view

    def _axis(self, axis: int) -> int:
        if not -len(self.shape) <= axis < len(self.shape):
            raise ViewError(f"axis {axis} doesn't exist: {list(self.shape)} has {len(self.shape)} axes")
        return axis % len(self.shape)

    def _with_step(self, step: Step) -> View:
        return _after(self, step)

    def _simplified(self) -> View:
        """The same view in fewer steps: merges neighbors of one kind, and removes steps without effect."""
        steps: list[Step] = []
        shape = self.source
        for step in self.steps:
            before, shape = shape, step.shape_after(shape)
            if steps and steps[-1].kind == step.kind:
                last = steps.pop()
                before = View(self.source, tuple(steps)).shape
                step = _joined(last, step)
            if not _does_nothing(step, before):
                steps.append(step)
        simple = View(self.source, tuple(steps))
        if prod(simple.shape) == prod(self.source):  # all elements: perhaps in their own order
            with suppress(ViewError):  # of a chain that is no view
                for shorter in (View(self.source), View(self.source, (Step("reshape", simple.shape),))):
                    if len(shorter.steps) < len(steps) and shorter.layout == simple.layout:
                        return shorter
        return simple if len(steps) == len(self.steps) else simple._simplified()


@lru_cache(4096)
def _after(view: View, step: Step) -> View:
    """A view with one more step. Many parameters of a network have the same few shapes and views."""
    after = View(view.source, (*view.steps, step))._simplified()
    _ = after.layout  # raises `ViewError` if the chain isn't a view
    return after


def _contiguous(shape: Sequence[int]) -> list[list[Digit]]:
    return [[(size, prod(shape[i + 1 :]))] for i, size in enumerate(shape)]


def _merged(digits: Sequence[Digit]) -> list[Digit]:
    merged: list[Digit] = []
    for size, stride in digits:
        if size == 1:
            continue
        if merged and merged[-1][1] == size * stride:
            merged[-1] = (merged[-1][0] * size, stride)
        else:
            merged.append((size, stride))
    return merged


def _regrouped(digits: Sequence[Digit], shape: Sequence[int]) -> list[list[Digit]]:
    """The same digits in row-major order, grouped into the axes of another shape."""
    left = _merged(digits)
    if 0 in shape:
        return [[(size, 0)] for size in shape]
    axes: list[list[Digit]] = []
    for target in reversed(shape):
        axis: list[Digit] = []
        while target > 1:
            size, stride = left.pop()
            if target % size == 0:
                axis.insert(0, (size, stride))
                target //= size
            elif size % target == 0:
                axis.insert(0, (target, stride))
                left.append((size // target, stride * target))
                target = 1
            else:
                raise ViewError(f"the axes of {list(shape)} cut across those that were reshaped, so this is no view")
        axes.insert(0, axis)
    return axes


def _joined(first: Step, second: Step) -> Step:
    if first.kind == "permute":
        return Step("permute", tuple(first.numbers[a] for a in second.numbers))
    if first.kind == "flip":
        return Step("flip", tuple(sorted(set(first.numbers) ^ set(second.numbers))))
    if first.kind == "slice":
        numbers: list[int] = []
        for (a, _, s), (b, c, r) in zip(first.slices, second.slices, strict=True):
            count = len(range(b, c, r))
            numbers += (a + b * s, a + b * s + max(0, (count - 1) * r * s + 1) if count else a + b * s, s * r)
        return Step("slice", tuple(numbers))
    return second


def _does_nothing(step: Step, shape: tuple[int, ...]) -> bool:
    if step.kind == "permute":
        return step.numbers == tuple(range(len(shape)))
    if step.kind == "reshape":
        return step.numbers == shape
    if step.kind == "slice":
        return all((a, s) == (0, 1) and b >= size for (a, b, s), size in zip(step.slices, shape, strict=True))
    return not step.numbers


def _slice_of_text(text: str) -> tuple[int | None, int | None, int | None]:
    start, stop, step = (int(n) if n.strip() else None for n in f"{text}::".split(":")[:3])
    return start, stop, step


def _slice_text(bounds: tuple[int, int, int], size: int) -> str:
    start, stop, step = bounds
    if (start, stop, step) == (0, size, 1):
        return ":"
    return f"{start}:{stop}" + (f":{step}" if step != 1 else "")
