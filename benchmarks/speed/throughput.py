"""`wsdl run` over data that lie in a file, larger than is read at a time, against a bare loop over the session.

Both read the same mapped array, so many rows at a time, with one session of one thread; what comes out is kept by both.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

import wsdl
from wsdl.runtime.data import open_data
from wsdl.runtime.session import Session

AS_FAST = 0.95  # what is aimed at
ROUNDS = 7
EXAMPLES = Path(__file__).parents[2] / "examples"
CASES = {  # the example, its input, the shape of a row, rows, rows at a time
    "lenet": ("image", (1, 28, 28), 40_000, 64),
    "tied_autoencoder": ("image", (784,), 100_000, 256),
    "gru_classifier": ("frames", (20, 12), 40_000, 64),
}
LAYOUT = "{:<18} {:>8} {:>8} {:>10} {:>10} {:>8} {:>8}"


def table() -> Iterator[str]:
    yield f"`run` over mapped data, thousand rows a second: aimed at {AS_FAST} of a bare loop over the session"
    yield LAYOUT.format("", "MB", "rows", "run", "bare loop", "run/", "")
    for name, (given, shape, rows, batch) in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            data = np.random.default_rng(0).standard_normal((rows, *shape)).astype(np.float32)
            np.save(Path(folder, f"{given}.npy"), data)
            size = data.nbytes / 1e6
            del data
            ours, bare = _rates(name, given, Path(folder), rows, batch)
        met = "met" if ours >= AS_FAST * bare else "missed"
        yield LAYOUT.format(name, f"{size:.0f}", rows, f"{ours:.1f}", f"{bare:.1f}", f"{ours / bare:.3f}", met)


def _rates(name: str, given: str, folder: Path, rows: int, batch: int) -> tuple[float, float]:
    """Thousands of rows a second, by turns: the quicker quarter of the rounds."""
    compiled = folder / "compiled"
    wsdl.compile(EXAMPLES / f"{name}.wsd").save(compiled)
    path = next(compiled.glob("*.onnx"))
    session, runtime = Session(path, threads=1), _bare_session(path)

    def ours() -> None:
        session.run(open_data(folder).select(session.inputs), batch=batch)

    def bare() -> None:
        mapped = np.load(folder / f"{given}.npy", mmap_mode="r")
        kept = [runtime.run(None, {given: mapped[i : i + batch]})[0] for i in range(0, rows, batch)]
        np.concatenate(kept)

    taken: dict[str, list[float]] = {"ours": [], "bare": []}
    for _ in range(ROUNDS):
        for which, run in (("ours", ours), ("bare", bare)):
            start = time.process_time()
            run()
            taken[which].append(time.process_time() - start)
    quickest = {which: float(np.quantile(seconds, 0.25)) for which, seconds in taken.items()}
    return rows / 1e3 / quickest["ours"], rows / 1e3 / quickest["bare"]


def _bare_session(path: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
