"""Checkpoints: a safetensors file with everything needed to resume a training bit for bit, and to run the trained
model.

Parameters and running statistics have their own names, so the file also serves as weights; names of optimizer states
begin with `optimizer/`. The header has the source of the program, the settings, the progress of the run, and a checksum
of everything.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsdl.diagnostics import Problems
from wsdl.diagnostics.run_error import fail
from wsdl.diagnostics.span import Source
from wsdl.ir.step import OPTIMIZER
from wsdl.ir.training import COUNTERS
from wsdl.runtime.fingerprint import checksum
from wsdl.syntax.formatter import format_source
from wsdl.weights.metadata import VARIANT
from wsdl.weights.open_source import open_source
from wsdl.weights.safetensors import save_safetensors

Array = NDArray[Any]
SOURCE, RUN, CHECKSUM = "wsdl.source", "wsdl.run", "wsdl.checksum"  # keys of the header
EVALUATION_SEED = "wsdl.seed"  # where evaluations use random numbers, also in the header of the best weights
MOST_LINES = 12  # of changes that are shown


@dataclass(frozen=True)
class Checkpoint:
    """The contents of a file: arrays by the names of the step's inputs, header, settings and progress."""

    arrays: Mapping[str, Array]
    header: Mapping[str, str]
    settings: Mapping[str, Any]
    progress: Mapping[str, Any]
    path: str = ""

    def state_for(self, start: Mapping[str, Array]) -> dict[str, Array]:
        """The arrays with the names and shapes of those in `start`. Raises `RunError` (E0722) if one is missing."""
        wrong = [n for n, a in start.items() if n not in self.arrays or self.arrays[n].shape != a.shape]
        if wrong:
            message = f"`{wrong[0]}` is missing in this checkpoint, or has another shape"
            raise fail("E0722", message, file=self.path, help="it belongs to another training, or was edited")
        return {name: np.array(self.arrays[name], array.dtype) for name, array in start.items()}

    def recorded(self, name: str, *kinds: type) -> Any:
        """An entry of the run's record, which must be of one of these types."""
        value = self.progress.get(name, ...)
        if not isinstance(value, kinds):
            message = f"the record of the run in this checkpoint has no valid `{name}`"
            raise fail("E0722", message, file=self.path, help="it is damaged; resume from an earlier one")
        return value

    def require_same_program(self, sources: Mapping[str, Source]) -> None:
        """Raises `RunError` with the changed lines if this is the checkpoint of another program."""
        shown = changes(_texts(self.header.get(SOURCE, "{}"), self.path), json.loads(source_text(sources)))
        if shown:
            help = "resume with the program as it was, or start a new run with `--weights` in another folder"
            message = "the program has changed since this checkpoint was written"
            raise fail("E0721", message, file=self.path, help=help, details=shown)

    def require_same_variant(self, variant: str) -> None:
        """Raises `RunError` where this is the checkpoint of another variant of the program."""
        before = self.header.get(VARIANT, "")
        if before != variant:
            message = f"this training is of {_variant(before)}, not of {_variant(variant)}"
            option = f"with `--variant {before}`" if before else "without `--variant`"
            help = f"resume it {option}, or start a new run with `--weights` in another folder"
            raise fail("E0721", message, file=self.path, help=help)

    def require_same_settings(self, settings: Mapping[str, Any]) -> None:
        """Raises `RunError` if the training was started with other settings."""
        different = [name for name, value in settings.items() if self.settings.get(name, value) != value]
        if different:
            lines = [f"{name}: {self.settings[name]} then, {settings[name]} now" for name in different]
            help = "a run resumes with its own settings; options that are left out are taken from the checkpoint"
            message = "this training was started with other settings"
            raise fail("E0723", message, file=self.path, help=help, details=lines)


