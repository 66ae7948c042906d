"""The tables on the pages of the examples, between `<!-- measured -->` and `<!-- end -->`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks.examples.rows import Row

PAGES = Path(__file__).parents[2] / "examples" / "training"
BEGIN, END = "<!-- measured: by `make train-examples` -->", "<!-- end -->"


def write(page: str, rows: Iterable[Row]) -> None:
    """Put a table of rows into a page, in the place of the one that is there."""
    path = PAGES / f"{page}.md"
    before, begin, rest = path.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} has no place for a table: {BEGIN} and {END}")
    path.write_text(f"{before}{BEGIN}\n\n{table(rows)}\n\n{END}{after}", encoding="utf-8")


def read(page: str) -> dict[str, list[str]]:
    """The cells of the table on a page, by the name of the training; empty where none was measured yet."""
    text = (PAGES / f"{page}.md").read_text("utf-8").partition(BEGIN)[2].partition(END)[0]
    rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in text.splitlines() if "`" in line]
    return {name: cells for name, *cells in rows}


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
