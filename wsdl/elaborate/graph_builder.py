"""The graph of a model while its body runs: nodes, parameters, and facts about values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from wsdl.diagnostics import limits
from wsdl.diagnostics.span import Span
from wsdl.elaborate.journal import Event, Read
from wsdl.elaborate.report import Budget, Report, TooMuch
from wsdl.elaborate.where import Where
from wsdl.ir.dims import Dim
from wsdl.ir.graph import Application, Attribute, Graph, Node, Operand, Slot, Value
from wsdl.ir.origins import Origins
from wsdl.ir.training import SEED, STEP, AuxiliaryLoss, Update
from wsdl.ir.types import DType, TensorType, same_type
from wsdl.ops.build import Build
from wsdl.syntax import tree


@dataclass(eq=False)
class GraphBuilder:
    """One for each run of a model's body. `graphs` is a stack: the graph, then the bodies of open scans; empty at file
    level."""

    where: Where
    report: Report
    budget: Budget
    origins: Origins
    graphs: list[Graph] = field(default_factory=list)
    parameters: dict[str, Value] = field(default_factory=dict)  # by the path of the slot
    slots: dict[Value, Slot] = field(default_factory=dict)  # the slot that each of these reads
    naming: dict[str, set[Application | None]] = field(default_factory=dict)  # the applications that name a slot
    sizes: dict[str, tree.Input] = field(default_factory=dict)  # dynamic dimension -> the input that introduced it
    measured: dict[str, int] = field(default_factory=dict)  # how many sizes that only the run knows have a name
    compared: set[tuple[str, str]] = field(default_factory=set)  # dimensions compared at run time, already noted
    losses: list[AuxiliaryLoss] | None = field(default_factory=list)  # of bodies; `None` in a compiled model
    updates: list[Update] = field(default_factory=list)  # of bodies and of the `train`
    # How often a random operation was applied in a layer, by its path and the operation; the number of the step in each
    # scan; only for training updated states by the path of the slot, and the inputs that random numbers come from.
    updated: dict[str, Value] = field(default_factory=dict)
    drawn: dict[tuple[str, str], int] = field(default_factory=dict)
    random: dict[str, Value] = field(default_factory=dict)
    outer: GraphBuilder | None = None  # of the graph whose values this one may capture, the seed and the step too
    step_numbers: dict[Graph, Value] = field(default_factory=dict)
    weights_are_constants: bool = False  # in a use of `frozen(layer)`, in training
    constants: dict[Value, Value] = field(default_factory=dict)  # the values of slots in such uses
    journal: list[Event] = field(default_factory=list)  # what else bodies did
    unrepeatable: int = 0  # statements so far that do something else in another run of their body

    # -- nodes ---------------------------------------------------------------------------------------------------------

    def node(
        self,
        op: str,
        operands: Sequence[Operand],
        attributes: dict[str, Attribute],
        types: Iterable[TensorType],
        span: Span,
        body: Graph | None = None,
    ) -> list[Value]:
        """Append a node to the innermost graph; returns its results."""
        self.budget.count(span)
        results = [Value(t) for t in types]
        self._refuse_beyond(results, attributes.get("dim"), span)
        where = self.where
        node = Node(op, list(operands), attributes, results, where.path, where.place(span), tuple(where.steps), body)
        node.application = where.application
        self.graphs[-1].nodes.append(node)
        self.origins.producers.update(dict.fromkeys(results, node))
        return results

    @contextmanager
    def build(self, span: Span) -> Iterator[Build]:
        """Appends to the innermost graph what an operation consists of."""
        *enclosing, graph = self.graphs
        before, where = len(graph.nodes), self.where
        yield Build(graph, where.path, where.place(span), tuple(where.steps), enclosing=enclosing)
        for node in graph.nodes[before:]:
            node.application = where.application

    def _refuse_beyond(self, results: Sequence[Value], size: Attribute, span: Span) -> None:
        """Raises `TooMuch` if a dimension of a result, or a size, exceeds the limit."""
        sizes = [d for value in results for d in value.type.shape] + ([size] if isinstance(size, Dim) else [])
        for dim in sizes:
            for _, number in dim.terms:
                if abs(number) >= limits.DIMENSION:
                    self.report.error("E0405", span, f"a dimension can't be {dim}", "too large for a tensor")
                    raise TooMuch

    def constant(self, value: Attribute, type: TensorType, span: Span) -> Value:
        return self.node("constant", [], {"value": value, "dtype": type.dtype}, [type], span)[0]

    def size(self, dim: Dim, dtype: DType, span: Span) -> Value:
        """A dynamic dimension as a scalar tensor."""
        value = self.node("size", [], {"dim": dim}, [TensorType.of("i64")], span)[0]
        if dtype == "i64":
            return value
        return self.node("cast", [value], {"dtype": dtype}, [TensorType.of(dtype)], span)[0]

    def assume(
        self, value: Value, left: Dim, right: Dim, span: Span, relation: str = "equal", message: str = ""
    ) -> Value:
        """The value, after a run-time check of the relation of two sizes (`_interfaces.Relation`)."""
        attributes: dict[str, Attribute] = {"left": left, "right": right}
        if relation != "equal":
            attributes["relation"] = relation
        if message:
            attributes["message"] = message
        return self.node("assume", [value], attributes, [value.type], span)[0]

    def parameter(self, slot: Slot) -> Value:
        """The value of a slot; one node for each slot of a model, outside of all bodies."""
        if slot.path not in self.parameters:
            value = Value(slot.type, slot.path.rsplit(".", 1)[-1])
            node = Node("parameter", [], {"slot": slot.path}, [value], slot.path.rpartition(".")[0], slot.span)
            self.graphs[0].nodes.append(node)
            self.parameters[slot.path] = value
            self.slots[value] = slot
        value, application = self.parameters[slot.path], self.where.application
        self.naming.setdefault(slot.path, set()).add(application)
        self.journal.append(Read(slot, application, value, value in self.slots))
        return self._constant(value, slot) if self.weights_are_constants and slot.kind == "param" else value

    def _constant(self, value: Value, slot: Slot) -> Value:
        """The value of a parameter, without a gradient."""
        if value not in self.constants:
            constant = self.constants[value] = Value(value.type, value.name)
            self.graphs[0].nodes.append(
                Node("stop_gradient", [value], {}, [constant], slot.path.rpartition(".")[0], slot.span)
            )
            self.slots[constant] = slot
        return self.constants[value]

    def seed(self) -> Value:
        """The seed of the run, an input of the graph: that of the model, if it has declared one."""
        if self.outer is not None:
            return self.outer.seed()
        number = TensorType.of("i64")
        declared = (value for value in self.graphs[0].inputs if value.name == SEED and same_type(value.type, number))
        return next(declared, None) or self.random.setdefault(SEED, Value(number, SEED))

    def step(self) -> Value:
        """The number of the step of the training, an input of the graph."""
        if self.outer is not None:
            return self.outer.step()
        return self.random.setdefault(STEP, Value(TensorType.of("i64"), STEP))

    def step_of(self, body: Graph) -> Value:
        """The number of the step in the body of a scan."""
        return self.step_numbers.setdefault(body, Value(TensorType.of("i64"), "number"))

    def unknown_size(self, name: str) -> Dim:
        """A dimension of its own that only the run knows, called `name`, `name_2`, …"""
        count = self.measured.get(name, 0)
        while (called := f"{name}_{count + 1}" if count else name) in self.sizes:
            count += 1
        self.measured[name] = count + 1
        return Dim.symbol(called)

    # -- values --------------------------------------------------------------------------------------------------------

    def origin(self, value: Value, size: int, near: Span) -> str:
        """The origin of a dimension, for messages: ` from `encode` (line 5)`, or an empty text."""
        origin = self.origins.of(value, lambda operand: any(d.constant == size for d in operand.type.shape))
        if origin is None:
            return ""
        line = f"line {origin.span.line}" if origin.span.source is near.source else str(origin.span)
        return f" from {origin.name} ({line})"
