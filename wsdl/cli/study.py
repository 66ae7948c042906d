"""`wsdl study`: train the variants of a program with several seeds, and compare them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import click

from wsdl import api
from wsdl.cli.command import command, dims, import_root, whole, workers, workers_of
from wsdl.cli.failures import INTERRUPTED, exit_code, writing
from wsdl.cli.reporting import trials_shown
from wsdl.cli.tables import print_table
from wsdl.cli.terminal import note, print_json, print_lines, write_findings
from wsdl.diagnostics import CompileError, Diagnostic
from wsdl.diagnostics.figures import count, size
from wsdl.diagnostics.render import as_json as findings_as_json
from wsdl.options import COUNT
from wsdl.reporting.numbers import digits
from wsdl.reporting.plot import is_installed
from wsdl.reporting.trials import QuietTrials

if TYPE_CHECKING:
    from wsdl.studies import Difference, Spread, Study


@command
@click.argument("file", metavar="FILE")
@click.option("--data", required=True, metavar="D", help="A .npz, .csv or .parquet file, or a folder of .npy files.")
@click.option("--eval", "evaluation", required=True, metavar="E",
              help="Data on which the variants are compared, used once at the end of each trial.")  # fmt: skip
@click.option(
    "-o", "--output", required=True, metavar="STUDY", help="The output folder: study.json, study.svg, trials."
)
@click.option("--epochs", type=whole(COUNT), metavar="N", default=1, show_default=True, help="Number of epochs.")
@click.option("--seeds", type=whole(COUNT), metavar="N", default=3, show_default=True,
              help="Train each variant with the seeds 0 to N-1.")  # fmt: skip
@click.option("--variants", metavar="A,B,...", callback=lambda _, __, v: v and v.split(","),
              help="The variants to train, in addition to base, the program without a variant.  "
              "[default: all]")  # fmt: skip
@click.option("--against", metavar="NAME", help="The variant to compare with.  [default: base]")
@click.option("--let", "constants", multiple=True, metavar="NAME=A,B,...", callback=lambda _, __, v: _constants(v),
              help="Values of a `let` of FILE; all combinations are trained.")  # fmt: skip
@click.option("--model", metavar="M", help="The model to train, if the file trains several.")
@click.option("--batch", type=whole(COUNT), metavar="N", default=64, show_default=True, help="Batch size.")
@click.option("--accumulate", type=whole(COUNT), metavar="N", default=1, show_default=True,
              help="Compute each batch in N parts, to save memory.")  # fmt: skip
@click.option("--hold", type=whole(COUNT), metavar="N", default=1, show_default=True,
              help="Take N steps on each batch.")  # fmt: skip
@click.option("--best", metavar="NAME",
              help="The result that study.svg shows and that selects the best epoch: loss, a metric, or NAME:min.  "
              "[default: the first metric]")  # fmt: skip
@click.option("--select", metavar="V",
              help="Data on which the best epoch is selected, other than that of --eval.  "
              "[default: the last epoch]")  # fmt: skip
@click.option("--patience", type=whole(COUNT), metavar="N", help="End a trial after N epochs without a new best.")
@click.option("--resume", is_flag=True, help="Resume the study in STUDY; seeds and values may be added.")
@click.option("--replace", is_flag=True, help="Replace the study in STUDY.")
@click.option(
    "--jobs", type=whole(COUNT), metavar="N", help="Run N trials at a time.  [default: one for each CPU core]"
)
@workers
@click.option("--threads", type=whole(COUNT), metavar="N", default=1, show_default=True,
              help="CPU cores that a trial uses.")  # fmt: skip
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True,
              help="Device to run on.")  # fmt: skip
@dims
@import_root
def study(
    file: str,
    data: str,
    evaluation: str,
    output: str,
    epochs: int,
    seeds: int,
    variants: list[str] | None,
    against: str | None,
    constants: Mapping[str, list[str]],
    model: str | None,
    batch: int,
    accumulate: int,
    hold: int,
    best: str | None,
    select: str | None,
    patience: int | None,
    resume: bool,
    replace: bool,
    jobs: int | None,
    workers: int | None,
    cluster: str | None,
    threads: int,
    device: str,
    dims: Mapping[str, int],
    import_root: str | None,
    as_json: bool,
) -> int:
    """Train a program and its variants with several seeds, and compare their sizes and metrics. The exit code is 1 if a
    trial has failed."""
    from wsdl import studies

    try:
        with writing(output):
            results = studies.study(
                file,
                data,
                evaluation=evaluation,
                folder=output,
                epochs=epochs,
                seeds=seeds,
                variants=variants,
                against=against,
                constants=constants,
                select=select,
                best=best,
                patience=patience,
                model=model,
                batch=batch,
                accumulate=accumulate,
                hold=hold,
                jobs=jobs,
                threads=threads,
                device=device,
                dims=dims,
                import_root=import_root,
                resume=resume,
                replace=replace,
                workers=workers_of(workers, cluster, threads),
                reporter=QuietTrials() if as_json else trials_shown(),
            )
    except api.Interrupted as stopped:
        note(stopped.message)
        return INTERRUPTED
    if as_json:
        print_json({**results.as_json(), **findings_as_json(results.diagnostics)})
        return exit_code(results.diagnostics)
    write_findings(results.diagnostics, sys.stderr)
    note(f"wrote {', '.join(map(str, results.files))}")
    if not is_installed():
        note("no study.svg, as matplotlib is not installed: pip install 'wsdl[plot]'")
    _print_results(results)
    return exit_code(results.diagnostics)


def _constants(values: tuple[str, ...]) -> dict[str, list[str]]:
    """The texts of the values in `rank=2,4,8`, by the name of the constant."""
    from wsdl.studies.configurations import split

    constants: dict[str, list[str]] = {}
    for value in values:
        name, equals, listed = value.partition("=")
        if not name.isidentifier() or not equals or not listed.strip() or name in constants:
            twice = f"`--let {name}` occurs twice"
            message = twice if name in constants else f"`--let {value[:60]}` is not a name and its values"
            raise CompileError([Diagnostic("E0704", message, help="write `--let rank=2,4,8`")])
        constants[name] = split(listed)
    return constants


# -- results -----------------------------------------------------------------------------------------------------------


def _print_results(results: Study) -> None:
    metrics = list(dict.fromkeys(name for variant in results.variants for name in variant.metrics))
    is_whole = all(len(variant.done) == results.seeds for variant in results.variants)
    rows = [
        [
            variant.name if is_whole else f"{variant.name} ({len(variant.done)} of {count(results.seeds, 'seed')})",
            f"{variant.parameters:,}",
            size(variant.bytes),
            "–" if variant.step_ms is None else f"{variant.step_ms:.3g} ms",
            *(_spread(variant.metrics.get(metric)) for metric in metrics),
        ]
        for variant in results.variants
    ]
    print_table(["variant", "parameters", "size", "step", *metrics], rows)
    compared = {name: differences for name, differences in results.differences.items() if differences}
    if compared:
        print_lines([""])
        several = len({results[name].base for name in compared}) > 1
        first = "difference to its base" if several else f"difference to {results[next(iter(compared))].base}"
        both = [metric for metric in metrics if any(metric in differences for differences in compared.values())]
        print_table([first, *both], [[name, *(_difference(d.get(m)) for m in both)] for name, d in compared.items()])
        print_lines(["", *_about(results, len(compared))])


def _spread(spread: Spread | None) -> str:
    if spread is None:
        return "–"
    return digits(spread.mean) + ("" if spread.std is None else f" ± {spread.std:#.2g}")


def _difference(difference: Difference | None) -> str:
    """`+0.012, p 0.03`, and whether it is within the noise."""
    if difference is None:
        return "–"
    sign = "−" if difference.mean < 0 else "+"
    words = [f"{sign}{abs(difference.mean):#.2g}"]
    if difference.p is not None:
        words.append(f"p {difference.p:.2g}" if difference.p >= 0.001 else "p < 0.001")
    if difference.is_noise:
        words.append("noise")
    return ", ".join(words)


def _about(results: Study, compared: int) -> Iterator[str]:
    """How to read the p values behind the differences."""
    from wsdl.studies.significance import LEVEL, TEST, recognized

    least = recognized(results.seeds)
    if least is None:
        yield "one seed doesn't show what is noise"
        return
    yield f"{TEST} for {count(compared, 'variant')}; noise: p is {LEVEL} or more"
    yield f"with {results.seeds} seeds, a single difference is detected from {least:.1f} of its standard deviations on"
