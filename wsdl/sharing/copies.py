"""`load online into target`: the initial values of parameters and states are those of others."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from wsdl.diagnostics import Label, Problems
from wsdl.ir.graph import Graph, Initializer, Node, Slot, Stored, Value
from wsdl.ir.requests import CopyRequest
from wsdl.ir.stages import FormulaReading, Storage
from wsdl.ir.types import same_type
from wsdl.ops.build import Build
from wsdl.sharing.paths import NotFound
from wsdl.sharing.targets import Target, Targets, refuse_part
from wsdl.sharing.through_view import through_view


def with_copies(storage: Storage, targets: Targets, problems: Problems) -> Storage:
    """The storage with the initializers that `load PATH into PATH` asks for; their graphs read slots."""
    copied: dict[str, tuple[Stored, CopyRequest]] = {}
    for request in storage.checked.copies:
        with suppress(NotFound):
            source = targets.of(request.source, request.base, problems)
            target = targets.of(request.target, request.base, problems)
            refuse_part(request.source, source, "be copied", problems)
            refuse_part(request.target, target, "be loaded", problems)
            for slot, read in _pairs(request, source, target, problems):
                stored = _copy(slot, read, request, storage, problems)
                if stored is not None:
                    copied.setdefault(stored.name, (stored, request))
    _report_circles(copied, storage, problems)
    return replace(storage, stored={**storage.stored, **{name: stored for name, (stored, _) in copied.items()}})


def _pairs(request: CopyRequest, source: Target, target: Target, problems: Problems) -> list[tuple[Slot, Slot]]:
    """The slots of a target, each with the one of the source at the same place; none after an error."""
    read, written = _below(source), _below(target)
    pairs = [(slot, read.get(below)) for below, slot in written.items()]
    for slot, other in pairs:
        if other is None or not same_type(other.type, slot.type):
            found = f"`{other.path}` is {other.type}" if other is not None else "has nothing at its place"
            problems.error(
                "E0517",
                request.source.span,
                f"`{request.source.span.text}` can't be loaded into `{request.target.span.text}`: they are not alike",
                found,
                labels=[Label(request.target.span, f"`{slot.path}` is {slot.type}")],
                help="load a layer of the same kind and size, or single parameters: `load a.weight into b.weight`",
            )
            return []
    return [(slot, other) for slot, other in pairs if other is not None]


def _below(target: Target) -> Mapping[str, Slot]:
    """The slots of a target by their paths below it."""
    if not target.layers:
        return {"" if len(target.slots) == 1 else str(i): slot for i, slot in enumerate(target.slots)}
    first = target.layers[0].path
    start = len(first) if len(target.layers) == 1 else len(first.rpartition("[")[0])
    return {slot.path[start:]: slot for slot in target.slots}


def _copy(slot: Slot, read: Slot, request: CopyRequest, storage: Storage, problems: Problems) -> Stored | None:
    """What is stored for a slot, initialized by another one; `None` after an error."""
    reading = storage.readings[slot.path]
    problem, place, help = "", None, "load into the tensors that are stored, each by its own path"
    if isinstance(reading, FormulaReading):
        problem, place = "is computed by a formula", Label(reading.formula.span, "by this")
    elif not reading.view.is_whole:
        problem = f"is a part of `{reading.stored}`"
    elif reading.stored in storage.readings[read.path].tensors:
        problem, help = f"reads the same tensor as `{read.path}`", "a tensor that both read needs no `load`"
    if isinstance(reading, FormulaReading) or problem:
        problems.error(
            "E0518",
            request.target.span,
            f"`{slot.path}` {problem}, so `{request.source.span.text}` can't be loaded into it",
            "not stored by itself",
            labels=[place] if place else (),
            help=help,
        )
        return None
    stored, graph = storage.stored[reading.stored], Graph()
    value = Value(read.type)
    graph.nodes.append(Node("parameter", [], {"slot": read.path}, [value]))
    graph.outputs = [through_view(Build(graph), value, reading.view)]
    initializer = Initializer(read.path, explicit=True, graph=graph)
    return replace(stored, initializer=initializer)


def _report_circles(copied: Mapping[str, tuple[Stored, CopyRequest]], storage: Storage, problems: Problems) -> None:
    """Report tensors that would be loaded from each other."""

    def reads(name: str) -> list[str]:
        graph = (copied[name][0] if name in copied else storage.stored[name]).initializer.graph
        slots = [str(node.attributes["slot"]) for node in graph.nodes if node.op == "parameter"] if graph else []
        return [stored for slot in slots for stored in storage.readings[slot].tensors]

    for name, (_, request) in copied.items():
        rest, seen = reads(name), set[str]()
        while rest:
            read = rest.pop()
            if read == name:
                if not problems.has("E0519", request.source.span):
                    problems.error(
                        "E0519",
                        request.source.span,
                        f"`{name}` would be loaded from itself",
                        "depends on what is loaded here",
                        help="one of the two needs initial values of its own",
                    )
                break
            if read not in seen:
                seen.add(read)
                rest += reads(read)
