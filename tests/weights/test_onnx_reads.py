"""How often ONNX files of others read a tensor, and which elements: where a part of it or a copy meets data."""

from __future__ import annotations

import random
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper, parser
from onnx.reference import ReferenceEvaluator

from wsdl import api
from wsdl.ir.graph import Reads
from wsdl.weights import onnx_reads
from wsdl.weights.onnx_reads import reads_in
from wsdl.weights.onnx_source import reads_of
from wsdl.weights.onnx_tensors import tensors_in

# W is f32[8, 6], 48 elements. `NAME=[…]` gives a list of integers.
PART = "a = Slice(W, n0, n4) b = MatMul(x, a)"

CASES = {
    "whole": ("y = MatMul(x, W)", 1, 48, "y"),
    "twice": ("a = MatMul(x, W) y = MatMul(a, W)", 2, 96, "a, y"),
    "not at all": ("y = Relu(x)", 0, 48, ""),
    "moved once, read twice": ("t = Transpose(W) a = MatMul(x, t) y = MatMul(a, t)", 2, 96, "a.T, y.T"),
    "two halves": (f"{PART} c = Slice(W, n4, n8) d = MatMul(b, c)", 1, 48, "b[0:4, :], d[4:8, :]"),
    "one half": (PART, 1, 48, "b[0:4, :]"),
    "one half twice": (f"{PART} c = MatMul(b, a)", 2, 72, "b[0:4, :], c[0:4, :]"),
    "parts that overlap": (f"{PART} c = Slice(W, n2, n8) d = MatMul(b, c)", 2, 60, "b[0:4, :], d[2:8, :]"),
    "a part and the whole": (f"{PART} c = MatMul(b, W)", 2, 72, "b[0:4, :], c"),
    "gates in another order": (
        "i, o, f, g = Split <num_outputs=4> (W) j = Concat <axis=0> (i, f, g, o) u = Unsqueeze(j, n0) "
        "y = LSTM(x, u, u)",
        2, 96, "y, y",
    ),
    "heads": ("q, k, v = Split <axis=1> (W, n222) a = MatMul(x, q) b = MatMul(a, k) c = MatMul(b, v)", 1, 48,
        "a[:, 0:2], b[:, 2:4], c[:, 4:6]"),
    "a split that nothing reads": ("q, k, v = Split <axis=1> (W, n222) a = MatMul(x, q)", 1, 48, "a[:, 0:2]"),
    "a stack of layers": (
        "s = Reshape(W, n2m1) i = Gather(s, zero) j = Gather(s, one) k = Gather(s, m1) a = Mul(x, i) b = Mul(a, j) "
        "c = Mul(b, k)", 2, 72,
        "a.reshape(2, 24)[0:1, :].reshape(24), b.reshape(2, 24)[1:2, :].reshape(24), "
        "c.reshape(2, 24)[1:2, :]",
    ),
    "rows at distances": ("a = Gather(W, n135) y = Mul(x, a)", 1, 48, "y[1:6:2, :]"),
    "rows in any order": (
        "a = Gather(W, n520) b = Gather(W, n25) c = Mul(x, a) y = Mul(c, b)", 2, 60, "c, y[2:6:3, :]",
    ),
    "a lookup": (
        "a = Gather(W, n110) b = Add(x, a) c = Add(b, a) d = Gather(W, n0) y = Add(c, d)", 2, 54, "a, y[0:1, :]",
    ),
    "rows that data choose": ("a = Gather(W, x) y = Gather(W, x)", 2, 96, "a, y"),
    "elements": ("g = GatherElements(W, zeros) a = Mul(x, g) b = Mul(a, g)", 2, 54, "a, b"),
    "a shape that data choose": ("r = Reshape(W, x) a = Mul(x, r) y = Mul(a, r)", 2, 96, "a, y"),
    "bounds that data choose": ("a = Slice(W, x, n4) y = Mul(x, a)", 1, 48, "a"),
    "bounds that are computed": (
        "s = Shape(W) r = Gather(s, n0) h = Mul(r, half) e = Add(h, n4) a = Slice(W, n0, n4) b = Slice(W, n4, e) "
        "c = Mul(x, a) y = Mul(c, b)", 1, 48, "c[0:4, :], y[4:8, :]",
    ),
    "backwards": ("a = Slice(W, m1, m5, n0, m1) b = Slice(W, m5, m9, n0, m1) c = Mul(x, a) y = Mul(c, b)", 1, 48,
        "c.flip(0)[0:4, :], y.flip(0)[4:8, :]"),
    "no axes, but steps": ('e = Slice(W, n0, n8, , n2) a = Mul(x, e) y = Mul(a, e)', 2, 72, "a[0:8:2, :], y[0:8:2, :]"),
    "nothing of it": ("a = Slice(W, n4, n4) y = Concat <axis=0> (x, a)", 0, 48, ""),
    "in 16 bits": ("h = Cast <to=10> (W) i = Identity(h) f = Flatten(i) a = Mul(x, f) y = Mul(a, h)", 2, 96, "a, y"),
    "integers": ("d = DequantizeLinear <axis=0> (Q, S) a = Slice(d, n0, n4) b = Slice(d, n4, n8) c = Mul(x, a) "
        "y = Mul(c, b)", 1, 48, "c[0:4, :], y[4:8, :]"),
    "a norm of itself": ("n = ReduceL2(W) v = Div(W, n) a = MatMul(x, v) y = MatMul(a, v)", 2, 96, "a, y"),
    "a part of what is computed": ("v = Neg(W) p = Slice(v, n0, n4) a = Mul(x, p) y = Mul(a, p)", 2, 96, "a, y"),
    "only its size": ("s = Shape(W) n = Size(W) c = ConstantOfShape(s) y = Add(x, c)", 0, 48, ""),
    "that no result needs": ("t = Transpose(W) y = Relu(x)", 0, 48, ""),
    "as a result": ("y = Transpose(W)", 1, 48, "output y.T"),
    "both branches": (
        "y = If (x) <then_branch = t () => (float a) { a = MatMul(x, W) }, "
        "else_branch = e () => (float b) { c = Slice(W, n0, n4) b = MatMul(x, c) }>", 2, 72, "a, b[0:4, :]",
    ),
    "a branch that gives it": (
        "y = If (x) <then_branch = t () => (float a) { a = Identity(W) }, "
        "else_branch = e () => (float b) { b = Transpose(x) }>", 1, 48, "y",
    ),
    "a loop": (
        "t = Transpose(W) y = Loop (, x, x) <body = g (int64 i, bool c, float s) => (bool d, float r) "
        "{ d = Identity(c) r = MatMul(s, t) }>", 1, 48, "r.T",
    ),
    "the start of a loop": (
        "y = Loop (, x, W) <body = g (int64 i, bool c, float W) => (bool d, float r) { d = Identity(c) r = Relu(W) }>",
        1, 48, "y",
    ),
    "a scan": (
        "y = Scan <num_scan_inputs=1, body = g (float s) => (float r) { a = MatMul(s, W) r = MatMul(a, W) }> (x)",
        2, 96, "a, r",
    ),
    "a function": ("h = own.f(x, W) y = own.f(h, W)", 4, 144, "h/a[0:4, :], h/y, y/a[0:4, :], y/y"),
    "a function that turns it": ("t = own.turn(W) a = MatMul(x, t) y = MatMul(a, t)", 2, 96, "a.T, y.T"),
    "a function for ever": ("y = own.endless(x, W)", 2, 96, "y/a, y/y"),
    "of an unknown domain": ("y = other.Op(x, W)", 1, 48, "y"),
    "a permutation of the caller": ("t = own.any <perm = [1, 0]> (W) y = MatMul(x, t)", 1, 48, "y"),
}  # fmt: skip

