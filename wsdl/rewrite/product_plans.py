"""Plans to compute `x @ W` for a `W` that is computed from stored tensors, and their costs.

`W` is a matrix `[inner, columns]`, or the transpose of one (`transposed`). The plan `Whole` computes `W`, then the
product; the others apply the operations of the formula to `x`:

    x @ (a + b)      x @ a + x @ b          Sum
    x @ (a @ b)      (x @ a) @ b            Chain
    x @ (s * a)      (x * s) @ a            Scaled, where s scales rows; (x @ a) * s where it scales columns
    x @ -a           -x @ a                 Negated

Costs are in multiply-accumulates: those of products, plus `ELEMENT` per element read or written, plus `NODE` per
operation (measured: docs/decisions/0050-products-through-formulas.md).
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
SIZES = (1, 32, 256)  # assumed values of a dynamic dimension; plans are compared by the geometric mean of their costs

MAX_PLANS = 32  # per product; for more deeply nested formulas the matrix is computed

Rows: TypeAlias = "Sequence[float]"
"""The number of rows of `x` for each of the products that read a weight."""


class Product(Protocol):
    """A product with a weight: of the rows of a matrix, or of the windows of an image (a convolution)."""

    @property
    def pointwise(self) -> bool:
        """Whether it reads each row separately, so that scaling the weight's inner axis is the same as scaling `x`."""

    def __call__(self, x: Value, weight: Value, transposed: bool, addend: Value | None) -> Value:
        """`x @ weight + addend`."""

    def added(self, y: Value, addend: Value | None) -> Value:
        """`y + addend`, where `y` is a result of such a product."""

    def scaled(self, op: str, x: Value, scale: Value) -> Value:
        """`x` multiplied or divided by a scalar or by a vector over its columns, in any shape."""

    @property
    def next(self) -> Product:
        """The kind of a product that follows in a chain."""


class Plan(Protocol):
    def cost(self, rows: Rows) -> float:
        """The cost of all products that read the weight."""

    def apply(self, b: Build, product: Product, x: Value, addend: Value | None) -> Value:
        """`x @ W + addend`."""


def elements(value: Value) -> float:
    return prod(value.type.sizes or ())


@dataclass(frozen=True)
class Whole:
    """`x @ W`, where `W` is the sum of `terms`, each transposed or not, which cost `terms_cost` to compute."""

    terms: tuple[tuple[Value, bool], ...]
    terms_cost: float
    reread: Callable[[Build, Value], Value]

    def cost(self, rows: Rows) -> float:
        size = elements(self.terms[0][0])
        inner, columns = _oriented(*self.terms[0])
        weight_cost = self.terms_cost + (len(self.terms) - 1) * (NODE + 3 * ELEMENT * size)
        return weight_cost + sum(NODE + n * size + ELEMENT * (n * inner + size + n * columns) for n in rows)

    def apply(self, b: Build, product: Product, x: Value, addend: Value | None) -> Value:
        (first, transposed), *rest = self.terms
        weight = self.reread(b, first) if not rest else first
        for other, other_transposed in rest:
            weight = b("add", weight, other if other_transposed == transposed else b("transpose", other))
            b.nodes[-1].in_f32 = True
        return product(x, weight, transposed, addend)


@dataclass(frozen=True)
class Sum:
    terms: tuple[Plan, ...]
    columns: int

    def cost(self, rows: Rows) -> float:
        additions = (len(self.terms) - 1) * sum(ELEMENT * n * self.columns for n in rows)
        return additions + sum(term.cost(rows) for term in self.terms)

    def apply(self, b: Build, product: Product, x: Value, addend: Value | None) -> Value:
        total = addend
        for term in self.terms:
            total = term.apply(b, product, x, total)
        assert total is not None
        return total


@dataclass(frozen=True)
class Chain:
    first: Plan
    second: Plan
    between: int  # the number of columns of the first product

    def cost(self, rows: Rows) -> float:
        return self.first.cost(rows) + self.second.cost(rows)

    def apply(self, b: Build, product: Product, x: Value, addend: Value | None) -> Value:
        return self.second.apply(b, product.next, self.first.apply(b, product, x, None), addend)


