"""Repeats an application of a layer for one that is alike, instead of running the body again.

Twelve layers of an array have one body, and most often inputs of one type, so that elaboration would come to the same
result twelve times. `_Recording` keeps what the first application appended to the graph and what else it did
(`journal`); `Move` appends the same nodes for another layer, or another use of the same one, and lets the events
happen again. Nothing is kept of an application with a diagnostic, and of those few that do what can't be moved: they
run again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from dataclasses import replace

from wsdl.diagnostics import limits
from wsdl.diagnostics.span import Span
from wsdl.elaborate.alike import Key, is_new, key_of, size_of
from wsdl.elaborate.context import Context
from wsdl.elaborate.growth import Growth
from wsdl.elaborate.items import ArgumentValue, Item, Layer, Results
from wsdl.elaborate.journal import Placed, Read, Used
from wsdl.elaborate.randomness import number_of_place
from wsdl.elaborate.records import Outcome, Place, Record
from wsdl.elaborate.where import Use
from wsdl.ir.graph import Application, Graph, Module, Node, Operand, Repetition, Slot, Value
from wsdl.ir.training import SEED, STEP
from wsdl.ir.types import DType


def repeated_or(
    run: Callable[[], Outcome | None],
    layer: Layer,
    inputs: Mapping[str, ArgumentValue],
    dtype: DType,
    use: Use,
    context: Context,
) -> Outcome | None:
    """What the application of a layer gives: by repeating one that is alike, or by `run`, which is kept to be repeated.
    `None` after reporting an error."""
    mode, builder = context.mode, context.builder
    items = [argument.item for argument in inputs.values()]
    apart = builder.weights_are_constants or mode.way is not None
    key = None if apart else key_of(layer, items, dtype, mode.again, mode.training, builder)
    if key is None:
        return run()
    record, tensors = context.records.get(key), list(_tensors(items))
    if record is None and context.memory is not None:
        record = context.memory.records.get(key)
    outcome = None if record is None else _repeated(record, key, layer, tensors, use, context)
    if outcome is not None:
        return outcome
    recording = _Recording(layer, tensors, use, context)
    outcome = run()
    recording.end()
    if outcome is not None:
        recording.keep(key, outcome)
    return outcome


# -- what is kept ------------------------------------------------------------------------------------------------------


class _Recording:
    """Watches an application while it runs."""

    def __init__(self, layer: Layer, inputs: list[Value], use: Use, context: Context) -> None:
        self.layer, self.inputs, self.context, self.place = layer, inputs, context, Place.of(use, context.where)
        builder, where, budget, mode = context.builder, context.where, context.budget, context.mode
        self.is_first, self.size, self.graph = is_new(layer), size_of(layer.module), builder.graphs[-1]
        self.read, self.nodes, self.events = len(builder.graphs[0].nodes), len(self.graph.nodes), len(builder.journal)
        self.count, self.created, self.loops = budget.done, budget.created, where.loops
        self.unnamed, self.marks = [not value.name for value in inputs], _marks(context)
        self.depth, self.deepest, where.deepest = 0, where.deepest, len(where.uses)
        self.depends, mode.depends_on_training = mode.depends_on_training, False

    def end(self) -> None:
        """The body has run."""
        where, mode = self.context.where, self.context.mode
        depth, depends = where.deepest - len(self.place.around), mode.depends_on_training
        where.deepest = max(where.deepest, self.deepest)
        mode.depends_on_training |= self.depends
        self.depth, self.depends = depth, depends

    def keep(self, key: Key, outcome: Outcome) -> None:
        """Keep the application, now that it is done, if it can be repeated."""
        context, builder, where = self.context, self.context.builder, self.context.where
        nodes, size = self.graph.nodes[self.nodes :], size_of(self.layer.module)
        if _marks(context) != self.marks or (not self.is_first and size != self.size) or any(map(_measures, nodes)):
            return
        made = {value for node in nodes for value in node.results}
        record = Record(
            self.layer,
            self.place,
            self.inputs,
            [value.name if given else "" for value, given in zip(self.inputs, self.unnamed, strict=True)],
            [value.name if value in made else "" for value in outcome.values],
            self.graph,
            {value: name for name, value in builder.random.items()},
            builder.graphs[0].nodes[self.read :] if len(builder.graphs) > 1 else [],
            nodes,
            builder.journal[self.events :],
            {node for node in _walk(nodes) if node.result not in builder.origins.producers},
            outcome,
            self.is_first,
            size,
            context.budget.done - self.count,
            context.budget.created - self.created,
            (self.loops, where.loops - self.loops),
            self.depth,
            self.depends,
        )
        keys = [key]
        if self.is_first:
            keys.append(key.next(size))
            self.layer.alike = key.next(size).layer, size
        if not key.again and not key.training:
            keys += [key._replace(again=True) for key in keys]
        if not self.depends and not any(isinstance(event, Placed) for event in record.events):
            keys += [key._replace(training=not key.training) for key in keys]
        context.records.update(dict.fromkeys(keys, record))


def _marks(context: Context) -> list[int]:
    """What changes if something happens that can't be repeated."""
    program, builder, mode = context.program, context.builder, context.mode
    kept = [program] if mode.variant is None else [program, mode.variant]
    lists: list[Sized] = [context.report.problems, context.formulas, context.groups, context.of_imported]
    lists += [n for k in kept for n in (k.groups, k.formulas, k.ways, k.freezes, k.limits, k.loads, k.copies)]
    lists += [builder.updates, builder.step_numbers]
    if mode.requests is not None:
        lists += [mode.requests.freezes, mode.requests.rates]
    return [*map(len, lists), sum(builder.measured.values()), builder.unrepeatable]


