"""`wsdl inspect`: what is stored in a program, an ONNX file or a file of weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import click

from wsdl import api
from wsdl.cli.command import command, dims, import_root
from wsdl.cli.tables import count, print_table, repeats, times
from wsdl.cli.terminal import print_json, print_lines
from wsdl.ir.byte_sizes import size
from wsdl.ir.graph import file_path
from wsdl.ir.inventory import Inventory, Tensor, Use
from wsdl.ir.ranges import compact, runs
from wsdl.ir.types import shape_text


@command
@click.argument("file", metavar="FILE")
@dims
@import_root
def inspect(file: str, dims: dict[str, int], import_root: str | None, as_json: bool) -> None:
    """List the weights of a .wsd program, any .onnx model, or a .safetensors or .npz file."""
    inventory = api.inspect(file, dims=dims, import_root=import_root)
    if as_json:
        print_json(inventory.as_json())
        return
    print_lines([*(_signature(name, inventory) for name in inventory.models), *([""] if inventory.models else [])])
    shared = bool(inventory.shared())
    headers = ["stored", "type", "size", *(["uses", "saved"] if shared else [])]
    print_table(headers, (row[: len(headers)] for row in _rows(inventory)), text=(0, 1))
    print_lines(["", *_totals(inventory)])


def _signature(name: str, inventory: Inventory) -> str:
    """As the language writes it."""
    model = inventory.models[name]
    inputs, outputs = (", ".join(f"{n}: {t}" for n, t in io.items()) for io in (model.inputs, model.outputs))
    return f"model {name}({inputs}) -> ({outputs})"


def _rows(inventory: Inventory) -> Iterator[list[str]]:
    """Shared tensors first, with the slots that read them; then the others, those of repeated layers in one row."""
    shared = inventory.shared()
    for tensor in shared:
        uses = inventory.uses(tensor)
        saved = size(max(0, inventory.saved(tensor)))
        yield [tensor.name, _type(tensor), size(tensor.bytes), times(inventory.used(tensor)), saved]
        repeated = len({use.times for use in uses}) > 1 or uses[0].times > 1
        for line, read in _slots(uses):
            if len(uses) > 1 or line != tensor.name:
                yield [f"  read by {line}", "", "", times(read) if repeated and len(uses) > 1 else "", ""]
    alone: dict[tuple[str, int], list[str]] = {}
    for tensor in inventory.stored.values():
        if tensor not in shared:
            alone.setdefault((_type(tensor), tensor.bytes), []).append(_path(tensor))
    rows = [(path, type, bytes, of) for (type, bytes), paths in alone.items() for path, of in runs(paths)]
    order = {path: position for position, path in enumerate(map(_path, inventory.stored.values()))}
    for path, type, bytes, of in sorted(rows, key=lambda row: order[row[3][0]]):
        yield [path, type + (f" × {len(of)}" if len(of) > 1 else ""), size(len(of) * bytes), "", ""]


def _slots(uses: Iterable[Use]) -> Iterator[tuple[str, int]]:
    """The slots that read a tensor, as which view of it, and how often each does; repeated layers as a range:
    `lm.blocks[0:12].ffn.up.weight as .T`."""
    alike: dict[tuple[str, int], list[str]] = {}
    for use in uses:
        alike.setdefault((use.view, use.times), []).append(use.path)
    for (view, read), paths in alike.items():
        yield from ((f"{path} as {view}" if view else path, read) for path in compact(dict.fromkeys(paths)))


def _type(tensor: Tensor) -> str:
    return f"{tensor.dtype}{shape_text(tensor.shape)}"


def _path(tensor: Tensor) -> str:
    """The name with its indices, as the language writes it."""
    return tensor.uses[0].path if tensor.uses and file_path(tensor.uses[0].path) == tensor.name else tensor.name


def _totals(inventory: Inventory) -> Iterator[str]:
    sizes, tensors = inventory.sizes(), count(len(inventory.stored), "tensor")
    yield f"{count(sizes.parameters, 'parameter')} in {tensors}, {size(sizes.bytes)}"
    if sizes.bytes_without_sharing > sizes.bytes:
        factor = sizes.bytes_without_sharing / sizes.bytes
        without = f"{count(sizes.parameters_without_sharing, 'parameter')}, {size(sizes.bytes_without_sharing)}"
        yield f"without sharing: {without} ({factor:.1f} times as much)"
    yield from repeats(inventory)