@dataclass(frozen=True)
class Scaled:
    """`op` is `mul` or `div`. It scales `size` elements per row: of `x` if `before`, otherwise of the product."""

    inner: Plan
    op: str
    scale: Value
    before: bool
    size: int
    scale_cost: float
    reread: Callable[[Build, Value], Value]

    def cost(self, rows: Rows) -> float:
        return self.scale_cost + self.inner.cost(rows) + sum(NODE + ELEMENT * 2 * n * self.size for n in rows)

    def apply(self, b: Build, product: Product, x: Value, addend: Value | None) -> Value:
        scale = self.reread(b, self.scale)
        if self.before:
            return self.inner.apply(b, product, product.scaled(self.op, x, scale), addend)
        y = self.inner.apply(b, product, x, None)
        return product.added(product.next.scaled(self.op, y, scale), addend)


@dataclass(frozen=True)
class Negated:
    inner: Plan
    size: int

    def cost(self, rows: Rows) -> float:
        return self.inner.cost(rows) + sum(NODE + ELEMENT * 2 * n * self.size for n in rows)

    def apply(self, b: Build, product: Product, x: Value, addend: Value | None) -> Value:
        return self.inner.apply(b, product, b("neg", x), addend)


def _negated(plan: Plan, size: int) -> Plan:
    """The plan for `-W`, whose inner axis has this size. Of a chain the second product is negated."""
    if isinstance(plan, Negated):
        return plan.inner
    if isinstance(plan, Chain):
        return Chain(plan.first, _negated(plan.second, plan.between), plan.between)
    return Negated(plan, size)


def _oriented(matrix: Value, transposed: bool) -> tuple[int, int]:
    """`inner` and `columns` of a matrix or its transpose."""
    rows, columns = matrix.type.sizes or (0, 0)
    return (columns, rows) if transposed else (rows, columns)


# -- choosing ----------------------------------------------------------------------------------------------------------


