"""The layers of a program in short, as a training lists them before its first step: nested layers are folded into the
outermost ones, and repeated layers are one row."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, compress

from wsdl.diagnostics.figures import MOST_LISTED, size
from wsdl.ir.graph import Application, Graph, Module
from wsdl.ir.inventory import Inventory, Sizes, Tensor
from wsdl.ir.ranges import compact
from wsdl.ir.roles import FROZEN, UNCHANGED
from wsdl.ir.stages import Storage

Key = tuple[str, str, str]  # a path without indices, the kind of the layer, what it returns


@dataclass(frozen=True)
class LayerRow:
    """One layer, or several of a kind. `parameters` are the elements of the stored tensors that no row above reads,
    `shared` those of all its tensors that are read more than once, with what other rows or how often; `role` is what
    trainings do with them, where it isn't that they are trained."""

    path: str  # `lm.blocks[0:12]`
    kind: str  # `Block`; empty for parameters of a model itself
    output: str  # `f32[n, t, 256]`
    parameters: int
    shared: str  # `2,048,000 with lm.head`, `525,568 12×`
    role: str


@dataclass(frozen=True)
class Summary:
    """The rows, the sizes of all, and the elements and bytes that trainings change and keep."""

    rows: tuple[LayerRow, ...]
    sizes: Sizes
    changed: tuple[int, int]
    kept: tuple[int, int]

    def cells(self) -> list[tuple[str, ...]]:
        """A table as text, with its headers first; of many layers the first ones."""
        rows, more = self.rows[:MOST_LISTED], self.rows[MOST_LISTED:]
        columns = [True, True, True, True, any(row.shared for row in rows), any(row.role for row in rows)]
        table = [("layer", "block", "returns", "parameters", "shared", "in training")]
        table += [(r.path, r.kind, r.output, f"{r.parameters:,}", r.shared, r.role) for r in rows]
        if more:
            table.append((f"and {len(more):,} more", "", "", f"{sum(row.parameters for row in more):,}", "", ""))
        return [tuple(compress(row, columns)) for row in table]

    def totals(self) -> str:
        """`5,875,456 trained (23.5 MB), 0 frozen; 23.5 MB stored, 54.8 MB without sharing`."""
        (changed, bytes), (kept, bytes_kept), sizes = self.changed, self.kept, self.sizes
        words = f"{changed:,} trained ({size(bytes)}), {kept:,} frozen{f' ({size(bytes_kept)})' if kept else ''}"
        unshared = sizes.bytes_without_sharing
        without = f", {size(unshared)} without sharing" if unshared != sizes.bytes else ""
        return f"{words}; {size(sizes.bytes)} stored{without}"


def summary(storage: Storage, inventory: Inventory, models: Sequence[str] = ()) -> Summary:
    """The summary of these models, by default of all."""
    names = list(models) or list(storage.models)
    chosen = inventory.of_models(names)
    modules = {module.path: module for root in storage.checked.roots() for module in root.modules()}
    layers: dict[str, Key] = {}  # the row of each layer by its path, in the order of the graphs
    for name in names:
        graph = storage.models[name].graph
        for path, output in _applied(graph):
            layers.setdefault(path, (re.sub(r"\[\d+\]", "[]", path), modules[path].kind, output))
    inner = {path: module for path, module in modules.items() if path not in storage.models}
    reads: dict[str, set[Key]] = {}  # the rows of the layers that read a tensor
    rows: dict[Key, _Row] = {}
    for path, key in layers.items():
        rows.setdefault(key, _Row()).paths[path] = None
    for tensor in chosen.stored.values():
        for use in chosen.uses(tensor) or tensor.uses:
            path, key = _row_of(use.path, layers, inner)
            row = rows.setdefault(key, _Row())
            row.paths[path] = row.tensors[tensor.name] = None
            reads.setdefault(tensor.name, set()).add(key)
    named = {key: ", ".join(compact(row.paths)) for key, row in rows.items()}
    are_told = chosen.roles.are_worth_saying()
    counted: set[str] = set()
    listed = []
    for key, row in rows.items():
        tensors = [chosen.stored[name] for name in row.tensors]
        readers = {other for name in row.tensors for other in reads[name]} - {key}
        shared = _shared(tensors, [named[other] for other in rows if other in readers], chosen)
        role = chosen.roles.of_all(row.tensors) if are_told else ""
        new = sum(tensor.elements for tensor in tensors if tensor.name not in counted)
        listed.append(LayerRow(named[key], key[1], key[2], new, shared, role))
        counted.update(row.tensors)
    kept = {name for name in chosen.stored if _is_kept(name, chosen)}
    changed = (tensor for name, tensor in chosen.stored.items() if name not in kept)
    return Summary(tuple(listed), chosen.sizes(), _total(changed), _total(map(chosen.stored.__getitem__, kept)))


