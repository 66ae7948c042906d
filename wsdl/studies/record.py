"""`study.json`: what a study is of and what it has found so far. It is written after each trial, and read to go on."""

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
DATA = ("data", "evaluation", "select")  # of the setup: fingerprints
OTHER = "`--resume` goes on with the study that the folder holds; another folder, or `--replace`, begins a new one"


def write_record(folder: Path, study: Study) -> None:
    """Write `study.json`, whole or not at all."""
    text = json.dumps(
        {"format_version": FORMAT_VERSION, **study.as_json()}, indent=1, ensure_ascii=False, allow_nan=False
    )
    write_file(folder / RECORD, holding(f"{text}\n".encode()))


def begun(folder: Path, study: Study, *, resume: bool, replace: bool) -> Study:
    """The study with the results that the folder has of it. A study there that is neither to be gone on with nor to be
    replaced is an error (E0724), and so is another one (E0727)."""
    path = folder / RECORD
    remove_leftovers(folder)
    if replace and path.exists():
        path.unlink()
        shutil.rmtree(folder / TRIALS, ignore_errors=True)
    if not path.exists():
        return study
    if not resume:
        help = "`--resume` continues it, `--replace` starts over in its place"
        raise fail("E0724", "this folder holds a study already", file=str(folder), help=help)
    return _with_results(study, path)


def program_sha256(files: Mapping[str, str]) -> str:
    """What tells the program of a variant from another one; comments and layout don't count."""
    return sha256(json.dumps({n: significant_lines(text) for n, text in files.items()}).encode()).hexdigest()


def _with_results(study: Study, path: Path) -> Study:
    """The study with the results of the same trials in `study.json`."""
    try:
        record = json.loads(path.read_text("utf-8"))
        program, setup, seeds = dict(record["program"]), dict(record["setup"]), int(record["seeds"])
        before = {v["name"]: (str(v["sha256"]), [Run.of_json(run) for run in v["runs"]]) for v in record["variants"]}
        if any(len({frozenset(run.metrics) for run in runs if run.metrics}) > 1 for _, runs in before.values()):
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        help = "it is damaged, or was written by another version; `--replace` starts over"
        raise fail("E0727", "this is no record of a study", file=str(path), help=help) from None
    _require_same(study, path, program, setup, seeds, before)
    return replace(study, variants=[replace(v, runs=_kept(before.get(v.name))) for v in study.variants])


def _kept(before: tuple[str, list[Run]] | None) -> list[Run]:
    """The results that needn't be computed again."""
    return [run for run in before[1] if run.failure is None or run.failure.is_lasting] if before else []


def _require_same(
    study: Study,
    path: Path,
    program: Mapping[str, str],
    setup: Mapping[str, Any],
    seeds: int,
    before: Mapping[str, tuple[str, list[Run]]],
) -> None:
    """Raises `RunError` where the folder's study is another one. More seeds, and more variants, may be added to it."""
    names = [*dict.fromkeys([*setup, *study.setup])]
    different = [name for name in names if setup.get(name) != study.setup.get(name)]
    if study.setup.get("select") is None and "best" in different:  # then it is for the picture alone
        different.remove("best")
    lines = [
        f"{name}: other data" if name in DATA else f"{name}: {setup.get(name)} then, {study.setup.get(name)} now"
        for name in different
    ]
    if lines:
        raise _other("this folder holds a study with another setup", path, lines)
    now = {variant.name: variant.sha256 for variant in study.variants}
    if any(now.get(name, digest) != digest for name, (digest, _) in before.items()):
        raise _other("this folder holds a study of another program", path, changes(program, study.program))
    missing = [name for name in before if name not in now]
    if missing or seeds > study.seeds:
        lines = [
            *([f"seeds: {seeds} then, {study.seeds} now"] if seeds > study.seeds else []),
            *(f"without {name}" for name in missing),
        ]
        raise _other("this folder holds a larger study: seeds and variants can only be added", path, lines)


def _other(message: str, path: Path, lines: list[str]) -> RunError:
    return fail("E0727", message, file=str(path.parent), details=lines, help=OTHER)