@dataclass
class Planner:
    """Finds the cheapest plans for the products with one weight. `rows` has the number of rows of each product, for
    each of `SIZES`; `pointwise` is whether all products are."""

    rewriter: Rewriter
    root: Value
    rows: Sequence[Rows]
    pointwise: bool
    budget: int = MAX_PLANS  # the number of plans that may still be tried

    def plan(self, value: Value, transposed: bool, pointwise: bool | None = None) -> Plan:
        """The cheapest plan for the products with a matrix."""
        pointwise = self.pointwise if pointwise is None else pointwise
        whole = self._whole(value, transposed)
        self.budget -= 1
        pushed = self._pushed(value, transposed, pointwise) if self.budget >= 0 else None
        return whole if pushed is None else min((whole, pushed), key=self._typical_cost)

    def _typical_cost(self, plan: Plan) -> float:
        """The product of the costs for all of `SIZES`, which has the order of their geometric means."""
        return prod(plan.cost(rows) for rows in self.rows)

    def _whole(self, value: Value, transposed: bool) -> Whole:
        return Whole(((value, transposed),), self._cost_of(value), self._reread)

    def _pushed(self, value: Value, transposed: bool, pointwise: bool) -> Plan | None:
        """The plan that applies the last operation of a matrix's formula to `x`; `None` if there is no such rule."""
        node = self.rewriter.producer(value)
        if node is None or value.type.rank != 2 or not value.type.is_float or value.type.sizes is None:
            return None
        inner, columns = _oriented(value, transposed)
        if is_transpose(node):
            return self.plan(node.inputs[0], not transposed, pointwise)
        if node.op in ("add", "sub") and all(same_shape(v.type.shape, value.type.shape) for v in node.inputs):
            left, right = (self.plan(v, transposed, pointwise) for v in node.inputs)
            return self._sum([left, _negated(right, inner) if node.op == "sub" else right], columns)
        if node.op == "neg":
            return _negated(self.plan(node.inputs[0], transposed, pointwise), inner)
        if node.op == "matmul" and all(v.type.rank == 2 for v in node.inputs):
            first, second = reversed(node.inputs) if transposed else node.inputs
            between = _oriented(first, transposed)[1]
            return Chain(self.plan(first, transposed, pointwise), self.plan(second, transposed, True), between)
        if node.op in ("mul", "div"):
            return self._scaled(node, value, transposed, pointwise)
        return None

    def _sum(self, terms: Iterable[Plan], columns: int) -> Sum | None:
        """The sum of plans, in which the `Whole` ones are merged; `None` if all are."""
        flat = [t for term in terms for t in (term.terms if isinstance(term, Sum) else [term])]
        wholes = [t for t in flat if isinstance(t, Whole)]
        if len(wholes) > 1:
            cost = sum(t.terms_cost for t in wholes)
            merged = Whole(tuple(t for whole in wholes for t in whole.terms), cost, self._reread)
            flat = [merged, *(t for t in flat if not isinstance(t, Whole))]
        return Sum(tuple(flat), columns) if len(flat) > 1 else None

    def _scaled(self, node: Node, value: Value, transposed: bool, pointwise: bool) -> Plan | None:
        (a, b), shape = node.inputs, value.type.shape
        matrix, scale = (a, b) if same_shape(a.type.shape, shape) or node.op == "div" else (b, a)
        sizes = (*(1,) * (2 - scale.type.rank), *(scale.type.sizes or ()))
        if not same_shape(matrix.type.shape, shape) or scale.type.rank > 2 or 1 not in sizes:
            return None
        inner, columns = _oriented(value, transposed)
        by_rows, by_columns = (size > 1 for size in sizes)
        before = by_columns if transposed else by_rows
        if not by_rows and not by_columns:
            before = inner <= columns
        elif before and not pointwise:
            return None
        size = inner if before else columns
        plan = self.plan(matrix, transposed, pointwise)
        scale_cost = self._cost_of(scale)
        if isinstance(plan, Chain) and not by_rows and not by_columns:
            second = Scaled(plan.second, node.op, scale, True, plan.between, scale_cost, self._reread)
            return Chain(plan.first, second, plan.between)
        return Scaled(plan, node.op, scale, before, size, scale_cost, self._reread)

    def _cost_of(self, value: Value) -> float:
        """The cost of computing a value, without what is computed anyway since something else reads it."""
        cost, stack = 0.0, [value]
        while stack:
            node = self.rewriter.producer(value := stack.pop())
            is_read_elsewhere = value is not self.root and len(self.rewriter.readers(value)) > 1
            if node is None or node.op not in OPERATIONS or is_read_elsewhere:
                continue
            stack += dict.fromkeys(node.inputs)
            if OPERATIONS[node.op].rules.view is None:
                types = arguments(OPERATIONS[node.op], node, lambda v: v.type)
                macs = OPERATIONS[node.op].multiplications(node.result.type, **types).constant or 0
                cost += NODE + macs + ELEMENT * sum(map(elements, (*node.inputs, *node.results)))
        return cost

    def _reread(self, b: Build, value: Value) -> Value:
        """The value; a stored tensor is read by new nodes, so that it gets the dtype of the products that read it."""
        node = self.rewriter.producer(value)
        chain: list[Node] = []
        while node is not None and node.op in OPERATIONS and OPERATIONS[node.op].rules.view is not None:
            chain.append(node)
            node = self.rewriter.producer(node.inputs[0])
        if node is None or node.op != "parameter":
            return value
        copies: Mapping[Value, Value] = {}
        for original in (node, *reversed(chain)):
            copies = {**copies, **_copy(b, original, copies)}
        return copies[value]


def _copy(b: Build, node: Node, copies: Mapping[Value, Value]) -> dict[Value, Value]:
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
    """The number of elements of a shape for each of `SIZES`, as the product of its dynamic dimensions."""
    fixed, is_dynamic = 1.0, False
    for dim in shape:
        is_dynamic |= dim.constant is None
        fixed *= dim.constant or 1
    return [fixed * size if is_dynamic else fixed for size in SIZES]
