"""Recurrent layers as one operator of ONNX, against the scan that they are written as, and against PyTorch.

64 numbers in, 128 units; one thread, the lower quartile of the CPU time by turns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import numpy as np

import wsdl
from benchmarks.timing import quartiles
from references.weights import module_weights
from wsdl.diagnostics.span import Source
from wsdl.ir.graph import Lowered
from wsdl.onnx.folder import filled
from wsdl.runtime.session import Session

SIZES = ((32, 1), (32, 32), (128, 1), (128, 32))  # steps, rows
SECONDS = 3.0
LAYOUT = "{:<6} {:>6} {:>6} {:>10} {:>10} {:>10} {:>8}"


def table() -> Iterator[str]:
    yield "Recurrent layers, one thread"
    yield LAYOUT.format("", "steps", "rows", "fused ms", "fused/scan", "fused/eager", "error")
    for kind in ("RNN", "GRU", "LSTM"):
        for steps, rows in SIZES:
            yield _row(kind, steps, rows)


def _row(kind: str, steps: int, rows: int) -> str:
    import torch

    torch.set_num_threads(1)
    module = getattr(torch.nn, kind)(64, 128, batch_first=True).eval()
    weights = {f"m.net.cell.{name.removesuffix('_l0')}": array for name, array in module_weights(module).items()}
    x = np.random.default_rng(0).standard_normal((rows, steps, 64)).astype(np.float32)
    tensor = torch.from_numpy(x)

    def eager(_: Any) -> Any:
        with torch.inference_mode():
            return module(tensor)[0].numpy()

    with patch("wsdl.compiler.fuse_recurrent", _unchanged):
        scan = _ours(kind, weights, x)
    runs: dict[str, Callable[[Any], Any]] = {"fused": _ours(kind, weights, x), "scan": scan, "eager": eager}
    error = max(float(np.abs(run(None) - eager(None)).max()) for run in runs.values())
    took = quartiles(runs, [None], 1, SECONDS)
    ratios = (f"{took['fused'] / took[name]:.2f}" for name in ("scan", "eager"))
    return LAYOUT.format(kind, steps, rows, f"{took['fused'] * 1e3:.3f}", *ratios, f"{error:.0e}")


def _unchanged(program: Lowered) -> Lowered:
    return program


def _ours(kind: str, weights: dict[str, Any], x: Any) -> Callable[[Any], Any]:
    text = f"model m(x: f32[n, t, 64]) -> f32[n, t, 128] {{\n    layer net = {kind}(128)\n    return net(x)\n}}\n"
    program = wsdl.compile(Source("m.wsd", text), weights=weights, dims={"n": len(x)})
    session = Session(filled(program.protos["m"], program.values()).SerializeToString(), threads=1)
    return lambda _: session.run({"x": x})["output"]
