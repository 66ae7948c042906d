"""The contents of a picture: boxes for layers, the data that flows between them, and the stored tensors.

Each application of a layer is a box: a tower that is applied twice is two boxes that read the same weights. Layers of
the user's blocks are open, down to a depth, and show their contents; those of the standard library are closed. Arrays
of equal layers are drawn once. Ways of sharing and formulas are nodes between stored tensors and layers.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from wsdl.ir.graph import Application, Model, Module, Node, Stored, Value
from wsdl.ir.inventory import Inventory, Tensor, inventory
from wsdl.ir.ranges import compact
from wsdl.ir.roles import Roles
from wsdl.ir.stages import FormulaReading, Reading, Storage
from wsdl.ir.types import TensorType
from wsdl.pictures.computed import computed_slots
from wsdl.pictures.units import Box, Computed, Flow, Ops, Picture, Port, Shared, Unit

MANY = 4  # from this number on, consecutive equal layers are drawn as one
MOST_UNITS = 60  # a picture with more is drawn with a smaller depth
_CALLED = {"normal_numbers": "random_normal", "uniform_numbers": "random_uniform"}  # as in programs
_SILENT = {"parameter", "constant", "size", "assume"}  # nodes that are not drawn


def picture(storage: Storage, depth: int | None = None) -> Picture:
    """The picture of a checked program. `depth` opens all layers down to it, also those of the standard library; by
    default the user's blocks are opened, up to four levels, unless that gives more than `MOST_UNITS` units."""
    partly = _partly_shared(storage)
    if depth is not None:
        return _picture(storage, _OpenBoxes(depth, True, partly))
    for limit in (4, 3, 2):
        result = _picture(storage, _OpenBoxes(limit, False, partly))
        if sum(1 for units in result.models.values() for _ in _walk(units)) <= MOST_UNITS:
            return result
    return _picture(storage, _OpenBoxes(1, False, partly))


def _walk(units: Iterable[Unit]) -> Iterator[Unit]:
    for unit in units:
        yield unit
        if isinstance(unit, Box):
            yield from _walk(unit.parts)


@dataclass(frozen=True)
class _OpenBoxes:
    """Decides which boxes are open: those above a depth, where models are at 0; of the standard library all, or only
    those with both shared and unshared parts."""

    depth: int
    also_standard: bool
    partly: frozenset[str]

    def __call__(self, application: Application, level: int) -> bool:
        chosen = self.also_standard or not application.is_standard or application.path in self.partly
        return level < self.depth and chosen


def _partly_shared(storage: Storage) -> frozenset[str]:
    """The layers with both shared and unshared parts."""
    shared = {use.path for tensor in inventory(storage).shared() for use in tensor.uses}
    shared |= {path for way in storage.ways for path in way.slots}
    modules = (module for root in storage.checked.roots() for module in root.modules() if module.children)
    return frozenset(m.path for m in modules if {slot.path in shared for slot in m.all_slots()} == {True, False})


def _picture(storage: Storage, opened: _OpenBoxes, apart: frozenset[str] = frozenset()) -> Picture:
    """`apart` are the paths of layers that aren't merged with equal ones."""
    result = Picture()
    reads = _Reads(storage.readings, computed_slots(storage))
    modules = {m.path: m for root in storage.checked.roots() for m in root.modules()}
    for name, model in storage.models.items():
        carried = {n for t in storage.trainings.values() if t.model == name for n in t.written.objective.carried}
        result.models[name] = _Drawing(model, modules, opened, apart, result.flows, reads, carried).units()
    circular = {box.path for units in result.models.values() for box in _circular(units, result.flows)}
    if circular:  # data goes between the layers through other units, so that a single box would be in a cycle
        return _picture(storage, opened, apart | circular)
    result.shared = reads.shared(storage)
    result.computed = [at for at in dict.fromkeys(reads.computed.values()) if at.readers]
    shared = {stored.name for group in result.shared for stored in group.tensors}
    of_trainings = inventory(storage).roles
    for box in (u for units in result.models.values() for u in _walk(units) if isinstance(u, Box)):
        read = [name for name in reads.of_unit.get(box, {}) if not _follows(storage.stored[name], of_trainings)]
        box.role = of_trainings.of_all(read) if of_trainings.are_worth_saying() else ""
        box.own_bytes = sum(
            storage.stored[name].bytes for name in reads.of_unit.get(box, {}) if name not in shared
        )  # of all layers of the box
    return result


