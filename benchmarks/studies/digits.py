"""`python -m benchmarks.studies.digits`: eight variants of the digits with three seeds, in one command; once as it
is, and once killed in the middle and gone on with, which must give the same record but for its times. Writes the table
and the picture of `docs/studies.md`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.studies.tables import read, write

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "studies.md"
PICTURE = ROOT / "docs" / "pictures" / "studies" / "digits_variants.svg"
DATA = ROOT / "examples" / "data" / "digits"
PROGRAM = ROOT / "examples" / "training" / "digits_variants.wsd"
TIMES = ("step_ms", "seconds")
KILLED_AFTER = 10  # trials


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        whole, killed = Path(folder, "whole"), Path(folder, "killed")
        study(whole, "--jobs", "1").wait()
        done = kill_in_the_middle(killed)
        study(killed, "--resume").wait()
        record = read(whole)
        if without_times(read(killed)) != without_times(record):
            sys.exit("the study that was killed has another record")
        print(f"killed after {done} of {record['seeds'] * len(record['variants'])} trials: the same record")
        shutil.copy(whole / "study.svg", PICTURE)
    write(PAGE, "study", record, {"loss": 3, "accuracy": 4})


def study(folder: Path, *more: str) -> subprocess.Popen[bytes]:
    options = [
        "--data",
        DATA / "train.npz",
        "--eval",
        DATA / "test.npz",
        "--epochs",
        "10",
        "--batch",
        "32",
        "--seeds",
        "3",
    ]
    command = [sys.executable, "-m", "wsdl", "study", PROGRAM, *options, "-o", folder, *more]
    return subprocess.Popen(list(map(str, command)), env={**os.environ, "PYTHONPATH": str(ROOT)})


def kill_in_the_middle(folder: Path) -> int:
    """By SIGKILL, when some trials are done and others are at it; how many are done."""
    process = study(folder)
    while process.poll() is None:
        time.sleep(0.01)
        if (folder / "study.json").exists() and (done := trials_done(folder)) >= KILLED_AFTER:
            process.kill()
            process.wait()
            return done
    sys.exit("the study had ended before it was killed")


def trials_done(folder: Path) -> int:
    return sum(len(variant["runs"]) for variant in read(folder)["variants"])


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_times(part) for name, part in value.items() if name not in TIMES}
    return [without_times(part) for part in value] if isinstance(value, list) else value


if __name__ == "__main__":
    main()
