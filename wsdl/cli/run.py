"""`wsdl run`: a model on arrays."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict
from math import prod
from typing import TYPE_CHECKING, Any

import click

from wsdl import api
from wsdl.cli.command import (
    command,
    dims,
    fit,
    import_root,
    seed,
    variant,
    weights,
    whole,
    workers,
    workers_of,
)  # fmt: skip
from wsdl.cli.failures import writing
from wsdl.cli.reporting import rows_shown
from wsdl.cli.tables import print_table
from wsdl.cli.terminal import note, print_json, write_findings
from wsdl.diagnostics import CompileError, Diagnostic
from wsdl.diagnostics.figures import count
from wsdl.diagnostics.render import as_json as findings_as_json
from wsdl.options import COUNT
from wsdl.reporting.rows import QuietRows

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
@click.option("-o", "--output", metavar="Y",
              help="Write the outputs to this .npz file instead of printing a summary; of .parquet files to this new "
              "folder, in parts, with the columns that the model doesn't read.")  # fmt: skip
@click.option("--model", metavar="M", help="The model, if the file has several.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True,
              help="Device to run on.")  # fmt: skip
@click.option("--batch", type=whole(COUNT), metavar="N",
              help="Run N rows at a time, for large data.  [default: 256 for .parquet into a folder]")  # fmt: skip
@click.option("--replace", is_flag=True, help="Replace the .parquet files in the output folder.")
@workers
@click.option("--threads", type=whole(COUNT), metavar="N",
              help="CPU cores that a worker uses.  [default: 1, without workers all]")  # fmt: skip
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
    replace: bool,
    workers: int | None,
    cluster: str | None,
    threads: int | None,
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

    opened: dict[str, Any] = {
        "model": model, "weights": weights, "fit": fit, "device": device, "batch": batch, "seed": seed, "dims": dims,
        "import_root": import_root, "variant": variant,
    }  # fmt: skip
    if output and api.are_rows(data) and not output.lower().endswith((".npz", ".npy")):
        _run_rows(
            file, data, output, opened, as_json, replace=replace, threads=threads, workers=workers, cluster=cluster
        )
        return
    if replace or workers or cluster or threads:
        message = "`--workers`, `--cluster`, `--threads` and `--replace` are for rows that are written to a folder"
        help = "`--input rows.parquet -o out`; the input may be a folder of .parquet files, too"
        raise CompileError([Diagnostic("E0704", message, help=help)])
    outputs, diagnostics = api.run(file, data, **opened)
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


def _run_rows(
    file: str,
    data: str,
    output: str,
    opened: Mapping[str, Any],
    as_json: bool,
    *,
    workers: int | None,
    cluster: str | None,
    threads: int | None,
    replace: bool,
) -> None:
    with writing(output):
        results, diagnostics = api.run_rows(
            file,
            data,
            output,
            **opened,
            threads=threads,
            replace=replace,
            workers=workers_of(workers, cluster, threads),
            reporter=QuietRows() if as_json else rows_shown(),
        )
    if as_json:
        outputs = [{"name": name, "type": str(type)} for name, type in results.outputs.items()]
        files = [str(path) for path in results.files]
        print_json({"outputs": outputs, "rows": results.rows, "files": files, **findings_as_json(diagnostics)})
        return
    write_findings(diagnostics, sys.stderr)
    note(f"wrote {count(results.rows, 'row')} to {count(len(results.files), 'file')} in {output}")


def _row(summary: Summary) -> list[str]:
    statistics = [_number(value) for value in (summary.min, summary.mean, summary.max)]
    first = " ".join(map(_number, summary.first)) + (" …" if prod(summary.shape) > len(summary.first) else "")
    odd = f" ({summary.not_finite} not finite)" if summary.not_finite else ""
    return [summary.name, summary.type, *statistics, f"{first}{odd}"]


def _number(value: float | None) -> str:
    return "-" if value is None else str(value) if isinstance(value, bool | int) else f"{value:.4g}"
