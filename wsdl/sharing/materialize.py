"""`--materialize`: formulas whose values a compiled file holds, in place of what they are computed from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import prod

from wsdl.ir.graph import Initializer, Slot, Stored
from wsdl.ir.inventory import ComputedTensor
from wsdl.ir.min_cut import Network
from wsdl.ir.stages import Formula, FormulaReading, Storage, ViewReading
from wsdl.ir.target import Target
from wsdl.ir.types import BYTES
from wsdl.ir.views import View
from wsdl.sharing.read_stored import slot_over_stored, without_losses

_SOURCE, _SINK = ("source", ""), ("sink", "")


def written_out(storage: Storage, target: Target) -> Storage:
    """The same with the values of some formulas as stored tensors that are computed when compiling."""
    written = {formula: _written(formula, storage, target) for formula in _chosen(storage, target)}
    if not written:
        return storage
    readings = {
        path: ViewReading(written[reading.formula].name, reading.view)
        if isinstance(reading, FormulaReading) and reading.formula in written
        else reading
        for path, reading in storage.readings.items()
    }
    stored = {**storage.stored, **{stored.name: stored for stored in written.values()}}
    return replace(storage, stored=stored, readings=readings)


def computed_tensors(storage: Storage, target: Target) -> tuple[ComputedTensor, ...]:
    """The formulas that models read, and which of them are written out."""
    chosen = set(_chosen(storage, target))
    return tuple(
        ComputedTensor(
            tuple(slot.path for slot, _ in formula.slots),
            formula.text,
            target.stored(formula.root.type).dtype,
            formula.root.sizes,
            {name: storage.stored[name].bytes for name in formula.tensors},
            formula in chosen,
            _readers(formula, storage),
        )
        for formula in _formulas(storage)
    )


def _written(formula: Formula, storage: Storage, target: Target) -> Stored:
    """The value of a formula as a stored tensor, under the path of the parameter that it computes."""
    root, name = formula.root, formula.root.file_path
    if name in storage.stored:  # that of what a way of sharing takes
        name = f"{name}.computed"
    graph = slot_over_stored(root, View.identity(root.sizes), storage)
    slot = Slot(name, root.type, root.kind, Initializer("zeros"), root.span, root.layer_span)
    frozen = not any(storage.stored[part].trainable for part in formula.tensors)
    return Stored(name, target.stored(root.type), slot, formula.slots, slot.initializer, frozen, derived=graph)


# -- which -------------------------------------------------------------------------------------------------------------


def _chosen(storage: Storage, target: Target) -> list[Formula]:
    if target.materialize == "none":
        return []
    formulas = _formulas(storage)
    if isinstance(target.materialize, frozenset):
        return [f for f in formulas if any(slot.path in target.materialize for slot, _ in f.slots)]
    return formulas if target.materialize == "all" else _smaller(formulas, storage, target)


def _formulas(storage: Storage) -> list[Formula]:
    """Those that models read. One that is a view but for its losses is that view in a model."""
    return [
        formula
        for formula in storage.formulas
        if _readers(formula, storage)
        and isinstance(without_losses(storage.readings[formula.root.path], storage), FormulaReading)
    ]


def _readers(formula: Formula, storage: Storage) -> tuple[str, ...]:
    """The models that read what a formula computes."""
    paths = {slot.path for slot, _ in formula.slots}
    return tuple(name for name, model in storage.models.items() if not paths.isdisjoint(model.reads))


def _smaller(formulas: Iterable[Formula], storage: Storage, target: Target) -> list[Formula]:
    """Those whose values take no more bytes than what need not be stored for them: the minimum cut between the stored
    tensors and the models."""
    network: Network[tuple[str, str]] = Network()
    for name, stored in storage.stored.items():
        network.add(_SOURCE, ("written", name))
        network.add(("written", name), ("held", name), stored.bytes)
    for model in storage.models.values():
        for slot in model.reads:
            reading = without_losses(storage.readings[slot], storage)
            name = reading.stored if isinstance(reading, ViewReading) else reading.formula.root.path
            kind = "held" if isinstance(reading, ViewReading) else "value held"
            network.add((kind, name), _SINK)
    for formula in formulas:
        path = formula.root.path
        network.add(("value", path), ("value held", path), _bytes(formula, target))
        for name in formula.tensors:
            network.add(("held", name), ("value", path))
            network.add(("value", path), ("written", name))
    behind = network.behind_cut(_SOURCE, _SINK)
    return [f for f in formulas if ("value", f.root.path) not in behind]


def _bytes(formula: Formula, target: Target) -> int:
    return prod(formula.root.sizes) * BYTES[target.stored(formula.root.type).dtype]