def _measures(node: Node) -> bool:
    """Whether sizes that only the run knows have names of their own in a node."""
    return any(each.measured for each in _walk([node]))


def _walk(nodes: Iterable[Node]) -> Iterator[Node]:
    for node in nodes:
        yield node
        if node.body is not None:
            yield from node.body.walk()


def _tensors(items: Iterable[Item]) -> Iterator[Value]:
    for item in items:
        if isinstance(item, Value):
            yield item
        elif isinstance(item, list | tuple):
            yield from _tensors(item)


# -- repeating ---------------------------------------------------------------------------------------------------------


def _repeated(
    record: Record, key: Key, layer: Layer, inputs: list[Value], use: Use, context: Context
) -> Outcome | None:
    """What a layer that is alike gives; `None` if the record can't be repeated here."""
    place = Place.of(use, context.where)
    pairs = list(zip(record.place.spans, place.spans, strict=True))
    spans = dict(pairs)
    if (
        context.budget.done + record.count > limits.STEPS
        or len(place.around) + record.depth >= limits.NESTING
        or (record.is_first and size_of(record.layer.module) != record.size)
        or any(spans[old] != new for old, new in pairs)
        or any(old.source.is_standard != new.source.is_standard for old, new in pairs)
    ):
        return None
    if all(old == new for old, new in pairs):
        spans = {}
    elif not record.applied.isdisjoint((*record.place.around, *place.around)):
        return None  # the locations of calls are in bodies that run again in it, and may be mistaken for those there
    move = Move(record, key, layer, inputs, place, spans, context)
    return move.run() if move.finds_the_same() else None