@dataclass
class _Row:
    paths: dict[str, None] = field(default_factory=dict)
    tensors: dict[str, None] = field(default_factory=dict)


def _total(tensors: Iterable[Tensor]) -> tuple[int, int]:
    sizes = [(tensor.elements, tensor.bytes) for tensor in tensors]
    return sum(elements for elements, _ in sizes), sum(bytes for _, bytes in sizes)


def _is_kept(tensor: str, inventory: Inventory) -> bool:
    """Whether no training changes it."""
    return {*inventory.roles.of_tensors.get(tensor, {}).values()} <= {FROZEN, UNCHANGED}


def _shared(tensors: Sequence[Tensor], others: Sequence[str], inventory: Inventory) -> str:
    read = [(tensor, inventory.used(tensor)) for tensor in tensors]
    several = [(tensor, times) for tensor, times in read if times > 1]
    if not several:
        return ""
    most = max(times for _, times in several)
    how = f"with {others[0]}{f' and {len(others) - 1} more' if others[1:] else ''}" if others else f"{most}×"
    return f"{sum(tensor.elements for tensor, _ in several):,} {how}"


def _row_of(slot: str, layers: Mapping[str, Key], modules: Mapping[str, Module]) -> tuple[str, Key]:
    """The layer that a slot belongs to, and its row: the slot itself where it is one of a model."""
    around = list(accumulate(slot.split(".")[:-1], "{}.{}".format))
    applied = next((path for path in reversed(around) if path in layers), None)
    if applied is not None:
        return applied, layers[applied]
    path = next((path for path in around if path in modules), slot)
    return path, (re.sub(r"\[\d+\]", "[]", path), modules[path].kind if path in modules else "", "")


# -- what is applied ---------------------------------------------------------------------------------------------------


def _applied(graph: Graph) -> list[tuple[str, str]]:
    """The outermost layers that a graph applies, with the types that they return. A layer that is all there is is
    opened, unless it is of the standard library."""
    chains = [(node, chain(node.application)) for node in graph.needed()]
    level, outer = 0, list[Application]()
    while True:
        inner = {path[level]: None for _, path in chains if path[:level] == outer and len(path) > level}
        lone = next(iter(inner)) if len(inner) == 1 else None
        deeper = lone is not None and any(len(path) > level + 1 and path[level] is lone for _, path in chains)
        if lone is None or lone.is_standard or not deeper:
            break
        outer, level = [*outer, lone], level + 1
    returned: dict[Application, dict[str, None]] = {application: {} for application in inner}
    made = {value: path[level] for node, path in chains if len(path) > level for value in node.results}
    for node, path in chains:
        own = path[level] if len(path) > level else None
        for value in node.reads():
            if (by := made.get(value)) is not None and by is not own:
                returned[by][str(value.type)] = None
    for value in graph.outputs:
        if (by := made.get(value)) is not None:
            returned[by][str(value.type)] = None
    return [(application.path, ", ".join(types)) for application, types in returned.items()]


def chain(application: Application | None) -> list[Application]:
    """The applications around a node, the outermost first."""
    around: list[Application] = []
    while application is not None:
        around.append(application)
        application = application.inside
    return around[::-1]
