"""Print the tables, row by row as they are measured."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from typing import Any

from benchmarks.training.cases import CASES, Case
from benchmarks.training.growth import compiling, depths

LAYOUT = "{:<20} {:>7} {:>9} {:>9} {:>6} {:>8} {:>6}  {:<14} {:>7}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter, without torch.compile")
    parser.add_argument("--case", action="append", default=[], help="only those whose name begins so")
    parser.add_argument("--threads", type=int, action="append", default=[])
    options = parser.parse_args()
    chosen = [c for c in CASES.values() if not options.case or any(c.name.startswith(n) for n in options.case)]
    right = True
    print("A step of training; times as ours / PyTorch's, in its usual setting (eager) and in its best one\n")
    print(LAYOUT.format("", "threads", "ours ms", "eager ms", "ours/", "error", "ours/", "the best of", "memory"))
    print(LAYOUT.format("", "", "", "", "eager", "of loss", "best", "PyTorch's", "ours/"), flush=True)
    for case in chosen:
        for threads in options.threads or (1, 2):
            right &= _row(case, threads, options.quick)
    if not options.case:
        print()
        for line in [*depths(), *compiling()]:
            print(line, flush=True)
    sys.exit(0 if right else "the losses of some aren't PyTorch's")


def _row(case: Case, threads: int, quick: bool) -> bool:
    """Measure and print one row; were the losses those of PyTorch?"""
    asked = {"case": case.name, "threads": threads}
    found = _answer({**asked, "what": "times", "seconds": 4 if quick else 9, "compiled": not quick})
    times = found["times"]
    if not times:
        print(f"{case.name:<20} {threads:>7}   the losses differ by {found['error']:.1e}", flush=True)
        return False
    ours, theirs = times.pop("ours"), times
    best = min(theirs, key=lambda name: theirs[name])
    memory = [_answer({**asked, "what": side}) for side in ("ours", "theirs")]
    row = (
        *(case.name, threads, f"{ours * 1e3:.2f}", f"{theirs['eager'] * 1e3:.2f}", f"{ours / theirs['eager']:.2f}"),
        *(f"{found['error']:.0e}", f"{ours / theirs[best]:.2f}", best, f"{memory[0] / memory[1]:.2f}"),
    )
    print(LAYOUT.format(*row), flush=True)
    return True


def _answer(asked: dict[str, Any]) -> Any:
    """From a process of its own, so that nothing of another measurement is in its memory or its thread pools."""
    command = [sys.executable, "-m", "benchmarks.training.measure", json.dumps(asked)]
    threads = {"OMP_NUM_THREADS": str(asked["threads"])}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **threads})
    if done.returncode != 0:
        raise RuntimeError(f"measuring {asked} failed:\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
