"""Tables and figures in the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence

from wsdl.api import Inventory
from wsdl.api.inspection import computed_table
from wsdl.cli.terminal import Terminal, print_lines
from wsdl.reporting.table import table


def print_table(headers: Sequence[str], rows: Iterable[Sequence[str]], *, text: Sequence[int] = (0,)) -> None:
    """A table on stdout; all columns except those in `text` contain numbers. Long names are folded or shortened."""
    Terminal.of(sys.stdout).draw(table(headers, rows, text=text))


def results_line(results: Mapping[str, float]) -> str:
    """`loss 0.3127  accuracy 0.905`."""
    return "  ".join(f"{name} {value:.4g}" for name, value in results.items())


def print_computed(inventory: Inventory, most: int | None = None) -> None:
    """A row for each family of tensors that formulas compute: what is stored for them, and what their values take."""
    computed = computed_table(inventory)
    if computed is None:
        return
    headers, rows, text = computed
    print_table(headers, rows[:most], text=text)
    print_lines([*([f"and {len(rows[most:]):,} more"] if most is not None and rows[most:] else []), ""])
