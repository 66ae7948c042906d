"""From a network to its ONNX file, against `torch.onnx.export`: how long it takes, and how much memory.

Times are of the processor, one thread, in one process by turns, without the first of each; both sides start from a
network with its weights. The memory is what a process of its own grows by, from before there are weights until the file
is written, in units of the weights.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.speed.networks import NETWORKS, Network
from benchmarks.speed.ways import Way, axes_of, ours, theirs

ROUNDS = 4  # the first doesn't count
FASTER, MEMORY = 20.0, 1.5  # what is aimed at
LAYOUT = "{:<12} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}"
COLUMNS = (
    ("", "weights", "ours", "dynamo", "script", "dynamo/", "script/", "memory", "memory", "memory", "error"),
    ("", "MB", "s", "s", "s", "ours", "ours", "ours", "dynamo", "script", ""),
)


def table() -> Iterator[str]:
    yield f"From text to file, against `torch.onnx.export`: aimed at {FASTER:.0f} x faster, {MEMORY} x the weights"
    yield from (LAYOUT.format(*column) for column in COLUMNS)
    for network in NETWORKS.values():
        found = _answer(network, "times")
        took = found["times"]
        memory = [_answer(network, side) / found["weights"] for side in ("ours", "dynamo", "script")]
        yield LAYOUT.format(
            network.name,
            f"{found['weights'] / 1e6:.1f}",
            *(f"{took[way]:.3f}" for way in ("ours", "dynamo", "script")),
            *(f"{took[way] / took['ours']:.1f}" for way in ("dynamo", "script")),
            *(f"{m:.2f}" for m in memory),
            f"{found['error']:.0e}",
        )


def times(network: Network) -> dict[str, Any]:
    """CPU seconds of each way, and how far the results of our file are from PyTorch's."""
    import onnxruntime
    import torch

    from references.weights import module_weights

    torch.set_num_threads(1)
    twin, arrays = network.twin().eval(), network.draw()
    weights = {f"{network.model}.{name}": array for name, array in module_weights(twin).items()}
    axes = axes_of(network.path, network.model)
    ways: dict[str, Way] = {
        "ours": ours(network.path, network.model, weights),
        "dynamo": theirs(twin, arrays, axes, dynamo=True),
        "script": theirs(twin, arrays, axes, dynamo=False),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            with tempfile.TemporaryDirectory() as folder:
                start = time.process_time()
                path = way(Path(folder))
                taken[name].append(time.process_time() - start)
                if name == "ours":
                    (got,) = onnxruntime.InferenceSession(path).run(None, arrays)[:1]
    with torch.no_grad():
        wanted = twin(*map(torch.from_numpy, arrays.values())).numpy()
    return {
        "times": {name: min(seconds[1:]) for name, seconds in taken.items()},
        "weights": sum(p.numel() * p.element_size() for p in [*twin.parameters(), *twin.buffers()]),
        "error": float(np.abs(got - wanted).max() / np.abs(wanted).max()),
    }


def memory(network: Network, side: str) -> float:
    """Bytes that the process grows by, its libraries loaded and used once."""
    from benchmarks.memory import growth

    def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            if side == "ours":
                ours(network.path, network.model)(Path(folder))
            else:
                axes = {name: {0: "n"} for name in network.draw()}
                theirs(network.twin().eval(), network.draw(), axes, dynamo=side == "dynamo")(Path(folder))

    _warm(side)
    return 1e6 * growth(lambda: lambda _: run(), [None], rounds=1)


def _warm(side: str) -> None:
    lenet = Path(__file__).parents[2] / "examples/lenet.wsd"
    with tempfile.TemporaryDirectory() as folder:
        if side == "ours":
            ours(lenet, "lenet")(Path(folder))
        else:
            from torch import nn

            x = np.ones((2, 4), np.float32)
            theirs(nn.Linear(4, 4), {"x": x}, {"x": {0: "n"}}, dynamo=side == "dynamo")(Path(folder))


def _answer(network: Network, what: str) -> Any:
    """From a process of its own."""
    command = [sys.executable, "-m", "benchmarks.speed.exporting", json.dumps([network.name, what])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"measuring {network.name}, {what} failed:\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    name, what = json.loads(sys.argv[1])
    network = NETWORKS[name]
    print(json.dumps(times(network) if what == "times" else memory(network, what)))


if __name__ == "__main__":
    main()
