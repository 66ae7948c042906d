"""How compiling grows with depth: layers with weights of their own, and one that is used again and again.

Seconds are of the processor, from the text to the file with initial values, and Python looks for garbage as seldom as
in the command; a session's start is that of ONNX Runtime. The file is without its weights.
"""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

import wsdl
from wsdl.diagnostics.span import Source
from wsdl.process import GARBAGE

DEPTHS = (12, 96, 960)
ROUNDS = 3
PER_LAYER, START = 1.3, 1.2  # what is aimed at: from 96 to 960 layers, and from 12 to 960 of the loop
TEXT = """
model deep(x: f32[n, t, 32]) -> f32[n, t, 32] {
    layer blocks[DEPTH] = EncoderLayer(heads=2, width=64)
    SHARE
    for block in blocks {
        x = block(x)
    }
    return x
}
"""
LAYOUT = "{:<8} {:>7} {:>9} {:>10} {:>9} {:>10} {:>9}"


@dataclass
class Row:
    """One depth: seconds to compile, kB of the file without weights, seconds to start a session."""

    compile: float
    size: float
    start: float


def table() -> Iterator[str]:
    gc.set_threshold(GARBAGE)
    yield f"Growth with depth: aimed at {PER_LAYER} x a layer, 96 to 960; loops of one size, starts within {START} x"
    yield LAYOUT.format("", "layers", "compile s", "ms a layer", "kB", "a layer", "start ms")
    for name, share in (("fresh", ""), ("shared", "share { blocks[*] }")):
        rows = {depth: _measured(depth, share) for depth in DEPTHS}
        for depth, row in rows.items():
            each = f"{row.compile / depth * 1e3:.2f}", f"{row.size / depth:.2f}"
            whole = f"{row.compile:.2f}", f"{row.size:.1f}", f"{row.start * 1e3:.1f}"
            yield LAYOUT.format(name, depth, whole[0], each[0], whole[1], each[1], whole[2])
        growth = rows[960].compile / rows[96].compile / 10
        yield f"  a layer of 960 takes {growth:.2f} x one of 96: {_met(growth <= PER_LAYER)}"
        if share:
            start, same = rows[960].start / rows[12].start, rows[960].size - rows[12].size
            yield f"  a session of 960 starts in {start:.2f} x that of 12: {_met(start <= START)}"
            yield f"  the file of 960 is {1000 * same:+.0f} bytes longer than that of 12: {_met(abs(same) < 0.1)}"


def _met(is_met: bool) -> str:
    return "met" if is_met else "missed"


def _measured(depth: int, share: str) -> Row:
    source = Source("deep.wsd", TEXT.replace("DEPTH", str(depth)).replace("SHARE", share))
    compiled, starts = [], []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(ROUNDS):
            start = time.process_time()
            program = wsdl.compile(source)
            program.save(folder)
            compiled.append(time.process_time() - start)
        path = Path(folder, "deep.onnx")
        weights = sum(tensor.bytes for tensor in program.inventory.stored.values())
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 4
        for _ in range(5 * ROUNDS):
            start = time.process_time()
            onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
            starts.append(time.process_time() - start)
        size = (path.stat().st_size - weights) / 1e3
    return Row(min(compiled), size, float(np.quantile(starts, 0.25)))
