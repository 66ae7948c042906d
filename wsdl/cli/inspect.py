"""`wsdl inspect`: the stored tensors of a program, an ONNX file or a weights file."""

from __future__ import annotations

from collections.abc import Iterator

import click

from wsdl import api
from wsdl.api import Inventory
from wsdl.api.inspection import signatures, stored_table, totals
from wsdl.cli.command import command, dims, import_root, variant
from wsdl.cli.tables import print_computed, print_table
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
    head = signatures(inventory)
    print_lines([*head, *([""] if head else [])])
    headers, rows, text = stored_table(inventory)
    print_table(headers, rows, text=text)
    print_lines([""])
    print_computed(inventory)
    print_lines([*totals(inventory), *_copies(inventory), *_sets(inventory)])


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