def _follows(stored: Stored, of_trainings: Roles) -> bool:
    """Is it a running statistic, whose layer is what is frozen or not?"""
    return stored.root.kind == "state" and not of_trainings.is_updated(stored.name)


# -- readers -----------------------------------------------------------------------------------------------------------


@dataclass
class _Reads:
    """The units that read each stored tensor, with their views, and the tensors that each unit reads."""

    readings: Mapping[str, Reading]  # by the path of the slot
    computed: Mapping[str, Computed]  # the same
    units: dict[str, dict[Unit | Computed, str]] = field(default_factory=dict)
    of_unit: dict[Unit, dict[str, None]] = field(default_factory=dict)

    def add(self, read: Node, unit: Unit) -> None:
        slot = str(read.attributes["slot"])
        reading, computed = self.readings[slot], self.computed.get(slot)
        if computed is not None:
            computed.readers.setdefault(unit, str(reading) if isinstance(reading, FormulaReading) else "")
            for name in reading.tensors:
                self.units.setdefault(name, {}).setdefault(computed, "")
            return
        for name in reading.tensors:
            self.units.setdefault(name, {}).setdefault(unit, str(reading))
            self.of_unit.setdefault(unit, {})[name] = None

    def move(self, unit: Unit, target: Unit) -> None:
        """Let `target` read what `unit` reads, which isn't drawn."""
        for readers in self.units.values():
            if unit in readers:
                readers.setdefault(target, readers.pop(unit))
        for at in self.computed.values():
            if unit in at.readers:
                at.readers.setdefault(target, at.readers.pop(unit))
        self.of_unit.setdefault(target, {}).update(self.of_unit.pop(unit, {}))

    def shared(self, storage: Storage) -> list[Shared]:
        """The tensors that are read more than once, grouped by their readers."""
        listing = inventory(storage)
        groups: dict[object, Shared] = {}
        exclusive: set[str] = set()
        for at in dict.fromkeys(self.computed.values()):
            tensors = [listing.stored[stored.name] for stored in (*at.shared, *at.own)]
            at.uses, at.saved = max(map(listing.used, tensors), default=0), sum(map(listing.saved, tensors))
            exclusive.update(tensor.name for tensor in tensors)
        for tensor in (t for t in listing.stored.values() if t.name not in exclusive and self._is_drawn(t, listing)):
            stored, readers, used = storage.stored[tensor.name], self.units.get(tensor.name, {}), listing.used(tensor)
            told = listing.roles.are_worth_saying() and not _follows(stored, listing.roles)
            role = listing.roles.of_all([tensor.name]) if told else ""
            key = (stored.group, tuple(map(id, readers)), tuple(readers.values()), used, role)
            group = groups.setdefault(key, Shared([], readers, used, 0, role))
            group.tensors.append(stored)
            group.saved += listing.saved(tensor)
        return list(groups.values())

    def _is_drawn(self, tensor: Tensor, listing: Inventory) -> bool:
        """Is it shared, or written by updates and outside of all closed boxes?"""
        if listing.used(tensor) > 1:
            return True
        readers = self.units.get(tensor.name, {})
        return listing.roles.is_updated(tensor.name) and all(isinstance(unit, Ops) for unit in readers)


# -- one model ---------------------------------------------------------------------------------------------------------


