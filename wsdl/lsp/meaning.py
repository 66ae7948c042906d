"""Whether an edited program means what it meant before, up to the names in it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import TypeAlias

from wsdl.api.checking import Examined
from wsdl.diagnostics.span import Source, Span
from wsdl.ir.graph import Graph, Value
from wsdl.ir.references import References
from wsdl.ir.stages import Checked, Storage
from wsdl.ir.training import SEED

_LARGEST = 2**53  # of numbers that programs have

Place: TypeAlias = tuple[str, int, int]  # path of the source, start, end


def fingerprint(examined: Examined) -> Hashable:
    """What a program computes, stores and trains, without any name; equal for programs that differ in names alone.
    Nothing for a program with errors."""
    if examined.program is None or examined.storage is None:
        return None
    program, storage = examined.program, examined.storage
    slots = {path: number for number, path in enumerate(_in_order_of_use(program))}
    return tuple(_graphs(program, slots)), tuple(_stored(storage, slots)), tuple(_trainings(storage))


def _in_order_of_use(program: Checked) -> Iterator[str]:
    """The paths of all slots, as the graphs read them: a layer may be declared elsewhere."""
    graphs = [*program.graphs(), *(formula.graph for formula in program.formulas)]
    read = (str(node.attributes["slot"]) for graph in graphs for node in graph.walk() if node.op == "parameter")
    return iter(dict.fromkeys((*read, *(slot.path for slot in program.slots()))))


def _graphs(program: Checked, slots: Mapping[str, int]) -> Iterator[Hashable]:
    for model in program.models.values():
        yield tuple(value.name == SEED for value in model.graph.inputs), tuple(_graph(model.graph, slots))
    for training in program.trainings.values():
        for graph in (training.objective.graph, training.evaluation.graph):
            yield tuple(_graph(graph, slots))
    for formula in program.formulas:
        yield tuple(_graph(formula.graph, slots))


def _graph(graph: Graph, slots: Mapping[str, int]) -> Iterator[Hashable]:
    """Its nodes with the numbers of what they read, and of the results."""
    numbers: dict[Value, int] = {}
    for part in graph.graphs():
        for value in part.inputs:
            numbers.setdefault(value, len(numbers))
    for node in graph.walk():
        numbers.update((result, len(numbers) + i) for i, result in enumerate(node.results) if result not in numbers)
        slot = slots.get(str(node.attributes.get("slot")))
        types = tuple((value.type.dtype, len(value.type.shape)) for value in node.results)
        constants = tuple((key, _constant(value)) for key, value in node.attributes.items())
        yield node.op, slot, tuple(numbers.get(value, -1) for value in node.inputs), types, constants
    for part in graph.graphs():
        yield tuple(numbers.get(value, -1) for value in part.outputs)


def _constant(value: object) -> Hashable:
    """An attribute; of a dimension, which has names in it, only that it is one, and so of the hash of a path, from
    which random numbers are drawn: like initial values, they follow names."""
    if isinstance(value, list):
        return tuple(map(_constant, value))
    if isinstance(value, int) and abs(value) > _LARGEST:
        return "hash"
    return value if isinstance(value, bool | int | float) or value is None else type(value).__name__


def _stored(storage: Storage, slots: Mapping[str, int]) -> Iterator[Hashable]:
    """What each slot reads, and how each tensor is stored."""
    numbers: dict[str, int] = {}
    declared = {slot.path: slot for slot in storage.checked.slots()}
    for path in slots:
        reading, slot = storage.readings.get(path), declared.get(path)
        if reading is not None and slot is not None:
            tensors = tuple(numbers.setdefault(name, len(numbers)) for name in reading.tensors)
            yield slot.kind, len(slot.type.shape), type(reading).__name__, tensors
    for name in numbers:
        stored = storage.stored[name]
        yield stored.sizes, str(stored.initializer), stored.frozen, stored.trainable, stored.decay
    yield len(storage.stored)


def _trainings(storage: Storage) -> Iterator[Hashable]:
    for training in storage.trainings.values():
        sets = (training.frozen, training.trained, training.updated, training.schedules)
        yield tuple(tuple(sorted(storage.stored[name].sizes for name in names)) for names in sets)


def bound(references: References, moved: Callable[[Span], Place]) -> dict[Place, set[Place]]:
    """Use and definition, at the places that `moved` says."""
    return {moved(use): set(map(moved, places)) for use, places in references.definitions.items()}


def moved_by(edits: Mapping[Source, Mapping[Span, str]]) -> Callable[[Span], Place]:
    """Where a place is in the texts after edits that don't overlap; a place that is edited is the new text."""
    ordered = {source: sorted(texts.items(), key=lambda item: item[0].start) for source, texts in edits.items()}

    def moved(place: Span) -> Place:
        start, end = place.start, place.end
        for span, text in ordered.get(place.source, ()):
            longer = len(text) - (span.end - span.start)
            start += longer if span.end <= place.start and span != place else 0
            end += longer if span.end <= place.end else 0
        return place.source.path, start, end

    return moved


def edited(source: Source, edits: Mapping[Span, str]) -> str:
    """The text of a source after edits that don't overlap."""
    text, end = [], 0
    for span, new in sorted(edits.items(), key=lambda item: item[0].start):
        text += [source.text[end : span.start], new]
        end = span.end
    return "".join([*text, source.text[end:]])
