"""Evaluates declared types, and matches them with the types of inputs."""

from __future__ import annotations

import re

from wsdl.diagnostics import Label, limits
from wsdl.diagnostics.span import Span
from wsdl.elaborate.bound_names import ANY, ANY_SIZE, unknown_dtype
from wsdl.elaborate.context import Context
from wsdl.elaborate.evaluate import evaluate
from wsdl.elaborate.items import Frame, Item, as_dim, describe, has_poison
from wsdl.elaborate.kinds import ROUNDING
from wsdl.elaborate.sizes import simplest
from wsdl.ir.dims import Dim, compare
from wsdl.ir.graph import Value
from wsdl.ir.types import DTYPES, FLOATS, DType, TensorType, shape_text
from wsdl.syntax import tree


def dtype_of(name: tree.Name, context: Context) -> DType | None:
    """A dtype by its name."""
    for dtype in DTYPES:
        if dtype == name.text:
            return dtype
    unknown_dtype(name, context.report.problems)
    return None


def type_of(node: tree.Type, frame: Frame, context: Context) -> TensorType | None:
    """A type whose names are all bound; the default dtype is that of the block."""
    dtype = frame.dtype if node.dtype is None else dtype_of(node.dtype, context)
    shape: list[Dim | None] = []
    for d in node.dims:
        rest = d.name if isinstance(d, tree.Ellipsis) else None
        shape += [dim_of(d, frame, context)] if rest is None else _rest_of(rest, frame, context)
    if dtype is None or any(d is None for d in shape):
        return None
    return TensorType(dtype, tuple(d for d in shape if d is not None))


def dim_of(node: tree.Expression | tree.Ellipsis, frame: Frame, context: Context) -> Dim | None:
    """One dimension of a type whose names are all bound; `None` after reporting an error."""
    if isinstance(node, tree.Ellipsis):
        message = "`...` stands for leading dimensions in the signature of a block only"
        context.error("E0416", node.span, message, "which ones?", applied=False)
        return None
    item = evaluate(node, frame, context)
    if (dim := as_dim(item)) is not None:
        if dim.constant is None or 0 <= dim.constant < limits.DIMENSION:
            return dim
        label = "negative" if dim.constant < 0 else "too large for a tensor"
        context.error("E0405", node.span, f"a dimension can't be {dim}", label)
    elif not has_poison(item):
        _report_no_number(node, item, context)
    return None


def _rest_of(name: tree.Name, frame: Frame, context: Context) -> list[Dim | None]:
    """The sizes that a name behind `...` stands for; with `None` after reporting an error."""
    item = evaluate(name, frame, context)
    if isinstance(item, list) and all(as_dim(size) is not None for size in item):
        return [as_dim(size) for size in item]
    if not has_poison(item):
        message = f"`...{name.text}` must stand for a list of sizes, not {describe(item)}"
        context.error("E0405", name.span, message)
    return [None]


def _report_no_number(node: tree.Expression, item: Item, context: Context) -> None:
    message, help = f"a dimension must be an integer, not {describe(item)}", None
    if isinstance(item, float):
        help = ROUNDING
    if isinstance(item, Value) and isinstance(node, tree.Name):
        message = f"`{node.text}` is a tensor here, so it can't be a dimension"
        help = "give the tensor or the dimension another name"
    context.error("E0405", node.span, message, help=help)


