"""Tables and figures in the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence

from wsdl.api import Inventory
from wsdl.cli.terminal import Terminal
from wsdl.diagnostics.printable import printable, short


def print_table(headers: Sequence[str], rows: Iterable[Sequence[str]], *, text: Sequence[int] = (0,)) -> None:
    """A table on stdout; all columns but those of `text` hold numbers. Names are folded, and `short`."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for column, header in enumerate(headers):
        is_text = column in text
        table.add_column(header, justify="left" if is_text else "right", overflow="fold", no_wrap=not is_text)
    for row in rows:
        table.add_row(*(printable(short(cell)) for cell in row))
    Terminal.of(sys.stdout).draw(table)


def results_line(results: Mapping[str, float]) -> str:
    """`loss 0.3127  accuracy 0.905`."""
    return "  ".join(f"{name} {value:.4g}" for name, value in results.items())


def repeats(inventory: Inventory) -> Iterator[str]:
    """The layers that share their weights with themselves, by being applied more than once."""
    for path, applied in inventory.repeats().items():
        yield f"{path} is applied {applied} times"


def times(uses: int) -> str:
    """`12×`."""
    return f"{uses}×"
