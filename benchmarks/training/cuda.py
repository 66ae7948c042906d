"""A step of training on a GPU beside PyTorch's there: losses of the first steps, then times by the clock.

    python -m benchmarks.training.cuda

It needs `onnxruntime-gpu`, and a PyTorch for CUDA.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from benchmarks.timing import quartiles
from benchmarks.training import theirs
from benchmarks.training.cases import CASES, Case, parameters

LAYOUT = "{:<20} {:>9} {:>9} {:>9} {:>8} {:>9}"
STEPS = 5  # over which the losses are compared
ROWS = 256  # of a batch: as small ones are, the GPU would wait for the processor


def main() -> None:
    torch.backends.cudnn.allow_tf32 = False  # as for products of matrices, and here
    print(LAYOUT.format("", "ours ms", "eager ms", "fused ms", "ours/", "error"))
    print(LAYOUT.format("", "", "", "", "eager", "of loss"), flush=True)
    for case in CASES.values():
        for sized in (case, replace(case, name="  256 rows", x=(ROWS, *case.x[1:]))):
            if sized.x != case.x or sized is case:
                row(sized)


def row(case: Case) -> None:
    program, batches = case.program(), case.batches()
    weights = parameters(program, case.model)
    contenders = {
        "ours": program.trainer(case.model, device="cuda").step,
        "eager": theirs.step(case, weights, device="cuda"),
        "fused": theirs.step(case, weights, device="cuda", fused=True),
    }
    first = {name: [contenders[name](batches[i % 4]) for i in range(STEPS)] for name in ("ours", "eager")}
    error = max(abs(a / b - 1) for a, b in zip(first["ours"], first["eager"], strict=True))
    times = quartiles(contenders, batches, 2, seconds=2)
    ms = [f"{times[name] * 1e3:.2f}" for name in contenders]
    print(LAYOUT.format(case.name, *ms, f"{times['ours'] / times['eager']:.2f}", f"{error:.0e}"), flush=True)


if __name__ == "__main__":
    main()
