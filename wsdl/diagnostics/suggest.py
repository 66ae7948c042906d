"""Suggestions for misspelled names."""

from __future__ import annotations

from collections.abc import Iterable

LONGEST = 100  # characters; comparing two names takes time in the product of their lengths


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate of which a name is probably a misspelling, or `None`.

    Preferred are names that differ in case (`lstm` for `LSTM`), then names of which one is a prefix of the other
    (`kernel_size` for `kernel`), then names with the most letters in common. Names of one letter match only exactly.
    """
    others = sorted(set(candidates) - {name})
    for candidate in others:
        if candidate.lower() == name.lower():
            return candidate
    if not 2 <= len(name) <= LONGEST:
        return None
    scored = [
        (_likeness(name.lower(), candidate.lower()), candidate) for candidate in others if 1 < len(candidate) <= LONGEST
    ]
    best = max(scored, key=lambda pair: pair[0], default=(0.0, ""))
    return best[1] if best[0] >= 0.65 else None


def _likeness(name: str, candidate: str) -> float:
    """From 0 to 1; letters in another order (`nrom`) count as letters in common."""
    from difflib import SequenceMatcher

    likeness = SequenceMatcher(None, name, candidate, autojunk=False).ratio()
    if sorted(name) == sorted(candidate):
        likeness = max(likeness, 0.9)
    shorter, longer = sorted((name, candidate), key=len)
    if len(shorter) >= 3 and 2 * len(shorter) >= len(longer) and longer.startswith(shorter):
        likeness = max(likeness, 0.7)
    return likeness
