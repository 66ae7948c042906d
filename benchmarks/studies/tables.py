"""The record of a study as a table of a page, after `<!-- measured: by `make TARGET` -->`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks import page_tables
from wsdl.diagnostics.figures import size


def read(folder: Path) -> Any:
    return json.loads((folder / "study.json").read_text("utf-8"))


def rows(page: Path, target: str) -> dict[str, list[str]]:
    """The cells of the table on a page, by the name of the variant."""
    return page_tables.cells(page, _begin(target))


def write(page: Path, target: str, record: Any, metrics: Mapping[str, int], *, has_times: bool = True) -> None:
    """Put the table of `lines` into a page, in the place of the one that is there."""
    page_tables.write(page, _begin(target), lines(record, metrics, has_times=has_times))


def _begin(target: str) -> str:
    return f"<!-- measured: by `make {target}` -->"


def lines(record: Any, metrics: Mapping[str, int], *, has_times: bool) -> Iterator[str]:
    """A row for each variant. `metrics` has the decimals of each; the last one is compared with the base."""
    compared = [*metrics][-1]
    base = record["variants"][0]["base"]
    headings = ["parameters", "size", *(["step"] if has_times else []), *(name.replace("_", " ") for name in metrics)]
    headings += [f"{compared.replace('_', ' ')} less `{base}`", "p"]
    yield f"| variant | {' | '.join(headings)} | |"
    yield f"|---|{'---:|' * len(headings)}---|"
    for variant in record["variants"]:
        cells = [
            f"`{variant['name']}`",
            f"{variant['parameters']:,}",
            size(variant["bytes"]),
            *([f"{variant['step_ms']:.1f} ms"] if has_times else []),
            *(_spread(variant["metrics"][name], decimals) for name, decimals in metrics.items()),
            *_compared(variant["differences"].get(compared), metrics[compared]),
        ]
        yield f"| {' | '.join(cells)} |"


def _spread(spread: Any, decimals: int) -> str:
    return f"{spread['mean']:.{decimals}f} ± {spread['std']:.{decimals}f}"


def _compared(difference: Any, decimals: int) -> list[str]:
    """The difference, its p, and whether it is noise."""
    if difference is None:
        return ["", "", ""]
    mean = f"{difference['mean']:+.{decimals}f}".replace("-", "−")
    p = difference["p"]
    shown = "" if p is None else f"{p:.2g}" if p >= 0.001 else "< 0.001"
    return [mean, shown, "noise" if difference["is_noise"] else ""]
