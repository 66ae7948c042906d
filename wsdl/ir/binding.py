"""Dynamic dimensions: which axis of which input says what `n` is, and whether all axes agree.

A name is taken from the first axis that is exactly that name. One that stands only inside arithmetic (`2 * t`, `t + 1`)
is solved for where it occurs linearly and the other names are known.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from wsdl.diagnostics import limits
from wsdl.ir.dims import Atom, Dim, TooLong
from wsdl.ir.types import TensorType


@dataclass(frozen=True, eq=False)
class SizeSource:
    """The size of `axis` of input number `input` is `factor * name + rest`."""

    input: int
    axis: int
    factor: Dim
    rest: Dim

    @property
    def is_exact(self) -> bool:
        """Is the axis the name itself?"""
        return self.factor.constant == 1 and self.rest.constant == 0


def rows_dimension(types: Iterable[TensorType]) -> str | None:
    """The dynamic dimension that counts the rows of a batch: that in front of the first input which has one there."""
    return next((type.shape[0].name for type in types if type.shape and type.shape[0].name), None)


class SizeError(Exception):
    """Arrays whose shapes don't fit the types, or contradict each other; says which input and axis is at fault."""

    def __init__(self, message: str, *, input: int, axis: int | None = None):
        super().__init__(message)
        self.message, self.input, self.axis = message, input, axis


def size_sources(types: Sequence[TensorType]) -> dict[str, SizeSource]:
    """Where each name gets its value from, in an order in which they can be computed."""
    axes = [(i, axis, dim) for i, t in enumerate(types) for axis, dim in enumerate(t.shape)]
    sources: dict[str, SizeSource] = {}
    for i, axis, dim in axes:
        if dim.name is not None and dim.name not in sources:
            sources[dim.name] = SizeSource(i, axis, Dim.of(1), Dim.of(0))
    progress = True
    while progress:
        progress = False
        for i, axis, dim in axes:
            unknown = dim.names() - sources.keys()
            if len(unknown) == 1:
                name = unknown.pop()
                linear = _linear_in(dim, name)
                if linear is not None:
                    sources[name] = SizeSource(i, axis, *linear)
                    progress = True
    return sources


def _linear_in(dim: Dim, name: str) -> tuple[Dim, Dim] | None:
    """`factor` and `rest` such that the dimension is `factor * name + rest`, where it is linear in the name."""
    atom = Atom(name)
    factor, rest = Dim({}), Dim({})
    for monomial, coefficient in dim.terms:
        others = tuple(a for a in monomial if a != atom)
        term = Dim({others: coefficient})
        if name in term.names() or len(monomial) - len(others) > 1:
            return None  # inside a quotient or a remainder, or squared
        if len(others) < len(monomial):
            factor += term
        else:
            rest += term
    return factor, rest


def bind_sizes(
    types: Sequence[TensorType], shapes: Sequence[Sequence[int]], names: Sequence[str] = ()
) -> dict[str, int]:
    """The size that each name has for arrays of these shapes; `SizeError` where ranks or sizes don't fit.

    `names` are the inputs' names for the messages.
    """
    labels = [f"`{name}`" for name in names] or [f"input {i + 1}" for i in range(len(types))]
    for i, (expected, shape) in enumerate(zip(types, shapes, strict=True)):
        if expected.rank != len(shape):
            raise SizeError(f"{labels[i]} has shape {list(shape)}, but must be {expected}", input=i)
    sizes: dict[str, int] = {}
    origin: dict[str, str] = {}
    for name, source in size_sources(types).items():
        size = shapes[source.input][source.axis]
        factor, rest = source.factor.evaluate(sizes), source.rest.evaluate(sizes)
        if factor == 0 or (size - rest) % factor or (size - rest) // factor < 0:
            dim = types[source.input].shape[source.axis]
            message = f"axis {source.axis} of {labels[source.input]} has size {size}, which is not {dim} for any {name}"
            raise SizeError(message, input=source.input, axis=source.axis)
        sizes[name] = (size - rest) // factor
        origin[name] = labels[source.input]
    for i, (expected, shape) in enumerate(zip(types, shapes, strict=True)):
        for axis, (dim, size) in enumerate(zip(expected.shape, shape, strict=True)):
            if dim.names() <= sizes.keys() and dim.evaluate(sizes) != size:
                raise SizeError(_contradiction(labels[i], axis, dim, size, sizes, origin), input=i, axis=axis)
    return sizes


def _contradiction(label: str, axis: int, dim: Dim, size: int, sizes: dict[str, int], origin: dict[str, str]) -> str:
    if dim.constant is not None:
        return f"axis {axis} of {label} has size {size}, but must be {dim}"
    because = ", ".join(f"{name} is {sizes[name]} in {origin[name]}" for name in sorted(dim.names()))
    expected = f"{dim}" if dim.name else f"{dim} = {dim.evaluate(sizes)}"
    return f"axis {axis} of {label} has size {size}, but must be {expected}, and {because}"


def dim_of_text(text: str) -> Dim:
    """A dimension from how it is written into files (`2 * t + 1`); a text that is no arithmetic is one name."""
    if len(text) > limits.SIZE_TEXT:
        return Dim.symbol(text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's own about the text, such as of `1if`
            return _dim_of_tree(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError, MemoryError, TooLong):
        return Dim.symbol(text)


def _dim_of_tree(tree: ast.expr) -> Dim:
    if isinstance(tree, ast.Name):
        return Dim.symbol(tree.id)
    if isinstance(tree, ast.Constant) and type(tree.value) is int:
        return Dim.of(tree.value)
    if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub):
        return -_dim_of_tree(tree.operand)
    if isinstance(tree, ast.BinOp):
        a, b = _dim_of_tree(tree.left), _dim_of_tree(tree.right)
        for kind, result in (
            (ast.Add, Dim.__add__), (ast.Sub, Dim.__sub__), (ast.Mult, Dim.__mul__),
            (ast.FloorDiv, Dim.__floordiv__), (ast.Mod, Dim.__mod__),
        ):  # fmt: skip
            if isinstance(tree.op, kind):
                return result(a, b)
    raise ValueError("no arithmetic over sizes")
