"""One measurement in a process of its own, its answer a line of JSON: what `__main__` starts."""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np

import wsdl
from benchmarks.memory import growth
from benchmarks.training.cases import CASES, Case, parameters

STEPS = 5  # over which the losses must agree
TOLERANCE = 1e-3


def times(case: Case, threads: int, seconds: float, compiled: bool) -> dict[str, Any]:
    """Seconds for a step of each contender, and how far our losses are from PyTorch's."""
    import torch

    from benchmarks.timing import quartiles
    from benchmarks.training import theirs

    torch.set_num_threads(threads)
    program, batches = case.program(), case.batches()
    weights = parameters(program, case.model)
    contenders: dict[str, Any] = {"ours": program.trainer(case.model, threads=threads).step}
    for name, setting in theirs.settings(case).items():
        if compiled or name != "compile":
            contenders[name] = theirs.step(case, weights, **setting)
    first = {name: [contenders[name](batches[i % 4]) for i in range(STEPS)] for name in ("ours", "eager")}
    error = max(abs(a / b - 1) for a, b in zip(first["ours"], first["eager"], strict=True))
    if error > TOLERANCE:
        return {"error": error, "times": {}}
    return {"error": error, "times": quartiles(contenders, batches, threads, seconds)}


WARM = """
model small(x: f32[n, 4]) -> (y: f32[n, 4]) {
    return Dense(4)(x)
}
train small() {
    loss mean(y ** 2)
    optimizer AdamW(lr=1e-3)
}
"""


def memory(case: Case, side: str, threads: int) -> float:
    """MB that training takes in ours or in PyTorch, beyond the initial weights and the libraries."""
    program = case.program()
    weights = parameters(program, case.model)
    if side == "ours":
        wsdl.compile(WARM).trainer(threads=threads).step({"x": np.ones((4, 4), np.float32)})
        return growth(lambda: program.trainer(case.model, threads=threads).step, case.batches())

    import torch

    from benchmarks.training import theirs

    torch.set_num_threads(threads)
    layer = torch.nn.Linear(4, 4)
    optimizer = torch.optim.AdamW(layer.parameters())
    layer(torch.ones(4, 4)).sum().backward()
    optimizer.step()
    return growth(lambda: theirs.step(case, weights), case.batches())


def main() -> None:
    asked = json.loads(sys.argv[1])
    case, threads = CASES[asked["case"]], asked["threads"]
    if asked["what"] == "times":
        answer: Any = times(case, threads, asked["seconds"], asked["compiled"])
    else:
        answer = memory(case, asked["what"], threads)
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
