"""How much of the tables of published networks `wsdl match` proposes: `make match` measures it and writes the table."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import page_tables
from references.matching import Measured, by_sureness, measured
from references.published import PUBLISHED

PAGE = Path(__file__).parents[1] / "docs" / "load-weights.md"
BEGIN = "<!-- table: published -->"
REQUIRED = 0.95  # of the parameters of each


def main() -> None:
    lines = [
        "| class | parameters | right | of these | lines by hand | lines proposed |",
        "|---|---:|---:|---|---:|---:|",
    ]
    worse = []
    for published in PUBLISHED:
        with TemporaryDirectory() as folder:
            found = measured(published.source(Path(folder), published.twin()))
        lines.append(_row(published.of, found))
        print(lines[-1])
        worse += [published.name] if found.share < REQUIRED else []
    page_tables.write(PAGE, BEGIN, lines)
    sys.exit(f"worse than required: {', '.join(worse)}" if worse else 0)


def _row(name: str, found: Measured) -> str:
    total = found.right.total() + found.wrong.total() + found.missing
    cells = [f"`{name}`", total, f"{found.share:.0%}", by_sureness(found.right), found.lines, found.proposed]
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    main()
