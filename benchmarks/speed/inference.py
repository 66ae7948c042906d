"""Inference of our file against the files of PyTorch's exporters in the same runtime, and against PyTorch itself.

One thread; the lower quartile of the CPU time of blocks of runs, by turns; all three files have the same run-time
dimensions, where the exporter can keep them (`*` where it can't: its file has fixed sizes).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import wsdl
from benchmarks.speed.originals import ORIGINALS, Contender
from benchmarks.speed.ways import Arrays, Axes, theirs
from benchmarks.timing import quartiles
from references.examples.catalogue import EXAMPLES, Example
from references.weights import module_weights, shake

SLOWER = 1.02  # what is aimed at, against the faster of both files
SECONDS = 4.0  # for each example
LAYOUT = "{:<18} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>8}"
Run = Callable[[Any], object]


def table(names: list[str] | None = None) -> Iterator[str]:
    yield f"Inference, one thread: aimed at {SLOWER} x the faster of the exported files"
    yield LAYOUT.format("", "ours", "ours/", "ours/", "ours/", "ours/", "", "error")
    yield LAYOUT.format("", "ms", "dynamo", "script", "faster", "eager", "", "")
    rows = {example.name: lambda e=example: of_example(e) for example in EXAMPLES}
    for name, measured in {**rows, **ORIGINALS}.items():
        if not names or name in names:
            yield row(name, measured())


def of_example(example: Example) -> Contender:
    twin = example.twin().eval()
    shake(twin)
    weights = {f"{example.model_name}.{name}": array for name, array in module_weights(twin).items()}
    program = wsdl.compile(example.path, weights=weights)
    return Contender(program, example.model_name, twin, example.draw(example.sizes[-1]))


def row(name: str, what: Contender) -> str:
    import torch

    torch.set_num_threads(1)
    twin, arrays = what.twin, what.arrays
    inputs = what.program.models[what.model].inputs
    axes = {n: {i: str(d) for i, d in enumerate(t.shape) if d.constant is None} for n, t in inputs.items()}
    tensors = [torch.from_numpy(a) for a in arrays.values()]
    runs: dict[str, Run] = {"eager": lambda _: _eager(twin, tensors)}
    fixed: set[str] = set()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "ours.onnx")
        what.program.models[what.model].save(path)
        runs["ours"] = _session(path, arrays)
        for dynamo in (True, False):
            way = "dynamo" if dynamo else "script"
            found = _exported(twin, arrays, axes, Path(folder, way), dynamo)
            if found is not None:
                runs[way], is_fixed = found
                fixed |= {way} if is_fixed else set()
        results = {way: run(None) for way, run in runs.items()}
        took = quartiles(runs, [None], 1, SECONDS)
    exported = [took[way] for way in ("dynamo", "script") if way in took]
    error = max(_difference(results["ours"], results[way]) for way in runs)
    ratios = [
        f"{took['ours'] / took[way]:.2f}{'*' if way in fixed else ''}" if way in took else "-"
        for way in ("dynamo", "script")
    ]
    least = f"{took['ours'] / min(exported):.2f}" if exported else "-"
    met = "" if not exported else "met" if took["ours"] <= SLOWER * min(exported) else "missed"
    eager = f"{took['ours'] / took['eager']:.2f}"
    return LAYOUT.format(name, f"{took['ours'] * 1e3:.3f}", *ratios, least, eager, met, f"{error:.0e}")


def _exported(twin: Any, arrays: Arrays, axes: Axes, folder: Path, dynamo: bool) -> tuple[Run, bool] | None:
    """The file, and whether its sizes are fixed: with dynamic dimensions, else without; `None` where neither goes."""
    folder.mkdir()
    for dimensions in (axes, {}):
        try:
            run = _session(theirs(twin, arrays, dimensions, dynamo=dynamo)(folder), arrays)
            run(None)
        except Exception:  # exporters and runtime have many
            continue
        return run, dimensions is not axes
    return None


def _session(path: Path, arrays: Arrays) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    wanted = {i.name for i in session.get_inputs()}
    feeds = {name: array for name, array in arrays.items() if name in wanted}
    return lambda _: session.run(None, feeds)


def _eager(twin: Any, tensors: list[Any]) -> list[Any]:
    import torch

    with torch.inference_mode():
        results = twin(*tensors)
    return [r.numpy() for r in (results if isinstance(results, tuple | list) else [results])]


def _difference(ours: Any, theirs: Any) -> float:
    """By how much results differ, of the largest number."""
    return max(float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-9)) for a, b in zip(ours, theirs, strict=True))