class Move:
    """From the names and values of one application to those of another one."""

    def __init__(
        self,
        record: Record,
        key: Key,
        layer: Layer,
        inputs: list[Value],
        place: Place,
        spans: dict[Span, Span],
        context: Context,
    ) -> None:
        self.record, self.key, self.layer, self.place, self.context = record, key, layer, place, context
        self.inputs, self.is_first = inputs, record.is_first and is_new(layer)
        self._from, self._to = record.layer.module.path, layer.module.path
        self._paths = {record.place.path: place.path}
        self._values = dict(zip(record.inputs, self.inputs, strict=True))
        self._applications = {record.place.application: place.application}
        self._spans = spans
        self._loops = context.where.loops - record.loops[0]
        self._steps: dict[tuple[Repetition, ...], tuple[Repetition, ...]] = {record.place.steps: place.steps}
        self._modules: dict[str, Module] = {}
        self._numbers: dict[Value, int] = {}  # of the places where random numbers are drawn
        self._names = dict(zip(record.outcome.values, record.names, strict=True))

    # -- names and values ----------------------------------------------------------------------------------------------

    def is_inside(self, path: str) -> bool:
        rest = path[len(self._from) : len(self._from) + 1]
        return path.startswith(self._from) and rest in ("", ".", "[")

    def makes(self, slot: str) -> bool:
        """Whether a slot of the recorded application has to be made for this one."""
        return self.is_first and self.is_inside(slot)

    def path(self, path: str) -> str:
        moved = self._paths.get(path)
        if moved is None:
            moved = self._paths[path] = self._to + path[len(self._from) :] if self.is_inside(path) else path
        return moved

    def value(self, value: Value) -> Value:
        return self._values.get(value, value)

    def span(self, span: Span) -> Span:
        return self._spans.get(span, span) if self._spans else span

    def way(self, way: tuple[Span, ...]) -> tuple[Span, ...]:
        return (*self.place.way, *map(self.span, way[len(self.record.place.way) :]))

    def application(self, application: Application | None) -> Application | None:
        if application not in self._applications:
            assert application is not None
            inside = self.application(application.inside)
            moved = Application(self.path(application.path), inside, application.is_standard)
            self._applications[application] = moved
        return self._applications[application]

    def steps(self, steps: tuple[Repetition, ...]) -> tuple[Repetition, ...]:
        moved = self._steps.get(steps)
        if moved is None:
            own = (replace(s, loop=s.loop + self._loops) for s in steps[len(self.record.place.steps) :])
            moved = self._steps[steps] = (*self.place.steps, *own)
        return moved

    def module(self, module: Module) -> Module:
        return self._modules.get(self.path(module.path), module) if self.is_inside(module.path) else module

    def slot(self, slot: Slot) -> Slot:
        if not self.is_inside(slot.path):
            return slot
        owner, _, name = self.path(slot.path).rpartition(".")
        return self._modules[owner].slots[name]

    # -- what is done --------------------------------------------------------------------------------------------------

    def finds_the_same(self) -> bool:
        """Whether what the recorded application found in its graph, values and slots, is there for this one too; notes
        the values."""
        record, builder = self.record, self.context.builder
        if builder.graphs[-1] is not record.graph and record.captured:
            if not record.captured <= record.random.keys():
                return False
            inputs = {SEED: builder.seed, STEP: builder.step}
            self._values.update((value, inputs[record.random[value]]()) for value in record.captured)
        own = {value for node in (*record.read, *record.nodes) for value in node.results}
        for event in record.events:
            if isinstance(event, Read) and event.value not in own:
                path = self.path(event.slot.path)
                if path not in builder.parameters:
                    return False
                self._values[event.value] = builder.parameters[path]
        return True

    def run(self) -> Outcome:
        """Append the nodes, and let the events happen."""
        record, layer, builder, context = self.record, self.layer, self.context.builder, self.context
        context.budget.done += record.count if self.is_first else record.count - record.created
        context.where.loops += record.loops[1]
        context.where.deepest = max(context.where.deepest, len(self.place.around) + record.depth)
        context.mode.depends_on_training |= record.depends
        if self.is_first:
            applied = {event.module.path for event in record.events if isinstance(event, Used)}
            Growth(record.layer, layer, self.path, self.span, applied, self.is_inside)
            layer.alike = self.key.next(record.size).layer, record.size
        self._modules = {module.path: module for module in layer.module.modules()}
        for event in record.events:
            if isinstance(event, Placed):
                place = number_of_place(self.path(event.path), event.operation, self.context)
                self._numbers[event.value] = place
        for node in (*record.read, *record.nodes):
            if node.op == "parameter":
                self._parameter(node)
            else:
                builder.graphs[-1].nodes.append(self._node(node))
        for event in record.events:
            if (again := event.moved(self)) is not None:
                self.context.note(again)
        values = [self.value(value) for value in record.outcome.values]
        for value, name in zip((*self.inputs, *values), (*record.called, *record.names), strict=True):
            value.name = value.name or name
        return Outcome(self._item(record.outcome.item), values)

    def _item(self, item: Item) -> Item:
        if isinstance(item, Value):
            return self.value(item)
        if isinstance(item, Results):
            return Results.of(item.declared, map(self._item, item))
        if isinstance(item, tuple):
            return tuple(map(self._item, item))
        return [self._item(part) for part in item] if isinstance(item, list) else item

    def _parameter(self, node: Node) -> None:
        """Read a slot, if the graph doesn't yet."""
        path, builder = self.path(str(node.attributes["slot"])), self.context.builder
        if path in builder.parameters:
            self._values[node.result] = builder.parameters[path]
            return
        value = builder.parameters[path] = self._copied(node.result)
        span = node.span and self.span(node.span)
        builder.graphs[0].nodes.append(Node(node.op, [], {"slot": path}, [value], path.rpartition(".")[0], span))

    def _node(self, node: Node) -> Node:
        operands = [self._operand(operand) for operand in node.operands]
        attributes = dict(node.attributes)
        if node.result in self._numbers:
            attributes["value"] = self._numbers[node.result]
        body = None if node.body is None else self._graph(node.body)
        results = [self._copied(value) for value in node.results]
        span = node.span and self.span(node.span)
        moved = Node(node.op, operands, attributes, results, self.path(node.path), span, self.steps(node.steps), body)
        moved.application = self.application(node.application)
        if node not in self.record.expanded:
            self.context.builder.origins.producers.update(dict.fromkeys(results, moved))
        return moved

    def _operand(self, operand: Operand) -> Operand:
        if isinstance(operand, list):
            return [self.value(value) for value in operand]
        return operand and self.value(operand)

    def _graph(self, graph: Graph) -> Graph:
        inputs = [self._copied(value) for value in graph.inputs]
        return Graph(inputs, [self._node(node) for node in graph.nodes], [self.value(v) for v in graph.outputs])

    def _copied(self, value: Value) -> Value:
        moved = self._values[value] = Value(value.type, self._names.get(value, value.name))
        return moved
