"""Print the tables of speed, row by row as they are measured; all of them, or those that are named."""

from __future__ import annotations

import argparse
from importlib import import_module

PARTS = ("exporting", "inference", "checking", "growth", "throughput", "recurrent")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="all of them by default")
    for part in parser.parse_args().parts or PARTS:
        for line in import_module(f"benchmarks.speed.{part}").table():
            print(line, flush=True)
        print()


if __name__ == "__main__":
    main()
