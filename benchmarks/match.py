"""How much of the tables of published networks `wsdl match` proposes: `make match` measures it and writes the table."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import page_tables
from references.matching import Measured, by_sureness, measured
from references.published import PUBLISHED
from references.vision.catalogue import NETWORKS
from wsdl.diagnostics.span import Source

PAGE = Path(__file__).parents[1] / "docs" / "load-weights.md"
BEGIN = "<!-- table: published -->"
REQUIRED = 0.95  # of the parameters of each


def main() -> None:
    lines = [
        "| network | parameters | right | of these | lines by hand | lines proposed |",
        "|---|---:|---:|---|---:|---:|",
    ]
    worse = []
    for name, found in _measured():
        lines.append(_row(name, found))
        print(lines[-1], flush=True)
        worse += [name] if found.share < REQUIRED else []
    page_tables.write(PAGE, BEGIN, lines)
    sys.exit(f"worse than required: {', '.join(worse)}" if worse else 0)


def _measured() -> Iterator[tuple[str, Measured]]:
    for published in PUBLISHED:
        with TemporaryDirectory() as folder:
            yield published.of, measured(published.source(Path(folder), published.twin()))
    for network in NETWORKS:
        with TemporaryDirectory() as folder:
            path = network.saved(Path(folder), network.twin())
            yield network.name, measured(Source(str(path), path.read_text("utf-8")))


def _row(name: str, found: Measured) -> str:
    total = found.right.total() + found.wrong.total() + found.missing
    cells = [f"`{name}`", total, f"{found.share:.0%}", by_sureness(found.right), found.lines, found.proposed]
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    main()
