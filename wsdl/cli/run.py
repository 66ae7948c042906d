"""`wsdl run`: a model on arrays."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict
from math import prod
from typing import TYPE_CHECKING

import click

from wsdl import api
from wsdl.cli.command import command, dims, fit, import_root, seed, variant, weights, whole
from wsdl.cli.failures import writing
from wsdl.cli.tables import print_table
from wsdl.cli.terminal import note, print_json, write_findings
from wsdl.diagnostics.render import as_json as findings_as_json
from wsdl.options import COUNT

if TYPE_CHECKING:
    from wsdl.api.outputs import Summary


@command
@click.argument("file", metavar="FILE")
@click.option(
    "--input",
    "data",
    required=True,
    metavar="X",
    help="Inputs: a .npz, .npy, .csv or .parquet file, or a folder of .npy files.",
)
@click.option("-o", "--output", metavar="Y", help="Write the outputs to this .npz file instead of printing a summary.")
@click.option("--model", metavar="M", help="The model, if the file has several.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True,
              help="Device to run on.")  # fmt: skip
@click.option("--batch", type=whole(COUNT), metavar="N", help="Run N rows at a time, for large data.")
@weights
@fit
@seed
@dims
@import_root
@variant
def run(
    file: str,
    data: str,
    output: str | None,
    model: str | None,
    device: str,
    batch: int | None,
    weights: str | None,
    fit: float | None,
    seed: int,
    dims: Mapping[str, int],
    import_root: str | None,
    variant: str | None,
    as_json: bool,
) -> None:
    """Run a .wsd or .onnx model on arrays named like its inputs."""
    from wsdl.api.outputs import save_results, summary

    outputs, diagnostics = api.run(
        file,
        data,
        model=model,
        weights=weights,
        fit=fit,
        device=device,
        batch=batch,
        seed=seed,
        dims=dims,
        import_root=import_root,
        variant=variant,
    )
    if output:
        with writing(output):
            save_results(output, outputs)
    summaries = [summary(name, array) for name, array in outputs.items()]
    if as_json:
        report = {"outputs": [asdict(s) for s in summaries], "files": [output] if output else []}
        print_json({**report, **findings_as_json(diagnostics)})
        return
    write_findings(diagnostics, sys.stderr)
    if output:
        note(f"wrote {output}")
    else:
        print_table(["output", "type", "min", "mean", "max", "first values"], map(_row, summaries), text=(0, 1, 5))


def _row(summary: Summary) -> list[str]:
    statistics = [_number(value) for value in (summary.min, summary.mean, summary.max)]
    first = " ".join(map(_number, summary.first)) + (" …" if prod(summary.shape) > len(summary.first) else "")
    odd = f" ({summary.not_finite} not finite)" if summary.not_finite else ""
    return [summary.name, summary.type, *statistics, f"{first}{odd}"]


def _number(value: float | None) -> str:
    return "-" if value is None else str(value) if isinstance(value, bool | int) else f"{value:.4g}"
