"""Plans to compute `x @ W` for a `W` that is computed from stored tensors, and their costs.

`W` is a matrix `[inner, columns]`, or (`turned`) the transpose of one. A plan is `Whole`: `W` is computed, then the
product; or it applies to `x` what `W` is computed by, one after the other:

    x @ (a + b)      x @ a + x @ b          Sum
    x @ (a @ b)      (x @ a) @ b            Chain
    x @ (s * a)      (x * s) @ a            Scaled, where s scales rows; (x @ a) * s where it scales columns
    x @ -a           -x @ a                 Negated

Costs are in multiply-accumulates: those of products, `ELEMENT` for each element that is read or written, and `NODE`
for each operation (docs/decisions/0050-products-through-formulas.md has the measurements behind the two numbers).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Protocol, TypeAlias

from wsdl.ir.dims import Dim
from wsdl.ir.graph import Node, Value
from wsdl.ir.rewriter import Rewriter
from wsdl.ir.types import same_shape
from wsdl.ops import OPERATIONS
from wsdl.ops.build import Build
from wsdl.ops.node_arguments import arguments

ELEMENT = 8
NODE = 50_000
SIZES = (1, 32, 256)  # what a size that only the run knows is taken for: a plan is cheaper where it is on the whole

MOST_PLANS = 32  # for one product: what is nested more deeply is multiplied whole

Rows: TypeAlias = "Sequence[float]"
"""The number of rows of `x` for each of the products that read a weight."""


class Product(Protocol):
    """A product with a weight: of the rows of a matrix, or of the windows of an image (a convolution)."""

    @property
    def pointwise(self) -> bool:
        """Whether it reads each row separately, so that scaling the weight's inner axis is the same as scaling `x`."""

    def __call__(self, x: Value, weight: Value, turned: bool, onto: Value | None) -> Value:
        """`x @ weight`, added to `onto`."""

    def added(self, y: Value, onto: Value | None) -> Value:
        """A result of such a product, added to `onto`."""

    def scaled(self, op: str, x: Value, scale: Value) -> Value:
        """`x` times or divided by a scalar or a vector over its columns, in any shape."""

    @property
    def behind(self) -> Product:
        """What multiplies the columns of its result."""


class Plan(Protocol):
    def cost(self, rows: Rows) -> float:
        """The cost of all products that read the weight."""

    def apply(self, b: Build, product: Product, x: Value, onto: Value | None) -> Value:
        """`x @ W`, added to `onto`."""


def elements(value: Value) -> float:
    return prod(value.type.sizes or ())


@dataclass(frozen=True)
class Whole:
    """`x @ W`, with `W` as the sum of `terms`, which take `made` to compute; each is `turned` or not."""

    terms: tuple[tuple[Value, bool], ...]
    made: float
    read_again: Callable[[Build, Value], Value]

    def cost(self, rows: Rows) -> float:
        size = elements(self.terms[0][0])
        inner, columns = _oriented(*self.terms[0])
        made = self.made + (len(self.terms) - 1) * (NODE + 3 * ELEMENT * size)
        return made + sum(NODE + n * size + ELEMENT * (n * inner + size + n * columns) for n in rows)

    def apply(self, b: Build, product: Product, x: Value, onto: Value | None) -> Value:
        (first, turned), *rest = self.terms
        weight = self.read_again(b, first) if not rest else first
        for other, other_turned in rest:
            weight = b("add", weight, other if other_turned == turned else b("transpose", other))
            b.nodes[-1].in_f32 = True
        return product(x, weight, turned, onto)


@dataclass(frozen=True)
class Sum:
    terms: tuple[Plan, ...]
    columns: int

    def cost(self, rows: Rows) -> float:
        additions = (len(self.terms) - 1) * sum(ELEMENT * n * self.columns for n in rows)
        return additions + sum(term.cost(rows) for term in self.terms)

    def apply(self, b: Build, product: Product, x: Value, onto: Value | None) -> Value:
        for term in self.terms:
            onto = term.apply(b, product, x, onto)
        assert onto is not None
        return onto


@dataclass(frozen=True)
class Chain:
    first: Plan
    second: Plan
    between: int  # how long the rows of the first product are

    def cost(self, rows: Rows) -> float:
        return self.first.cost(rows) + self.second.cost(rows)

    def apply(self, b: Build, product: Product, x: Value, onto: Value | None) -> Value:
        return self.second.apply(b, product.behind, self.first.apply(b, product, x, None), onto)


