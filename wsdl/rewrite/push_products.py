"""Pushes products through formulas: multiplies by the parts of a computed weight if that is cheaper.

    stored m.base: f32[64, 32]
    stored m.up: f32[64, 2]
    stored m.down: f32[2, 32]

    model m(%x: f32[n, 32]) -> (y: %y) {
        %base = parameter {stored="m.base"}: f32[64, 32]
        %up = parameter {stored="m.up"}: f32[64, 2]
        %down = parameter {stored="m.down"}: f32[2, 32]
        %0 = matmul(%up, %down): f32[64, 32]
        %weight = add(%base, %0): f32[64, 32]
        %1 = transpose(%weight): f32[32, 64]
        %y = matmul(%x, %1): f32[n, 64]
    }

becomes (after pruning)

    stored m.base: f32[64, 32]
    stored m.up: f32[64, 2]
    stored m.down: f32[2, 32]

    model m(%x: f32[n, 32]) -> (y: %y) {
        %0 = parameter {stored="m.base"}: f32[64, 32]
        %1 = gemm(%x, %0) {trans_a=false, trans_b=true}: f32[n, 64]
        %2 = parameter {stored="m.down"}: f32[2, 32]
        %3 = gemm(%x, %2) {trans_a=false, trans_b=true}: f32[n, 2]
        %4 = parameter {stored="m.up"}: f32[64, 2]
        %5 = gemm(%3, %4) {trans_a=false, trans_b=true}: f32[n, 64]
        %y = add(%5, %1): f32[n, 64]
    }

The rules and their costs are in `product_plans.py`. All products that read a weight are planned together, as it is
computed once for all of them; if anything else reads it, or the body of a loop, it stays computed.
"""

from __future__ import annotations

from dataclasses import dataclass

from wsdl.ir.dims import Dim, product
from wsdl.ir.graph import Graph, Lowered, Node, Value
from wsdl.ir.rewriter import Rewriter
from wsdl.ops import OPERATIONS
from wsdl.ops.build import Build
from wsdl.rewrite.from_stored import from_stored
from wsdl.rewrite.product_plans import Planner, Product, Whole, is_transpose, rows_of


def push_products(program: Lowered) -> Lowered:
    """Push the products of every model through the formulas of their weights."""
    for model in program.models.values():
        computed = _computed_weights(model.graph)
        if not computed:
            continue
        with Rewriter(model.graph) as rewriter:
            nodes = set(model.graph.nodes)
            for weight in computed:
                uses = _uses(weight, rewriter, nodes)
                if uses:
                    _push(weight, uses, rewriter)
    return program


def _computed_weights(graph: Graph) -> list[Value]:
    """The matrices that are computed from stored tensors only and read by operations that also read inputs."""
    fixed = from_stored(graph)
    producers = {value: node for node in graph.nodes for value in node.results}
    weights: dict[Value, None] = {}
    for node in graph.nodes:
        for value in fixed.intersection(node.reads()) if fixed.isdisjoint(node.results) else ():
            while is_movement(producers[value]):
                [value] = producers[value].inputs
            if producers[value].op != "parameter" and value.type.rank == 2 and value.type.is_float:
                weights[value] = None
    return list(weights)


def is_movement(node: Node) -> bool:
    return is_transpose(node) or node.op == "reshape"


@dataclass(frozen=True)
class _Use:
    """A product that reads a weight, or its transpose."""

    node: Node
    transposed: bool

    @property
    def rows(self) -> list[float]:
        y = self.node.result.type
        return rows_of((y.shape[0], *y.shape[2:]) if _is_convolution(self.node) else y.shape[:-1])

    @property
    def pointwise(self) -> bool:
        return self.node.op == "matmul" or all(d.constant == 1 for d in self.node.inputs[1].type.shape[2:])


def _uses(weight: Value, rewriter: Rewriter, nodes: set[Node]) -> list[_Use] | None:
    """The products among `nodes` that read a weight; `None` if anything else reads it."""
    uses: list[_Use] = []
    stack = [(weight, False)]
    while stack:
        value, transposed = stack.pop()
        for reader in rewriter.readers(value):
            if not isinstance(reader, Node) or reader not in nodes:
                return None
            if is_transpose(reader):
                stack.append((reader.result, not transposed))
            elif reader.op == "matmul" and reader.inputs[1] is value and reader.inputs[0] is not value:
                uses.append(_Use(reader, transposed))
            elif reader.op == "reshape" and not transposed:
                convolutions = [_of_kernel(r, reader.result, value, nodes) for r in rewriter.readers(reader.result)]
                uses += [use for use in convolutions if use is not None]
                if None in convolutions:
                    return None
            else:
                return None
    return uses


