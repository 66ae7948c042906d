"""Tables in HTML, for notebooks, which style them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from html import escape

from wsdl.diagnostics.printable import printable, short


def html_table(headers: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Collection[int] = ()) -> str:
    """All columns except `numbers` are text."""
    return f"<table><thead>{_row('th', headers, numbers)}</thead><tbody>" + (
        "".join(_row("td", row, numbers) for row in rows) + "</tbody></table>"
    )


def _row(tag: str, cells: Sequence[str], numbers: Collection[int]) -> str:
    aligned = (("right" if column in numbers else "left", cell) for column, cell in enumerate(cells))
    shown = (f'<{tag} style="text-align:{side}">{escape(printable(short(c)))}</{tag}>' for side, c in aligned)
    return f"<tr>{''.join(shown)}</tr>"
