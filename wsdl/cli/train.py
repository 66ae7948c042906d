"""`wsdl train`: train a model on data."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any, Literal

import click

from wsdl import api
from wsdl.cli.command import command, dims, fit, import_root, partial, variant, weights, whole, workers, workers_of
from wsdl.cli.failures import INTERRUPTED, writing
from wsdl.cli.reporting import reported, reporting
from wsdl.cli.tables import results_line
from wsdl.cli.terminal import note, print_json, print_lines, write_findings
from wsdl.diagnostics import CompileError, Diagnostic
from wsdl.diagnostics.figures import count
from wsdl.diagnostics.render import as_json as findings_as_json
from wsdl.options import COUNT, NONE_OR_MORE, ON_NAN, SEED

_NAMED = re.compile(r"(?P<name>[^\W\d]\w*)=(?P<value>.+)")


def _counts(context: click.Context, parameter: click.Parameter, texts: Sequence[str]) -> int | dict[str, int] | None:
    """The number of an option, or those of several trainings by their names; `None` where it is left out."""
    count = whole(COUNT)
    if len(texts) < 2 and not any(map(_NAMED.fullmatch, texts)):
        return next((count(text, parameter, context) for text in texts), None)
    values = _of_each(texts, f"--{parameter.name}")
    return {name: count(text, parameter, context) for name, text in values.items()}


_FOR_EACH: dict[str, Any] = {"multiple": True, "metavar": "N", "callback": _counts}


@command
@click.argument("file", metavar="FILE")
@click.option("--data", required=True, multiple=True, metavar="D",
              help="A .npz, .csv or .parquet file, or a folder of .npy files; NAME=D for one of several.")  # fmt: skip
@click.option("--eval", "evaluation", multiple=True, metavar="E",
              help="Evaluation data, used after each epoch; NAME=E for one of several.")  # fmt: skip
@click.option("-o", "--output", metavar="RUN", help="The output folder: checkpoints, log and curves.")
@click.option("--model", metavar="M", help="The training, if the file has several: by default those that take turns.")
@click.option("--epochs", type=whole(COUNT), metavar="N", help="Number of epochs.  [default: 1]")
@click.option("--batch", **_FOR_EACH, help="Batch size; NAME=N for one of several trainings.  [default: 64]")
@click.option("--accumulate", **_FOR_EACH, help="Compute each batch in N parts, to save memory.")
@click.option("--hold", **_FOR_EACH, help="Take N steps on each batch.  [default: 1]")
@click.option(
    "--seed", type=whole(SEED), metavar="S", help="Seed of initial values, shuffling and random numbers.  [default: 0]"
)
@weights
@partial
@fit
@click.option("--resume", is_flag=True, help="Resume the training in RUN, bit for bit.")
@click.option("--replace", is_flag=True, help="Replace the training in RUN.")
@click.option("--save-every", type=whole(COUNT), metavar="N", help="Also save a checkpoint every N steps.")
@click.option("--keep", type=whole(NONE_OR_MORE), metavar="N", default=0, help="Also keep the last N checkpoints.")
@click.option("--best", metavar="NAME", default="loss", show_default=True,
              help="What selects the best weights: loss, a metric, TRAINING.METRIC, or NAME:min.")  # fmt: skip
@click.option("--patience", type=whole(COUNT), metavar="N", help="Stop after N evaluations without a new best.")
@click.option("--limit-steps", type=whole(COUNT), metavar="N", help="Stop after N steps.")
@click.option("--dry-run", is_flag=True, help="Run one step and evaluate one batch; write nothing.")
@click.option("--on-nan", type=click.Choice(ON_NAN.words), default="stop", show_default=True,
              help="What to do when a loss or a gradient is not finite.")  # fmt: skip
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True,
              help="Device to run on.")  # fmt: skip
@workers
@click.option("--threads", type=whole(COUNT), metavar="N",
              help="CPU cores to use.  [default: all, of several workers 1 each]")  # fmt: skip
@click.option("--tensorboard", is_flag=True, help="Also write RUN/tensorboard.")
@dims
@import_root
@variant
def train(
    file: str,
    data: tuple[str, ...],
    evaluation: tuple[str, ...],
    output: str | None,
    model: str | None,
    epochs: int | None,
    batch: int | dict[str, int] | None,
    accumulate: int | dict[str, int] | None,
    hold: int | dict[str, int] | None,
    seed: int | None,
    weights: str | None,
    partial: bool,
    fit: float | None,
    resume: bool,
    replace: bool,
    save_every: int | None,
    keep: int,
    best: str,
    patience: int | None,
    limit_steps: int | None,
    dry_run: bool,
    on_nan: Literal["stop", "skip"],
    device: str,
    workers: int | None,
    cluster: str | None,
    threads: int | None,
    tensorboard: bool,
    dims: Mapping[str, int],
    import_root: str | None,
    variant: str | None,
    as_json: bool,
) -> int | None:
    """Train a model by its `train` declaration, or by several that take turns. Writes last.safetensors,
    best.safetensors (with --eval), log.jsonl and curve.svg to RUN."""
    _check(output, dry_run, resume, weights, patience, evaluation)
    folder = None if output is None or dry_run else Path(output)
    plan = api.Plan(epochs, folder, save_every, keep, api.Better.of(best), patience, limit_steps)
    settings = {"batch": batch, "accumulate": accumulate, "hold": hold, "seed": seed}
    callbacks = reporting(folder, tensorboard=tensorboard, quiet=as_json or dry_run)
    try:
        with writing(folder or "."):
            trained = api.train(
                file,
                _files(data, "--data"),
                plan,
                evaluation=_files(evaluation, "--eval") if evaluation else None,
                settings={name: value for name, value in settings.items() if value is not None},
                model=model,
                weights=weights,
                partial=partial,
                fit=fit,
                dims=dims,
                import_root=import_root,
                variant=variant,
                resume=resume,
                replace=replace,
                only_try=dry_run,
                on_nan=on_nan,
                device=device,
                threads=threads,
                workers=workers_of(workers, cluster, threads),
                callbacks=callbacks,
            )
    except api.Interrupted as stopped:
        note(stopped.message)
        return INTERRUPTED
    if as_json:
        print_json({**_as_json(trained), **findings_as_json(trained.diagnostics)})
        return None
    write_findings(trained.diagnostics, sys.stderr)
    if folder is not None:
        note(f"wrote {', '.join(map(str, [*trained.files, *reported(folder)]))}")
    print_lines(_lines(trained, dry_run))
    if folder is not None:
        options = ["--variant", variant] if variant else []
        following = ["wsdl", "compile", file, *options, "--weights", str(trained.files[-1]), "-o", "build"]
        note(f"next: {shlex.join(following)}")
    return None


def _check(
    output: str | None,
    dry_run: bool,
    resume: bool,
    weights: str | None,
    patience: int | None,
    evaluation: Sequence[str],
) -> None:
    """Raises `CompileError` for options that contradict each other."""
    if output is None and not dry_run:
        raise _misuse("an output folder is missing", "add `-o RUN`, or `--dry-run` to write nothing")
    if resume and weights is not None:
        raise _misuse("`--resume` and `--weights` exclude each other: RUN has the weights", "leave one of them out")
    if patience is not None and not evaluation:
        raise _misuse("`--patience` counts evaluations, and there are none", "add `--eval E`")


def _files(options: Sequence[str], option: str) -> str | dict[str, str]:
    """The file of an option, or the files of several trainings by their names."""
    if len(options) == 1 and (_NAMED.fullmatch(options[0]) is None or Path(options[0]).exists()):
        return options[0]
    return _of_each(options, option)


def _of_each(texts: Sequence[str], option: str) -> dict[str, str]:
    """The values of an option that is written once for each of several trainings, by their names."""
    values: dict[str, str] = {}
    for text in texts:
        match = _NAMED.fullmatch(text)
        if match is None or match["name"] in values:
            why = f"`{text}` names no training" if match is None else f"`{match['name']}` is named twice"
            help = f"write `{option} NAME={text}`" if match is None else "leave one of them out"
            raise _misuse(f"{why}, and `{option}` is written several times", help)
        values[match["name"]] = match["value"]
    return values


def _misuse(message: str, help: str) -> CompileError:
    return CompileError([Diagnostic("E0704", message, help=help)])


# -- results ---------------------------------------------------------------------------------------------------------


def _as_json(trained: api.Trained) -> dict[str, Any]:
    progress = trained.progress
    return {
        "model": _name(trained),
        "steps": _steps(trained),
        **({"trainings": dict(trained.steps)} if len(trained.steps) > 1 else {}),
        "epochs": progress.epoch,
        "eval": {name: value if isfinite(value) else None for name, value in progress.results.items()},
        "best": {"step": progress.best_step, "value": progress.best} if progress.has_best else None,
        "skipped": progress.skipped,
    }


def _name(trained: api.Trained) -> str:
    """The training, or those that took turns."""
    return ", ".join(trained.steps)


def _steps(trained: api.Trained) -> int:
    """The steps of all trainings together."""
    return sum(trained.steps.values())


def _lines(trained: api.Trained, dry_run: bool) -> Iterator[str]:
    """Results on stdout."""
    progress, steps = trained.progress, count(_steps(trained), "step")
    results = results_line(progress.results)
    if dry_run:
        yield f"dry run: {_name(trained)} trains on this data{results and f'; {results}'}"
        return
    yield f"{_name(trained)}: {steps}{results and f'; {results}'}"
    if progress.has_best and progress.best_step != _steps(trained):
        yield f"best evaluation: step {progress.best_step:,}"
    if progress.skipped:
        yield f"{count(progress.skipped, 'batch', 'batches')} skipped: the loss or a gradient was not finite"