def _is_convolution(node: Node) -> bool:
    """Whether a node is a convolution whose weight has its output channels first."""
    return node.op in OPERATIONS and OPERATIONS[node.op].output_axis == 0


def _of_kernel(reader: Node | Graph, kernel: Value, weight: Value, nodes: set[Node]) -> _Use | None:
    """The use by a convolution whose kernel is the matrix reshaped, `[channels, inner]` as `[channels, inner, …]`."""
    if not isinstance(reader, Node) or reader not in nodes or not _is_convolution(reader):
        return None
    is_weight = reader.inputs[1] is kernel and kernel not in (reader.inputs[0], *reader.inputs[2:])
    has_channels = kernel.type.shape[0].constant == weight.type.shape[0].constant and reader.attributes["groups"] == 1
    return _Use(reader, True) if is_weight and has_channels else None


def _push(weight: Value, uses: list[_Use], rewriter: Rewriter) -> None:
    scenarios = list(zip(*(use.rows for use in uses), strict=True))
    planner = Planner(rewriter, weight, scenarios, all(use.pointwise for use in uses))
    transposed = uses[0].transposed
    plans = {transposed: planner.plan(weight, transposed)}
    for use in uses:
        if use.transposed not in plans:
            plans[use.transposed] = planner.plan(weight, use.transposed)
    if any(isinstance(plan, Whole) for plan in plans.values()):
        return
    for use in uses:
        build, (x, _, *bias), y = Build.at(use.node), use.node.inputs, use.node.result
        if use.node.op == "matmul":
            x = build.like(x, x.type.with_shape((product(x.type.shape[:-1]), x.type.shape[-1])))
            result = build.like(plans[use.transposed].apply(build, _Matrices(build), x, None), y.type)
        else:
            result = plans[use.transposed].apply(build, _Convolution(build, use.node), x, bias[0] if bias else None)
        rewriter.replace_node(use.node, build.nodes, [result])


@dataclass(frozen=True)
class _Matrices:
    """Products of the rows of a matrix."""

    build: Build
    pointwise: bool = True

    def __call__(self, x: Value, weight: Value, transposed: bool, addend: Value | None) -> Value:
        return self.added(self.build("gemm", x, weight, trans_b=transposed), addend)

    def added(self, y: Value, addend: Value | None) -> Value:
        return y if addend is None else self.build("add", y, addend)

    def scaled(self, op: str, x: Value, scale: Value) -> Value:
        return self.build(op, x, _as_vector(self.build, scale, 0))

    @property
    def next(self) -> Product:
        return self


@dataclass(frozen=True)
class _Convolution:
    """Products of the windows of an image; `node` is the convolution, `None` for one with kernels of one element. An
    addend that is a vector is a bias."""

    build: Build
    node: Node | None

    @property
    def pointwise(self) -> bool:
        return self.node is None

    def __call__(self, x: Value, weight: Value, transposed: bool, addend: Value | None) -> Value:
        axes = x.type.rank - 2
        kernel = weight if transposed else self.build("transpose", weight)
        sizes = (Dim.of(1),) * axes if self.node is None else self.node.inputs[1].type.shape[2:]
        kernel = self.build("reshape", kernel, shape=[kernel.type.shape[0], x.type.shape[1], *sizes])
        bias, attributes = _as_bias(addend), {} if self.node is None else self.node.attributes
        return self.added(self.build(f"conv{axes}d", x, kernel, bias, **attributes), None if bias else addend)

    def added(self, y: Value, addend: Value | None) -> Value:
        bias = _as_bias(addend)
        other = _as_vector(self.build, bias, y.type.rank - 2) if bias else addend
        return y if other is None else self.build("add", y, other)

    def scaled(self, op: str, x: Value, scale: Value) -> Value:
        return self.build(op, x, _as_vector(self.build, scale, x.type.rank - 2))

    @property
    def next(self) -> Product:
        return _Convolution(self.build, None)


def _as_bias(addend: Value | None) -> Value | None:
    return addend if addend is not None and addend.type.rank == 1 else None


def _as_vector(b: Build, scale: Value, axes: int) -> Value:
    """A scale as a vector, followed by `axes` axes of size 1."""
    return b("reshape", scale, shape=[product(scale.type.shape), *[Dim.of(1)] * axes])
