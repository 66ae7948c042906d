"""Graphs: values, nodes, slots, stored tensors, modules.

A node is an operation of `wsdl.ops` by name, or one of four that hold the structure:

- `parameter` {slot}: reads a slot; in a lowered graph {stored}: reads a stored tensor, through `view`;
- `scan` {axes, reverse}: a body once for each step of a sequence (ONNX Scan); `rolled` where the steps are those of a
  `for`, and the sequences numbers that differ from one to the next. With {steps}, a dimension, it runs for the numbers
  from 0 to that (ONNX Loop), and where it has a limit, a third operand, `steps` is the name of how often it ran: at
  most as often as the limit, and no longer than {until} lets it;
- `loop` {count}: a body a fixed number of times (ONNX Loop);
- `assume` {left, right}: its operand, after checking at run time that two dimensions are equal.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from wsdl.diagnostics.span import Span
from wsdl.ir.dims import Dim
from wsdl.ir.target import DEFAULT, Target
from wsdl.ir.types import BYTES, TensorType
from wsdl.ir.views import View

Attribute: TypeAlias = "bool | int | float | str | Dim | list[Attribute] | None"


@dataclass(eq=False)
class Value:
    """A tensor: an input of a graph or a result of a node. `name` is the name in the source, where it has one.

    Values and nodes are equal only to themselves, and may be keys; `Rewriter` has the producer and the readers of each.
    """

    type: TensorType
    name: str = ""


@dataclass(eq=False)
class Node:
    """One operation.

    `operands` has a value for each operand of the operation in order, a list for a list operand, `None` for an omitted
    one. `path` is its layer (`lm.blocks[3].ffn`), `span` its location in the source. `steps` has the iterations of the
    `for`s around it, outermost first, for `roll_loops`. `application` is the application of its layer, for pictures;
    passes don't preserve it. The nodes of formulas are computed `in_f32`, whatever the target's dtype, and so are those
    of their gradients.
    """

    op: str
    operands: list[Operand]
    attributes: dict[str, Attribute]
    results: list[Value]
    path: str = ""
    span: Span | None = None
    steps: tuple[Repetition, ...] = ()
    body: Graph | None = None
    view: View | None = None
    application: Application | None = None
    in_f32: bool = False

    @property
    def inputs(self) -> list[Value]:
        """Its operands as a flat list, without the values that its body captures."""
        flat: list[Value] = []
        for operand in self.operands:
            if isinstance(operand, Value):
                flat.append(operand)
            elif operand is not None:
                flat += operand
        return flat

    @property
    def result(self) -> Value:
        return self.results[0]

    def reads(self) -> list[Value]:
        """The values that it reads, including those that its body captures."""
        return [*self.inputs, *(self.body.captured() if self.body is not None else ())]

    @property
    def measured(self) -> list[str]:
        """The dynamic dimensions whose sizes are known when the node has run: how often the body of a `scan` did, how
        many rows each part of a partition has."""
        if self.op == "scan" and len(self.operands) > 2:
            return [dim.name for dim in _dims(self.attributes["steps"]) if dim.name is not None]
        if self.op == "partition_rows":
            return [dim.name for dim in _dims(self.attributes["rows"]) if dim.name is not None]
        return []

    def names(self, sizes: Collection[str]) -> bool:
        """Whether its attributes or results, or those of its body, have a dimension with one of these names."""
        if not sizes:
            return False
        dims = [*_dims(list(self.attributes.values())), *(dim for value in self.results for dim in value.type.shape)]
        if any(not dim.names().isdisjoint(sizes) for dim in dims):
            return True
        return self.body is not None and any(node.names(sizes) for node in self.body.nodes)

    def operands_of(self, inputs: Iterable[Value]) -> list[Operand]:
        """Its operands, with other values in place of `inputs`."""
        values = iter(inputs)
        return [[next(values) for _ in o] if isinstance(o, list) else o and next(values) for o in self.operands]

    def substituted(self, values: Mapping[Value, Value]) -> list[Operand]:
        """Its operands, with other values in place of some."""
        return self.operands_of(values.get(v, v) for v in self.inputs)


Operand: TypeAlias = "Value | list[Value] | None"


def _dims(attribute: object) -> Iterator[Dim]:
    if isinstance(attribute, Dim):
        yield attribute
    for item in attribute if isinstance(attribute, list) else ():
        yield from _dims(item)


@dataclass(frozen=True)
class Repetition:
    """Step `index` of the `count` steps of one `for`; `loop` numbers the `for`s of a program in the order they ran."""

    loop: int
    index: int
    count: int
    span: Span  # of the head of the `for`


@dataclass(frozen=True, eq=False)
class Application:
    """One application of the layer `path`, `inside` the body of another one or of a model (`None`)."""

    path: str
    inside: Application | None
    is_standard: bool  # whether its block is in the standard library


@dataclass(eq=False)
class Graph:
    """Nodes in an order in which they can run. A body may also read (*capture*) values of the graphs around it.

    The body of a `scan` has as inputs the carried values, with `steps` the number of the step, then one step of each
    sequence, and as outputs the carried values for the next step, with `until` whether it was the last one, then what
    it emits; that of a `loop` has the carried values on both sides.
    """

    inputs: list[Value] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)

    def walk(self) -> Iterator[Node]:
        """All nodes; those of a body come after the node that has it."""
        return walk(self.nodes)

    def graphs(self) -> Iterator[Graph]:
        """This graph and all bodies nested in it."""
        yield self
        for node in self.nodes:
            if node.body is not None:
                yield from node.body.graphs()

    def stored(self) -> list[str]:
        """The names of the stored tensors that its nodes read, each once, in the order of use."""
        names = (node.attributes["stored"] for node in self.walk() if node.op == "parameter")
        return list(dict.fromkeys(map(str, names)))

    def measured(self) -> set[str]:
        """The dynamic dimensions that its nodes measure, without those in bodies."""
        return {name for node in self.nodes for name in node.measured}

    def producers(self) -> dict[Value, Node]:
        """The producer of each value, in nested bodies too."""
        return {value: node for node in self.walk() for value in node.results}

    def needed(self, values: Iterable[Value] | None = None) -> list[Node]:
        """The nodes that some values, by default the outputs, are computed from, in their order."""
        needed = set(self.outputs if values is None else values)
        measured, sizes = self.measured(), set[str]()
        nodes: list[Node] = []
        for node in reversed(self.nodes):
            if not needed.isdisjoint(node.results) or not sizes.isdisjoint(node.measured):
                nodes.append(node)
                needed.update(node.reads())
                sizes.update(name for name in measured if node.names([name]))
        return nodes[::-1]

    def copy(self, copies: dict[Value, Value]) -> Graph:
        """The same graph made of new nodes and values, which `copies` then has by the old ones; values that it already
        has stand in for those that are captured."""
        graph = Graph([_copied(v, copies) for v in self.inputs])
        for node in self.nodes:
            operands = node.substituted(copies)
            body = None if node.body is None else node.body.copy(copies)
            results = [_copied(v, copies) for v in node.results]
            attributes = dict(node.attributes)
            graph.nodes.append(replace(node, operands=operands, attributes=attributes, results=results, body=body))
        graph.outputs = [copies.get(v, v) for v in self.outputs]
        return graph

    def captured(self) -> list[Value]:
        """The values of graphs around it that it reads, each once, in the order of use."""
        own = set(self.inputs)
        captured: dict[Value, None] = {}
        for node in self.nodes:
            captured.update((value, None) for value in node.reads() if value not in own)
            own.update(node.results)
        captured.update((value, None) for value in self.outputs if value not in own)
        return list(captured)


def walk(nodes: Iterable[Node]) -> Iterator[Node]:
    """The nodes; those of a body come after the node that has it."""
    for node in nodes:
        yield node
        if node.body is not None:
            yield from walk(node.body.nodes)


def _copied(value: Value, copies: dict[Value, Value]) -> Value:
    copies[value] = Value(value.type, value.name)
    return copies[value]


# -- stored tensors ----------------------------------------------------------------------------------------------------

Kind = Literal["param", "state"]
Decay: TypeAlias = Literal[
    "by rank", "vector", "never"
]  # which weight decay applies: by its rank, that of vectors, none


@dataclass(frozen=True)
class Initializer:
    """How a tensor is initialized: `kaiming_uniform`, `normal(0.02)`, `zeros`; `explicit` if it is declared in the
    user's file, not in the standard library.

    `key` is the path that seeds the random numbers, by default that of the tensor. The first `leading` axes count
    tensors that are initialized separately. With a `graph` the values are computed from other tensors, and `name` is
    the expression.
    """

    name: str
    arguments: tuple[float, ...] = ()
    explicit: bool = False
    key: str = ""
    leading: int = 0
    graph: Graph | None = None

    def __str__(self) -> str:
        return self.name + (f"({', '.join(map(str, self.arguments))})" if self.arguments else "")


@dataclass(frozen=True, eq=False)
class Slot:
    """A parameter or state of a layer, identified by its path. `share` decides which stored tensor it reads."""

    path: str
    type: TensorType
    kind: Kind
    initializer: Initializer
    span: Span  # of its declaration in the block
    layer_span: Span  # of its layer in the user's source
    name_span: Span | None = None  # of its name in the block
    story: str = ""  # explains its shape: "`weight` is [units, d]: units = 784, d = 64"

    @property
    def sizes(self) -> tuple[int, ...]:
        sizes = self.type.sizes
        assert sizes is not None, f"{self.path} has a dynamic shape"
        return sizes

    @property
    def file_path(self) -> str:
        """The path as written into files: `blocks[3].up` is `blocks.3.up`."""
        return file_path(self.path)


def file_path(path: str) -> str:
    return path.replace("[", ".").replace("]", "")


def with_indices(name: str) -> str:
    """The path of a name in a file, `file_path` backwards: no name begins with a digit."""
    return re.sub(r"\.(\d+)(?=\.|$)", r"[\1]", name)


@dataclass(frozen=True, eq=False)
class ComputedSlot:
    """A slot that a formula (its text) computes from a stored tensor and perhaps others. It is `counted` only for the
    largest of these, since without sharing one tensor would be stored in its place."""

    slot: Slot
    formula: str
    counted: bool


@dataclass(frozen=True, eq=False)
class Stored:
    """A tensor that exists once, the slots that are views of it, and those that are computed from it; `name` is as
    written into files.

    Its dtype, its initializer and whether it is frozen need not be those of `root`, the slot that it is stored for.
    """

    name: str
    type: TensorType
    root: Slot
    slots: tuple[tuple[Slot, View], ...]
    initializer: Initializer
    frozen: bool = False
    group: str = ""  # the name of the share group, where it has one
    computed: tuple[ComputedSlot, ...] = ()
    members: tuple[
        tuple[Slot, View], ...
    ] = ()  # of the way of sharing whose input it is, as views that plain `share` has
    decay: Decay = "by rank"
    derived: Graph | None = (
        None  # for a tensor computed when compiling: reads stored tensors; its output is this tensor
    )

    @property
    def sizes(self) -> tuple[int, ...]:
        sizes = self.type.sizes
        assert sizes is not None
        return sizes

    @property
    def elements(self) -> int:
        elements = self.type.elements.constant
        assert elements is not None
        return elements

    @property
    def bytes(self) -> int:
        return self.elements * BYTES[self.type.dtype]

    @property
    def trainable(self) -> bool:
        return self.root.kind == "param" and not self.frozen


@dataclass(frozen=True)
class Alias:
    """A name that a layer's body, or its configuration, gives to layers that aren't all declared there: it has no path
    in files, but paths in the program lead through it to the layers. `span` is where it is declared."""

    span: Span
    layers: Module | list[Module]


@dataclass(eq=False)
class Module:
    """A layer in the tree of layers, which owns slots. `kind` is the name of its block."""

    path: str
    kind: str
    span: Span
    children: dict[str, Module | list[Module]] = field(default_factory=dict)
    aliases: dict[str, Alias] = field(default_factory=dict)
    slots: dict[str, Slot] = field(default_factory=dict)
    uses: list[Span] = field(default_factory=list)  # where it is applied
    is_trained: bool = False  # is it applied by a `train`, beside the models?
    ways: list[tuple[Span, ...]] = field(default_factory=list)  # for each use, the call spans from the model down to it
    doubtful: bool = False  # parts may be missing, since an error in it was reported
    tensors: dict[str, Span] = field(default_factory=dict)  # names that its body binds to tensors, for messages

    def named(self, name: str) -> Module | list[Module] | None:
        """The layer, or the array of layers, that a name stands for in paths."""
        alias = self.aliases.get(name)
        return self.children.get(name) if alias is None else alias.layers

    def modules(self) -> Iterator[Module]:
        """Itself and all layers below it, in the order of their declaration."""
        left = [self]
        while left:
            module = left.pop()
            yield module
            for child in reversed(module.children.values()):
                left.extend(reversed(child) if isinstance(child, list) else [child])

    def all_slots(self) -> Iterator[Slot]:
        """Its slots and those of all layers below it."""
        for module in self.modules():
            yield from module.slots.values()


@dataclass(frozen=True)
class Reads:
    """How often a model reads a slot, and the number of elements read: those it would store without sharing."""

    times: int
    elements: int


@dataclass(eq=False)
class Model:
    """One entry point: a graph with named inputs and outputs, and the tree of its layers.

    `naming` has, by the path of a slot, the applications whose bodies name it (`None` is the body of the model); with
    it `count_reads` fills in `reads` and `applied`.
    """

    name: str
    graph: Graph
    module: Module
    doc: str = ""
    span: Span | None = None
    output_names: list[str] = field(default_factory=list)
    sizes: dict[str, Dim] = field(default_factory=dict)  # what computed sizes of outputs are called, by their text
    naming: dict[str, set[Application | None]] = field(default_factory=dict)
    reads: dict[str, Reads] = field(default_factory=dict)  # by the path of the slot; only those that outputs depend on
    applied: dict[str, int] = field(default_factory=dict)  # the number of applications of each layer, by its path

    @property
    def output_types(self) -> dict[str, TensorType]:
        """The types of the outputs as files and messages show them: sizes have the names of the signature."""
        values = zip(self.output_names, self.graph.outputs, strict=True)
        return {n: v.type.with_shape(self.sizes.get(str(dim), dim) for dim in v.type.shape) for n, v in values}


@dataclass(frozen=True)
class Binding:
    """A name that the body of the layer `path` binds to a tensor; its origin is in `Checked.origins`."""

    path: str
    name: str
    value: Value
    span: Span

    @property
    def type(self) -> TensorType:
        return self.value.type


@dataclass(frozen=True)
class LoopChoice:
    """Whether a `for` with `count` steps became one loop body (`rolled`) or nodes for each step, and why."""

    span: Span
    count: int
    rolled: bool
    why: str


@dataclass(eq=False)
class Lowered:
    """Graphs of models over stored tensors, for a target: passes rewrite them, then they are written as ONNX."""

    models: dict[str, Model] = field(default_factory=dict)
    stored: dict[str, Stored] = field(default_factory=dict)
    target: Target = DEFAULT
    loops: list[LoopChoice] = field(default_factory=list)

    @property
    def only(self) -> Model:
        """The model of a program with exactly one."""
        [model] = self.models.values()
        return model
