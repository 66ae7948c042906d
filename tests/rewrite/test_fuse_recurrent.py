"""Recurrent layers as one operator of ONNX: what it computes, and that weights stay one. Which scans stay as they are
is in `tests/pipelines/fixtures/fuse_recurrent.txt`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import GraphProto, ModelProto

import wsdl
from tests.stages import storage_of
from wsdl.diagnostics.run_error import RunError
from wsdl.diagnostics.span import Source
from wsdl.ir.target import Loops, Precision
from wsdl.onnx.proof import prove
from wsdl.onnx.walk import walk
from wsdl.ops.interpreter import evaluate
from wsdl.sharing.read_stored import read_stored
from wsdl.weights.initial_values import initial_values

RECURRENT = ("RNN", "GRU", "LSTM", "Scan")


def layer(text: str, d: int = 3) -> str:
    return f"model m(x: f32[n, t, {d}]) -> f32[n, t, p] {{ return x |> {text} }}"


def cell(kind: str, emitted: str = "h", returned: str = "states") -> str:
    """A program with a scan of its own over a standard cell."""
    c = ", c" if kind == "LSTMCell" else ""
    return f"""
    model m(x: f32[n, t, 3], start: f32[n, 4], memory: f32[n, 4]) -> any {{
        layer cell = {kind}(4)
        states = scan xt in x along t with h = start{", c = memory" if c else ""} {{
            h{c} = cell(xt, h{c})
            emit {emitted}
        }}
        return {returned}
    }}
    """.replace("-> any ", "")


def packed(text: str, mask: str = "lengths=lengths") -> str:
    """A layer on sequences of unequal length, from given states."""
    kind, two = text.partition("(")[0], "2" if "bidirectional" in text else "1"
    c = f", c: f32[{two}, n, 4]" if kind == "LSTM" else ""
    return f"""
    model m(x: f32[n, t, 3], lengths: i64[n], h: f32[{two}, n, 4]{c}) {{
        return {text[:-1]}, last=true)(x, {mask}, h=h{", c=c" if c else ""})
    }}
    """


FUSED: dict[str, tuple[str, dict[str, int]]] = {
    "a plain layer of one sequence": (layer("RNN(4)").replace("n, t", "1, t"), {"RNN": 1}),
    "gated": (layer("GRU(4)"), {"GRU": 1}),
    "with a memory": (layer("LSTM(4)"), {"LSTM": 1}),
    "from the end": (layer("LSTM(4, reverse=true)"), {"LSTM": 1}),
    "both ways": (layer("GRU(4, bidirectional=true)"), {"GRU": 2}),
    "several layers": (layer("GRU(4, layers=3)"), {"GRU": 3}),
    "several both ways": (layer("LSTM(4, layers=2, bidirectional=true)"), {"LSTM": 4}),
    "of one number": (layer("GRU(1)", d=1), {"GRU": 1}),
    "from given states": (cell("LSTMCell"), {"LSTM": 1}),
    "only the last state": (cell("GRUCell", returned="h"), {"GRU": 1}),
    "all states and the last memory": (cell("LSTMCell", returned="states[:, -1] + c"), {"LSTM": 1}),
    "a state twice": (cell("GRUCell", emitted="h, h", returned="a * b").replace("states =", "a, b ="), {"GRU": 1}),
    "steps in front": (cell("GRUCell").replace("x: f32[n, t, 3]", "x: f32[t, n, 3]"), {"GRU": 1}),
    "of unequal length": (packed("GRU(4)"), {"GRU": 1}),
    "of unequal length, with a memory, from the end": (packed("LSTM(4, reverse=true)"), {"LSTM": 1}),
    "of unequal length, both ways": (packed("LSTM(4, bidirectional=true)"), {"LSTM": 2}),
    "by any other mask": (packed("GRU(4)", "arange(t) > lengths.reshape(n, 1)"), {"Scan": 1}),
    "a batch of known size": (layer("LSTM(4)").replace("n, t", "2, t"), {"LSTM": 1}),
}  # fmt: skip


def operators(proto: ModelProto | GraphProto) -> dict[str, int]:
    graph = proto.graph if isinstance(proto, ModelProto) else proto
    return dict(Counter(node.op_type for node in walk(graph) if node.op_type in RECURRENT))


def reference(text: str, feeds: dict[str, Any]) -> list[Any]:
    """By the reference, from the program as it was written."""
    program = read_stored(storage_of(text))
    return evaluate(program.only.graph, [feeds[v.name] for v in program.only.graph.inputs], initial_values(program, 0))


def inputs(program: wsdl.Program, n: int, t: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    types = program.models["m"].inputs.items()
    return {
        name: np.arange(-1, n - 1) % (t + 3) - 1
        if name == "lengths"
        else rng.normal(size=[d.evaluate({"n": n, "t": t}) for d in type.shape]).astype("f4")
        for name, type in types
    }


@pytest.mark.parametrize(("text", "wanted"), FUSED.values(), ids=FUSED)
def test_one_operator_and_the_same_numbers(text: str, wanted: dict[str, int]) -> None:
    program = wsdl.compile(Source("m.wsd", text))
    assert operators(program.protos["m"]) == wanted
    session = program.session()
    for n, t in ((7, 5) if "lengths" in text else (2, 5), (1, 1), (0, 5)):
        known = next((size for size in (1, 2) if f"[{size}, t" in text), n)
        feeds = inputs(program, known, t)
        for got, expected in zip(session.run(feeds).values(), reference(text, feeds), strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_without_a_step_it_is_an_error_as_with_a_scan() -> None:
    for text in (layer("LSTM(4)"), cell("GRUCell", emitted="2 * h")):
        program = wsdl.compile(Source("m.wsd", text))
        with pytest.raises(RunError, match="t"):
            program.session().run(inputs(program, 2, 0))


TOWERS = """
model m(left: f32[n, t, 16], right: f32[n, t, 16]) -> f32[n, 32] {
    layer tower = LSTM(32)
    return tower(left)[:, -1] - tower(right)[:, -1]
}
"""
LEVELS = """
model m(x: f32[n, t, 32]) -> f32[n, t, 32] {
    layer levels[9] = GRU(32)
    share { levels[*] }
    for level in levels {
        x = x + level(x)
    }
    return x
}
"""
TIED = """
model m(x: f32[n, t, 32], ids: i64[n]) -> (states: f32[n, t, 32], word: f32[n, 32]) {
    layer words = Embedding(96, 32)
    layer gru = GRU(32)
    share { words.weight, gru.cell.weight_hh }
    return gru(x), words(ids)
}
"""
TURNED = """
model m(x: f32[1, t, 32]) -> f32[1, t, 32] {
    layer a = RNN(32)
    layer b = RNN(32)
    share { a.cell.weight_hh.T, b.cell.weight_hh }
    return x |> a |> b
}
"""


@pytest.mark.parametrize("loops", ["unroll", "loop"])
@pytest.mark.parametrize(
    ("text", "wanted"),
    [(TOWERS, {"LSTM": 2}), (LEVELS, {"GRU": 9}), (TIED, {"GRU": 1}), (TURNED, {"RNN": 2})],
    ids=["towers", "levels", "tied", "turned"],
)
def test_weights_stay_one(text: str, wanted: dict[str, int], loops: Loops, tmp_path: Path) -> None:
    program = wsdl.compile(Source("m.wsd", text), loops=loops)
    rolled = {"GRU": 1} if loops == "loop" and text == LEVELS else wanted
    assert operators(program.protos["m"]) == rolled
    program.save(tmp_path)
    proofs = prove(tmp_path / "m.onnx")
    assert proofs.holds, [(p.stored, p.copies_after_optimization) for p in proofs.tensors if not p.holds]


STREAM = """
layer encoder = GRU(32)

model whole(x: f32[n, t, 16]) -> f32[n, t, 32] {
    return encoder(x)
}

model step(x: f32[n, 16], h: f32[n, 32]) -> f32[n, 32] {
    return encoder.cell(x, h)
}
"""


def test_one_step_and_the_whole_of_one_layer() -> None:
    program = wsdl.compile(Source("m.wsd", STREAM))
    assert operators(program.protos["whole"]) == {"GRU": 1}
    x = np.random.default_rng(0).normal(size=(2, 5, 16)).astype("f4")
    h = np.zeros((2, 32), "f4")
    step = program.session("step")
    for i in range(5):
        (h,) = step.run({"x": x[:, i], "h": h}).values()
    (states,) = program.session("whole").run({"x": x}).values()
    np.testing.assert_allclose(h, states[:, -1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", ["f16", "bf16"])
@pytest.mark.parametrize("text", ["GRU(40)", "LSTM(40, bidirectional=true)", "Dense(30) |> GRU(40, reverse=true)"])
def test_weights_in_16_bits_are_converted_once_and_stored_once(text: str, dtype: Precision, tmp_path: Path) -> None:
    source = Source("m.wsd", layer(text, 30))
    x = np.random.default_rng(0).normal(size=(3, 7, 30)).astype("f4")
    expected = wsdl.compile(source).session()(x=x)["output"]
    program = wsdl.compile(source, dtype=dtype)
    assert "Scan" not in operators(program.protos["m"])
    np.testing.assert_allclose(program.session()(x=x)["output"], expected, atol=2e-2)
    program.save(tmp_path)
    proofs = prove(tmp_path / "m.onnx")
    assert proofs.holds, [(p.stored, p.copies_after_optimization) for p in proofs.tensors if not p.holds]