class Signature:
    """The dimensions of one application: names bound so far, and the dimensions of `...` without a name."""

    def __init__(self, frame: Frame, context: Context) -> None:
        self.frame, self.context = frame, context
        self.leading: tuple[Dim, ...] | None = None
        self.places: dict[str, tuple[Span, str]] = {}  # the location that bound a name, and the input
        self.unchecked: list[tuple[Dim, Dim]] = []  # to compare at run time

    def match(self, node: tree.Type, actual: TensorType, span: Span, what: str) -> bool:
        """Bind the free names of a declared type by matching it with an actual one; `False` after reporting a
        mismatch."""
        return self._dtype(node, actual, span, what) and self._shape(node, actual, span, what)

    def _dtype(self, node: tree.Type, actual: TensorType, span: Span, what: str) -> bool:
        if node.dtype is not None and node.dtype.text == ANY:
            return True
        if node.dtype is None:
            if actual.dtype in FLOATS:
                return True
            expected = "a float dtype"
        else:
            dtype = dtype_of(node.dtype, self.context)
            if dtype is None or actual.dtype == dtype:
                return dtype is not None
            expected = f"{dtype}"
        written = span.text if len(span.text) <= 24 and "\n" not in span.text else "…"
        self.context.error(
            "E0403",
            span,
            f"{what} must be {expected}, not {actual.dtype}",
            f"is {actual}",
            labels=_user(node.span, f"declared {node.span.text}"),
            help=_how_to_convert(written, actual.dtype, expected if node.dtype else "f32"),
        )
        return False

    def _shape(self, node: tree.Type, actual: TensorType, span: Span, what: str) -> bool:
        dims = list(node.dims)
        at = next((i for i, d in enumerate(dims) if isinstance(d, tree.Ellipsis)), None)
        fixed = len(dims) - (at is not None)
        if actual.rank < fixed or (at is None and actual.rank != fixed):
            self.context.error(
                "E0402",
                span,
                f"{what} has {actual.rank} dimension{'s' if actual.rank != 1 else ''}, not "
                f"{'at least ' if at is not None else ''}{fixed}",
                f"is {actual}",
                labels=_user(node.span, f"declared {node.span.text}"),
                help=_declared(node, what),
            )
            return False
        axes = list(range(actual.rank))
        if at is not None:
            count = actual.rank - fixed
            if not self._rest(dims[at], actual.shape[at : at + count], node, actual, span, what):
                return False
            del axes[at : at + count]
            dims.pop(at)
        return all(self._bind(d, axis, node, actual, span, what) for d, axis in zip(dims, axes, strict=True))

    def _rest(
        self,
        node: tree.Expression | tree.Ellipsis,
        actual: tuple[Dim, ...],
        type_: tree.Type,
        whole: TensorType,
        span: Span,
        what: str,
    ) -> bool:
        """Bind the dimensions that `...` stands for, or compare them with those that it is bound to."""
        assert isinstance(node, tree.Ellipsis)
        if node.name is None:
            known = self.leading
            self.leading = actual if known is None else known
        elif self.is_known(node.name):
            sizes = _rest_of(node.name, self.frame, self.context)
            known = tuple(size for size in sizes if size is not None)
            if len(known) < len(sizes):
                return False
        else:
            known = None
            self.frame.names[node.name.text] = [simplest(size) for size in actual]
        if known is None:
            return True
        answers = {compare(a, b) for a, b in zip(known, actual, strict=False)}
        if len(actual) != len(known) or "different" in answers:
            dimensions = f"the {'leading ' if type_.dims[0] is node else ''}dimensions of {what}"
            self.context.error(
                "E0402",
                span,
                f"{dimensions} are {shape_text(actual)}, but `{node.span.text}` is {shape_text(known)}",
                f"is {whole}",
                labels=_user(type_.span, f"declared {type_.span.text}"),
                help=_declared(type_, what),
            )
            return False
        self.unchecked += [(a, b) for a, b in zip(known, actual, strict=True) if compare(a, b) == "unknown"]
        return True

    def _bind(
        self,
        node: tree.Expression | tree.Ellipsis,
        axis: int,
        type_: tree.Type,
        whole: TensorType,
        span: Span,
        what: str,
    ) -> bool:
        actual = whole.shape[axis]
        assert not isinstance(node, tree.Ellipsis)
        names = self.frame.names
        if isinstance(node, tree.Name) and node.text == ANY_SIZE:
            return True
        if isinstance(node, tree.Name) and not self.is_known(node):
            names[node.text] = simplest(actual)
            self.places[node.text] = (span, what)
            return True
        if (solved := self._solve(node, actual)) is not None:
            name, value = solved
            names[name.text] = value
            self.places[name.text] = (span, what)
            return True
        expected = evaluate(node, self.frame, self.context)
        if has_poison(expected):
            return False
        declared = as_dim(expected)
        if declared is None:
            _report_no_number(node, expected, self.context)
            return False
        answer = compare(declared, actual)
        if answer == "different":
            self._mismatch(node, declared, axis, type_, whole, span, what)
            return False
        if answer == "unknown":
            self.unchecked.append((declared, actual))
        return True

    def _mismatch(
        self,
        node: tree.Expression,
        expected: Dim,
        axis: int,
        type_: tree.Type,
        whole: TensorType,
        span: Span,
        what: str,
    ) -> None:
        labels = _user(type_.span, f"declared {type_.span.text}")
        expectation = f"not {expected}"
        if not isinstance(node, tree.Number):
            expectation = (
                f"but `{node.span.text}` is {expected}" if node.span.text != str(expected) else f"not `{expected}`"
            )
        if isinstance(node, tree.Name):
            if node.text in self.places and self.places[node.text][0] != span:
                first_use, by = self.places[node.text]
                labels.insert(0, Label(first_use, f"{by} makes `{node.text}` {expected}"))
            elif (definition := self.frame.scope.definitions.get(node.text)) and isinstance(definition.node, tree.Let):
                labels.insert(0, Label(definition.node.span, f"`{node.text}` is {expected}"))
        self.context.error(
            "E0402",
            span,
            f"axis {axis} of {what} is {whole.shape[axis]}, {expectation}",
            f"is {whole}",
            labels=labels,
            help=_declared(type_, what),
        )

    def is_known(self, node: tree.Name) -> bool:
        """Whether a name is bound already: by another input, by the configuration, by the file."""
        return node.text in self.frame.names or node.text in self.frame.scope.definitions

    def _solve(self, node: tree.Expression, actual: Dim) -> tuple[tree.Name, int | Dim] | None:
        """Solve for one free name in sums and products: `2 * h` and 28 give h = 14."""
        free = [n for n in names_in(node) if not self.is_known(n)]
        if len({n.text for n in free}) != 1 or isinstance(node, tree.Name):
            return None
        name = free[0]
        self.frame.names[name.text] = Dim.symbol(f"?{name.text}")
        item = evaluate(node, self.frame, self.context)
        del self.frame.names[name.text]
        if not isinstance(item, Dim):
            return None
        unknown = Dim.symbol(f"?{name.text}")
        rest = item.substitute({f"?{name.text}": Dim.of(0)})
        factor = item.substitute({f"?{name.text}": Dim.of(1)}) - rest
        if compare(factor * unknown + rest, item) != "equal" or factor.constant == 0:
            return None
        quotient, remainder = (actual - rest) // factor, (actual - rest) % factor
        return (name, simplest(quotient)) if remainder.constant == 0 else None


def names_in(node: tree.Expression | tree.Ellipsis) -> list[tree.Name]:
    """The names in a dimension."""
    if isinstance(node, tree.Name):
        return [node]
    if isinstance(node, tree.Binary):
        return [*names_in(node.left), *names_in(node.right)]
    if isinstance(node, tree.Unary):
        return names_in(node.operand)
    return []


def _how_to_convert(written: str, actual: DType, expected: str) -> str:
    if (
        expected == "bool" and actual in FLOATS
    ):  # `cast` would turn all values except 0 into true, also in an additive attention mask
        return f"write a comparison, such as `{written} > 0.5`; an additive mask isn't a boolean mask"
    if expected in FLOATS and re.fullmatch(r"-?\d[\d_]*", written):
        return f"write `{written}.0`"
    return f"convert it with `cast({written}, {expected})`"


def _user(span: Span, message: str) -> list[Label]:
    return [] if span.source.is_standard else [Label(span, message)]


def _declared(node: tree.Type, what: str) -> str | None:
    """The declaration in a block of the library, whose source isn't shown."""
    return f"{what} is declared `{node.span.text}`" if node.span.source.is_standard else None
