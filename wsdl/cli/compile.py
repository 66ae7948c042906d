"""`wsdl compile`: ONNX files, and the proof that what is shared is stored once."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

import click

from wsdl import api
from wsdl.cli.failures import exit_code, writing
from wsdl.cli.tables import count, number, print_table, repeats, times
from wsdl.cli.terminal import note, print_json, print_lines, write_findings
from wsdl.cli.verb import dims, import_root, seed, verb, weights
from wsdl.compiler import OPSETS, PRECISIONS, Precision
from wsdl.diagnostics.render import as_json as findings_as_json
from wsdl.ir.inventory import Inventory, Tensor
from wsdl.ir.sizes import size
from wsdl.passes.roll_loops import Loops

ROWS = 20  # of the table; what is stored more than once is always among them
FOLDED = ".folded"  # behind the name of a weight that is in the file with its normalisation
ONCE = 1.01  # copies; below this a tensor is stored once
NOT_LOOKED_FOR = "–"
CONSTANTS = 1 << 20  # bytes; fewer that are computed when loading are not worth a line


@verb
@click.argument("file", metavar="FILE")
@click.option("-o", "--output", required=True, metavar="DIR", help="The folder to write; files in it are replaced.")
@click.option("--model", metavar="M", help="Only this model.")
@weights
@seed
@dims
@click.option("--opset", type=click.IntRange(OPSETS[0], OPSETS[-1]), metavar="N", default=21, show_default=True,
              help="Version of ONNX's operators.")  # fmt: skip
@click.option("--loops", type=click.Choice(get_args(Loops)), default="auto", show_default=True,
              help="Repeated layers as one loop, or each step by itself.")  # fmt: skip
@click.option("--dtype", type=click.Choice(PRECISIONS), default="f32", show_default=True,
              help="What f32 is stored as.")  # fmt: skip
@click.option("--keep-io/--no-keep-io", default=True, show_default=True,
              help="Whether inputs and outputs stay f32 then.")  # fmt: skip
@import_root
@click.option("--train", is_flag=True, help="Also write the step of training: <model>.train.onnx.")
@click.option("--no-proof", is_flag=True, help="Don't have ONNX Runtime optimise the result to look at it.")
def compile(
    file: str,
    output: str,
    model: str | None,
    weights: str | None,
    seed: int,
    dims: Mapping[str, int],
    opset: int,
    loops: Loops,
    dtype: Precision,
    keep_io: bool,
    import_root: str | None,
    train: bool,
    no_proof: bool,
    as_json: bool,
) -> int:
    """Write DIR/<model>.onnx for each model, and prove that shared weights are stored once. Exit code 1 where they
    aren't."""
    program = api.compile(
        api.read_source(file),
        dims=dims,
        loops=loops,
        opset=opset,
        seed=seed,
        weights=weights,
        import_root=import_root,
        dtype=dtype,
        keep_io=keep_io,
    )
    with writing(output):
        manifest = program.save(output, model=model, proof=not no_proof, train=train)
    files = [os.path.join(output, name) for name in manifest["files"]]
    code = exit_code(program.diagnostics)
    if as_json:
        print_json({**manifest, "files": files, **findings_as_json(program.diagnostics)})
        return code
    write_findings(program.diagnostics, sys.stderr)
    for path in files:
        note(f"wrote {path} ({size(os.path.getsize(path))})")
    if manifest.get("proof_totals"):
        _print_proof(manifest, program.inventory.of_models(manifest["models"]))
    own = manifest["source"]["file"]
    loops_told = dict.fromkeys(
        _loop(loop, own) for loop in manifest["loops"]
    )  # a block's `for` runs for each of its layers
    print_lines(loops_told)
    return code


# -- the proof ---------------------------------------------------------------------------------------------------------


