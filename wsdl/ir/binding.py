"""Dynamic dimensions: which axis of which input determines `n`, and whether all axes agree.

A name is read from the first axis that is exactly that name. A name that only occurs in arithmetic (`2 * t`, `t + 1`)
is solved for, if the arithmetic is linear in it and the other names are known.
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
        """Whether the axis is the name itself."""
        return self.factor.constant == 1 and self.rest.constant == 0


def rows_dimension(types: Iterable[TensorType]) -> str | None:
    """The dynamic dimension of the rows of a batch: the first axis of the first input whose first axis is dynamic."""
    return next((type.shape[0].name for type in types if type.shape and type.shape[0].name), None)


class SizeError(Exception):
    """Arrays whose shapes don't match the types, or contradict each other, with the index of the input and the axis."""

    def __init__(self, message: str, *, input: int, axis: int | None = None):
        super().__init__(message)
        self.message, self.input, self.axis = message, input, axis


def size_sources(types: Sequence[TensorType]) -> dict[str, SizeSource]:
    """The source of each name, in an order in which they can be computed."""
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
    """`factor` and `rest` with dimension = `factor * name + rest`; `None` if it isn't linear in the name."""
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
    """The size of each name for arrays of these shapes. Raises `SizeError` if ranks or sizes don't match.

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
    """Parse a dimension from a file (`2 * t + 1`); a text that isn't arithmetic becomes one name."""
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
