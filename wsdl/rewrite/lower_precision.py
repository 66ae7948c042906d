"""Stores floats in 16 bits, and computes with them where that is safe.

    stored m.weight: f32[8, 4]

    model m(%x: f32[n, 4]) -> (y: %y) {
        %weight = parameter {stored="m.weight"}: f32[8, 4]
        %t = transpose(%weight): f32[4, 8]
        %h = matmul(%x, %t): f32[n, 8]
        %y = softmax(%h) {axis=-1}: f32[n, 8]
    }

becomes, for `f16`,

    stored m.weight: f16[8, 4]

    model m(%x: f32[n, 4]) -> (y: %y) {
        %weight = parameter {stored="m.weight"}: f16[8, 4]
        %t = transpose(%weight): f16[4, 8]
        %0 = cast(%x) {dtype="f16"}: f16[n, 4]
        %h = matmul(%0, %t): f16[n, 8]
        %1 = cast(%h) {dtype="f32"}: f32[n, 8]
        %y = softmax(%1) {axis=-1}: f32[n, 8]
    }

How an operation computes it says itself (`half` in `wsdl/ops`), much as PyTorch's autocast has it: products of matrices
and convolutions in 16 bits, sums, powers and exponentials in f32, most else in the widest dtype of its operands. In f32
are also what a scan carries, products of two tensors element by element, sums with a constant, and what is computed
with a number that f16 doesn't hold (`1e-8`, `-1e30`, `100_001.0`). What a formula computes a parameter with is computed
in f32, and the parameter itself is then cast once. `bf16`, for which ONNX Runtime has no kernels on the
CPU, is a way to store only: a parameter is read as f32, and everything computes with that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from wsdl.ir.graph import Attribute, Graph, Lowered, Node, Value
from wsdl.ir.rewriter import Rewriter
from wsdl.ir.stages import narrowed
from wsdl.ir.target import Half
from wsdl.ir.types import DType
from wsdl.ops import OPERATIONS
from wsdl.ops._traits import HalfRule
from wsdl.ops.build import Build
from wsdl.ops.node_arguments import ScanParts, arguments, scan_inputs, scan_results
from wsdl.rewrite.even_steps import even_steps

WIDE: DType = "f32"
SMALLEST, LARGEST = 2.0**-14, 65504.0  # of f16, with all of its digits
WHOLE = 2048  # up to which f16 has every whole number
NEAR_ONE = 2.0**-8, 2.0**8  # factors that leave most of the range of f16 to what they multiply

Beyond = Literal["too large", "too small"]
INVERSE: dict[Beyond, Beyond] = {"too large": "too small", "too small": "too large"}
Casts: TypeAlias = "dict[tuple[Value, DType, object], Value]"


def lower_precision(program: Lowered) -> Lowered:
    """All that is stored as f32 gets the dtype of the target, and inputs and outputs too, unless these are kept."""
    half = program.target.dtype
    if half == "f32":
        return program
    program.stored = narrowed(program.stored, half)
    for model in program.models.values():
        graph = model.graph
        outside: DType = WIDE if program.target.keep_io else half
        outputs = [outside if v.type.dtype == WIDE else v.type.dtype for v in graph.outputs]
        for value in graph.inputs:
            if value.type.dtype == WIDE:
                value.type = value.type.with_dtype(outside)
        even_steps(graph, lambda copy: lower_graph(copy, half))
        lower_graph(graph, half, outputs)
    return program


def lower_graph(graph: Graph, half: Half, outputs: Sequence[DType] = ()) -> None:
    """Give all values of a graph the dtype that they are computed in, and its first outputs these dtypes; its inputs
    have theirs."""
    with Rewriter(graph) as rewriter:
        lowering = _Lowering(half, rewriter)
        lowering.narrow_formulas(graph)
        lowering.run(graph, {})
        lowering.finish(graph, outputs)


def held_by_f16(number: float) -> bool:
    """Does f16 hold a number that stands in a program? Whole numbers exactly, fractions with all of its digits, and
    what isn't finite."""
    size = abs(number)
    if size == 0 or size != size or size == float("inf"):
        return True
    if size > LARGEST:
        return False
    if size == int(size):
        last = 1 << max(0, int(size).bit_length() - WHOLE.bit_length() + 1)
        return int(size) % last == 0
    return size >= SMALLEST


