"""`wsdl train`: a model learns from data."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from math import isfinite
from pathlib import Path
from typing import Any, Literal

import click

from wsdl import api
from wsdl.cli.failures import INTERRUPTED, writing
from wsdl.cli.reporting import reporting
from wsdl.cli.tables import count, results_line
from wsdl.cli.terminal import note, print_json, print_lines, write_findings
from wsdl.cli.verb import dims, import_root, verb, weights, whole
from wsdl.diagnostics import CompileError, Diagnostic
from wsdl.diagnostics.render import as_json as findings_as_json
from wsdl.options import COUNT, NONE_OR_MORE, ON_NAN, SEED


@verb
@click.argument("file", metavar="FILE")
@click.option("--data", required=True, metavar="D", help="A .npz, .csv or .parquet file, or a folder of .npy files.")
@click.option("--eval", "evaluation", metavar="E", help="Data to evaluate with, after each epoch.")
@click.option("-o", "--output", metavar="RUN", help="The folder for checkpoints, log and curve.")
@click.option("--model", metavar="M", help="Which model, where the file trains several.")
@click.option("--epochs", type=whole(COUNT), metavar="N", help="How often to go through the data.  [default: 1]")
@click.option("--batch", type=whole(COUNT), metavar="N", help="Rows of a step.  [default: 64]")
@click.option(
    "--accumulate", type=whole(COUNT), metavar="N", help="Compute each step in N parts, which takes less memory."
)
@click.option(
    "--seed", type=whole(SEED), metavar="S", help="For initial values, the order of rows, dropout.  [default: 0]"
)
@weights
@click.option("--resume", is_flag=True, help="Go on with the training in RUN, bit for bit.")
@click.option("--replace", is_flag=True, help="Begin anew in the place of the training in RUN.")
@click.option("--save-every", type=whole(COUNT), metavar="N", help="Also save each N steps.")
@click.option(
    "--keep", type=whole(NONE_OR_MORE), metavar="N", default=0, help="Also keep the last N checkpoints by step."
)
@click.option("--best", metavar="NAME", default="loss", show_default=True,
              help="What decides which weights are best: loss, a metric, or NAME:min.")  # fmt: skip
@click.option("--patience", type=whole(COUNT), metavar="N", help="End when N evaluations in a row were not the best.")
@click.option("--limit-steps", type=whole(COUNT), metavar="N", help="End after N steps.")
@click.option("--dry-run", is_flag=True, help="Check all, make one step, evaluate one batch; write nothing.")
@click.option("--on-nan", type=click.Choice(ON_NAN.words), default="stop", show_default=True,
              help="What to do where a loss or a gradient is not finite.")  # fmt: skip
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@click.option("--threads", type=whole(COUNT), metavar="N", help="Cores to use; by default all.")
@click.option("--tensorboard", is_flag=True, help="Also write RUN/tensorboard.")
@dims
@import_root
def train(
    file: str,
    data: str,
    evaluation: str | None,
    output: str | None,
    model: str | None,
    epochs: int | None,
    batch: int | None,
    accumulate: int | None,
    seed: int | None,
    weights: str | None,
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
    threads: int | None,
    tensorboard: bool,
    dims: Mapping[str, int],
    import_root: str | None,
    as_json: bool,
) -> int | None:
    """Train a model as the `train` declaration of its program says. RUN gets last.safetensors, best.safetensors (with
    --eval), log.jsonl and curve.svg."""
    from wsdl.runtime.fit import BEST
    from wsdl.runtime.plan import Better, Plan
    from wsdl.runtime.stopping import Interrupted
    from wsdl.runtime.trainer import LAST

    _check(output, dry_run, resume, weights, patience, evaluation)
    folder = None if output is None or dry_run else Path(output)
    plan = Plan(epochs, folder, save_every, keep, Better.of(best), patience, limit_steps)
    settings = {"batch": batch, "accumulate": accumulate, "seed": seed}
    reporter = reporting(folder, tensorboard=tensorboard, quiet=as_json or dry_run)
    try:
        with writing(folder or "."):
            trained = api.train(
                file,
                data,
                plan,
                evaluation=evaluation,
                settings={name: value for name, value in settings.items() if value is not None},
                model=model,
                weights=weights,
                dims=dims,
                import_root=import_root,
                resume=resume,
                replace=replace,
                only_try=dry_run,
                on_nan=on_nan,
                device=device,
                threads=threads,
                reporter=reporter,
            )
    except Interrupted as stopped:
        note(stopped.message)
        return INTERRUPTED
    if as_json:
        print_json({**_told(trained), **findings_as_json(trained.diagnostics)})
        return None
    write_findings(trained.diagnostics, sys.stderr)
    if folder is not None:
        names = [LAST, *([BEST] if trained.progress.has_best else [])]
        note(f"wrote {', '.join(str(folder / name) for name in names)}")
    print_lines(_lines(trained, dry_run))
    return None


def _check(
    output: str | None, dry_run: bool, resume: bool, weights: str | None, patience: int | None, evaluation: str | None
) -> None:
    """Options that don't go together."""
    if output is None and not dry_run:
        raise _misuse("nothing says where to write what is learnt", "add `-o RUN`, or `--dry-run` to try it only")
    if resume and weights is not None:
        raise _misuse("`--resume` goes on with the weights in RUN, and not with `--weights`", "leave one of them out")
    if patience is not None and evaluation is None:
        raise _misuse("`--patience` counts evaluations, and there are none", "add `--eval E`")


def _misuse(message: str, help: str) -> CompileError:
    return CompileError([Diagnostic("E0704", message, help=help)])


# -- what came of it ---------------------------------------------------------------------------------------------------


def _told(trained: api.Trained) -> dict[str, Any]:
    progress = trained.progress
    return {
        "model": trained.trainer.models.name,
        "steps": trained.trainer.steps,
        "epochs": progress.epoch,
        "eval": {name: value if isfinite(value) else None for name, value in progress.results.items()},
        "best": {"step": progress.best_step, "value": progress.best} if progress.has_best else None,
        "skipped": progress.skipped,
    }


def _lines(trained: api.Trained, dry_run: bool) -> Iterator[str]:
    """Results on stdout."""
    progress, steps = trained.progress, count(trained.trainer.steps, "step")
    results = results_line(progress.results)
    if dry_run:
        yield f"all fits: {trained.trainer.models.name} can be trained with these data{results and f'; {results}'}"
        return
    yield f"{trained.trainer.models.name}: {steps}{results and f'; {results}'}"
    if progress.has_best and progress.best_step != trained.trainer.steps:
        yield f"the best evaluation was that of step {progress.best_step:,}"
    if progress.skipped:
        yield f"{count(progress.skipped, 'batch', 'batches')} left out, whose losses or gradients were not finite"