@dataclass(frozen=True)
class Scaled:
    """`op` is `mul` or `div`; `before`: `x` is scaled, not the product; `size` elements of each row are."""

    inner: Plan
    op: str
    scale: Value
    before: bool
    size: int
    made: float
    read_again: Callable[[Build, Value], Value]

    def cost(self, rows: Rows) -> float:
        return self.made + self.inner.cost(rows) + sum(NODE + ELEMENT * 2 * n * self.size for n in rows)

    def apply(self, b: Build, product: Product, x: Value, onto: Value | None) -> Value:
        scale = self.read_again(b, self.scale)
        if self.before:
            return self.inner.apply(b, product, product.scaled(self.op, x, scale), onto)
        y = self.inner.apply(b, product, x, None)
        return product.added(product.behind.scaled(self.op, y, scale), onto)


@dataclass(frozen=True)
class Negated:
    inner: Plan
    size: int

    def cost(self, rows: Rows) -> float:
        return self.inner.cost(rows) + sum(NODE + ELEMENT * 2 * n * self.size for n in rows)

    def apply(self, b: Build, product: Product, x: Value, onto: Value | None) -> Value:
        return self.inner.apply(b, product, b("neg", x), onto)


def _negated(plan: Plan, size: int) -> Plan:
    """The plan for `-W`, whose inner axis has this size; within a chain, where rows may be shorter."""
    if isinstance(plan, Negated):
        return plan.inner
    if isinstance(plan, Chain):
        return Chain(plan.first, _negated(plan.second, plan.between), plan.between)
    return Negated(plan, size)


def _oriented(matrix: Value, turned: bool) -> tuple[int, int]:
    """`inner` and `columns`."""
    rows, columns = matrix.type.sizes or (0, 0)
    return (columns, rows) if turned else (rows, columns)


# -- choosing ----------------------------------------------------------------------------------------------------------