class _Drawing:
    """The units of one model. `representative` maps a node of a layer that isn't drawn to that of the equal layer that
    is."""

    def __init__(
        self,
        model: Model,
        modules: Mapping[str, Module],
        opened: _OpenBoxes,
        apart: frozenset[str],
        flows: list[Flow],
        reads: _Reads,
        carried: Collection[str],
    ) -> None:
        self.model, self.modules, self.opened, self.apart = model, modules, opened, apart
        self.flows, self.reads, self.carried = flows, reads, carried
        self.nodes = [(outer, node) for outer in model.graph.nodes for node in [outer, *_inside(outer)]]
        self.representative: dict[Node, Node] = {}
        self.rows: dict[Application, list[Application]] = {}
        self.row_of: dict[Application, Application] = {}
        self._find_rows()
        self.boxes: dict[Application, Box] = {}
        self.ops: dict[Node, Ops] = {}
        self.top: list[Unit] = []

    def units(self) -> list[Unit]:
        """The units at the level of the model; also records flows and reads."""
        inputs: dict[Value, Unit] = {
            v: Port(v.name, v.type, True, v.name in self.carried) for v in self.model.graph.inputs
        }
        self.top += inputs.values()
        producers: dict[Value, Node] = {v: outer for outer, node in self.nodes for v in node.results}
        parameters = {node.result: node for _, node in self.nodes if node.op == "parameter"}
        seen: set[tuple[Unit, Unit]] = set()
        for outer, node in self.nodes:
            if node.op in _SILENT:
                continue
            unit = self._unit(outer)
            for value in self._sources(node, producers):
                if value in parameters:
                    self.reads.add(parameters[value], unit)
                elif value in inputs:
                    self._flow(inputs[value], unit, value.type, seen)
                elif value in producers and not self._from_the_row(producers[value], outer):
                    self._flow(self._unit(producers[value]), unit, value.type, seen)
        for (name, type), value in zip(self.model.output_types.items(), self.model.graph.outputs, strict=True):
            port = Port(name, type, False)
            self.top.append(port)
            for source in self._through(value, producers):
                unit_of = inputs.get(source) or self._unit(producers[source])
                self._flow(unit_of, port, value.type, seen)
        self._join_operations()
        return self.top

    def _flow(self, source: Unit, target: Unit, type: TensorType, seen: set[tuple[Unit, Unit]]) -> None:
        if source is not target and (source, target) not in seen:
            seen.add((source, target))
            self.flows.append(Flow(source, target, type))

    def _sources(self, node: Node, producers: Mapping[Value, Node]) -> Iterator[Value]:
        for value in node.inputs:
            yield from self._through(value, producers)

    def _through(self, value: Value, producers: Mapping[Value, Node]) -> Iterator[Value]:
        """The value, or the inputs of a check that isn't drawn; nothing for a constant."""
        node = producers.get(value)
        if node is None or node.op not in _SILENT or node.op == "parameter":
            yield value
        elif node.op == "assume":
            yield from self._sources(node, producers)

    # -- units ---------------------------------------------------------------------------------------------------------

    def _unit(self, node: Node) -> Unit:
        """The closed box that contains a node, otherwise the `Ops` that it belongs to."""
        while node in self.representative:
            node = self.representative[node]
        parts = self.top
        for level, application in enumerate(_chain(node), 1):
            box = self._box(application, parts)
            if not self.opened(application, level):
                return box
            parts = box.parts
        if node not in self.ops:
            self.ops[node] = Ops([_word(node)])
            parts.append(self.ops[node])
        return self.ops[node]

    def _box(self, application: Application, parts: list[Unit]) -> Box:
        if application not in self.boxes:
            module = self.modules.get(application.path)
            row = self.rows.get(application, [application])
            path, count = self._path(row), len(row)
            outer = self.boxes.get(application.inside) if application.inside else None
            copies = count * (outer.copies if outer else 1)
            self.boxes[application] = Box(path, module.kind if module else "", count, copies)
            parts.append(self.boxes[application])
        return self.boxes[application]

    # -- rows of equal layers ------------------------------------------------------------------------------------------

    def _find_rows(self) -> None:
        """Find applications of one array, or of one layer, with equal bodies; the first represents all."""
        inside: dict[Application, list[Node]] = {}
        for _, node in self.nodes:
            for application in _chain(node):
                inside.setdefault(application, []).append(node)
        rows: dict[object, list[Application]] = {}
        for application, nodes in inside.items():
            name = re.sub(r"\[\d+\]$", "[]", application.path)
            what = tuple((node.op, len(_chain(node))) for node in nodes)
            module = self.modules.get(application.path)
            sizes = tuple(slot.sizes for slot in module.all_slots()) if module else ()
            rows.setdefault((application.inside, name, what, sizes), []).append(application)
        hidden: set[Application] = set()
        for first, *others in sorted(rows.values(), key=lambda row: len(_around(row[0]))):
            few = len(others) + 1 < MANY or self._path([first, *others]) in self.apart
            if few or hidden.intersection(_around(first)):
                continue
            hidden.update(others)
            self.rows[first] = [first, *others]
            for application in [first, *others]:
                self.row_of[application] = first
            for other in others:
                self.representative.update(zip(inside[other], inside[first], strict=True))

    @staticmethod
    def _path(row: list[Application]) -> str:
        """`lm.blocks[0:12]`; the path itself of a layer that is applied several times."""
        return " ".join(compact(dict.fromkeys(application.path for application in row)))

    def _from_the_row(self, source: Node, target: Node) -> bool:
        """Whether data goes from one member of a row to another; the row is drawn as one box."""
        rows = {self.row_of[a]: a for a in _chain(source) if a in self.row_of}
        return any(rows.get(self.row_of[a], a) is not a for a in _chain(target) if a in self.row_of)

    # -- operations ----------------------------------------------------------------------------------------------------

    def _join_operations(self) -> None:
        """Merge consecutive operations into one unit."""
        self.flows[:] = _joined(self.flows, self.top, self.reads)


