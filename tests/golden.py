"""Expected texts in files: `golden(path, text)` fails where they differ, and shows how; `make golden` writes them.

A change of such a file is reviewed as what it is, a change of what people see.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from difflib import unified_diff
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LONGEST = 200  # lines of a difference that are shown


@dataclass
class Golden:
    """The fixture `golden`. `differences` are those that it has written, one for each file."""

    update: bool
    differences: list[str] = field(default_factory=list)

    def __call__(self, path: Path, actual: str) -> None:
        expected = path.read_text(encoding="utf-8") if path.exists() else ""
        if actual == expected and path.exists():
            return
        difference = _difference(path, expected, actual)
        if not self.update:
            pytest.fail(f"{difference}\nif that is meant, `make golden` writes it", pytrace=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(actual, encoding="utf-8", newline="\n")
        self.differences.append(difference)


def _difference(path: Path, expected: str, actual: str) -> str:
    """What has changed in a file, as a unified diff."""
    name = str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
    lines = [*unified_diff(expected.splitlines(), actual.splitlines(), name, f"{name} (now)", lineterm="")]
    more = len(lines) - LONGEST
    return "\n".join([*lines[:LONGEST], *([f"… and {more} more lines"] if more > 0 else [])])