@dataclass
class _Lowering:
    """`computes` is the dtype of what is computed in 16 bits: `f16`, or f32 where nothing is.

    `beyond` says of values that they hold numbers too large or too small for f16.
    """

    half: Half
    rewriter: Rewriter
    beyond: dict[Value, frozenset[Beyond]] = field(default_factory=dict)

    @property
    def computes(self) -> DType:
        return "f16" if self.half == "f16" else WIDE

    def narrow_formulas(self, graph: Graph) -> None:
        """Cast what a formula computes a parameter with, once, for all that read the parameter."""
        narrowed: set[Value] = set()
        for node in graph.nodes if self.computes != WIDE else ():
            for value in node.reads() if not node.in_f32 else ():
                producer = self.rewriter.producer(value)
                if producer is None or not producer.in_f32 or value.type.dtype != WIDE or value in narrowed:
                    continue
                narrowed.add(value)
                build = Build.at(producer)
                cast = build("cast", value, dtype=self.computes)
                for reader in self.rewriter.readers(value):
                    if isinstance(reader, Node) and not reader.in_f32:
                        self.rewriter.substitute(reader, {value: cast})
                self.rewriter.insert(build.nodes, before=node)

    def run(self, graph: Graph, casts: Casts) -> None:
        for node in graph.nodes:
            if node.op == "parameter":
                self._parameter(node)
            elif node.op == "scan":
                self._scan(node, casts)
            else:
                self._operation(node, casts)

    def finish(self, graph: Graph, dtypes: Sequence[DType]) -> None:
        """The first outputs in these dtypes."""
        casts: Casts = {}
        outputs = list(graph.outputs)
        for i, dtype in enumerate(dtypes):
            if outputs[i].type.dtype != dtype:
                outputs[i] = self._cast(outputs[i], dtype, graph, casts)
        self.rewriter.set_outputs(graph, outputs)

    def _is_ours(self, value: Value) -> bool:
        return value.type.dtype in (WIDE, self.half)

    # -- nodes ---------------------------------------------------------------------------------------------------------

    def _parameter(self, node: Node) -> None:
        if node.result.type.dtype == WIDE and not node.in_f32:
            node.result.type = node.result.type.with_dtype(self.computes)

    def _operation(self, node: Node, casts: Casts) -> None:
        rule = _rule(node)
        if rule == "makes" and node.attributes.get("dtype") == WIDE:
            node.attributes["dtype"] = self.computes if _holds_numbers(node) and not node.in_f32 else WIDE
        floats = [v for v in node.inputs if self._is_ours(v)]
        if floats and rule != "as is":
            self._all_as(node, self._computed_as(node, floats), casts)
        if beyond := self._beyond_of(node):
            self.beyond.update(dict.fromkeys(node.results, beyond))
        if node.op == "assume":
            node.result.type = node.result.type.with_dtype(node.inputs[0].type.dtype)
            return
        operation = OPERATIONS[node.op]
        types = operation.result_types(**arguments(operation, node, lambda value: value.type))
        for result, type in zip(node.results, types, strict=True):
            result.type = result.type.with_dtype(type.dtype)

    def _computed_as(self, node: Node, floats: list[Value]) -> DType:
        """The dtype that an operation computes in."""
        rule = _rule(node)
        if node.in_f32 or rule == "f32" or self.computes == WIDE or not (rule == "f32 inside" or _holds_numbers(node)):
            return WIDE
        if rule == "f16":
            return WIDE if self._read(node) else self.computes
        if rule == "product" and not any(map(_is_near_one, map(self._known, _factors(node)))):
            return WIDE
        if rule == "shift" and any(any(self._known(v)) for v in node.inputs):
            return WIDE
        return WIDE if any(v.type.dtype == WIDE for v in floats) else self.half

    def _beyond_of(self, node: Node) -> frozenset[Beyond]:
        """What the results of an operation hold that f16 doesn't."""
        rule = _rule(node)
        if rule in ("makes", "moves"):
            return self._read(node) | {_side(n) for n in _numbers(node) if not held_by_f16(n)}
        if rule == "product" and node.op == "div":
            above, below = (self.beyond.get(v, frozenset()) for v in node.inputs)
            return above | {INVERSE[side] for side in below}
        if rule in ("product", None):
            return self._read(node)
        if rule in ("widest", "shift"):
            return self._read(node) & {"too large"}
        if node.op == "cast" and node.result.type.is_float:
            [value] = node.inputs
            producer = self.rewriter.producer(value)
            is_size = producer is not None and producer.op == "size"  # what a sum is divided by
            whole = value.type.dtype in ("i16", "i32", "i64") and not is_size
            return frozenset(["too large"]) if whole else self._read(node)
        return frozenset()

    def _read(self, node: Node) -> frozenset[Beyond]:
        """What its operands hold that f16 doesn't, but for those that it takes as f32 anyhow."""
        kept = OPERATIONS[node.op].f32_operands if node.op in OPERATIONS else ()
        read = (value for name, values in _operands(node) if name not in kept for value in values)
        return frozenset[Beyond]().union(*(self.beyond.get(value, ()) for value in read))

    def _known(self, value: Value) -> list[float]:
        """The numbers of a constant; none where it isn't one."""
        producer = self.rewriter.producer(value)
        if producer is None or _rule(producer) != "makes":
            return []
        return [1.0] if producer.op == "ones" else list(_numbers(producer))

    def _all_as(self, node: Node, dtype: DType, casts: Casts) -> None:
        """Its operands in a dtype, but for those that it takes as f32 anyhow."""
        kept = OPERATIONS[node.op].f32_operands if node.op in OPERATIONS else ()
        inputs: list[Value] = []
        for parameter, values in _operands(node):
            target = WIDE if parameter in kept else dtype
            for value in values:
                fits = not self._is_ours(value) or value.type.dtype == target
                inputs.append(value if fits else self._cast(value, target, node, casts))
        self.rewriter.set_inputs(node, inputs)

    def _cast(self, value: Value, dtype: DType, reader: Node | Graph, casts: Casts) -> Value:
        """A value in another dtype, in the same step of a `for` as the node that reads it; once for each step.

        A parameter is read once more, and what is made is made once more: neither needs to be cast. (In bf16 nothing
        is made, for want of kernels.)
        """
        build = Build.at(reader) if isinstance(reader, Node) else Build(Graph())
        key = value, dtype, build.steps
        if key not in casts:
            producer = self.rewriter.producer(value)
            if producer is not None and producer.op == "parameter":
                casts[key] = _again(build, producer, dtype)
            elif producer is not None and _rule(producer) == "makes" and dtype != "bf16":
                casts[key] = _again(build, producer, dtype, {"dtype": dtype})
            else:
                casts[key] = build("cast", value, dtype=dtype)
            self.rewriter.insert(build.nodes, before=reader)
        return casts[key]

    # -- time ----------------------------------------------------------------------------------------------------------

    def _scan(self, node: Node, casts: Casts) -> None:
        """What is carried is f32, as what a sum adds up: it may grow from step to step."""
        assert node.body is not None
        body, carried = node.body, ScanParts.of(node).carried
        inputs = list(node.inputs)
        for i, value in enumerate(inputs[:carried]):
            if self._is_ours(value) and value.type.dtype != WIDE:
                inputs[i] = self._cast(value, WIDE, node, casts)
        self.rewriter.set_inputs(node, inputs)
        for value, inner in scan_inputs(node):
            inner.type = inner.type.with_dtype(value.type.dtype)
            self.beyond[inner] = self.beyond.get(value, frozenset())
        self.run(body, dict(casts))
        self.finish(body, [v.type.dtype for v in inputs[:carried]])
        for result, value in scan_results(node):
            result.type = result.type.with_dtype(value.type.dtype)
            self.beyond[result] = self.beyond.get(value, frozenset())


