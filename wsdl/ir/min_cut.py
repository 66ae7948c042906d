"""The minimum cut of a flow network: the edges of least total capacity that separate a sink from a source."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from itertools import pairwise
from typing import Generic, TypeVar

Vertex = TypeVar("Vertex", bound=Hashable)
UNLIMITED = 1 << 62


class Network(Generic[Vertex]):
    """A flow network. The capacities of several edges between two vertices add up."""

    def __init__(self) -> None:
        self._left: dict[Vertex, dict[Vertex, int]] = {}  # residual capacities, from each vertex to each other

    def add(self, start: Vertex, end: Vertex, capacity: int = UNLIMITED) -> None:
        """Add an edge."""
        ends = self._left.setdefault(start, {})
        ends[end] = min(UNLIMITED, ends.get(end, 0) + capacity)
        self._left.setdefault(end, {}).setdefault(start, 0)

    def behind_cut(self, source: Vertex, sink: Vertex) -> set[Vertex]:
        """The vertices on the sink's side of the minimum cut; of several minimum cuts, the one nearest to the sink.

        Dinic's algorithm (1970): all shortest augmenting paths of one length are saturated before longer ones.
        """
        while sink in (levels := self._levels(source)):
            remaining = {vertex: list(ends) for vertex, ends in self._left.items()}
            while path := self._path(source, sink, levels, remaining):
                edges = list(pairwise(path))
                flow = min(self._left[start][end] for start, end in edges)
                assert flow < UNLIMITED, "a path from source to sink can't be cut"
                for start, end in edges:
                    if self._left[start][end] < UNLIMITED:
                        self._left[start][end] -= flow
                    if self._left[end][start] < UNLIMITED:
                        self._left[end][start] += flow
        return self._reaching(sink)

    def _levels(self, source: Vertex) -> dict[Vertex, int]:
        """The distance of each vertex from the source, in edges with residual capacity."""
        levels, waiting = {source: 0}, deque([source])
        while waiting:
            start = waiting.popleft()
            for end, left in self._left.get(start, {}).items():
                if left and end not in levels:
                    levels[end] = levels[start] + 1
                    waiting.append(end)
        return levels

    def _path(
        self, source: Vertex, sink: Vertex, levels: dict[Vertex, int], remaining: dict[Vertex, list[Vertex]]
    ) -> list[Vertex]:
        """A shortest augmenting path; empty if there is none. `remaining` are the edges not yet known as dead ends."""
        path = [source]
        while path and path[-1] != sink:
            start = path[-1]
            while ends := remaining[start]:
                if self._left[start][ends[-1]] and levels.get(ends[-1]) == levels[start] + 1:
                    path.append(ends[-1])
                    break
                ends.pop()
            else:
                path.pop()
                if path:
                    remaining[path[-1]].pop()
        return path

    def _reaching(self, sink: Vertex) -> set[Vertex]:
        """The vertices from which the sink can be reached by edges with residual capacity."""
        reaching, waiting = {sink}, [sink]
        while waiting:
            end = waiting.pop()
            for start in self._left.get(end, {}):
                if self._left[start][end] and start not in reaching:
                    reaching.add(start)
                    waiting.append(start)
        return reaching
