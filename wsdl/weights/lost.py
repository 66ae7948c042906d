"""What parameters lose that are fitted to loaded values, as shares of a norm and as text."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from wsdl.diagnostics.figures import listed

MOST_SINGLE = 6  # parameters that are listed one by one


@dataclass(frozen=True)
class Loss:
    """The difference between a slot and its loaded value: its norm as a share of `norm`, that of the loaded value."""

    share: float
    norm: float


def percent(share: float) -> str:
    """`18.3 %`."""
    return f"{100 * share:.3g} %"


def overall(losses: Iterable[Loss]) -> float:
    """The share of the norm of all tensors together."""
    losses = list(losses)
    missed, whole = (
        sum(x * x for x in xs) for xs in ([loss.share * loss.norm for loss in losses], [loss.norm for loss in losses])
    )
    return math.sqrt(missed / whole) if whole else 0.0


def lines_of(shares: Iterable[tuple[str, float]]) -> list[str]:
    """What parameters lose, the worst first; in long lists those of one path but for its indices are one line."""
    worst = sorted(shares, key=lambda item: -item[1])
    if len(worst) <= MOST_SINGLE:
        return [f"{slot}: {percent(share)}" for slot, share in worst]
    groups: dict[str, list[tuple[str, float]]] = {}
    for slot, share in worst:
        groups.setdefault(re.sub(r"\[\d+\]", "[*]", slot), []).append((slot, share))
    return listed([
        f"{path}: {percent(some[-1][1])} to {percent(some[0][1])} ({len(some)} parameters)"
        if len(some) > 1
        else f"{some[0][0]}: {percent(some[0][1])}"
        for path, some in groups.items()
    ])  # fmt: skip