def _again(build: Build, node: Node, dtype: DType, attributes: Mapping[str, Attribute] = {}) -> Value:
    """The result of another node like this one, in another dtype."""
    result = Value(node.result.type.with_dtype(dtype))
    attributes = {**node.attributes, **attributes}
    build.nodes.append(replace(node, attributes=attributes, results=[result], steps=build.steps))
    return result


def _rule(node: Node) -> HalfRule | None:
    """What its operation says about 16 bits; `None` for a node of the graph itself, such as `assume`."""
    return OPERATIONS[node.op].half if node.op in OPERATIONS else None


def _operands(node: Node) -> Iterator[tuple[str, list[Value]]]:
    """The values of its operands, by the names of the parameters that they are for."""
    parameters = OPERATIONS[node.op].operands if node.op in OPERATIONS else ()
    names = [p.name for p in parameters] or [""] * len(node.operands)
    for name, operand in zip(names, node.operands, strict=False):
        yield name, operand if isinstance(operand, list) else [operand] if operand else []


def _factors(node: Node) -> list[Value]:
    """What a product may be scaled by: either factor, or the divisor."""
    return node.inputs if node.op == "mul" else node.inputs[1:]


def _is_near_one(numbers: list[float]) -> bool:
    return bool(numbers) and all(n == 0 or NEAR_ONE[0] <= abs(n) <= NEAR_ONE[1] for n in numbers)


def _side(number: float) -> Beyond:
    return "too large" if abs(number) > 1 else "too small"


def _holds_numbers(node: Node) -> bool:
    """Does f16 hold all fractions, and what may be one, that stand in a node itself?"""
    return all(map(held_by_f16, _numbers(node)))


def _numbers(node: Node) -> Iterator[float]:
    for parameter in OPERATIONS[node.op].parameters if node.op in OPERATIONS else ():
        if "float" in parameter.annotation:
            yield from _flat(node.attributes.get(parameter.name))


def _flat(number: Attribute) -> Iterator[float]:
    if isinstance(number, list):
        for item in number:
            yield from _flat(item)
    elif isinstance(number, int | float):
        yield float(number)
