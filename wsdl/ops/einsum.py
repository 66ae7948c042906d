"""Products and sums of tensors by the letters of their axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wsdl.ir.dims import Dim, product
from wsdl.ir.graph import Value
from wsdl.ir.types import TensorType
from wsdl.ops._define import OpError, operation
from wsdl.ops._rules import agreed, numeric, same_dtype
from wsdl.ops.build import Build

ELLIPSIS = "..."


@dataclass(frozen=True)
class Equation:
    """`"bij,bjk->bik"`, read: the axes of each operand and of the result. What `...` stands for is numbered from the
    end: `-1` is its last axis."""

    operands: list[list[str]]
    result: list[str]

    @staticmethod
    def of(text: str, ranks: Sequence[int]) -> Equation:
        """Read for operands with so many axes."""
        left, arrow, right = text.replace(" ", "").partition("->")
        terms = left.split(",")
        if len(terms) != len(ranks):
            raise _wrong(f"`{text}` is for {len(terms)} operand{'s' * (len(terms) != 1)}, not {len(ranks)}")
        operands = [_axes(term, rank) for term, rank in zip(terms, ranks, strict=True)]
        seen = [axis for axes in operands for axis in axes]
        widest = max((sum(_is_numbered(axis) for axis in axes) for axes in operands), default=0)
        numbered = [str(-i) for i in range(widest, 0, -1)]
        if not arrow:  # NumPy's: the letters that occur once, in the order of the alphabet
            once = sorted(a for a in set(seen) if seen.count(a) == 1 and not _is_numbered(a))
            return Equation(operands, numbered + once)
        result = [axis for axis in _letters(right) for axis in (numbered if axis == ELLIPSIS else [axis])]
        for axis in result:
            if axis not in seen:
                raise _wrong(f"`{axis}` stands in the result of `{text}`, but in no operand")
            if result.count(axis) > 1:
                raise _wrong(f"`{axis}` stands twice in the result of `{text}`")
        if widest and ELLIPSIS not in right:
            raise _wrong(f"`...` stands in an operand of `{text}`, but not in its result")
        return Equation(operands, result)


def _letters(term: str) -> list[str]:
    """The letters of one term, `...` among them."""
    before, dots, behind = term.partition(ELLIPSIS)
    for letter in before + behind:
        if not letter.isalpha():
            raise _wrong(f"`{letter}` in `{term}` is no letter, and axes are named by letters")
    return [*before, *([dots] if dots else []), *behind]


def _axes(term: str, rank: int) -> list[str]:
    """The name of each axis of an operand."""
    letters = _letters(term)
    count = rank - len(letters) + (ELLIPSIS in letters)
    if count < 0 or (count > 0 and ELLIPSIS not in letters):
        raise _wrong(f"`{term}` names {len(letters) - (ELLIPSIS in letters)} axes of a tensor that has {rank}")
    return [axis for a in letters for axis in ([str(-i) for i in range(count, 0, -1)] if a == ELLIPSIS else [a])]


def _is_numbered(axis: str) -> bool:
    return axis.startswith("-")


def _wrong(message: str) -> OpError:
    help = 'a product of matrices is `einsum("ij,jk->ik", a, b)`'
    return OpError(message, argument="equation", help=help, code="E0414")


@operation
def einsum(equation: str, xs: list[TensorType]) -> TensorType:
    """The sum over all axes that the result doesn't name of the product of all operands, their axes named by letters.

    `einsum("bqhd,bkhd->bhqk", q, k)`; `...` stands for axes without letters, a letter that an operand has twice for its
    diagonal. Two operands at a time, from left to right. Einstein's convention, PyTorch's and NumPy's `einsum`.
    ONNX Transpose, Reshape, MatMul and ReduceSum.
    """
    for x in xs:
        numeric(x, "xs")
    if not xs:
        raise _wrong("there is nothing to multiply")
    same_dtype("xs", *xs)
    read = Equation.of(equation, [x.rank for x in xs])
    sizes: dict[str, Dim] = {}
    for axes, x in zip(read.operands, xs, strict=True):
        for axis, size in zip(axes, x.shape, strict=True):
            name = "axes of `...`" if _is_numbered(axis) else f"axes called `{axis}`"
            what = f"the sizes of all {name} must be equal"
            sizes[axis] = agreed(sizes[axis], size, what, "xs") if axis in sizes else size
    return xs[0].with_shape(sizes[axis] for axis in read.result)


@einsum.expansion
def _(b: Build, equation: str, xs: Sequence[Value]) -> Value:
    read = Equation.of(equation, [x.type.rank for x in xs])
    terms = [_diagonals(b, _Term(x, axes)) for x, axes in zip(xs, read.operands, strict=True)]
    while terms:
        later = {axis for term in terms[2:] for axis in term.axes} | set(read.result)
        first, *rest = terms
        others = {axis for term in rest for axis in term.axes} | set(read.result)
        first = _summed(b, first, [a for a in first.axes if a not in others])
        if not rest:
            return _ordered(b, first, read.result)
        second = _summed(b, rest[0], [a for a in rest[0].axes if a not in later and a not in first.axes])
        terms = [_contracted(b, first, second, later), *rest[1:]]
    raise AssertionError("an equation has an operand")


@dataclass(frozen=True)
class _Term:
    """A tensor with a name for each of its axes."""

    value: Value
    axes: list[str]

    def size(self, axis: str) -> Dim:
        return self.value.type.shape[self.axes.index(axis)]

    def sizes(self, axes: Sequence[str]) -> list[Dim]:
        return [self.size(axis) for axis in axes]


def _diagonals(b: Build, term: _Term) -> _Term:
    """With every axis named once: of equal ones the diagonal is left."""
    twice = next((a for a in term.axes if term.axes.count(a) > 1), None)
    if twice is None:
        return term
    first, second = [i for i, a in enumerate(term.axes) if a == twice][:2]
    x = term.value
    places = b("arange", start=x.type.shape[first])
    shapes = [[-1 if i == at else 1 for i in range(x.type.rank)] for at in (first, second)]
    same = b("equal", *(b("reshape", places, shape=shape) for shape in shapes))
    x = b("sum", b("where", same, x, b.constant(0, x.type)), axis=second)
    return _diagonals(b, _Term(_of_dtype(b, x, term.value), [a for i, a in enumerate(term.axes) if i != second]))


def _summed(b: Build, term: _Term, axes: Sequence[str]) -> _Term:
    if not axes:
        return term
    x = b("sum", term.value, axis=[term.axes.index(a) for a in axes])
    return _Term(_of_dtype(b, x, term.value), [a for a in term.axes if a not in axes])


def _of_dtype(b: Build, x: Value, like: Value) -> Value:
    """Sums of narrow integers are wide."""
    return x if x.type.dtype == like.type.dtype else b("cast", x, dtype=like.type.dtype)


def _ordered(b: Build, term: _Term, axes: Sequence[str]) -> Value:
    order = [term.axes.index(a) for a in axes]
    return term.value if order == sorted(order) else b("permute", term.value, axes=order)


def _contracted(b: Build, left: _Term, right: _Term, later: set[str]) -> _Term:
    """The product of two, summed over what both have and nobody asks for later: one product of (stacks of) matrices."""
    both = [a for a in left.axes if a in right.axes]
    summed = [a for a in both if a not in later]
    if not summed:
        return _multiplied(b, left, right)
    kept = [a for a in both if a in later]
    rows = [a for a in left.axes if a not in both]
    columns = [a for a in right.axes if a not in both]
    a = _matrices(b, left, kept, rows, summed)
    c = _matrices(b, right, kept, summed, columns)
    shape = [*left.sizes(kept), *left.sizes(rows), *right.sizes(columns)]
    y = b("matmul", a, c)
    return _Term(b.like(y, y.type.with_shape(shape)), [*kept, *rows, *columns])


def _matrices(b: Build, term: _Term, kept: Sequence[str], rows: Sequence[str], columns: Sequence[str]) -> Value:
    """Axes in this order, those of the rows as one and those of the columns as one."""
    x = _ordered(b, term, [*kept, *rows, *columns])
    return b.like(x, x.type.with_shape([*term.sizes(kept), product(term.sizes(rows)), product(term.sizes(columns))]))


def _multiplied(b: Build, left: _Term, right: _Term) -> _Term:
    """Element by element: each axis of either is an axis of both, where need be of size 1."""
    axes = [*left.axes, *(a for a in right.axes if a not in left.axes)]
    place = {a: i for i, a in enumerate(axes)}
    factors = []
    for term in (left, right):
        x = _ordered(b, term, sorted(term.axes, key=lambda a: place[a]))
        missing = [i for i, a in enumerate(axes) if a not in term.axes]
        factors.append(b("unsqueeze", x, axis=missing) if missing else x)
    return _Term(b("mul", *factors), axes)
