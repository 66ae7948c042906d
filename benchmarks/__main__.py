"""Print the tables, row by row as they are measured."""

from __future__ import annotations

from benchmarks import sharing

HEADINGS = ("example", "stored", "unshared", "saved", "on disk", "copies", "compile")
LAYOUT = "{:<20} {:>10} {:>10} {:>6} {:>10} {:>6} {:>8}"


def main() -> None:
    print("What sharing saves; sizes in kB, copies after the runtime's optimizer, seconds to compile and prove\n")
    print(LAYOUT.format(*HEADINGS))
    for row in sharing.measure():
        saved = 1 - row.stored / row.without_sharing if row.without_sharing else 0.0
        sizes = [f"{size / 1000:,.1f}" for size in (row.stored, row.without_sharing, row.on_disk)]
        print(LAYOUT.format(row.name, *sizes[:2], f"{saved:.0%}", sizes[2], row.copies, f"{row.seconds:.2f}"))


if __name__ == "__main__":
    main()
