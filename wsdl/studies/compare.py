"""`wsdl.study`: trains each variant of a program with each seed, and compares them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import asdict
from dataclasses import replace as with_fields
from hashlib import sha256
from pathlib import Path
from typing import Any

from wsdl import api
from wsdl.api.checking import stored
from wsdl.api.sources import program_in
from wsdl.api.training import rows_in
from wsdl.atomic import holding, write_file
from wsdl.compiler import SourceOptions
from wsdl.diagnostics import CompileError, Diagnostic
from wsdl.diagnostics.run_error import fail
from wsdl.diagnostics.span import Source
from wsdl.ir.inventory import inventory
from wsdl.ir.stages import BASE, Storage
from wsdl.options import COUNT, DIMS, FLAG, NAME, PATH, PROGRAM, Alternatives, Names, Optional, takes
from wsdl.reporting.pareto import Point, figure
from wsdl.reporting.plot import as_svg, is_installed
from wsdl.reporting.trials import QuietTrials, TrialReporter
from wsdl.runtime.batches import batches_of
from wsdl.runtime.checkpoint import source_text
from wsdl.runtime.folder_lock import alone_in
from wsdl.runtime.indices import check_indices
from wsdl.runtime.plan import Better
from wsdl.runtime.stopping import Interrupted
from wsdl.studies.configurations import Configuration, configurations
from wsdl.studies.processes import Processes, TrialRunner
from wsdl.studies.record import RECORD, TRIALS, open_record, program_sha256, remove_record, write_record
from wsdl.studies.results import Study, Variant
from wsdl.studies.trial import Training, Trial, keep_weights

PICTURE = "study.svg"


@takes(
    path=PROGRAM,
    data=PATH,
    evaluation=PATH,
    folder=PATH,
    epochs=COUNT,
    seeds=COUNT,
    variants=Optional(Names()),
    against=Optional(NAME),
    constants=Optional(Alternatives()),
    select=Optional(PATH),
    best=Optional(NAME),
    patience=Optional(COUNT),
    model=Optional(NAME),
    batch=COUNT,
    accumulate=COUNT,
    hold=COUNT,
    jobs=Optional(COUNT),
    threads=COUNT,
    device=NAME,
    dims=Optional(DIMS),
    import_root=Optional(PATH),
    resume=FLAG,
    replace=FLAG,
)
def study(
    path: str | os.PathLike[str] | Source,
    data: str | os.PathLike[str],
    *,
    evaluation: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    epochs: int = 1,
    seeds: int = 3,
    variants: Sequence[str] | None = None,
    against: str | None = None,
    constants: Mapping[str, Sequence[Any]] | None = None,
    select: str | os.PathLike[str] | None = None,
    best: str | None = None,
    patience: int | None = None,
    model: str | None = None,
    batch: int = 64,
    accumulate: int = 1,
    hold: int = 1,
    jobs: int | None = None,
    threads: int = 1,
    device: str = "cpu",
    dims: Mapping[str, int] | None = None,
    import_root: str | None = None,
    resume: bool = False,
    replace: bool = False,
    workers: TrialRunner | None = None,
    reporter: TrialReporter | None = None,
) -> Study:
    """Train the program and each of its variants with the seeds 0, 1, …, and evaluate each on the data `evaluation`.

    - `variants` selects variants by name, by default all; the program without a variant, `base`, is always trained.
    - `against` is the variant with which all are compared, by default `base`.
    - `constants` overrides `let`s of the file: `{"rank": [2, 4, 8]}` trains every variant with each value. A string is
      parsed as an expression.
    - By default the weights of the last epoch are evaluated. With `select`, data other than `evaluation`, the weights
      of the epoch with the best result on `select` are: by `best`, which is `"loss"`, a metric, or `"error:min"`; by
      default the first metric. Training then stops after `patience` epochs in a row without a better one.
    - `jobs` trials run at a time, by default as many as there are cores, each with `threads` threads. Or they run on
      `workers`, as `wsdl.ray.Workers(4)`, with the threads of a worker each. The results don't depend on either.
    - `folder` receives `study.json`, `study.svg`, and in `trials/` the weights of each trial. With `resume` an
      interrupted study resumes, bit for bit, and seeds and values may be added; `replace` starts over.

    A trial that fails is part of the result, with the reason. Raises `CompileError` for errors in the program.
    """
    source, root = program_in(path), Path(folder)
    if workers is not None and jobs is not None:
        raise fail("E0704", "`jobs` are processes of this machine, which `workers` replace", help="pass one of them")
    if workers is not None and device != "cpu":
        raise fail("E0714", "workers train on the CPU", help="without workers, trials run on the device in turn")
    jobs = jobs or (max(1, _cores() // threads) if device == "cpu" else 1)
    runner = workers or Processes(jobs, threads)
    training = Training(
        data=os.fspath(data),
        evaluation=os.fspath(evaluation),
        select=None if select is None else os.fspath(select),
        model=model or "",
        epochs=epochs,
        batch=batch,
        accumulate=accumulate,
        hold=hold,
        best=best or "",
        patience=patience,
        device=device,
        threads=runner.threads,
        dims=dict(dims or {}),
        import_root=import_root,
    )
    if patience is not None and select is None:
        raise fail(
            "E0704",
            "`patience` counts epochs that are evaluated on the data of `select`",
            help="pass these data with `--select`",
        )
    warnings = _require_clean(source, training, None if variants is None else BASE)
    options = SourceOptions(training.dims, import_root)
    programs = configurations(source, variants, _texts(constants or {}), options, against)
    training, new = _prepared(source, training, programs, seeds)
    with alone_in(root, "study"):
        recorded = open_record(root, new, resume=resume, replace=replace)
        trials = []
        for trial in _trials(recorded, programs, training, root):
            done = next((run for run in recorded[trial.name].runs if run.seed == trial.seed), None)
            if done is None:
                trials.append(trial)
            elif done.failure is None:
                keep_weights(Path(trial.folder))  # the study may have been killed before this
        with runner.ready() if trials else nullcontext():
            if replace:
                remove_record(root)
            results = _run(recorded, trials, root, runner, reporter or QuietTrials())
        files = [root / RECORD, *draw(results, root)]
    return with_fields(results, diagnostics=(*warnings, *_failures(results)), files=files)


def _cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _texts(constants: Mapping[str, Sequence[Any]]) -> dict[str, list[str]]:
    """Values of constants as source text."""
    return {
        name: [str(v).lower() if isinstance(v, bool) else v if isinstance(v, str) else repr(v) for v in values]
        for name, values in constants.items()
    }


# -- before the first trial --------------------------------------------------------------------------------------------


def _require_clean(source: Source, training: Training, variant: str | None) -> list[Diagnostic]:
    """The warnings about the program, and about all its variants if `variant` is `None`. Raises `CompileError` for
    errors."""
    examined = api.examine(source, dims=training.dims, import_root=training.import_root, variant=variant)
    problems = examined.problems
    if problems.errors:
        raise CompileError(problems)
    return list(problems)


def _prepared(
    source: Source, training: Training, programs: Sequence[Configuration], seeds: int
) -> tuple[Training, Study]:
    """The training with defaults for model and metric resolved, and the study without results. Errors in any of the
    programs or in the data are raised here, before the first trial."""
    storages = [_storage(program, training) for program in programs]
    base = api.compile(programs[0].source, dims=training.dims, import_root=training.import_root)
    evaluator = base.evaluator(training.model or None, device=training.device, threads=training.threads)
    names, types = evaluator.model.names, evaluator.model.batch
    better = Better.of(training.best or [*names[1:], *names][0])
    if better.name not in names:
        listed = ", ".join(f"`{name}`" for name in names)
        raise fail("E0704", f"there is no metric `{better.name}` to compare by", help=f"there are {listed}")
    training = with_fields(training, model=evaluator.model.name, best=str(better))
    fingerprints: dict[str, str | None] = {"data": None, "evaluation": None, "select": None}
    for name in fingerprints:
        path = getattr(training, name)
        if path is not None:
            batches = batches_of(rows_in(path, types), types, training.batch, shuffle=False)
            check_indices(evaluator.indices, batches.arrays)
            fingerprints[name] = batches.fingerprint
    if fingerprints["select"] == fingerprints["evaluation"]:
        message = "the data of `select` and of `evaluation` are the same"
        help = "results on data that selected the epoch are too optimistic; select by a part of the training data"
        raise fail("E0729", message, file=training.select, help=help)
    texts = [json.loads(source_text(storage.checked.sources)) for storage in storages]
    variants = []
    for program, storage, text in zip(programs, storages, texts, strict=True):
        sizes = inventory(storage).sizes(training.model)
        digest = program_sha256(text)
        variants.append(
            Variant(
                program.name, program.variant, program.constants, program.base, sizes.parameters, sizes.bytes, digest
            )
        )
    left_out = ("data", "evaluation", "select", "import_root")  # paths, which may change
    setup = {name: value for name, value in asdict(training).items() if name not in left_out} | fingerprints
    whole = json.loads(source_text(stored(source, training.dims, training.import_root, None).checked.sources))
    return training, Study(whole, setup, seeds, better, variants)


def _storage(program: Configuration, training: Training) -> Storage:
    """The storage of a program. Errors name the variant and the values of constants with which they occur."""
    try:
        return stored(program.source, training.dims, training.import_root, program.variant)
    except CompileError as error:
        constants = ", ".join(f"{name} = {value}" for name, value in program.constants.items())
        where = [f"with {constants}"] if constants else []
        variants = () if program.variant is None else (program.variant,)
        diagnostics = [with_fields(d, details=(*d.details, *where), variants=variants) for d in error.diagnostics]
        raise CompileError(diagnostics) from None


def _trials(study: Study, programs: Sequence[Configuration], training: Training, root: Path) -> Iterator[Trial]:
    """All trials, seed by seed, so that the results of an unfinished study compare all variants."""
    for seed in range(study.seeds):
        for variant, program in zip(study.variants, programs, strict=True):
            folder = root / TRIALS / _file_name(variant.name) / f"seed-{seed}"
            source = program.source
            yield Trial(program.name, program.variant, source.path, source.text, seed, str(folder), training)


def _file_name(name: str) -> str:
    """The name of a folder for a variant: its name, or if that has special characters, what remains and a digest."""
    plain = re.sub(r"[^\w.=+,-]", "_", name.replace(" ", ","))[:80]
    return plain if plain.replace(",", " ") == name else f"{plain}-{sha256(name.encode()).hexdigest()[:8]}"


# -- the trials --------------------------------------------------------------------------------------------------------


def _run(study: Study, trials: Sequence[Trial], root: Path, runner: TrialRunner, reporter: TrialReporter) -> Study:
    """Run trials; returns the study with their results. `study.json` is written after each trial."""
    total = study.seeds * len(study.variants)

    def watch(trial: Trial, event: Mapping[str, Any]) -> None:
        if "begin" in event:
            lengths[trial.label] = event["steps"]
        reporter.step(trial.label, event.get("step", event.get("begin", 0)), lengths[trial.label], event.get("loss"))

    lengths: dict[str, int | None] = {}
    root.mkdir(parents=True, exist_ok=True)
    write_record(root, study)
    reporter.begin(total, total - len(trials), min(runner.count, max(len(trials), 1)))
    try:
        with closing(runner.run_trials(trials, watch)) as results:
            for trial, run in results:
                study = study.with_run(trial.name, run)
                write_record(root, study)
                if run.failure is None:
                    keep_weights(Path(trial.folder))
                reporter.finished(trial.label, run.metrics, None if run.failure is None else run.failure.message)
    except KeyboardInterrupt:
        done = sum(len(variant.runs) for variant in study.variants)
        text = f"stopped after {done} of {total} trials, which are saved in {root}; --resume continues"
        raise Interrupted(text) from None
    finally:
        reporter.end()
    return study


def _failures(study: Study) -> Iterator[Diagnostic]:
    for variant in study.variants:
        for run in variant.runs:
            if run.failure is not None:
                message = f"the trial of `{variant.name}` with seed {run.seed} failed: {run.failure.message}"
                help = None if run.failure.is_lasting else "the same command with `--resume` tries it again"
                yield Diagnostic(run.failure.code, message, help=help, details=run.failure.details)


def draw(study: Study, root: Path) -> list[Path]:
    """Write `study.svg` if matplotlib is installed and there are results. Returns the files written."""
    points = [
        Point(v.name, v.bytes, v.metrics[study.best.name].mean, v.metrics[study.best.name].std, v.name == v.base)
        for v in study.variants
        if v.metrics
    ]
    if not points or not is_installed():
        return []
    about = f"{study.setup['model']}: {study.best.name} against stored bytes"
    if study.seeds > 1:
        about += f", mean and deviation of {study.seeds} seeds"
    picture = figure(points, study.best.name, highest=study.best.highest, about=about)
    write_file(root / PICTURE, holding(as_svg(picture)))
    return [root / PICTURE]
