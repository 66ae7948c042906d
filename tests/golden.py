"""Expected texts in files: `golden(path, text)` fails where they differ, `pytest --update-golden` writes them.

A change of such a file is reviewed as what it is, a change of what people see.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Golden:
    update: bool

    def __call__(self, path: Path, actual: str) -> None:
        if self.update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(actual, encoding="utf-8", newline="\n")
            return
        assert path.exists(), f"no {path.name} yet: run pytest --update-golden and read what it wrote"
        assert actual == path.read_text(encoding="utf-8")
