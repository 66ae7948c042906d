"""What `wsdl inspect` says of an inventory: tables, and lines below them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import compress
from typing import NamedTuple

from wsdl.api.listing import computed_families, parts, plainly_shared, slots, trainings, unshared
from wsdl.diagnostics.figures import count, size
from wsdl.ir.inventory import Inventory


class Table(NamedTuple):
    """Rows of texts; all columns except those in `text` contain numbers."""

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    text: Sequence[int]


def signatures(inventory: Inventory) -> list[str]:
    """The signature of each model, and what trainings do."""
    head = [f"variant {inventory.variant}"] if inventory.variant else []
    head += map(inventory.signature, inventory.models)
    return [*head, *(trainings(inventory) if inventory.roles.are_worth_saying() else ())]


def stored_table(inventory: Inventory) -> Table:
    """The stored tensors; columns that would be empty are left out."""
    told, shared = inventory.roles.are_worth_saying(), bool(inventory.shared() or inventory.ways)
    kept = [True, True, True, shared, shared, told]
    headers = [*compress(["stored", "type", "size", "uses", "saved", "in training"], kept)]
    rows = [[*compress(row, kept)] for row in _rows(inventory)]
    return Table(headers, rows, (0, 1, *([len(headers) - 1] if told else [])))


def computed_table(inventory: Inventory) -> Table | None:
    """A row for each family of tensors that formulas compute: what is stored for them, and what their values take;
    `None` if there is none."""
    families = list(computed_families(inventory))
    if not families:
        return None
    headers = ["computed weights", "by", "stored", "values"]
    if any(family.written_out for family in families):
        headers.append("in the file")
    rows = [
        [f.name, f.formula, size(f.bytes_of_parts), size(f.bytes), "values" if f.written_out else "parts"]
        for f in families
    ]
    return Table(headers, [row[: len(headers)] for row in rows], (0, 1))


def totals(inventory: Inventory) -> Iterator[str]:
    """The parameters and bytes of all, with and without sharing."""
    sizes, tensors = inventory.sizes(), count(len(inventory.stored), "tensor")
    yield f"{count(sizes.parameters, 'parameter')} in {tensors}, {size(sizes.bytes)}"
    if sizes.bytes_without_sharing != sizes.bytes:
        factor = sizes.bytes_without_sharing / sizes.bytes
        without = f"{count(sizes.parameters_without_sharing, 'parameter')}, {size(sizes.bytes_without_sharing)}"
        yield f"without sharing: {without} ({factor:.1f} times as much)"
    yield from repeats(inventory)


def repeats(inventory: Inventory) -> Iterator[str]:
    """Lines about layers that are applied more than once, with the same weights."""
    for path, applied in inventory.repeats().items():
        yield f"{path} is applied {applied} times"


def times(uses: int) -> str:
    """`12×`."""
    return f"{uses}×"


def _rows(inventory: Inventory) -> Iterator[list[str]]:
    """Shared tensors first, with the slots that read them, then ways of sharing, with what is stored for them; then the
    others. Those of repeated layers are in one row."""
    for tensor in plainly_shared(inventory):
        uses = inventory.uses(tensor)
        saved = size(inventory.saved(tensor))
        role = inventory.roles.says(tensor.name)
        yield [tensor.name, tensor.type, size(tensor.bytes), times(inventory.used(tensor)), saved, role]
        repeated = len({use.times for use in uses}) > 1 or uses[0].times > 1
        for line, read in slots(uses):
            if len(uses) > 1 or line != tensor.name:
                yield [f"  read by {line}", "", "", times(read) if repeated and len(uses) > 1 else "", "", ""]
    for way in inventory.ways:
        tensors = inventory.tensors(way)
        used, saved = max(map(inventory.used, tensors)), size(inventory.saved_by(way))
        yield [way.label, "", size(sum(tensor.bytes for tensor in tensors)), times(used), saved, ""]
        if way.name:
            yield [f"  read by {', '.join(way.members)}", "", "", "", "", ""]
        for kind, names in (("shared", way.shared), ("own   ", way.own)):
            for path, alike in parts(inventory, names):
                yield [
                    f"  {kind} {path}",
                    *_type_and_size([(t.type, t.bytes) for t in alike]),
                    "",
                    "",
                    inventory.roles.says(alike[0].name),
                ]
    for path, alike in unshared(inventory):
        yield [path, *_type_and_size([(t.type, t.bytes) for t in alike]), "", "", inventory.roles.says(alike[0].name)]
        told = (use for tensor in alike for use in inventory.uses(tensor) if use.formula or tensor.renamed)
        yield from ([f"  read by {line}", "", "", "", "", ""] for line, _ in slots(told))


def _type_and_size(alike: Sequence[tuple[str, int]]) -> tuple[str, str]:
    """Of tensors of one type, with their bytes: `f32[64] × 6`, `1.5 kB`."""
    several = f" × {len(alike)}" if len(alike) > 1 else ""
    return alike[0][0] + several, size(sum(bytes for _, bytes in alike))
