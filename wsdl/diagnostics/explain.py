"""The pages that explain codes: `codes/<CODE>.md`."""

from __future__ import annotations

from functools import cache
from pathlib import Path

CODES = Path(__file__).parent / "codes"


@cache
def codes() -> tuple[str, ...]:
    """All codes that have a page, in order."""
    return tuple(sorted(page.stem for page in CODES.glob("*.md")))


def explain(code: str) -> str:
    """The page of a code, as Markdown; `KeyError` where there is none."""
    name = code.strip().upper()
    if name not in codes():
        raise KeyError(code)
    return (CODES / f"{name}.md").read_text(encoding="utf-8")


def title(code: str) -> str:
    """The first line of the page, without the code; empty where there is no page."""
    try:
        first = explain(code).partition("\n")[0]
    except KeyError:
        return ""
    return first.partition(": ")[2]
