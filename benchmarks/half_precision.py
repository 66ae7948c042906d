"""What 16 bits cost and save: every example against itself in f32.

python -m benchmarks.half_precision
"""

from __future__ import annotations

import numpy as np
import torch

import wsdl
from benchmarks.timing import quartiles
from references.examples.catalogue import EXAMPLES, Example
from references.weights import module_weights, shake

LAYOUT = "| {:<18} | {:>9} | {:>9} | {:>9} | {:>9} |"
SECONDS = 1.0  # for each example


def main() -> None:
    print(LAYOUT.format("example", "f16 time", "f16 error", "bf16 time", "bf16 error"))
    print("|---|---:|---:|---:|---:|")
    for example in EXAMPLES:
        print(LAYOUT.format(example.name, *row(example)), flush=True)


def row(example: Example) -> list[str]:
    torch.manual_seed(0)
    twin = example.twin()
    shake(twin)
    weights = {f"{example.model_name}.{name}": array for name, array in module_weights(twin).items()}
    arrays = example.draw(example.sizes[-1])
    sessions = {
        dtype: wsdl.compile(example.path, weights=weights, dtype=dtype).session(example.model_name, threads=1)
        for dtype in ("f32", "f16", "bf16")
    }
    results = {dtype: session.run(arrays) for dtype, session in sessions.items()}
    times = quartiles({dtype: session.run for dtype, session in sessions.items()}, [arrays], 1, SECONDS)
    cells = []
    for dtype in ("f16", "bf16"):
        error = max(
            float(np.abs(results[dtype][name] - array).max() / np.abs(array).max())
            for name, array in results["f32"].items()
        )
        cells += [f"{times[dtype] / times['f32']:.2f}", f"{error:.0e}"]
    return cells


if __name__ == "__main__":
    main()
