"""`wsdl inspect`: the stored tensors of a program, an ONNX file or a weights file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import compress

import click

from wsdl import api
from wsdl.api import Inventory
from wsdl.api.listing import parts, plainly_shared, slots, trainings, unshared
from wsdl.cli.command import command, dims, import_root, variant
from wsdl.cli.tables import print_computed, print_table, repeats, times
from wsdl.cli.terminal import print_json, print_lines
from wsdl.diagnostics.figures import count, listed, size


@command
@click.argument("file", metavar="FILE")
@dims
@import_root
@variant
def inspect(file: str, dims: dict[str, int], import_root: str | None, variant: str | None, as_json: bool) -> None:
    """List the weights of a .wsd program, any .onnx model, or a .safetensors, .pt or .npz file."""
    inventory = api.inspect(file, dims=dims, import_root=import_root, variant=variant)
    if as_json:
        print_json(inventory.as_json())
        return
    head = [f"variant {inventory.variant}"] if inventory.variant else []
    head += map(inventory.signature, inventory.models)
    told = inventory.roles.are_worth_saying()
    head += trainings(inventory) if told else []
    print_lines([*head, *([""] if head else [])])
    shared = bool(inventory.shared() or inventory.ways)
    kept = [True, True, True, shared, shared, told]
    headers = [*compress(["stored", "type", "size", "uses", "saved", "in training"], kept)]
    rows = ([*compress(row, kept)] for row in _rows(inventory))
    print_table(headers, rows, text=(0, 1, *([len(headers) - 1] if told else [])))
    print_lines([""])
    print_computed(inventory)
    print_lines([*_totals(inventory), *_copies(inventory), *_sets(inventory)])


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


def _copies(inventory: Inventory) -> Iterator[str]:
    """What a file holds more than once, the largest first."""
    groups = sorted(inventory.copies, key=lambda copies: -copies.needless)
    if groups:
        yield f"stored more than once, {size(sum(copies.needless for copies in groups))} that sharing would save:"
    yield from listed([f"  {size(copies.bytes)} each: {', '.join(copies.names)}" for copies in groups])


def _sets(inventory: Inventory) -> Iterator[str]:
    """The dictionaries of a checkpoint, by which a `load` can choose."""
    if inventory.sets:
        yield "`at` can name:"
    yield from listed([f"  {at}: {count(tensors, 'tensor')}" for at, tensors in inventory.sets.items()])


def _type_and_size(alike: Sequence[tuple[str, int]]) -> tuple[str, str]:
    """Of tensors of one type, with their bytes: `f32[64] × 6`, `1.5 kB`."""
    several = f" × {len(alike)}" if len(alike) > 1 else ""
    return alike[0][0] + several, size(sum(bytes for _, bytes in alike))


def _totals(inventory: Inventory) -> Iterator[str]:
    sizes, tensors = inventory.sizes(), count(len(inventory.stored), "tensor")
    yield f"{count(sizes.parameters, 'parameter')} in {tensors}, {size(sizes.bytes)}"
    if sizes.bytes_without_sharing != sizes.bytes:
        factor = sizes.bytes_without_sharing / sizes.bytes
        without = f"{count(sizes.parameters_without_sharing, 'parameter')}, {size(sizes.bytes_without_sharing)}"
        yield f"without sharing: {without} ({factor:.1f} times as much)"
    yield from repeats(inventory)