def _variant(name: str) -> str:
    return f"the variant `{name}`" if name else "the program without a variant"


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint atomically. The same state gives the same bytes."""
    arrays = {OPTIMIZER + n if n in COUNTERS else n: a for n, a in checkpoint.arrays.items()}
    run = json.dumps({"settings": checkpoint.settings, "progress": checkpoint.progress}, sort_keys=True)
    header = {**checkpoint.header, RUN: run}
    save_safetensors(path, arrays, {**header, CHECKSUM: _checksum(arrays, header)})


def _checksum(arrays: Mapping[str, Array], header: Mapping[str, str]) -> str:
    """The checksum of everything in a file except the checksum itself."""
    return checksum(arrays, json.dumps({k: v for k, v in header.items() if k != CHECKSUM}, sort_keys=True))


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """The checkpoint in a file. Raises `RunError` if the file is not a checkpoint."""
    source = open_source(os.fspath(path))
    try:
        run = json.loads(source.metadata[RUN])
        settings, progress = dict(run["settings"]), dict(run["progress"])
    except (KeyError, ValueError, TypeError):
        message = "this file has weights, but is not a checkpoint of a training"
        help = "`--weights` starts a new training from weights"
        raise fail("E0722", message, file=os.fspath(path), help=help) from None
    arrays = {name: source.read(name) for name in source.tensors}
    _require_whole(os.fspath(path), arrays, source.metadata)
    arrays |= {name: arrays.pop(OPTIMIZER + name) for name in COUNTERS if OPTIMIZER + name in arrays}
    return Checkpoint(arrays, source.metadata, settings, progress, os.fspath(path))


def seed_of(path: str | os.PathLike[str]) -> int | None:
    """The seed that the training which wrote a file of weights evaluated with; `None` if it used none."""
    seed = open_source(os.fspath(path)).metadata.get(EVALUATION_SEED, "")
    return int(seed) if seed.isdecimal() else None


def _require_whole(path: str, arrays: Mapping[str, Array], header: Mapping[str, str]) -> None:
    """Raises `RunError` if a file has changed since it was written, by a single bit."""
    weights = "`--weights` and another folder start a new run from its weights"
    if CHECKSUM not in header:
        message = "this checkpoint has no checksum: an earlier version of wsdl wrote it, or it was edited"
        raise fail("E0722", message, file=path, help=f"finish the training with that version, or {weights}")
    if header[CHECKSUM] != _checksum(arrays, header):
        message = "this checkpoint has changed since it was written: its checksum doesn't match"
        help = f"it is damaged or was edited; resume from an earlier one or a copy; {weights}"
        raise fail("E0722", message, file=path, help=help)


# -- comparing programs ------------------------------------------------------------------------------------------------


def source_text(sources: Mapping[str, Source]) -> str:
    """The text of a program for the header: the formatted files by name."""
    return json.dumps({name: _formatted(source) for name, source in sources.items()}, ensure_ascii=False)


def _texts(text: str, path: str) -> dict[str, str]:
    """The files of a header, by name."""
    try:
        files = json.loads(text)
    except ValueError:
        files = None
    if not isinstance(files, dict) or not all(isinstance(value, str) for value in files.values()):
        raise fail("E0722", "the program in this checkpoint can't be read", file=path, help="it is damaged")
    return files


def _formatted(source: Source) -> str:
    return format_source(source, Problems()) or source.text


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """The lines of a program's files that were taken out and put in, the first of them where there are many."""
    changed = [line for name in {**before, **now} for line in _changes(before.get(name, ""), now.get(name, ""), name)]
    more = len(changed) - MOST_LINES
    return [*changed[:MOST_LINES], *([f"and {more} more lines"] if more > 0 else [])]


def _changes(before: str, now: str, name: str) -> list[str]:
    lines = unified_diff(significant_lines(before), significant_lines(now), n=0, lineterm="")
    changed = [line for line in lines if not line.startswith(("---", "+++", "@@"))]
    return [f"{name}: {line[0]} {line[1:].strip()}" for line in changed]


def significant_lines(text: str) -> list[str]:
    """Those of a formatted file, without comments and empty lines."""
    return [line for line in map(_without_comment, text.splitlines()) if line.strip()]


def _without_comment(line: str) -> str:
    """A line without its comment; a `#` in a string begins none."""
    quoted = False
    for at, character in enumerate(line):
        quoted ^= character == '"'
        if character == "#" and not quoted:
            return line[:at].rstrip()
    return line.rstrip()
