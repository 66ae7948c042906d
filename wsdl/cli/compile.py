"""`wsdl compile`: ONNX files, and the verification that shared weights are stored once."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator, Mapping
from typing import Any, TypeAlias, get_args

import click

from wsdl import api
from wsdl.api import OPSETS, PRECISIONS, Inventory, Loops, Materialize, Precision, RunCosts
from wsdl.api.listing import families
from wsdl.cli.command import command, dims, fit, import_root, partial, seed, variant, weights
from wsdl.cli.failures import exit_code, writing
from wsdl.cli.tables import print_computed, print_table
from wsdl.cli.terminal import note, print_json, print_lines, write_findings
from wsdl.diagnostics.figures import count, size
from wsdl.diagnostics.render import as_json as findings_as_json
from wsdl.reporting.fits import FitLines

Fact: TypeAlias = tuple[str, str]  # a line below the table: subject and text

NAMES = 17  # columns of the subject
ROWS = 20  # of the table of shared weights

ONCE = 1.01  # copies; a tensor with fewer is stored once
CONSTANTS = 1 << 20  # bytes of constants computed on loading, below which they aren't mentioned


@command
@click.argument("file", metavar="FILE")
@click.option("-o", "--output", required=True, metavar="DIR", help="The output folder; existing files are replaced.")
@click.option("--model", metavar="M", help="Only this model.")
@weights
@partial
@fit
@seed
@dims
@click.option("--opset", type=click.IntRange(OPSETS[0], OPSETS[-1]), metavar="N", default=21, show_default=True,
              help="ONNX operator set version.")  # fmt: skip
@click.option("--loops", type=click.Choice(get_args(Loops)), default="auto", show_default=True,
              help="Write repeated layers as an ONNX Loop, or unrolled.")  # fmt: skip
@click.option("--dtype", type=click.Choice(PRECISIONS), default="f32", show_default=True,
              help="Data type in which f32 tensors are stored.")  # fmt: skip
@click.option("--keep-io/--no-keep-io", default=True, show_default=True,
              help="Keep inputs and outputs in f32 with --dtype f16 or bf16.")  # fmt: skip
@click.option("--materialize", type=click.Choice(get_args(Materialize)), default="none", show_default=True,
              help="Write the values of formulas, not what they are computed from: of all, or (auto) where that takes "
                   "no more bytes.")  # fmt: skip
@import_root
@variant
@click.option("--train", is_flag=True, help="Also write the training step: <model>.train.onnx.")
@click.option("--measure", is_flag=True,
              help="Measure a run of each model, with formulas computed and over their values.")  # fmt: skip
@click.option("--no-proof", is_flag=True, help="Skip the verification in ONNX Runtime.")
def compile(
    file: str,
    output: str,
    model: str | None,
    weights: str | None,
    partial: bool,
    fit: float | None,
    seed: int,
    dims: Mapping[str, int],
    opset: int,
    loops: Loops,
    dtype: Precision,
    keep_io: bool,
    materialize: Materialize,
    import_root: str | None,
    variant: str | None,
    train: bool,
    measure: bool,
    no_proof: bool,
    as_json: bool,
) -> int:
    """Compile to ONNX: DIR/<model>.onnx for each model. Verifies in ONNX Runtime that each weight is stored once; the
    exit code is 1 if one is not."""
    program = api.compile(
        api.read_source(file),
        dims=dims,
        loops=loops,
        opset=opset,
        seed=seed,
        weights=weights,
        partial=partial,
        fit=fit,
        import_root=import_root,
        variant=variant,
        dtype=dtype,
        keep_io=keep_io,
        materialize=materialize,
        progress=FitLines(note),
    )
    with writing(output):
        manifest = program.save(output, model=model, proof=not no_proof, train=train)
    files = [os.path.join(output, name) for name in manifest["files"]]
    code = exit_code(program.diagnostics)
    costs = {name: cost for name in manifest["models"] if measure and (cost := program.run_costs(name))}
    if as_json:
        measured = {"run_costs": {name: cost.as_json() for name, cost in costs.items()}} if measure else {}
        print_json({**manifest, **measured, "files": files, **findings_as_json(program.diagnostics)})
        return code
    write_findings(program.diagnostics, sys.stderr)
    for path in files:
        note(f"wrote {path} ({size(os.path.getsize(path))})")
    stored = program.written_inventory.of_models(manifest["models"])
    _print_shared(stored)
    print_computed(stored, ROWS)
    for name, cost in costs.items():
        _print_costs(name, cost)
    facts = [
        *_variant(stored),
        *_sizes(stored),
        *_formulas(stored),
        *_verified(manifest, stored),
        *_loops(manifest),
        *_weights(program.inventory.of_models(manifest["models"]), program.drawn),
    ]
    print_lines(f"{name:<{NAMES - 1}} {text}" for name, text in facts)
    return code


# -- shared weights ----------------------------------------------------------------------------------------------------


def _print_shared(stored: Inventory) -> None:
    """A row for each family of shared tensors; if there are many, for those that save most."""
    shared = list(families(stored))
    if not shared:
        return
    shown = sorted(shared, key=lambda family: -family.saved)[:ROWS]
    own = any(f.own for f in shared)
    headers = ["shared weights", "shared by", "stored", *(["members' own"] if own else []), "saved"]
    rows = [
        [f.label, f.shared_by, size(f.bytes), *([size(f.own) if f.own else ""] if own else []), size(f.saved)]
        for f in shared
        if f in shown
    ]
    print_table(headers, rows, text=(0, 1))
    print_lines([*([f"and {len(shared) - ROWS:,} more"] if shared[ROWS:] else []), ""])


def _variant(stored: Inventory) -> Iterator[Fact]:
    if stored.variant:
        yield "variant", stored.variant


def _sizes(stored: Inventory) -> Iterator[Fact]:
    """Parameters and bytes, with and without sharing."""
    sizes = stored.sizes()
    parameters, bytes = f"{sizes.parameters:,}", size(sizes.bytes)
    if sizes.bytes_without_sharing <= sizes.bytes:
        yield "parameters", f"{parameters}, none of them shared"
        yield "size", bytes
        return
    percent = 100 * (1 - sizes.bytes / sizes.bytes_without_sharing)
    yield "parameters", f"{parameters} ({sizes.parameters_without_sharing:,} without sharing)"
    yield "size", f"{bytes} ({size(sizes.bytes_without_sharing)} without sharing, {percent:.0f} % saved)"


def _formulas(stored: Inventory) -> Iterator[Fact]:
    """How many formulas are computed at each run, and what the values of the others take."""
    written = [tensor for tensor in stored.computed if tensor.written_out]
    formulas = count(len(stored.computed), "tensor")
    if not written and stored.computed:
        yield "formulas", f"{formulas}, computed at each run"
    elif written:
        parts = size(sum(dict(part for tensor in written for part in tensor.parts.items()).values()))
        values = size(sum(tensor.bytes for tensor in written))
        which = formulas if len(written) == len(stored.computed) else f"{len(written)} of {formulas}"
        yield "formulas", f"{which}, written out: {values} in place of {parts}"


def _print_costs(model: str, costs: RunCosts) -> None:
    """Processor times of one run, by which of the formulas have their values written out."""
    times = {"none": costs.computed, **costs.families, "all": costs.written_out}
    rows = [[name, f"{1e3 * seconds:.3g} ms"] for name, seconds in times.items()]
    print_table([f"{model}, values written out of", f"run with {costs.rows} rows"], rows)
    print_lines([""])


# -- verification ------------------------------------------------------------------------------------------------------


def _verified(manifest: Mapping[str, Any], stored: Inventory) -> Iterator[Fact]:
    """How many copies ONNX Runtime keeps of each tensor, at which optimization level, and what was not checked."""
    if not manifest.get("proof_totals"):
        yield "verified", "no"
        return
    proofs, totals = manifest["proof"], manifest["proof_totals"]
    copied = {proof["stored"] for proof in proofs if _copies(proof) >= ONCE}
    shared = {tensor.name for tensor in stored.shared()}
    copied_by_default = {p["stored"] for p in proofs if (p["copies_at_full_level"] or 0) >= ONCE} & shared
    small = {proof["stored"] for proof in proofs if proof["copies_in_file"] is None}
    if copied:
        yield "verified", f"no: more than one copy of {count(len(copied), 'tensor')}"
    elif not all(total["holds"] for total in totals.values()):
        yield "verified", "no: ONNX Runtime keeps more in memory than the weights"
    elif len(small) < len(stored.stored):
        yield "verified", "one copy per tensor, in the file and in ONNX Runtime (extended)"
        several = f"more than one copy of {count(len(copied_by_default), 'shared tensor')}"
        if shared - small:
            yield "default level", several if copied_by_default else "one copy per shared tensor"
    if small:
        yield "not checked", f"{count(len(small), 'tensor')} below 1 KiB"
    constants = sum(total["constant_bytes"] for total in totals.values())
    if constants > CONSTANTS:
        large = {name: bytes for total in totals.values() for name, bytes in total["constants"].items()}
        most = f", most of it `{max(large, key=large.__getitem__)}`" if large else ""
        yield "constants", f"{size(constants)} computed by ONNX Runtime when it loads the file{most}"
    if packed := sum(total["packed_bytes"] for total in totals.values()):
        yield "CPU prepacking", f"+{size(packed)} in memory (session.disable_prepacking=1 avoids it)"


def _copies(proof: Mapping[str, Any]) -> float:
    """The larger number of copies of a tensor, in the file or after all graph rewriting; 0 if it was not checked."""
    return max(float(proof["copies_in_file"] or 0), float(proof["copies_after_optimization"] or 0))


# -- loops and weights -------------------------------------------------------------------------------------------------


def _loops(manifest: Mapping[str, Any]) -> Iterator[Fact]:
    """How each `for` was compiled; one line for a `for` in a block, however many layers it has."""
    for loop in dict.fromkeys(tuple(loop.values()) for loop in manifest["loops"]):
        file, line, steps, rolled, why = loop
        position = f"line {line}" if file == manifest["source"]["file"] else f"{file}:{line}"
        yield f"for, {position}", f"{'one Loop' if rolled else 'unrolled'} ({count(steps, 'step')}): {why}"


def _weights(stored: Inventory, drawn: Collection[str]) -> Iterator[Fact]:
    trainable = [tensor.name for tensor in stored.stored.values() if tensor.trainable]
    untrained = sum(name in drawn for name in trainable)
    if untrained:
        which = "untrained" if untrained == len(trainable) else f"{untrained:,} of {len(trainable):,} tensors untrained"
        yield "weights", f"{which}; --weights W loads trained ones"
