"""Appends operations to a graph by name; their shape rules infer the types.

    b = Build(graph)
    y = b("mul", x, b("sigmoid", x))
    s = b("sum", y, axis=1, keepdims=True)

Gradient rules are written with it, and passes that add computations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from wsdl.diagnostics.span import Span
from wsdl.ir.dims import Dim
from wsdl.ir.graph import Attribute, Graph, Node, Operand, Repetition, Stored, Value
from wsdl.ir.types import DType, TensorType, same_shape
from wsdl.ir.views import View
from wsdl.ops._define import OPERATIONS, Parameter


@dataclass
class Build:
    """Appends to `graph`; new nodes stand at `path`, `span` and `steps`. `around` builds what a body may capture,
    `enclosing` are the unfinished graphs around a body."""

    graph: Graph
    path: str = ""
    span: Span | None = None
    steps: tuple[Repetition, ...] = ()
    around: Build | None = None
    enclosing: Sequence[Graph] = ()
    _producers: _Producers = field(default_factory=lambda: _Producers(), repr=False)

    @staticmethod
    def at(node: Node) -> Build:
        """Builds nodes with the location of another one, in a graph of their own: to be inserted before it."""
        return Build(Graph(), node.path, node.span, node.steps)

    def beside(self, node: Node) -> Build:
        """Appends to the same graph, with the location of another node."""
        return replace(self, path=node.path, span=node.span, steps=node.steps)

    @property
    def nodes(self) -> list[Node]:
        return self.graph.nodes

    def __call__(self, op: str, *operands: Value | Sequence[Value] | float | None, **attributes: Any) -> Value:
        """The one result of an operation. A number stands for a constant of the dtype of the first tensor."""
        return self.all(op, *operands, **attributes)[0]

    def all(self, op: str, *operands: Value | Sequence[Value] | float | None, **attributes: Any) -> list[Value]:
        """All results of an operation."""
        operation = OPERATIONS[op]
        like = next((o for o in operands if isinstance(o, Value)), None)
        values = [self._operand(o, like) for o in operands]
        values += [None] * (len(operation.operands) - len(values))
        complete = {p.name: _attribute(p, attributes) for p in operation.attributes}
        assert not attributes.keys() - complete.keys(), f"{op} has no {attributes.keys() - complete.keys()}"
        types = {p.name: _types(v) for p, v in zip(operation.operands, values, strict=True)}
        result_types = operation.result_types(**types, **complete)
        if operation.rules.expand is not None:
            operands_by_name = {p.name: v for p, v in zip(operation.operands, values, strict=True)}
            expanded = operation.expand(self, **operands_by_name, **complete)
            if expanded is not None:
                return expanded
        results = [Value(t) for t in result_types]
        self.graph.nodes.append(Node(op, values, complete, results, self.path, self.span, self.steps))
        return results

    def parameter(self, stored: Stored, view: View | None = None, dtype: DType | None = None) -> Value:
        """Read a stored tensor, through a view (by default unchanged), in a dtype that may differ from that of the
        file."""
        view = view or View.identity(stored.sizes)
        result = Value(TensorType.of(dtype or stored.type.dtype, view.shape))
        attributes: dict[str, Attribute] = {"stored": stored.name}
        self.nodes.append(Node("parameter", [], attributes, [result], self.path, self.span, self.steps, view=view))
        return result

    def constant(self, value: float, type: TensorType) -> Value:
        """A number as a scalar of the dtype of `type`."""
        return self("constant", value=value, dtype=type.dtype)

    def zeros(self, type: TensorType) -> Value:
        return self("zeros", shape=list(type.shape), dtype=type.dtype)

    def number(self, value: Value) -> float | None:
        """The number of a constant scalar; `None` for other values."""
        node = self._producer(value)
        if node is None:
            return self.around.number(value) if self.around is not None else None
        number = node.attributes["value"] if node.op == "constant" else None
        return number if isinstance(number, int | float) else None

    def is_zeros(self, value: Value) -> bool:
        """Was the value created by `zeros`?"""
        node = self._producer(value)
        return node.op == "zeros" if node is not None else self.around is not None and self.around.is_zeros(value)

    def size(self, dim: Dim, type: TensorType) -> Value | float:
        """A dimension as a number to compute with, in the dtype of `type`."""
        return self("cast", self("size", dim=dim), dtype=type.dtype) if dim.constant is None else dim.constant

    def number_of(self, dim: Dim, type: TensorType) -> Value:
        """The same, always a value."""
        number = self.size(dim, type)
        return number if isinstance(number, Value) else self.constant(number, type)

    def parts(self) -> int:
        """How many parts have been made, in bodies too: their sizes are numbered."""
        nodes = (node for graph in (*self.enclosing, self.graph) for node in graph.walk())
        return sum(len(node.results) for node in nodes if node.op == "partition_rows")

    def mask(self, condition: Value, type: TensorType) -> Value:
        """1 where the condition is true, 0 elsewhere, in the dtype of `type`: to multiply with, which is many times
        faster than `where`."""
        return self("cast", condition, dtype=type.dtype)

    def mul(self, first: Value, *others: Value | float) -> Value:
        """The product of tensors and numbers, from left to right."""
        for other in others:
            first = self("mul", first, other)
        return first

    def one_minus(self, x: Value) -> Value:
        return self("sub", self.constant(1.0, x.type), x)

    def add(self, values: Sequence[Value]) -> Value:
        """The sum of one or more tensors of one type; a scatter into zeros becomes a scatter into the rest of the
        sum."""
        one_shape = len(values) > 1 and _one_shape(*values)
        producers = [self._producer(v) if one_shape else None for v in values]
        scattered = [i for i, n in enumerate(producers) if n is not None and self._scatters_onto_zeros(n)]
        if len(scattered) == len(values):
            scattered = scattered[1:]
        total, *rest = [v for i, v in enumerate(values) if i not in scattered]
        for value in rest:
            total = self("add", total, value)
        for node in [producers[i] for i in scattered]:
            assert node is not None
            total = self(node.op, total, *node.inputs[1:], axis=node.attributes["axis"])
            self.nodes[-1].in_f32 = node.in_f32  # in place of `node`, which may be of a formula's gradient
        return total

    def transposed(self, x: Value) -> Value:
        """A matrix transposed; a sum of matrix products by exchanging the factors, which costs nothing."""
        products = self._products(x)
        if not products:
            return self("transpose", x)
        turned = []
        for a, b, trans_a, trans_b in products:
            turned.append(self("gemm", b, a, trans_a=not trans_b, trans_b=not trans_a))
        return self.add(turned)

    def scaled_rows(self, x: Value, rows: Dim, columns: Dim) -> tuple[Value, Value] | None:
        """A matrix of this shape and the column that scales its rows, where `x` is their product, reshaped or not."""
        node = self._producer(x)
        while node is not None and node.op == "reshape":
            node = self._producer(node.inputs[0])
        if node is None or node.op != "mul":
            return None
        matrix, column = node.inputs
        fits = same_shape(matrix.type.shape, (rows, columns)) and same_shape(column.type.shape, (rows, Dim.of(1)))
        return (matrix, column) if fits else None

    def sum_to(self, x: Value, type: TensorType) -> Value:
        """`x` summed over the axes along which `type` was broadcast to its shape: the gradient of that broadcast."""
        extra = x.type.rank - type.rank
        if extra:
            x = self("sum", x, axis=list(range(extra)))
        ones = [a for a, d in enumerate(type.shape) if d.constant == 1 and x.type.shape[a].constant != 1]
        if ones:
            x = self("sum", x, axis=ones, keepdims=True)
        return x

    def expand(self, x: Value, type: TensorType) -> Value:
        """`x` broadcast to the shape of `type`."""
        return x if same_shape(x.type.shape, type.shape) else self("expand", x, shape=list(type.shape))

    def like(self, x: Value, type: TensorType) -> Value:
        """`x` in the shape of `type`, which has as many elements."""
        return x if same_shape(x.type.shape, type.shape) else self("reshape", x, shape=list(type.shape))

    def _producer(self, value: Value) -> Node | None:
        return self._producers(self.graph.nodes).get(value)

    def _scatters_onto_zeros(self, node: Node) -> bool:
        return node.op in ("scatter_add", "scatter_add_along") and self.is_zeros(node.inputs[0])

    def _products(self, x: Value) -> list[tuple[Value, Value, bool, bool]]:
        """The factors of the matrix products that `x` is the sum of, and which are transposed; none if it isn't."""
        products: list[tuple[Value, Value, bool, bool]] = []
        rest = [x]  # from right to left
        while rest:
            node = self._producer(rest.pop())
            if node is not None and node.op == "gemm":
                (a, b), turned = node.inputs, node.attributes
                products.append((a, b, bool(turned["trans_a"]), bool(turned["trans_b"])))
            elif node is not None and node.op == "add" and _one_shape(*node.inputs, node.result):
                rest += reversed(node.inputs)
            else:
                return []
        return products

    def _operand(self, operand: Value | Sequence[Value] | float | None, like: Value | None) -> Operand:
        if isinstance(operand, int | float):
            assert like is not None
            return self.constant(operand, like.type)
        return list(operand) if isinstance(operand, Sequence) else operand


