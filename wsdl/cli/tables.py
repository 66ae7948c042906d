"""Tables and figures in the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence

from wsdl.api import Inventory
from wsdl.api.listing import computed_families
from wsdl.cli.terminal import Terminal, print_lines
from wsdl.diagnostics.figures import size
from wsdl.reporting.table import table


def print_table(headers: Sequence[str], rows: Iterable[Sequence[str]], *, text: Sequence[int] = (0,)) -> None:
    """A table on stdout; all columns except those in `text` contain numbers. Long names are folded or shortened."""
    Terminal.of(sys.stdout).draw(table(headers, rows, text=text))


def results_line(results: Mapping[str, float]) -> str:
    """`loss 0.3127  accuracy 0.905`."""
    return "  ".join(f"{name} {value:.4g}" for name, value in results.items())


def repeats(inventory: Inventory) -> Iterator[str]:
    """Lines about layers that are applied more than once, with the same weights."""
    for path, applied in inventory.repeats().items():
        yield f"{path} is applied {applied} times"


def print_computed(inventory: Inventory, most: int | None = None) -> None:
    """A row for each family of tensors that formulas compute: what is stored for them, and what their values take."""
    families = list(computed_families(inventory))
    if not families:
        return
    headers = ["computed weights", "by", "stored", "values"]
    if any(family.written_out for family in families):
        headers.append("in the file")
    rows = [
        [f.name, f.formula, size(f.bytes_of_parts), size(f.bytes), "values" if f.written_out else "parts"]
        for f in families[:most]
    ]
    print_table(headers, (row[: len(headers)] for row in rows), text=(0, 1))
    print_lines([*([f"and {len(families) - len(rows):,} more"] if families[len(rows) :] else []), ""])


def times(uses: int) -> str:
    """`12×`."""
    return f"{uses}×"
