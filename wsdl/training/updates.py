"""`update` lines: what they compute from the forward pass alone is computed there, the rest behind the optimizer.

All right sides are computed before any of them is written. A tensor that is stored for several slots becomes the mean
of what they become.
"""

from __future__ import annotations

from wsdl.ir.graph import Graph, Node, Value
from wsdl.ir.stages import Storage
from wsdl.ir.step import COUNT, TOTAL_STEPS, Forward, Next, Variable
from wsdl.ir.training import STEP, TOTAL, Objective
from wsdl.ir.views import View
from wsdl.ops.build import Build
from wsdl.rewrite.prune import needed_nodes
from wsdl.sharing.through_view import through, through_view
from wsdl.training.draft import Changing, Draft, NewStatistic, Write


def plan_updates(
    objective: Objective, storage: Storage, changing: Changing
) -> tuple[list[Write], dict[Forward, Value]]:
    """What the updates of an objective over stored tensors write, and the values of its graph that they read. What
    doesn't need the step of the optimizer is appended to that graph."""
    variables = {variable.of: variable for variable in changing.all}
    read: dict[Value, Forward] = {}
    writes = []
    for update in objective.updates:
        stored, view = storage.home(update.slot)
        graph = _behind_the_optimizer(update.graph, objective.graph, read)
        writes.append(Write(variables[stored.name], view, graph, update.every, update.value_span))
    return writes, {port: value for value, port in read.items()}


def _behind_the_optimizer(graph: Graph, forward: Graph, read: dict[Value, Forward]) -> Graph:
    """The part of an update that reads parameters or the number of the step; the part before it is appended to
    `forward`. Values between the two become inputs, with the ports that `read` gets."""
    behind, before = set(graph.inputs), set(graph.captured())
    for node in graph.nodes:
        reads = node.reads()
        if node.op == "parameter" or not behind.isdisjoint(reads):
            behind.update(node.results)
        elif not before.isdisjoint(reads) or _has_dynamic_sizes(node):
            before.update(node.results)
    rest = [node for node in graph.nodes if before.isdisjoint(node.results)]
    between = [v for v in dict.fromkeys([*(v for n in rest for v in n.reads()), *graph.outputs]) if v in before]
    copies: dict[Value, Value] = {}
    own = Graph([], [node for node in graph.nodes if behind.isdisjoint(node.results)], between).copy(copies)
    forward.nodes += needed_nodes(own.nodes, own.outputs)
    inputs: dict[Value, Value] = {}
    for value, source in zip(between, own.outputs, strict=True):
        port = read.setdefault(source, Forward(str(len(read))))
        inputs[value] = Value(value.type, port.name)
    result = Graph([], rest, graph.outputs).copy({**{v: v for v in graph.inputs}, **inputs})
    result.inputs = [*graph.inputs, *inputs.values()]
    return result


def _has_dynamic_sizes(node: Node) -> bool:
    return any(dim.constant is None for value in node.results for dim in value.type.shape) or node.op == "size"


# -- behind the optimizer ----------------------------------------------------------------------------------------------


def give_to_updates(draft: Draft) -> None:
    """Output the running statistics that updates read or write, beside their next values, which the update replaces
    where it writes them."""
    read = {str(n.attributes["stored"]) for write in draft.writes for n in write.graph.nodes if n.op == "parameter"}
    written = {write.of for write in draft.writes}
    for port, value in draft.phase.values(NewStatistic).items():
        if port.of in written or port.of.of in read:
            draft.phase.write(Forward(port.of.of), value)


def write_updates(draft: Draft) -> None:
    """Output what `update` lines make of stored tensors, in place of what the optimizer and batches made of them."""
    build, reads = Build(draft.phase.graph), _Reads(draft)
    uses: dict[Variable, list[tuple[Write, Value]]] = {}
    for write in draft.writes:
        uses.setdefault(write.of, []).append((write, reads.computed(write)))
    new = {variable: _merged(build, own, reads) for variable, own in uses.items()}
    for variable, value in new.items():
        draft.phase.drop(Next(variable), NewStatistic(variable))
        draft.phase.write(Next(variable), value)
    draft.phase.take(Forward)


def _merged(build: Build, uses: list[tuple[Write, Value]], reads: _Reads) -> Value:
    """What a stored tensor becomes: where several slots write an element, the mean of what they write; elements that
    none writes stay as they are."""
    old = reads.of(uses[0][0].of.of)
    whole = [through_view(build, value, write.view) for write, value in uses]
    if all(write.view.is_whole for write, _ in uses):
        new = _mean(build, whole)
    else:
        ones = [build("ones", shape=list(value.type.shape), dtype="f32") for _, value in uses]
        counts = build.add([through_view(build, one, w.view) for one, (w, _) in zip(ones, uses, strict=True)])
        total, times = build.add(whole), build("cast", build("maximum", counts, 1.0), dtype=old.type.dtype)
        new = build("where", build("greater", counts, 0.0), build("div", total, times), old)
    every = uses[0][0].every
    if every == 1:
        return new
    done = build("equal", build("mod", reads.number, build("constant", value=every, dtype="i64")), 0)
    return build("where", done, new, old)


def _mean(build: Build, values: list[Value]) -> Value:
    """The mean of tensors; of integers rounded down, of bools the last one."""
    if len(values) == 1 or values[0].type.dtype == "bool":
        return values[-1]
    total = build.add(values)
    return build("div", total, float(len(values))) if total.type.is_float else build("floordiv", total, len(values))


class _Reads:
    """What updates read in a phase: stored tensors as they are by then, and tensors of the forward pass."""

    def __init__(self, draft: Draft) -> None:
        self.phase, self.build = draft.phase, Build(draft.phase.graph)
        self._steps = draft.steps
        self._new = {port.of.of: v for port, v in draft.phase.values(Next).items() if port.of.role == "parameter"}
        self._new |= {port.of.of: value for port, value in draft.phase.values(NewStatistic).items()}
        self._statistics = {variable.of: variable for variable in draft.changing.statistics}
        self._forward = draft.phase.values(Forward)
        self._number: Value | None = None

    def of(self, stored: str) -> Value:
        """A stored tensor after the optimizer's step and with the statistics of the batch."""
        if stored not in self._new:
            variable = self._statistics.get(stored)
            self._new[stored] = (
                self.build.parameter(self.phase.program.stored[stored])
                if variable is None
                else self.phase.read(Forward(stored), variable.type)
            )
        return self._new[stored]

    @property
    def number(self) -> Value:
        """The number of this step, from 1, i64[]."""
        if self._number is None:
            self._number = self.build("add", self.phase.read(self._steps, COUNT), 1)
        return self._number

    def computed(self, write: Write) -> Value:
        """The value of a slot that an update computes."""
        copies = {value: self._input(value) for value in write.graph.inputs}
        nodes = []
        for node in write.graph.nodes:
            if node.op == "parameter":
                view = node.view or View.identity(())
                copies[node.result] = through(self.build, self.of(str(node.attributes["stored"])), view)
            else:
                nodes.append(node)
        graph = Graph([], nodes, write.graph.outputs).copy(copies)
        self.phase.graph.nodes += graph.nodes
        return graph.outputs[0]

    def _input(self, value: Value) -> Value:
        if value.name in (STEP, TOTAL):
            number = self.number if value.name == STEP else self.phase.read(TOTAL_STEPS, COUNT)
            return self.build("cast", number, dtype="f32")
        port = Forward(value.name.partition("/")[2])
        return self._forward[port] if port in self._forward else self.phase.read(port, value.type)