@dataclass
class _Producers:
    """The producers of a graph's values. While nodes are only appended to the graph, each is visited once."""

    nodes: list[Node] = field(default_factory=list)
    count: int = 0
    last: Node | None = None
    of: dict[Value, Node] = field(default_factory=dict)

    def __call__(self, nodes: list[Node]) -> dict[Value, Node]:
        is_longer = nodes is self.nodes and len(nodes) >= self.count
        if not is_longer or (self.count and nodes[self.count - 1] is not self.last):
            self.nodes, self.count, self.of = nodes, 0, {}
        for at in range(self.count, len(nodes)):
            self.of.update(dict.fromkeys(nodes[at].results, nodes[at]))
        self.count, self.last = len(nodes), nodes[-1] if nodes else None
        return self.of


def _one_shape(*values: Value) -> bool:
    return all(same_shape(v.type.shape, values[0].type.shape) for v in values)


def _attribute(parameter: Parameter, arguments: dict[str, Any]) -> Attribute:
    value = arguments.get(parameter.name, parameter.default)
    if "Dim" not in parameter.annotation or value is None:
        return value  # type: ignore[no-any-return] # as its annotation says
    if isinstance(value, int) and parameter.annotation.startswith("int"):
        return value  # `int | list[Dim]`
    return _dims(value)


def _dims(value: Any) -> Attribute:
    return [_dims(v) for v in value] if isinstance(value, list) else Dim.of(value)


def _types(operand: Operand) -> TensorType | list[TensorType] | None:
    if isinstance(operand, list):
        return [v.type for v in operand]
    return None if operand is None else operand.type
