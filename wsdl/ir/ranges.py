"""Ranges of paths that differ in one index: `blocks[0].up` … `blocks[11].up` is `blocks[0:12].up`.

So the metadata about sharing doesn't grow with the depth of the network.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from math import prod
from typing import TypeAlias

Parts: TypeAlias = tuple[str, ...]  # texts and indices in turn: ("m.blocks", "3", ".heads", "0:2", ".weight")

_INDEX = re.compile(r"\[([\d:]+)\]")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")  # as an index is written
_RANGE = re.compile(r"\[(\d+):(\d+)\]")


def compact(paths: Iterable[str]) -> list[str]:
    """The paths with ranges for runs of indices, in the order of their first member."""
    return [text for text, _ in runs(paths)]


def runs(paths: Iterable[str]) -> list[tuple[str, list[str]]]:
    """The same, each with the paths in the range."""
    parts: dict[Parts, list[str]] = {}
    for path in paths:
        parts.setdefault(tuple(_INDEX.split(path)), []).append(path)
    for position in range(1, max((len(p) for p in parts), default=0), 2):
        parts = _merged(parts, position)
    return [("".join(f"[{text}]" if i % 2 else text for i, text in enumerate(p)), m) for p, m in parts.items()]


def expand(path: str) -> list[str]:
    """All paths of a path with ranges; use `count` first for untrusted texts."""
    match = _RANGE.search(path)
    if match is None:
        return [path]
    before, after = path[: match.start()], path[match.end() :]
    return [p for i in range(int(match[1]), int(match[2])) for p in expand(f"{before}[{i}]{after}")]


def count(path: str) -> int:
    """The number of paths of a path with ranges. Raises `ValueError` for invalid numbers."""
    return prod(max(int(stop) - int(start), 0) for start, stop in _RANGE.findall(path))


def _merged(parts: Mapping[Parts, list[str]], position: int) -> dict[Parts, list[str]]:
    """Runs of indices at one position become ranges, where all else is the same."""
    families: dict[Parts, dict[int, list[str]]] = {}
    merged: dict[Parts, list[str]] = {}
    for p, members in parts.items():
        if position < len(p) and _NUMBER.fullmatch(p[position]):
            families.setdefault((*p[:position], "", *p[position + 1 :]), {})[int(p[position])] = members
        else:
            families.setdefault(p, {})
    for family, indices in families.items():
        if not indices:
            merged.setdefault(family, []).extend(parts[family])
        for start, stop in _runs(sorted(indices)):
            index = str(start) if stop == start + 1 else f"{start}:{stop}"
            joined = [path for i in range(start, stop) for path in indices[i]]
            merged.setdefault((*family[:position], index, *family[position + 1 :]), []).extend(joined)
    return merged


def _runs(indices: list[int]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for number in indices:
        if runs and runs[-1][1] == number:
            runs[-1] = (runs[-1][0], number + 1)
        else:
            runs.append((number, number + 1))
    return runs
