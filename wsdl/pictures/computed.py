"""Ways of sharing and formulas in pictures: one node for each line of the program, with the stored tensors that only it
reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from wsdl.diagnostics.span import Span
from wsdl.ir.ranges import compact
from wsdl.ir.stages import Formula, SharedAs, Storage
from wsdl.pictures.units import Computed


def computed_slots(storage: Storage) -> dict[str, Computed]:
    """The way of sharing or formula of each computed slot, by the slot's path."""
    computed: dict[str, Computed] = {}
    lines: dict[Span, list[SharedAs]] = {}
    for way in storage.ways:
        lines.setdefault(way.request.way.span, []).append(way)
    for resolved in lines.values():
        computed.update(dict.fromkeys((path for way in resolved for path in way.slots), _way(resolved, storage)))
    formulas: dict[Span, list[Formula]] = {}
    for formula in storage.formulas:
        if formula.root.path not in computed:
            formulas.setdefault(formula.span, []).append(formula)
    for group in formulas.values():
        computed.update(dict.fromkeys((slot.path for f in group for slot, _ in f.slots), _formulas(group, storage)))
    return computed


def _way(resolved: Sequence[SharedAs], storage: Storage) -> Computed:
    """A line `share as BLOCK`, for all steps of its `for`."""
    shared, own = (
        [storage.stored[name] for names in lists for name in names]
        for lists in ([way.shared for way in resolved], [way.own for way in resolved])
    )
    members = [path for way in resolved for path in way.members]
    names = [way.request.group.name for way in resolved if way.request.group.name] or members
    text = " ".join(resolved[0].request.way.span.text.split())
    return Computed(text, _name(names), len(members), True, shared, own)


def _formulas(formulas: Sequence[Formula], storage: Storage) -> Computed:
    """The formulas of one line of the program."""
    slots = {slot.path for formula in formulas for slot, _ in formula.slots}
    elsewhere = {path for model in storage.models.values() for path in model.reads} - slots
    read_by = Counter(name for formula in formulas for name in formula.tensors)
    private = {n: times for n, times in read_by.items() if elsewhere.isdisjoint(s.path for s in storage.readers[n])}
    shared = [storage.stored[name] for name, times in private.items() if times > 1 or len(formulas) == 1]
    own = [storage.stored[name] for name, times in private.items() if times == 1 and len(formulas) > 1]
    return Computed(
        formulas[0].text, _name(formula.root.path for formula in formulas), len(formulas), False, shared, own
    )


def _name(paths: Iterable[str]) -> str:
    """The paths without the model, with ranges of indices."""
    return ", ".join(path.partition(".")[2] or path for path in compact(dict.fromkeys(paths)))
