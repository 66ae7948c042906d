"""How much of the processor `wsdl check` takes, with warm caches: a process from its start to its end."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = ("lm", "resnet18", "albert_all", "t5")
SECONDS, ROUNDS = 0.35, 15  # what is aimed at for the first, and how often each is run
LAYOUT = "{:<18} {:>9} {:>9} {:>9} {:>8}"


def table() -> Iterator[str]:
    yield f"`wsdl check`, CPU seconds of the whole process: aimed at {SECONDS} for `{NAMES[0]}`"
    yield LAYOUT.format("", "least", "quartile", "median", "")
    taken: dict[str, list[float]] = {name: [] for name in ("python alone", *NAMES)}
    for _ in range(ROUNDS):
        for name, seconds in taken.items():
            seconds.append(_seconds(name))
    for name, seconds in taken.items():
        quartile = float(np.quantile(seconds, 0.25))
        met = ("met" if quartile <= SECONDS else "missed") if name == NAMES[0] else ""
        figures = (min(seconds), quartile, float(np.median(seconds)))
        yield LAYOUT.format(name, *(f"{figure:.3f}" for figure in figures), met)


def _seconds(name: str) -> float:
    wsdl = Path(sys.executable).with_name("wsdl")
    command: list[str | Path] = [sys.executable, "-c", ""]
    if name != "python alone":
        command = [wsdl, "check", EXAMPLES / f"{name}.wsd"]
    before = _used()
    environment = {n: v for n, v in os.environ.items() if n != "PYTHONDONTWRITEBYTECODE"}  # the caches are to be warm
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return _used() - before


def _used() -> float:
    """By processes that were started and have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime
