"""How the step of training grows: with the depth of shared layers, and with the size of a model."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import onnx
import onnxruntime as ort

import wsdl
from benchmarks.training.cases import MODELS
from wsdl.diagnostics.span import Source

BERT = MODELS / "bert.wsd"


def depths() -> Iterator[str]:
    """The step of `d128` with its one block used 4, 12 and 48 times, as a loop."""
    yield f"{'one block, used':<20} {'nodes':>7} {'kB':>9} {'session s':>10}"
    text = (MODELS / "transformer.wsd").read_text(encoding="utf-8")
    for depth in (4, 12, 48):
        source = Source("depth.wsd", text.replace("Shared(128, 4)", f"Shared(128, {depth})"))
        with tempfile.TemporaryDirectory() as folder:
            wsdl.compile(source, loops="loop").save(folder, model="d128", train=True)
            path = Path(folder, "d128.train.onnx")
            nodes, size = _nodes(onnx.load(path).graph), path.stat().st_size / 1000
            yield f"{depth:<20} {nodes:>7} {size:>9.1f} {_start(path):>10.3f}"


def _nodes(graph: onnx.GraphProto) -> int:
    """All nodes, with those of bodies."""
    bodies = [a.g for node in graph.node for a in node.attribute if a.HasField("g")]
    return len(graph.node) + sum(map(_nodes, bodies))


def _start(path: Path) -> float:
    """CPU seconds to start a session, the least of some."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    taken = []
    for _ in range(5):
        start = time.process_time()
        ort.InferenceSession(str(path), options)
        taken.append(time.process_time() - start)
    return min(taken)


def compiling() -> Iterator[str]:
    """The step of a BERT-base: from its text to its files."""
    source = Source(str(BERT), BERT.read_text(encoding="utf-8"))
    start, clock = time.process_time(), time.perf_counter()
    program = wsdl.compile(source)
    checked = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        program.save(folder, train=True)
        end = time.process_time()
        numbers = sum(array.size for array in program.stored.values())
        yield (
            f"compiling the step of bert ({numbers / 1e6:.0f} million numbers): {end - start:.1f} s of CPU, "
            f"{checked - start:.1f} s to checked with initial values, {time.perf_counter() - clock:.1f} s by the clock"
        )