def _inside(node: Node) -> Iterator[Node]:
    """The nodes of its body, which are part of the same unit."""
    if node.body is not None:
        yield from node.body.walk()


def _word(node: Node) -> str:
    """The operation, and the layers that its body applies, without those inside of them: `scan (cell)`."""
    outer = set(_chain(node))
    applied = ([a for a in _chain(n) if a not in outer] for n in _inside(node))
    layers = [chain[0].path.rsplit(".", 1)[-1] for chain in applied if chain]
    word = _CALLED.get(node.op, node.op)
    return f"{word} ({', '.join(dict.fromkeys(layers))})" if layers else word


def _chain(node: Node) -> list[Application]:
    """The applications around a node, outermost first."""
    return [] if node.application is None else _around(node.application)


def _around(application: Application) -> list[Application]:
    """The application and those around it, outermost first."""
    outer = [] if application.inside is None else _around(application.inside)
    return [*outer, application]


def _joined(flows: list[Flow], units: list[Unit], reads: _Reads) -> list[Flow]:
    """Merge neighboring operations of one level and, in place, remove the merged ones from `units`."""
    level = {unit: parts for parts in _levels(units) for unit in parts}
    for parts in list(_levels(units)):
        for unit in [u for u in parts if isinstance(u, Ops)]:
            after = [flow for flow in flows if flow.source is unit]
            if len(after) != 1:
                continue
            target = after[0].target
            before = [flow for flow in flows if flow.target is target]
            if isinstance(target, Ops) and len(before) == 1 and level.get(target) is parts:
                target.names[:0] = unit.names
                reads.move(unit, target)
                parts.remove(unit)
                flows = [Flow(f.source, target, f.type) if f.target is unit else f for f in flows if f is not after[0]]
    return flows


def _circular(units: list[Unit], flows: list[Flow]) -> Iterator[Box]:
    """The boxes for several layers that are part of a cycle."""
    after: dict[Unit, list[Unit]] = {}
    for flow in flows:
        after.setdefault(flow.source, []).append(flow.target)
    rows = [unit for unit in _walk(units) if isinstance(unit, Box) and unit.count > 1]
    for row in rows:
        inside = set(_walk([row]))
        outside = [u for unit in _walk([row]) for u in after.get(unit, ()) if u not in inside]
        seen = set(outside)
        while outside:
            for unit in after.get(outside.pop(), ()):
                if unit in inside:
                    yield row
                    outside = []
                    break
                if unit not in seen:
                    seen.add(unit)
                    outside.append(unit)


def _levels(units: list[Unit]) -> Iterator[list[Unit]]:
    yield units
    for unit in units:
        if isinstance(unit, Box):
            yield from _levels(unit.parts)
