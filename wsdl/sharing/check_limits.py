"""Checks each model against its limits: `limit params`, `limit bytes`, `limit macs`."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from wsdl.diagnostics import Label, Problems
from wsdl.ir.dims import Dim, is_part, product, same
from wsdl.ir.graph import Graph, Model, Node, Stored, Value
from wsdl.ir.requests import LimitRequest
from wsdl.ir.stages import Storage
from wsdl.ir.types import BYTES
from wsdl.ops import OPERATIONS
from wsdl.ops.node_arguments import ScanParts, arguments

LISTED = 5  # of the largest parameters


def check_limits(storage: Storage, problems: Problems, computed: Mapping[str, Model]) -> None:
    """Report each model that exceeds a limit; `computed` are the models with all that they compute."""
    for limit in storage.checked.limits:
        if limit.kind == "macs":
            _check_macs(limit, computed[limit.model], problems)
        else:
            _check_size(limit, storage.models[limit.model], storage, problems)


def stored_by(model: Model, storage: Storage) -> list[Stored]:
    """The stored tensors that a model reads, each once, in the order of declaration."""
    slots = (str(node.attributes["slot"]) for node in model.graph.walk() if node.op == "parameter")
    names = {name for slot in slots for name in storage.readings[slot].tensors}
    return [s for s in storage.stored.values() if s.name in names]


def slots_of(stored: list[Stored], model: Model, storage: Storage) -> int:
    """The number of elements of the slots of a model: those that would be stored without sharing. Slots that only
    formulas read don't count."""
    paths = {slot.path for slot in model.module.all_slots()}
    paths |= {slot.path for root in storage.checked.layers.values() for slot in root.all_slots()}
    views = [slot for s in stored for slot, _ in s.slots if not s.computed or slot.path in model.reads]
    computed = [use.slot for s in stored for use in s.computed if use.counted]
    return sum(prod(slot.sizes) for slot in (*views, *computed) if slot.path in paths)


def _check_size(limit: LimitRequest, model: Model, storage: Storage, problems: Problems) -> None:
    stored = stored_by(model, storage)
    unit = 1 if limit.kind == "params" else None
    sizes = {s.name: s.elements * (unit or BYTES[s.type.dtype]) for s in stored}
    total = sum(sizes.values())
    if total <= limit.value:
        return
    what = "parameters" if limit.kind == "params" else "bytes"
    largest = sorted(stored, key=lambda s: -sizes[s.name])[:LISTED]
    without = slots_of(stored, model, storage)
    shared = sum(s.elements for s in stored)
    saved = f"sharing already saves {without - shared:,} of {without:,} parameters" if without > shared else ""
    problems.error(
        "E0601",
        limit.span,
        f"the model `{model.name}` has {total:,} {what}, which is {total - limit.value:,} over its limit",
        f"at most {limit.value:,}",
        labels=[Label(s.root.layer_span, f"`{s.name}`: {sizes[s.name]:,}") for s in largest[:2]],
        details=["the largest:", *(f"  {sizes[s.name]:>14,}  {s.name} {s.type}" for s in largest)],
        help="; ".join(filter(None, [saved, "make a layer smaller, or share more"])),
    )


def _check_macs(limit: LimitRequest, model: Model, problems: Problems) -> None:
    macs, each = _for_one(multiplications(model.graph), model)
    if macs.constant is None:
        unknown = {name for node in model.graph.walk() for name in node.measured} & macs.names()
        names = ", ".join(f"--dim {n}=…" for n in sorted(macs.names() - unknown))
        helps = ["let a `scan` count up to a number"] if not all(map(is_part, unknown)) else []
        helps += [f"fix the dimensions: {names}"] if names else []
        problems.error(
            "W0601",
            limit.span,
            f"the number of multiplications of the model `{model.name}`{each} depends on the run",
            f"{macs}",
            help="; ".join(helps),
            severity="warning",
        )
    elif macs.constant > limit.value:
        problems.error(
            "E0601",
            limit.span,
            f"the model `{model.name}` takes {macs.constant:,} multiplications{each}, which is "
            f"{macs.constant - limit.value:,} over its limit",
            f"at most {limit.value:,}",
            help="make a layer smaller or its input coarser; sharing saves storage, not work",
        )


def _for_one(macs: Dim, model: Model) -> tuple[Dim, str]:
    """The multiplications for one row, if the first dimension of all inputs is the batch, and the text for messages."""
    leading = {value.type.shape[0].name for value in model.graph.inputs if value.type.rank}
    [batch] = leading if len(leading) == 1 else [None]
    if batch is None:
        return macs, ""
    one = macs.substitute({batch: Dim.of(1)})
    return (one, f" for each `{batch}`") if same(one * Dim.symbol(batch), macs) else (macs, "")


def multiplications(graph: Graph) -> Dim:
    """Multiply-accumulate operations of the products and convolutions of a graph: the most, where a scan may end, and
    with all rows of a partition in the part that takes most for each."""
    total = Dim.of(0)
    producers = {value: node for node in graph.nodes for value in node.results}
    for node in graph.nodes:
        if node.body is not None:
            total += multiplications(node.body) * _repetitions(node, producers)
        elif operation := OPERATIONS.get(node.op):
            types = arguments(operation, node, lambda value: value.type)
            total += operation.multiplications(node.results[0].type, **types)
    for node in reversed(graph.nodes):
        if node.op == "partition_rows" and node.measured:
            total = _in_one_part(total, node)
    return total


def _in_one_part(total: Dim, node: Node) -> Dim:
    """A number of operations, with all rows of a partition in the part that takes most for each; as it is where no part
    certainly does."""
    names = node.measured
    none = total.substitute({name: Dim.of(0) for name in names})
    each = [total.substitute({other: Dim.of(other == name) for other in names}) - none for name in names]
    numbers = [dim.constant for dim in each if dim.constant is not None]
    most = each[0] if all(same(dim, each[0]) for dim in each) else Dim.of(max(numbers, default=0))
    sums = (one * Dim.symbol(name) for one, name in zip(each, names, strict=True))
    if not same(sum(sums, none), total) or (most.constant is not None and len(numbers) < len(each)):
        return total
    return none + most * product(node.inputs[1].type.shape)


def _repetitions(node: Node, producers: Mapping[Value, Node]) -> Dim:
    if node.op == "loop":
        count = node.attributes["count"]
        assert isinstance(count, int)
        return Dim.of(count)
    parts = ScanParts.of(node)
    limit = producers.get(parts.limit) if parts.limit is not None else None
    most = limit.attributes.get("value") if limit is not None and limit.op == "constant" else None
    return Dim.of(most) if isinstance(most, int) else parts.steps
