"""Train, measure, and write the tables, page by page."""

from __future__ import annotations

import argparse
import sys
import time

from benchmarks.examples import pages
from benchmarks.examples.rows import Row, measure
from references.training.catalogue import TRAININGS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.examples", description=__doc__)
    names = list(dict.fromkeys(example.page for example in TRAININGS))
    parser.add_argument("pages", nargs="*", metavar="PAGE", help=f"of {', '.join(names)}; by default all of them")
    chosen = parser.parse_args().pages or names
    if unknown := set(chosen) - set(names):
        parser.error(f"there is no page {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    start, missed = time.perf_counter(), []
    for name in chosen:
        rows = [_told(measure(example)) for example in TRAININGS if example.page == name]
        pages.write(name, rows)
        missed += [row.example.name for row in rows if not _is_good(row)]
    print(f"{(time.perf_counter() - start) / 60:.0f} minutes in all")
    sys.exit(f"worse than required: {', '.join(missed)}" if missed else 0)


def _is_good(row: Row) -> bool:
    measure = row.example.measure
    return measure.is_reached(row.results[0], measure.required)


def _told(row: Row) -> Row:
    print(pages.table([row]).splitlines()[-1], f" trained in {row.seconds[0]:.0f} s and {row.seconds[1]:.0f} s")
    return row


if __name__ == "__main__":
    main()
