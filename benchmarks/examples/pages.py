"""The tables on the pages of the examples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks import page_tables
from benchmarks.examples.rows import Row

PAGES = Path(__file__).parents[2] / "examples" / "training"
BEGIN = "<!-- measured: by `make train-examples` -->"


def write(page: str, rows: Iterable[Row]) -> None:
    """Put a table of rows into a page, in the place of the one that is there."""
    page_tables.write(PAGES / f"{page}.md", BEGIN, _lines(list(rows)))


def read(page: str) -> dict[str, list[str]]:
    """The cells of the table on a page, by the name of the training; empty where none was measured yet."""
    return page_tables.cells(PAGES / f"{page}.md", BEGIN)


def table(rows: Iterable[Row]) -> str:
    """A row for each training; rows of one table may have results of several kinds."""
    return "\n".join(_lines(list(rows)))


def _lines(rows: list[Row]) -> Iterator[str]:
    yield "| | parameters | without sharing | step | in PyTorch | ratio | metric | result | in PyTorch |"
    yield "|---|---:|---:|---:|---:|---:|---|---:|---:|"
    for row in rows:
        example, (ours, theirs) = row.example, row.steps
        yield (
            f"| `{example.name}` | {row.stored:,} | {row.unshared:,} | {ours:.2f} ms | {theirs:.2f} ms "
            f"| {ours / theirs:.2f} | {example.measure.name} | {_result(row.results[0])} | {_result(row.results[1])} |"
        )


def _result(number: float) -> str:
    return f"{number:.5f}" if abs(number) < 0.1 else f"{number:.3f}"