LISTS = {
    "n0": [0], "n2": [2], "n4": [4], "n8": [8], "m1": [-1], "m5": [-5], "m9": [-9], "n222": [2, 2, 2],
    "n2m1": [2, -1], "n135": [1, 3, 5], "n520": [5, 2, 0], "n25": [2, 5], "n110": [1, 1, 0], "zero": 0, "one": 1,
    "half": [1], "zeros": [[0] * 6],
}  # fmt: skip
FUNCTIONS = """
<domain: "own", opset_import: ["" : 21]> f (x, w) => (y) { zero = Constant <value_ints = [0]> ()
    four = Constant <value_ints = [4]> () h = Slice(w, zero, four) a = MatMul(x, h) y = MatMul(a, w) }
<domain: "own", opset_import: ["" : 21]> turn (w) => (t) { t = Transpose(w) }
<domain: "own", opset_import: ["own" : 1]> endless (x, w) => (y) { a = own.endless(x, w) y = own.endless(a, w) }
<domain: "own", opset_import: ["" : 21]> any <perm> (w) => (t) { t = Transpose <perm: ints = @perm> (w) }
"""


def model_of(nodes: str) -> ModelProto:
    """A model with these nodes, the weights and lists above, and the functions."""
    y = "y" if "y = " in nodes else re.findall(r"(\w+) = ", nodes)[-1]
    head = '<ir_version: 10, opset_import: ["" : 21, "own" : 1, "other" : 1]>'
    model = parser.parse_model(f"{head} g (float[n] x) => (float[n] {y}) {{ {nodes} }} {FUNCTIONS}")
    weights: dict[str, np.ndarray] = {
        "W": np.zeros((8, 6), np.float32),
        "Q": np.zeros((8, 6), np.int8),
        "S": np.ones(8, np.float32),
    }
    lists = {name: np.array(numbers, np.int64) for name, numbers in LISTS.items()}
    arrays: dict[str, np.ndarray] = weights | lists
    model.graph.initializer.extend(numpy_helper.from_array(a, name) for name, a in arrays.items())
    return model


