"""How much of the tables of published networks `wsdl match` proposes: `make match` measures it and writes the table."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import page_tables
from references.matching import Measured, by_sureness, of_network, of_published
from references.published import PUBLISHED
from references.vision.catalogue import NETWORKS

PAGE = Path(__file__).parents[1] / "docs" / "match-weights.md"
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
            yield published.of, of_published(published, Path(folder))
    for network in NETWORKS:
        yield network.name, of_network(network)


def _row(name: str, found: Measured) -> str:
    cells = [f"`{name}`", found.total, f"{found.share:.0%}", by_sureness(found.right), found.lines, found.proposed]
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    main()
