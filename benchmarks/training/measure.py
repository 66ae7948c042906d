"""One measurement in a process of its own, its answer a line of JSON: what `__main__` starts."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.training.cases import CASES, Case, parameters

STEPS = 5  # over which the losses must agree
TOLERANCE = 1e-3


def times(case: Case, folder: Path, threads: int, seconds: float, compiled: bool) -> dict[str, Any]:
    """Seconds for a step of each contender, and how far our losses are from PyTorch's."""
    import torch

    from benchmarks.training import ours, theirs
    from benchmarks.training.timing import quartiles

    torch.set_num_threads(threads)
    weights, batches = [array for _, array in parameters(case.program(), case.model)], case.batches()
    contenders: dict[str, Any] = {"ours": ours.Step(folder, case.model, threads)}
    for name, setting in theirs.settings(case).items():
        if compiled or name != "compile":
            contenders[name] = theirs.step(case, weights, **setting)
    first = {name: [contenders[name](batches[i % 4]) for i in range(STEPS)] for name in ("ours", "eager")}
    error = max(abs(a / b - 1) for a, b in zip(first["ours"], first["eager"], strict=True))
    if error > TOLERANCE:
        return {"error": error, "times": {}}
    return {"error": error, "times": quartiles(contenders, batches, threads, seconds)}


def memory_of_ours(case: Case, folder: Path, threads: int) -> float:
    import numpy as np

    from benchmarks.training import ours
    from benchmarks.training.memory import growth

    return growth(
        lambda: ours.Step(folder, case.model, threads), case.batches(), lambda: np.ones((64, 64)) @ np.ones(64)
    )


def memory_of_theirs(case: Case, threads: int) -> float:
    import torch
    from torch import nn

    from benchmarks.training import theirs
    from benchmarks.training.memory import growth

    torch.set_num_threads(threads)
    weights = [array for _, array in parameters(case.program(), case.model)]

    def warm() -> None:
        layer = nn.Linear(64, 64)
        optimizer = torch.optim.AdamW(layer.parameters())
        layer(torch.ones(64, 64)).sum().backward()
        optimizer.step()

    return growth(lambda: theirs.step(case, weights), case.batches(), warm)


def main() -> None:
    asked = json.loads(sys.argv[1])
    case, threads, folder = CASES[asked["case"]], asked["threads"], Path(asked["folder"])
    if asked["what"] == "times":
        answer: Any = times(case, folder, threads, asked["seconds"], asked["compiled"])
    elif asked["what"] == "memory of ours":
        answer = memory_of_ours(case, folder, threads)
    else:
        answer = memory_of_theirs(case, threads)
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
