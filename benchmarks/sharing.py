"""What sharing saves in each example, and how long compiling and proving it takes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"


@dataclass(frozen=True)
class Row:
    """One example; sizes in bytes, copies as the worst of its stored tensors after the runtime's optimizer."""

    name: str
    stored: int
    without_sharing: int
    on_disk: int
    copies: int
    seconds: float


def measure() -> Iterator[Row]:
    for path in filter(_is_complete, sorted(EXAMPLES.glob("*.wsd"))):
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            compiled = answer("compile", path, "-o", folder, "--json")
            seconds = time.perf_counter() - start
            on_disk = sum(file.stat().st_size for file in Path(folder).iterdir() if file.suffix in (".onnx", ".data"))
        models = compiled["models"].values()
        yield Row(
            path.stem,
            sum(model["bytes"] for model in models),
            sum(model["bytes_without_sharing"] for model in models),
            on_disk,
            max((proof["copies_after_optimization"] or 1 for proof in compiled["proof"]), default=1),
            seconds,
        )


def _is_complete(path: Path) -> bool:
    """Are the weights that it loads here?"""
    return all((path.parent / file).is_file() for file in re.findall(r'^load "([^"]+)"', path.read_text("utf-8"), re.M))


def answer(*arguments: str | Path) -> dict[str, Any]:
    """What `wsdl` answers, as a script sees it."""
    command = Path(sys.executable).with_name("wsdl")
    done = subprocess.run([command, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"wsdl {' '.join(map(str, arguments))} failed:\n{done.stdout}{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found
