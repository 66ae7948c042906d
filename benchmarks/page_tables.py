"""Tables in pages of the documentation, each between a line of its own and the next `<!-- end -->`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

END = "<!-- end -->"


def write(page: Path, begin: str, lines: Iterable[str]) -> None:
    """Put lines into a page after the line `begin`, in the place of those that are there. Raises `ValueError` if the
    page has no such place."""
    before, found, rest = page.read_text("utf-8").partition(begin)
    _, ended, after = rest.partition(END)
    if not found or not ended:
        raise ValueError(f"{page} has no place for a table: {begin} and {END}")
    page.write_text("\n".join([before + begin, "", *lines, "", END + after]), "utf-8")


def cells(page: Path, begin: str) -> dict[str, list[str]]:
    """The cells of the table that is there, by the first one of each row; empty where nothing was measured yet."""
    lines = page.read_text("utf-8").partition(begin)[2].partition(END)[0].partition("\n|---")[2].splitlines()[1:]
    rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines if line]
    return {name: others for name, *others in rows}