@dataclass
class Planner:
    """The cheapest plans for products with one weight. `rows` are those of each product, for each of `SIZES`;
    `pointwise`: all of them read each row by itself."""

    rewriter: Rewriter
    root: Value
    rows: Sequence[Rows]
    pointwise: bool
    left: int = MOST_PLANS  # plans that may still be made

    def plan(self, value: Value, turned: bool, pointwise: bool | None = None) -> Plan:
        """The cheapest plan for the products with a matrix."""
        pointwise = self.pointwise if pointwise is None else pointwise
        whole = self._whole(value, turned)
        self.left -= 1
        pushed = self._pushed(value, turned, pointwise) if self.left >= 0 else None
        return whole if pushed is None else min((whole, pushed), key=self._typical)

    def _typical(self, plan: Plan) -> float:
        """The product of the costs for all of `SIZES`, by which their geometric means compare."""
        return prod(plan.cost(rows) for rows in self.rows)

    def _whole(self, value: Value, turned: bool) -> Whole:
        return Whole(((value, turned),), self._made(value), self._read_again)

    def _pushed(self, value: Value, turned: bool, pointwise: bool) -> Plan | None:
        """The plan that applies to `x` what a matrix is computed by; `None` where this isn't linear in `x`."""
        node = self.rewriter.producer(value)
        if node is None or value.type.rank != 2 or not value.type.is_float or value.type.sizes is None:
            return None
        inner, columns = _oriented(value, turned)
        if is_transpose(node):
            return self.plan(node.inputs[0], not turned, pointwise)
        if node.op in ("add", "sub") and all(same_shape(v.type.shape, value.type.shape) for v in node.inputs):
            left, right = (self.plan(v, turned, pointwise) for v in node.inputs)
            return self._sum([left, _negated(right, inner) if node.op == "sub" else right], columns)
        if node.op == "neg":
            return _negated(self.plan(node.inputs[0], turned, pointwise), inner)
        if node.op == "matmul" and all(v.type.rank == 2 for v in node.inputs):
            first, second = reversed(node.inputs) if turned else node.inputs
            between = _oriented(first, turned)[1]
            return Chain(self.plan(first, turned, pointwise), self.plan(second, turned, True), between)
        if node.op in ("mul", "div"):
            return self._scaled(node, value, turned, pointwise)
        return None

    def _sum(self, terms: Iterable[Plan], columns: int) -> Sum | None:
        """Terms that are multiplied whole become one; `None` where there are no others."""
        flat = [t for term in terms for t in (term.terms if isinstance(term, Sum) else [term])]
        wholes = [t for t in flat if isinstance(t, Whole)]
        if len(wholes) > 1:
            made = sum(t.made for t in wholes)
            merged = Whole(tuple(t for whole in wholes for t in whole.terms), made, self._read_again)
            flat = [merged, *(t for t in flat if not isinstance(t, Whole))]
        return Sum(tuple(flat), columns) if len(flat) > 1 else None

    def _scaled(self, node: Node, value: Value, turned: bool, pointwise: bool) -> Plan | None:
        (a, b), shape = node.inputs, value.type.shape
        matrix, scale = (a, b) if same_shape(a.type.shape, shape) or node.op == "div" else (b, a)
        sizes = (*(1,) * (2 - scale.type.rank), *(scale.type.sizes or ()))
        if not same_shape(matrix.type.shape, shape) or scale.type.rank > 2 or 1 not in sizes:
            return None
        inner, columns = _oriented(value, turned)
        by_rows, by_columns = (size > 1 for size in sizes)
        before = by_columns if turned else by_rows
        if not by_rows and not by_columns:
            before = inner <= columns
        elif before and not pointwise:
            return None
        size = inner if before else columns
        plan = self.plan(matrix, turned, pointwise)
        made = self._made(scale)
        if isinstance(plan, Chain) and not by_rows and not by_columns:
            between = Scaled(plan.second, node.op, scale, True, plan.between, made, self._read_again)
            return Chain(plan.first, between, plan.between)
        return Scaled(plan, node.op, scale, before, size, made, self._read_again)

    def _made(self, value: Value) -> float:
        """What it costs to compute a value, and nothing else that isn't computed anyhow."""
        cost, rest = 0.0, [value]
        while rest:
            node = self.rewriter.producer(value := rest.pop())
            is_read_elsewhere = value is not self.root and len(self.rewriter.readers(value)) > 1
            if node is None or node.op not in OPERATIONS or is_read_elsewhere:
                continue
            rest += dict.fromkeys(node.inputs)
            if OPERATIONS[node.op].rules.view is None:
                types = arguments(OPERATIONS[node.op], node, lambda v: v.type)
                macs = OPERATIONS[node.op].multiplications(node.result.type, **types).constant or 0
                cost += NODE + macs + ELEMENT * sum(map(elements, (*node.inputs, *node.results)))
        return cost

    def _read_again(self, b: Build, value: Value) -> Value:
        """The value; a stored tensor is read by nodes of its own, in the dtype of the products that read it."""
        node = self.rewriter.producer(value)
        chain: list[Node] = []
        while node is not None and node.op in OPERATIONS and OPERATIONS[node.op].rules.view is not None:
            chain.append(node)
            node = self.rewriter.producer(node.inputs[0])
        if node is None or node.op != "parameter":
            return value
        copies: Mapping[Value, Value] = {}
        for each in (node, *reversed(chain)):
            copies = {**copies, **_copied(b, each, copies)}
        return copies[value]


def _copied(b: Build, node: Node, copies: Mapping[Value, Value]) -> dict[Value, Value]:
    results = {v: Value(v.type) for v in node.results}
    operands, attributes = node.substituted(copies), dict(node.attributes)
    copy = Node(node.op, operands, attributes, list(results.values()), b.path, b.span, b.steps, view=node.view)
    b.nodes.append(copy)
    return results


def is_transpose(node: Node) -> bool:
    """Whether a node transposes a matrix."""
    [*inputs] = node.inputs
    if len(inputs) != 1 or inputs[0].type.rank != 2:
        return False
    return node.op == "transpose" or (node.op == "permute" and node.attributes["axes"] == [1, 0])


def rows_of(shape: Iterable[Dim]) -> list[float]:
    """The elements of a shape for each of `SIZES`: all that the run alone knows of it is one such size."""
    known, unknown = 1.0, False
    for dim in shape:
        unknown |= dim.constant is None
        known *= dim.constant or 1
    return [known * size if unknown else known for size in SIZES]
