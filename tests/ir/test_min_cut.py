"""Minimum cuts, against all cuts that there are."""

from __future__ import annotations

from itertools import chain, combinations
from random import Random

from tests.together import together
from wsdl.ir.min_cut import Network

N = 7  # vertices; the first is the source, the last the sink


@together("seed", range(40), by=lambda seed: f"{seed // 10}x")
def test_the_smallest_of_the_cheapest_cuts(seed: int) -> None:
    random = Random(seed)
    edges = [(*random.sample(range(N), 2), random.randint(1, 4)) for _ in range(random.randint(5, 18))]
    network: Network[int] = Network()
    network.add(0, N - 1, 1)
    for start, end, capacity in edges:
        network.add(start, end, capacity)
    inner = range(1, N - 1)
    sides = [{N - 1, *side} for side in chain.from_iterable(combinations(inner, size) for size in range(N - 1))]
    costs = [sum(c for start, end, c in edges if start not in side and end in side) for side in sides]
    best = [side for side, cost in zip(sides, costs, strict=True) if cost == min(costs)]
    assert network.behind_cut(0, N - 1) == set.intersection(*best)


def test_what_is_not_connected_is_not_behind() -> None:
    network: Network[str] = Network()
    network.add("source", "a", 3)
    network.add("b", "sink", 3)
    assert network.behind_cut("source", "sink") == {"b", "sink"}
