"""`python -m benchmarks.workers` (`make workers`): what it costs to train by workers of Ray, on this machine and, as a
model, on larger clusters.

Two networks are trained by `wsdl train`: a CNN with few parameters and a network of dense layers with many. Each is
trained in one process with one thread and with two, by one worker, and by two, by turns, `ROUNDS` times, of which the
fastest counts. The time of processes, Ray, compiling and sessions is apart from the time of a step, which is the mean
over the steps of a run but for the first ones.

The model of clusters is that of a ring, as XGBoost's collective is one: `p` workers add up `b` bytes in
`2 (p - 1) (latency + b / (p bandwidth))` seconds. A step has three such sums, of which two are small.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks import page_tables

FOLDER = Path("build/workers")
PAGE = Path("docs/distributed.md")
BATCH, STEPS, FIRST, ROUNDS = 128, 400, 40, 3
TRAIN = """
train net(label: i64[n]) {
    loss cross_entropy(logits, label)
    optimizer AdamW(lr=1e-3)
}
"""
PROGRAMS = {
    "CNN": """\
model net(x: f32[n, 1, 28, 28]) -> (logits: f32[n, 10]) {
    layer first = Conv2d(16, kernel=3, pad=1)
    layer again[2] = Conv2d(16, kernel=3, pad=1)
    share { again[*] }
    x = x |> first |> relu |> max_pool(2) |> again[0] |> relu |> again[1] |> relu |> max_pool(2)
    return x |> flatten |> Dense(10)
}
""",
    "dense": """\
model net(x: f32[n, 784]) -> (logits: f32[n, 10]) {
    layer first = Dense(1024)
    layer second = Dense(1024)
    return x |> first |> relu |> second |> relu |> Dense(10)
}
""",
}
WAYS: dict[str, tuple[str, ...]] = {
    "one process, one thread": ("--threads", "1"),
    "one worker": ("--workers", "1"),
    "one process, two threads": ("--threads", "2"),
    "two workers, one thread each": ("--workers", "2"),
}


@dataclass(frozen=True)
class Run:
    """Seconds apart from the steps (processes, Ray, compiling, sessions), and of a step."""

    start: float
    step: float


def write_data() -> None:
    """Random images; their values have no effect on times."""
    rng = np.random.default_rng(0)
    for name, shape in {"CNN": (1, 28, 28), "dense": (784,)}.items():
        folder = FOLDER / name
        folder.mkdir(parents=True, exist_ok=True)
        rows = BATCH * STEPS // 4
        np.savez(folder / "train.npz", x=rng.normal(size=(rows, *shape)).astype("f4"), label=rng.integers(0, 10, rows))
        (folder / "net.wsd").write_text(PROGRAMS[name] + TRAIN, encoding="utf-8")


def run(folder: Path, way: Sequence[str]) -> Run:
    """Train for four epochs."""
    command = [sys.executable, "-m", "wsdl", "train", "net.wsd", "--data", "train.npz", "-o", "run", "--replace"]
    began = time.perf_counter()
    subprocess.run(
        [*command, "--batch", f"{BATCH}", "--epochs", "4", *way], cwd=folder, check=True, capture_output=True, text=True
    )
    seconds = time.perf_counter() - began
    steps = [json.loads(line) for line in (folder / "run/log.jsonl").read_text().splitlines()]
    at = {line["step"]: line["seconds"] for line in steps if "loss" in line}
    last = max(at)
    return Run(seconds - at[last], (at[last] - at[FIRST]) / (last - FIRST))


def measured() -> Iterator[str]:
    """The lines of the table of this machine."""
    write_data()
    yield "| | start and end | a step | of one process |"
    yield "|---|---:|---:|---:|"
    for name in PROGRAMS:
        runs: dict[str, list[Run]] = {way: [] for way in WAYS}
        for _ in range(ROUNDS):
            for way, arguments in WAYS.items():
                runs[way].append(run(FOLDER / name, arguments))
        alone = 0.0
        for way, found in runs.items():
            start, step = (min(getattr(run, part) for run in found) for part in ("start", "step"))
            if way.startswith("one process"):
                alone = step
            ratio = step / alone
            yield f"| {name}, {way} | {start:.1f} s | {1e3 * step:.1f} ms | {ratio:.2f} |"


# -- sums, and the model of them ---------------------------------------------------------------------------------------

SIZES = [8, 1 << 10, 1 << 16, 1 << 20, 1 << 24, 1 << 26]  # bytes


@dataclass(frozen=True)
class Link:
    """What a message takes: seconds of latency, and bytes a second."""

    latency: float
    bandwidth: float

    def sum_of(self, count: float, workers: int) -> float:
        """The seconds in which workers in a ring add up so many bytes."""
        return 2 * (workers - 1) * (self.latency + count / workers / self.bandwidth)


@dataclass(frozen=True)
class Job:
    """A training: what crosses in a step, and the seconds of a step of one worker with its rows."""

    count: float
    seconds: float

    def weak(self, link: Link, workers: int) -> float:
        """The share of the time that is computed, where each worker has as many rows as one has alone."""
        return self.seconds / (self.seconds + self.exchange(link, workers))

    def strong(self, link: Link, workers: int) -> float:
        """How many times faster a step is, where the rows of one are divided among all."""
        return self.seconds / (self.seconds / workers + self.exchange(link, workers))

    def exchange(self, link: Link, workers: int) -> float:
        return link.sum_of(self.count, workers) + 2 * link.sum_of(64, workers)


LINKS = {
    "1 Gbit/s, 100 µs": Link(100e-6, 125e6),
    "25 Gbit/s, 30 µs": Link(30e-6, 3.1e9),
}
JOBS = {
    "of 12 layers": Job(12 * 28e6, 4.0),
    "of one for all 12": Job(28e6, 4.0),
}


def sums() -> dict[int, float]:
    """Seconds in which two processes on this machine add up so many bytes, by XGBoost's collective."""
    from xgboost.tracker import RabitTracker

    context = multiprocessing.get_context("spawn")
    tracker = RabitTracker(2, "127.0.0.1")
    tracker.start()
    ours, theirs = context.Pipe()
    workers = [
        context.Process(target=_add, args=(tracker.worker_args(), None if rank else theirs)) for rank in range(2)
    ]
    for worker in workers:
        worker.start()
    found: dict[int, float] = ours.recv()
    for worker in workers:
        worker.join()
    tracker.wait_for()
    return found


