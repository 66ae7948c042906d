"""Sums of products over axes that an equation names, as in `einsum("bij,bjk->bik", a, b)`.

It never becomes a node. Two operands at a time become one matrix product, or an elementwise one where nothing is
summed; the reshapes and transposes around it cost nothing for activations, and become part of the view of a stored
tensor. (ONNX Einsum would transpose the latter into a second copy, and is slower.)
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from wsdl.ir.dims import Dim, compare, product
from wsdl.ir.graph import Value
from wsdl.ir.types import TensorType
from wsdl.ops._define import Rules
from wsdl.ops._errors import OpError
from wsdl.ops._rules import agreed, common, is_one, numeric, same_dtype
from wsdl.ops.build import Build


class Einsum(Rules, name="einsum", half="expanded", mixes={}, order=("equation", "xs")):
    """The sum over all axes that the result doesn't name of the product of all operands, their axes named by letters.

    `einsum("bqhd,bkhd->bhqk", q, k)`; `...` stands for axes without letters, which broadcast; a letter that occurs
    twice in an operand takes its diagonal. Without `->` the result has the letters that occur once, in alphabetical
    order. Einstein's convention, PyTorch's and NumPy's `einsum`. ONNX MatMul, Gemm, Mul and ReduceSum.

        einsum("btd,dk->btk", x: f32[n, t, 4], w: f32[4, 8]) -> f32[n, t, 8]
    """

    equation: str

    def infer(self, xs: list[TensorType]) -> TensorType:
        for x in xs:
            if numeric(x, "xs").dtype in ("i8", "i16", "u8"):
                help = "`cast(…, i32)` converts it"
                raise OpError(f"`einsum` doesn't multiply {x.dtype}", argument="xs", help=help, code="E0403")
        same_dtype("xs", *xs)
        plan = _Plan.of(self.equation, xs)
        return xs[0].with_shape(plan.sizes[axis] for axis in plan.result)

    def expand(self, b: Build, xs: list[Value]) -> Value:
        """From left to right; each axis is summed as soon as no further operand needs it."""
        plan = _Plan.of(self.equation, [x.type for x in xs])
        factors = [_prepared(b, x, axes, plan) for x, axes in zip(xs, plan.operands, strict=True)]
        total = factors[0]
        for i, factor in enumerate(factors[1:], 2):
            needed = {*plan.result, *(axis for later in factors[i:] for axis in later.axes)}
            total = _product(b, total, factor, needed, plan.result)
        return _ordered(b, _summed(b, total, plan.result), plan.result).x


# -- the equation ------------------------------------------------------------------------------------------------------


@dataclass
class _Term:
    """The axes of one operand or of the result, each with its place in the text."""

    start: int
    axes: list[tuple[str, int]] = field(default_factory=list)

    @property
    def letters(self) -> str:
        return "".join(axis for axis, _ in self.axes)


@dataclass
class _Plan:
    """Axes by name: those of each operand, those of the result, and their sizes. `...` is `...2`, `...1`."""

    operands: list[list[str]]
    result: list[str]
    sizes: dict[str, Dim]

    @staticmethod
    def of(equation: str, xs: Sequence[TensorType]) -> _Plan:
        terms, result = _terms(equation)
        if len(terms) != len(xs):
            has = f"{len(terms)} operand{'s' if len(terms) > 1 else ''}"
            raise OpError(
                f"the equation has {has}, but {len(xs)} {'is' if len(xs) == 1 else 'are'} given",
                argument="equation",
                code="E0414",
            )
        sizes: dict[str, Dim] = {}
        first: dict[str, TensorType] = {}  # that has the axis
        operands = []
        for term, x in zip(terms, xs, strict=True):
            operands.append(_named(term, x))
            positions = dict(term.axes)
            for axis, size in zip(operands[-1], x.shape, strict=True):
                of, position = first.setdefault(axis, x), positions.get(axis, term.start)
                sizes[axis] = _common_size(axis, sizes.get(axis, size), size, of, x, position)
        return _Plan(operands, _result(result, terms, sizes), sizes)


def _terms(text: str) -> tuple[list[_Term], _Term | None]:
    """The operands, and the result where it is written."""
    operands, result, i = [_Term(0)], None, 0
    while i < len(text):
        term, sign = result or operands[-1], text[i]
        if text.startswith("->", i) and result is None:
            result, sign = _Term(i + 2), "->"
        elif text.startswith("...", i) and "..." not in term.letters:
            term.axes.append(("...", i))
            sign = "..."
        elif sign == "," and result is None:
            operands.append(_Term(i + 1))
        elif sign.isascii() and sign.isalpha():
            term.axes.append((sign, i))
        elif sign != " ":
            help = 'letters name axes, `...` stands for any: "bij,bjk->bik"'
            raise _invalid(f"`{sign}` is not allowed here in an equation", i, help=help)
        i += len(sign)
    return operands, result


def _named(term: _Term, x: TensorType) -> list[str]:
    """A name for each axis of an operand."""
    letters = [axis for axis, _ in term.axes if axis != "..."]
    others = x.rank - len(letters)
    if others < 0 or (others and "..." not in term.letters):
        what = f"`{term.letters}` names {len(letters)} {'axis' if len(letters) == 1 else 'axes'}"
        raise _invalid(f"{what}, but its operand is {x}", term.start, max(1, len(term.letters)))
    rest = [f"...{others - i}" for i in range(others)]
    return [name for axis, _ in term.axes for name in (rest if axis == "..." else [axis])]


def _common_size(axis: str, a: Dim, b: Dim, of: TensorType, x: TensorType, position: int) -> Dim:
    if axis.startswith("..."):
        return common(a, b, f"what `...` stands for must broadcast, in {of} and {x}", "equation")
    if compare(a, b) == "different":
        where = f"{a} and {b} in {x}" if of is x else f"{a} in {of}, but {b} in {x}"
        raise _invalid(f"`{axis}` is {where}", position, code="E0401")
    return agreed(a, b, f"the sizes of `{axis}` in {of} and {x} must be equal")


def _result(term: _Term | None, terms: Sequence[_Term], sizes: Collection[str]) -> list[str]:
    others = sorted((axis for axis in sizes if axis.startswith("...")), key=lambda axis: -int(axis[3:]))
    if term is None:
        letters = [letter for t in terms for letter, _ in t.axes if letter != "..."]
        return [*others, *(letter for letter in sorted(set(letters)) if letters.count(letter) == 1)]
    dots = next((position for t in terms for axis, position in t.axes if axis == "..."), None)
    if others and dots is not None and "..." not in term.letters:
        raise _invalid("`...` is in an operand, but not in the result", dots, 3)
    seen: set[str] = set()
    for axis, position in term.axes:
        if axis != "..." and axis not in sizes:
            raise _invalid(f"no operand has an axis `{axis}`", position)
        if axis in seen:
            raise _invalid(f"`{axis}` occurs twice in the result", position)
        seen.add(axis)
    return [name for axis, _ in term.axes for name in (others if axis == "..." else [axis])]


def _invalid(message: str, position: int, length: int = 1, code: str = "E0414", help: str | None = None) -> OpError:
    return OpError(message, argument="equation", part=(position, position + length), code=code, help=help)


# -- the products ------------------------------------------------------------------------------------------------------


@dataclass
class _Factor:
    """A tensor, and the names of its axes."""

    x: Value
    axes: list[str]

    def size(self, axes: Sequence[str]) -> Dim:
        """The product of the sizes of some axes."""
        return product([self.x.type.shape[self.axes.index(axis)] for axis in axes])


def _prepared(b: Build, x: Value, axes: Sequence[str], plan: _Plan) -> _Factor:
    """An operand with each axis once, without those that only broadcast."""
    factor = _Factor(x, list(axes))
    for axis in dict.fromkeys(axes):
        while factor.axes.count(axis) > 1:
            factor = _diagonal(b, factor, axis)
    ones = [
        i
        for i, axis in enumerate(factor.axes)
        if axis.startswith("...") and is_one(factor.x.type.shape[i]) and not is_one(plan.sizes[axis])
    ]
    if ones:
        left = [axis for i, axis in enumerate(factor.axes) if i not in ones]
        factor = _Factor(b("squeeze", factor.x, axis=ones), left)
    return factor


def _diagonal(b: Build, factor: _Factor, axis: str) -> _Factor:
    """The diagonal of the first two axes of a name: every `size + 1`th element of both as one axis."""
    twice = [i for i, name in enumerate(factor.axes) if name == axis][:2]
    rest = [i for i in range(len(factor.axes)) if i not in twice]
    x = factor.x
    if rest + twice != list(range(x.type.rank)):
        x = b("permute", x, axes=rest + twice)
    size = x.type.shape[-1]
    flat = b("reshape", x, shape=[*x.type.shape[:-2], size * size])
    positions = b("mul", b("arange", start=size), b.size(size + 1, TensorType.of("i64")))
    return _Factor(b("gather", flat, positions, axis=-1), [*(factor.axes[i] for i in rest), axis])


def _summed(b: Build, factor: _Factor, needed: Collection[str]) -> _Factor:
    """Summed over the axes that nothing needs."""
    gone = [i for i, axis in enumerate(factor.axes) if axis not in needed]
    if not gone:
        return factor
    x = b("sum", factor.x, axis=gone)
    if x.type.dtype != factor.x.type.dtype:
        x = b("cast", x, dtype=factor.x.type.dtype)
    return _Factor(x, [axis for axis in factor.axes if axis in needed])


def _ordered(b: Build, factor: _Factor, axes: Sequence[str]) -> _Factor:
    """With the axes in this order."""
    if factor.axes == list(axes):
        return factor
    return _Factor(b("permute", factor.x, axes=[factor.axes.index(axis) for axis in axes]), list(axes))


def _product(b: Build, left: _Factor, right: _Factor, needed: Collection[str], result: Sequence[str]) -> _Factor:
    """The product of two factors, summed over axes that nothing else needs; the left one is that whose axes come first
    in the result."""
    left, right = _summed(b, left, {*needed, *right.axes}), _summed(b, right, {*needed, *left.axes})
    rows = [axis for axis in left.axes if axis not in right.axes]
    columns = [axis for axis in right.axes if axis not in left.axes]
    if next((axis for axis in result if axis in (*rows, *columns)), None) in columns:
        left, right, rows, columns = right, left, columns, rows
    inner = [axis for axis in right.axes if axis in left.axes and axis not in needed]
    if not inner:
        return _of_elements(b, left, right, columns)
    batch = [axis for axis in left.axes if axis in right.axes and axis in needed]
    y = b("matmul", _rows(b, left, batch, rows, inner), _columns(b, right, batch, inner, columns))
    sizes = [left.size([axis]) for axis in [*batch, *rows]] + [right.size([axis]) for axis in columns]
    return _Factor(b.like(y, y.type.with_shape(sizes)), [*batch, *rows, *columns])


def _of_elements(b: Build, left: _Factor, right: _Factor, columns: Sequence[str]) -> _Factor:
    """The elementwise product: the axes of one, then those that only the other has."""
    axes = [*left.axes, *columns]
    turned = _ordered(b, right, [axis for axis in axes if axis in right.axes])
    behind = axes.index(turned.axes[0]) if turned.axes else len(axes)
    missing = [i - behind for i, axis in enumerate(axes) if i > behind and axis not in right.axes]
    a = b("unsqueeze", left.x, axis=list(range(len(left.axes), len(axes)))) if columns else left.x
    return _Factor(b("mul", a, b("unsqueeze", turned.x, axis=missing) if missing else turned.x), axes)


def _rows(b: Build, factor: _Factor, batch: list[str], rows: list[str], inner: list[str]) -> Value:
    """[..., rows, inner] as it is without a batch, else [*batch, rows, inner]."""
    if batch or factor.axes != [*rows, *inner]:
        return _matrices(b, factor, batch, rows, inner)
    sizes = [factor.size([axis]) for axis in rows]
    return b.like(factor.x, factor.x.type.with_shape([*sizes, factor.size(inner)]))


def _columns(b: Build, factor: _Factor, batch: list[str], inner: list[str], columns: list[str]) -> Value:
    """[*batch, inner, columns]; a vector where only summed axes are left."""
    if batch or columns:
        return _matrices(b, factor, batch, inner, columns)
    return b.like(_ordered(b, factor, inner).x, factor.x.type.with_shape([factor.size(inner)]))


def _matrices(b: Build, factor: _Factor, batch: list[str], first: list[str], second: list[str]) -> Value:
    """[*batch, first, second]; where the axes have the other order, as a transposed matrix, which products take
    directly."""
    sizes, x = [factor.size([axis]) for axis in batch], factor.x
    if first and second and factor.axes == [*batch, *second, *first]:
        turned = b.like(x, x.type.with_shape([*sizes, factor.size(second), factor.size(first)]))
        return b("permute", turned, axes=[*range(len(batch)), len(batch) + 1, len(batch)])
    x = _ordered(b, factor, [*batch, *first, *second]).x
    return b.like(x, x.type.with_shape([*sizes, factor.size(first), factor.size(second)]))
