"""`wsdl eval`: loss and metrics of a model on data."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from math import isfinite

import click

from wsdl import api
from wsdl.cli.command import command, dims, fit, import_root, variant, weights, whole
from wsdl.cli.tables import results_line
from wsdl.cli.terminal import print_json, print_lines, write_findings
from wsdl.diagnostics.render import as_json as findings_as_json
from wsdl.options import COUNT, SEED


@command
@click.argument("file", metavar="FILE")
@click.option("--data", required=True, metavar="D", help="A .npz, .csv or .parquet file, or a folder of .npy files.")
@click.option("--model", metavar="M", help="The model, if the file trains several.")
@click.option("--batch", type=whole(COUNT), metavar="N", default=256, show_default=True, help="Batch size.")
@click.option("--seed", type=whole(SEED), metavar="S",
              help="Seed of random numbers.  [default: that of the training of the weights]")  # fmt: skip
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True,
              help="Device to run on.")  # fmt: skip
@click.option("--threads", type=whole(COUNT), metavar="N", help="CPU cores to use.  [default: all]")
@weights
@fit
@dims
@import_root
@variant
def eval(
    file: str,
    data: str,
    model: str | None,
    batch: int,
    seed: int | None,
    device: str,
    threads: int | None,
    weights: str | None,
    fit: float | None,
    dims: Mapping[str, int],
    import_root: str | None,
    variant: str | None,
    as_json: bool,
) -> None:
    """Evaluate a model: the loss and the metrics of its `train` declaration on data."""
    results, diagnostics = api.evaluate(
        file,
        data,
        model=model,
        weights=weights,
        fit=fit,
        batch=batch,
        seed=seed,
        dims=dims,
        import_root=import_root,
        variant=variant,
        device=device,
        threads=threads,
    )
    if as_json:
        finite = {name: value if isfinite(value) else None for name, value in results.items()}
        print_json({"eval": finite, **findings_as_json(diagnostics)})
        return
    write_findings(diagnostics, sys.stderr)
    print_lines([results_line(results)])
