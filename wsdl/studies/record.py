"""`study.json`: the setup of a study and its results so far. It is written after each trial, and read to resume."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from wsdl.atomic import holding, remove_leftovers, write_file
from wsdl.diagnostics.render import FORMAT_VERSION
from wsdl.diagnostics.run_error import RunError, fail
from wsdl.runtime.checkpoint import changes, significant_lines
from wsdl.studies.results import Run, Study

RECORD, TRIALS = "study.json", "trials"
BEFORE = {"hold": 1}  # what a record means that was written before there was such an option
DATA = ("data", "evaluation", "select")  # of the setup: fingerprints
OTHER = "`--resume` needs the study that the folder holds; use another folder or `--replace` for a new one"


def write_record(folder: Path, study: Study) -> None:
    """Write `study.json` atomically."""
    text = json.dumps(
        {"format_version": FORMAT_VERSION, **study.as_json()}, indent=1, ensure_ascii=False, allow_nan=False
    )
    write_file(folder / RECORD, holding(f"{text}\n".encode()))


def open_record(folder: Path, study: Study, *, resume: bool, replace: bool) -> Study:
    """The study with the results in the folder; with `replace` as if there were none. Errors: a study is there, with
    neither `resume` nor `replace` (E0724); `resume`, and it is another study (E0727)."""
    path = folder / RECORD
    remove_leftovers(folder)
    if replace or not path.exists():
        return study
    if not resume:
        help = "`--resume` continues it, `--replace` replaces it"
        raise fail("E0724", "this folder already holds a study", file=str(folder), help=help)
    return _with_results(study, path)


def remove_record(folder: Path) -> None:
    """Remove the study in a folder, if there is one."""
    if (folder / RECORD).exists():
        (folder / RECORD).unlink()
        shutil.rmtree(folder / TRIALS, ignore_errors=True)


def program_sha256(files: Mapping[str, str]) -> str:
    """A digest of the program of a variant, without comments and layout."""
    return sha256(json.dumps({n: significant_lines(text) for n, text in files.items()}).encode()).hexdigest()


def _with_results(study: Study, path: Path) -> Study:
    """The study with the results of the same trials in `study.json`."""
    try:
        record = json.loads(path.read_text("utf-8"))
        program, setup, seeds = dict(record["program"]), dict(record["setup"]), int(record["seeds"])
        recorded = {v["name"]: (str(v["sha256"]), [Run.of_json(run) for run in v["runs"]]) for v in record["variants"]}
        if any(len({frozenset(run.metrics) for run in runs if run.metrics}) > 1 for _, runs in recorded.values()):
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        help = "it is damaged, or was written by another version; `--replace` starts over"
        raise fail("E0727", "this is not the record of a study", file=str(path), help=help) from None
    _require_same(study, path, program, setup, seeds, recorded)
    return replace(study, variants=[replace(v, runs=_final(recorded.get(v.name))) for v in study.variants])


def _final(recorded: tuple[str, list[Run]] | None) -> list[Run]:
    """The recorded results that are not computed again: all except failures that a retry may avoid."""
    return [run for run in recorded[1] if run.failure is None or run.failure.is_lasting] if recorded else []


def _require_same(
    study: Study,
    path: Path,
    program: Mapping[str, str],
    setup: Mapping[str, Any],
    seeds: int,
    recorded: Mapping[str, tuple[str, list[Run]]],
) -> None:
    """Raises `RunError` if the recorded study is another one. Seeds and variants may be added to it."""
    setup, own = {**BEFORE, **setup}, {**BEFORE, **study.setup}
    different = [name for name in dict.fromkeys([*setup, *own]) if setup.get(name) != own.get(name)]
    if study.setup.get("select") is None and "best" in different:  # without `select` only the picture uses it
        different.remove("best")
    lines = [
        f"{name}: other data" if name in DATA else f"{name}: {setup.get(name)} then, {own.get(name)} now"
        for name in different
    ]
    if lines:
        raise _other("this folder holds a study with another setup", path, lines)
    now = {variant.name: variant.sha256 for variant in study.variants}
    if any(now.get(name, digest) != digest for name, (digest, _) in recorded.items()):
        raise _other("this folder holds a study of another program", path, changes(program, study.program))
    missing = [name for name in recorded if name not in now]
    if missing or seeds > study.seeds:
        lines = [
            *([f"seeds: {seeds} then, {study.seeds} now"] if seeds > study.seeds else []),
            *(f"without {name}" for name in missing),
        ]
        raise _other("this folder holds a larger study: seeds and variants can only be added", path, lines)


def _other(message: str, path: Path, lines: list[str]) -> RunError:
    return fail("E0727", message, file=str(path.parent), details=lines, help=OTHER)