def _add(arguments: dict[str, Any], answer: Connection | None) -> None:
    from xgboost import collective

    from wsdl import distributed

    found = {}
    with collective.CommunicatorContext(**arguments):
        own = distributed.xgboost()
        for size in SIZES:
            array, times = np.zeros(size // 8), []
            for _ in range(max(5, min(300, (1 << 26) // size))):
                began = time.perf_counter()
                own.all_reduce(array)
                times.append(time.perf_counter() - began)
            found[size] = median(times)
        if answer is not None:
            answer.send(found)


def this_machine(found: dict[int, float]) -> Link:
    """The link whose sums are those measured: the latency of the smallest, and the slope between the largest ones."""
    (small, most), (large, all_of_it) = list(found.items())[-2:]
    return Link(found[SIZES[0]] / 2, (large - small) / (all_of_it - most))


def modelled(found: dict[int, float]) -> Iterator[str]:
    """The lines of the table of clusters that aren't here."""
    workers = (2, 4, 8, 16, 32, 64)
    yield f"| link | gradients | {' | '.join(f'{p} workers' for p in workers)} |"
    yield f"|---|---|{'---:|' * len(workers)}"
    for link_name, link in {"this machine, measured": this_machine(found), **LINKS}.items():
        for name, job in JOBS.items():
            both = (f"{100 * job.weak(link, p):.0f} %, {job.strong(link, p):.1f} ×" for p in workers)
            yield f"| {link_name} | {name} | {' | '.join(both)} |"


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    found = sums()
    for size, seconds in found.items():
        print(f"{size:>10,} bytes: {1e3 * seconds:.2f} ms", flush=True)
    assert all(a <= 2 * b for (_, a), (_, b) in pairwise(found.items())), "larger sums take longer"
    for place, lines in (("measured", measured()), ("modelled", modelled(found))):
        written = []
        for line in lines:
            print(line, flush=True)
            written.append(line)
        page_tables.write(PAGE, f"<!-- {place}: by `make workers` -->", written)


if __name__ == "__main__":
    main()