def _print_proof(manifest: Mapping[str, Any], stored: Inventory) -> None:
    """A row for each shared tensor, and what it comes to."""
    proofs = _worst(manifest["proof"])
    shared = {tensor.name: tensor for tensor in stored.shared()}
    found = {name: proof for name in shared if (proof := proofs.get(name) or proofs.get(f"{name}{FOLDED}"))}
    if found:
        shown = sorted(found, key=lambda name: -_copies(found[name]))[:ROWS]
        rows = [_row(shared[name], proof, stored) for name, proof in found.items() if name in shown]
        print_table(["shared tensor", "used", "size", "in file", "extended", "full", "saves"], rows)
        more = len(found) - len(rows)
        print_lines([*([f"and {count(more, 'tensor')} more, stored once"] if more else []), ""])
    print_lines(_verdict(found, [*shared.values()], manifest, stored))


def _worst(proofs: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """One proof for each tensor: that of the model in which it is stored most often."""
    worst: dict[str, dict[str, Any]] = {}
    for proof in proofs:
        worst[proof["stored"]] = max(worst.get(proof["stored"], proof), proof, key=_copies)
    return worst


def _copies(proof: Mapping[str, Any]) -> float:
    """How often a tensor is stored, in the file or after all rewriting of the graph; 0 where it wasn't looked for."""
    return max(float(proof["copies_in_file"] or 0), float(proof["copies_after_optimisation"] or 0))


def _row(tensor: Tensor, proof: Mapping[str, Any], stored: Inventory) -> list[str]:
    copies = [proof[f"copies_{stage}"] for stage in ("in_file", "after_optimisation", "at_full_level")]
    found = [NOT_LOOKED_FOR if number_of is None else number(number_of) for number_of in copies]
    saved = size(max(0, stored.saved(tensor)))
    return [tensor.name, times(stored.used(tensor)), size(tensor.bytes), *found, saved]


def _verdict(
    found: Mapping[str, Any], shared: Sequence[Tensor], manifest: Mapping[str, Any], stored: Inventory
) -> Iterator[str]:
    """Is what is shared stored once, and what does that save?"""
    sizes = stored.sizes()
    copied = [proof for proof in found.values() if _copies(proof) >= ONCE]
    small = sum(proof["copies_in_file"] is None for proof in found.values())
    large = count(len(shared) - small, "shared tensor")
    saved = f" instead of {size(sizes.bytes_without_sharing)}" if sizes.bytes_without_sharing > sizes.bytes else ""
    if not shared:
        yield f"Nothing is shared: {count(len(stored.stored), 'tensor')}, {size(sizes.bytes)}."
    elif copied:
        yield f"{len(copied)} of {large} {'is' if len(copied) == 1 else 'are'} stored more than once."
    elif len(shared) > small:
        yield f"{large}, {'each ' if len(shared) - small > 1 else ''}stored once; {size(sizes.bytes)}{saved}."
    else:
        yield f"{count(small, 'shared tensor')}; {size(sizes.bytes)}{saved}."
    if small:
        others = f"{small} more" if len(shared) > small else "Shared tensors"
        yield f"{others} below 1 KiB: copies aren't looked for ({NOT_LOOKED_FOR})."
    for model, totals in manifest["proof_totals"].items():
        if totals["constant_bytes"] > CONSTANTS:
            yield f"When it loads {model}, ONNX Runtime computes {size(totals['constant_bytes'])} of constants."
    yield from (f"{line}." for line in repeats(stored))
    packed = sum(totals["packed_bytes"] for totals in manifest["proof_totals"].values())
    if packed:
        yield f"In memory the CPU keeps {size(packed)} of packed matrices; the session option"
        yield "session.disable_prepacking avoids them and makes products on few rows slower."


def _loop(loop: Mapping[str, Any], own: str) -> str:
    """What became of a `for` in the file `own`, or in another one, which is named."""
    what = "is one loop" if loop["rolled"] else "is unrolled"
    other = "" if loop["file"] == own else f" of {loop['file']}"
    return f"The `for` in line {loop['line']}{other} ({count(loop['steps'], 'step')}) {what}: {loop['why']}."
