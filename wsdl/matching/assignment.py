"""The assignment problem: which of the pairs of two sets has the largest total score (Kuhn 1955, Munkres 1957)."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf


def assignment(scores: Mapping[tuple[int, int], float]) -> dict[int, int]:
    """From pairs (row, column) with positive scores those with the largest total, each row and column at most once.
    Rows and columns that no chain of pairs connects are assigned separately."""
    chosen: dict[int, int] = {}
    for rows, columns in _components(scores):
        turned = len(rows) > len(columns)
        if turned:
            rows, columns = columns, rows
        costs = [[-scores.get((c, r) if turned else (r, c), 0.0) for c in columns] for r in rows]
        for i, j in enumerate(_cheapest(costs)):
            row, column = (columns[j], rows[i]) if turned else (rows[i], columns[j])
            if (row, column) in scores:
                chosen[row] = column
    return chosen


def _components(scores: Mapping[tuple[int, int], float]) -> list[tuple[list[int], list[int]]]:
    """The rows and columns of each set of pairs that are connected."""
    by_row: dict[int, list[int]] = {}
    by_column: dict[int, list[int]] = {}
    for row, column in scores:
        by_row.setdefault(row, []).append(column)
        by_column.setdefault(column, []).append(row)
    components = []
    left = dict.fromkeys(by_row)
    while left:
        rows, columns, waiting = set[int](), set[int](), [next(iter(left))]
        while waiting:
            row = waiting.pop()
            if row in rows:
                continue
            rows.add(row)
            del left[row]
            for column in by_row[row]:
                if column not in columns:
                    columns.add(column)
                    waiting += by_column[column]
        components.append((sorted(rows), sorted(columns)))
    return components


def _cheapest(costs: list[list[float]]) -> list[int]:
    """The column of each row in the assignment with the smallest total of costs [rows, columns], of which there are at
    least as many columns. Shortest augmenting paths with potentials (Jonker and Volgenant 1987)."""
    count, width = len(costs), len(costs[0])
    of_rows, of_columns = [0.0] * (count + 1), [0.0] * (width + 1)
    row_of, before = [0] * (width + 1), [0] * (width + 1)
    for row in range(1, count + 1):
        row_of[0], column = row, 0
        least, done = [inf] * (width + 1), [False] * (width + 1)
        while row_of[column]:
            done[column] = True
            current, delta, following = row_of[column], inf, 0
            for j in range(1, width + 1):
                if not done[j]:
                    reduced = costs[current - 1][j - 1] - of_rows[current] - of_columns[j]
                    if reduced < least[j]:
                        least[j], before[j] = reduced, column
                    if least[j] < delta:
                        delta, following = least[j], j
            for j in range(width + 1):
                if done[j]:
                    of_rows[row_of[j]] += delta
                    of_columns[j] -= delta
                else:
                    least[j] -= delta
            column = following
        while column:
            row_of[column] = row_of[before[column]]
            column = before[column]
    columns = [0] * count
    for j in range(1, width + 1):
        if row_of[j]:
            columns[row_of[j] - 1] = j - 1
    return columns
