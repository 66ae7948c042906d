"""Applies a layer by repeating an application that is alike, in place of running the body of its block again.

Twelve layers of an array have one body, and most often inputs of one type, so that elaboration would come to the same
result twelve times.

    alike            which applications are alike
    records          what the first one did: the nodes that it appended, and ...
    journal          ... all else, as events that can happen again
    move             the same nodes and events with other names, values and locations
    growth           the layers that are created in a layer, in another one

Nothing is kept of an application with a diagnostic, and of those few that do what can't be moved: they run again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sized

from wsdl.diagnostics import limits
from wsdl.elaborate.alike import Key, is_new, key_of, size_of
from wsdl.elaborate.context import Context
from wsdl.elaborate.items import ArgumentValue, Item, Layer
from wsdl.elaborate.journal import Placed
from wsdl.elaborate.move import Move
from wsdl.elaborate.records import Outcome, Place, Record
from wsdl.elaborate.where import Use
from wsdl.ir.graph import Value, walk
from wsdl.ir.types import DType


def repeat_or_run(
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
        has_grown = not self.is_first and size != self.size
        names_sizes = any(node.measured for node in walk(nodes))  # that only the run knows
        if _marks(context) != self.marks or has_grown or names_sizes:
            return
        made = {value for node in nodes for value in node.results}
        record = Record(
            layer=self.layer,
            place=self.place,
            inputs=self.inputs,
            called=[value.name if given else "" for value, given in zip(self.inputs, self.unnamed, strict=True)],
            names=[value.name if value in made else "" for value in outcome.values],
            graph=self.graph,
            random={value: name for name, value in builder.random.items()},
            read=builder.graphs[0].nodes[self.read :] if len(builder.graphs) > 1 else [],
            nodes=nodes,
            events=builder.journal[self.events :],
            expanded={node for node in walk(nodes) if node.result not in builder.origins.producers},
            outcome=outcome,
            is_first=self.is_first,
            size=size,
            count=context.budget.done - self.count,
            created=context.budget.created - self.created,
            loops=(self.loops, where.loops - self.loops),
            depth=self.depth,
            depends=self.depends,
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


def _tensors(items: Iterable[Item]) -> Iterator[Value]:
    for item in items:
        if isinstance(item, Value):
            yield item
        elif isinstance(item, list | tuple):
            yield from _tensors(item)
