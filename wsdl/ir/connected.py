"""Connected components of items that share names."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


def connected(things: Iterable[T], names: Callable[[T], Iterable[str]]) -> list[list[T]]:
    """The items grouped by common names, direct or indirect, in the order of the first item of each group."""
    lists: dict[int, list[tuple[int, T]]] = {}
    of_name: dict[str, int] = {}
    names_of: dict[int, list[str]] = {}
    for number, thing in enumerate(things):
        own = list(names(thing))
        joined = {of_name[name] for name in own if name in of_name}
        largest = max(joined, key=lambda key: len(lists[key]), default=number)
        members, all_names = lists.setdefault(largest, []), names_of.setdefault(largest, [])
        for key in joined - {largest}:
            members += lists.pop(key)
            own += names_of.pop(key)
        members.append((number, thing))
        all_names += own
        of_name.update(dict.fromkeys(own, largest))
    ordered = sorted(sorted(members, key=lambda m: m[0]) for members in lists.values())
    return [[thing for _, thing in members] for members in ordered]
