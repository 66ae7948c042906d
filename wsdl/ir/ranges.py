"""Paths that differ in an index alone, written as one: `blocks[0].up` … `blocks[11].up` is `blocks[0:12].up`.

So what a file says about its sharing doesn't grow with the depth of the network.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeAlias

Parts: TypeAlias = tuple[str, ...]  # texts and indices in turn: ("m.blocks", "3", ".heads", "0:2", ".weight")

_INDEX = re.compile(r"\[([\d:]+)\]")


def compact(paths: Iterable[str]) -> list[str]:
    """The paths with ranges for runs of indices, in the order of their first member."""
    parts: list[Parts] = [tuple(_INDEX.split(path)) for path in paths]
    for position in range(1, max((len(p) for p in parts), default=0), 2):
        parts = _merged(parts, position)
    return ["".join(f"[{text}]" if i % 2 else text for i, text in enumerate(p)) for p in parts]


def expand(path: str) -> list[str]:
    """All paths that one with ranges stands for."""
    match = re.search(r"\[(\d+):(\d+)\]", path)
    if match is None:
        return [path]
    before, after = path[: match.start()], path[match.end() :]
    return [p for i in range(int(match[1]), int(match[2])) for p in expand(f"{before}[{i}]{after}")]


def _merged(parts: list[Parts], position: int) -> list[Parts]:
    """Runs of indices at one position become ranges, where all else is the same."""
    families: dict[Parts, list[int]] = {}
    alone: list[Parts] = []
    for p in parts:
        if position < len(p) and p[position].isdigit():
            families.setdefault((*p[:position], "", *p[position + 1 :]), []).append(int(p[position]))
        else:
            families.setdefault(p, [])
    for family, indices in families.items():
        if not indices:
            alone.append(family)
        for start, stop in _runs(sorted(indices)):
            index = str(start) if stop == start + 1 else f"{start}:{stop}"
            alone.append((*family[:position], index, *family[position + 1 :]))
    return alone


def _runs(numbers: list[int]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number:
            runs[-1] = (runs[-1][0], number + 1)
        else:
            runs.append((number, number + 1))
    return runs