@pytest.mark.parametrize("title", CASES)
def test_reads(title: str, tmp_path: Path) -> None:
    nodes, times, elements, readers = CASES[title]
    onnx.save(model_of(nodes), tmp_path / "m.onnx")
    inventory = api.inspect(tmp_path / "m.onnx")
    tensor = inventory.stored["Q" if "Q" in nodes else "W"]
    labels = [re.sub(r"\w+\((\w+)\)", r"\1", use.path) + use.view for use in tensor.uses for _ in range(use.times)]
    found = inventory.used(tensor), inventory.elements_without_sharing(tensor), ", ".join(labels)
    assert found == (times, elements, readers)


MOVES = [
    "Transpose <perm = [1, 0]> ({0})", "Reshape({0}, n2m1)", "Slice({0}, n2, n4)", "Slice({0}, m1, m9, n0, m1)",
    "Gather({0}, n135)", "Gather({0}, n25)", "Flatten <axis = 1> ({0})", "Unsqueeze({0}, n0)", "Squeeze({0})",
    "Gather({0}, zero)", "Split <num_outputs = 2> ({0})", "Cast <to = 1> ({0})",
]  # fmt: skip


def test_chains_take_what_the_reference_takes() -> None:
    """Random chains, computed by the evaluator of ONNX over a tensor that holds the numbers of its elements."""
    draw, checked = random.Random(0), 0
    for _ in range(150):
        names = [f"v{i}" for i in range(draw.randint(1, 5) + 1)]
        steps = [(draw.choice(MOVES), before, after) for before, after in zip(["W", *names], names, strict=False)]
        nodes = " ".join(f"{b}{', other_' + b if m.startswith('Split') else ''} = {m.format(a)}" for m, a, b in steps)
        model = model_of(f"{nodes} y = Mul(x, {names[-1]})")
        model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.arange(48, dtype=np.float32).reshape(8, 6), "W"))
        try:
            [taken] = ReferenceEvaluator(_without_data(model, names[-1])).run(None, {})
        except (ValueError, IndexError, RuntimeError):  # it doesn't fit
            continue
        [read] = reads_of("m.onnx", tensors_in("m.onnx", model)).get("W", [None])
        numbers = set() if read is None else {*read.parts[0].numbers().reshape(-1).tolist()}
        expected = {*np.asarray(taken).reshape(-1).astype(int).tolist()}
        if read is None or read.exact:
            assert numbers == expected, nodes
        else:  # after rows in any order the rest isn't followed
            assert numbers >= expected, nodes
        checked += 1
    assert checked > 60


def _without_data(model: ModelProto, output: str) -> ModelProto:
    short = ModelProto()
    short.CopyFrom(model)
    del short.functions[:], short.graph.node[-1], short.graph.input[:], short.graph.output[:]
    short.graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, None))
    return short


def test_values_in_another_file(tmp_path: Path) -> None:
    """Bounds beside the model; and a file that isn't there, whose parts then count as all."""
    model = model_of("a = Gather(W, rows) b = Mul(x, a) c = Slice(W, n4, n8) y = Mul(b, c)")
    model.graph.initializer.append(numpy_helper.from_array(np.arange(4).reshape(2, 2), "rows"))
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    inventory = api.inspect(tmp_path / "m.onnx")
    assert inventory.used(inventory.stored["W"]) == 1
    (tmp_path / "m.data").unlink()
    inventory = api.inspect(tmp_path / "m.onnx")
    assert inventory.used(inventory.stored["W"]) == 2


def test_a_tensor_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of large ones the elements are not counted one by one."""
    model = model_of(f"{PART} c = Slice(W, n4, n8) d = MatMul(b, c) y = MatMul(d, c)")
    reads = reads_of("m.onnx", tensors_in("m.onnx", model))["W"]
    assert onnx_reads.counted(reads, (8, 6)) == Reads(2, 72)
    monkeypatch.setattr(onnx_reads, "_ELEMENTS", 10)
    assert onnx_reads.counted(reads, (8, 6)) == Reads(2, 72)


def test_calls_without_end() -> None:
    """Functions that call each other twice each: not all of 2⁴⁰ calls are followed."""
    functions = [
        helper.make_function("own", f"f{i}", ["x", "w"], ["y"], [
            helper.make_node(f"f{i + 1}", ["x", "w"], [out], domain="own") for out in ("a", "y")
        ], [helper.make_opsetid("own", 1)]) for i in range(40)
    ]  # fmt: skip
    model = model_of("y = own.f0(x, W)")
    model.functions.extend(functions)
    found = tensors_in("m.onnx", model)
    assert len(reads_in(found)["W"]) <= onnx_reads._INLINED
