"""What is emitted computes what the reference computes, under the names of the source."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np
import onnx
import pytest

import wsdl
from tests.onnx.running import agree, compiled, initializers, onnx_of, random, same_results
from wsdl.diagnostics.run_error import RunError
from wsdl.diagnostics.span import Source
from wsdl.ir.dims import Dim
from wsdl.ir.graph import Graph, Lowered, Model, Module, Node, Value
from wsdl.ir.target import Target
from wsdl.ir.types import TensorType
from wsdl.ops.interpreter import evaluate
from wsdl.runtime.session import Session

DENSE = """
block Dense(units: int)(x: [..., d]) -> [..., units] {
    param weight: [units, d] = kaiming_uniform
    return x @ weight.T
}
"""
TIED = (
    DENSE
    + """
model m(x: f32[n, 8]) -> (y: f32[n, 8]) {
    layer encode = Dense(6)
    layer decode = Dense(8)
    share { encode.weight, decode.weight.T }
    return x |> encode |> relu |> decode
}
"""
)


def scan(direction: str, along: str) -> str:
    x = {"t": "f32[n, t, 4]", "n": "f32[n, 3, 4]"}[along]
    h = {"t": "[n, 4]", "n": "[3, 4]"}[along]
    return f"""
model m(x: {x}) -> (states: {x}, last: f32{h}) {{
    param weight: [4, 4] = normal(0.5)
    states = scan {direction} xt in x along {along} with h = zeros({h}) {{
        h = tanh(xt + h @ weight.T)
        emit h
    }}
    return states, h
}}
"""


# -- constructs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [0, 1, 5])
def test_shared_transposed(rows: int) -> None:
    proto = agree(TIED, random(rows, 8))
    assert [list(t.dims) for t in proto.graph.initializer] == [[6, 8]]
    assert "Transpose" not in {node.op_type for node in proto.graph.node}


@pytest.mark.parametrize("along", ["t", "n"])
@pytest.mark.parametrize("direction", ["", "reverse"])
def test_scan(direction: str, along: str) -> None:
    agree(scan(direction, along), random(2, 3, 4))


def test_scan_over_an_empty_batch_gives_an_empty_batch() -> None:
    agree(scan("", "t"), random(0, 3, 4))


def test_scan_without_a_step_is_refused_by_name() -> None:
    """ONNX Runtime would divide by zero and take the process with it."""
    session = Session(onnx_of(compiled(scan("", "t"))).SerializeToString())
    with pytest.raises(RunError, match="t != 0"):
        session(x=random(2, 0, 4))


LOOP = (
    DENSE
    + """
model m(x: f32[n, 5]) -> (y: f32[n, 5]) {
    layer same = Dense(5)
    for i in 0..9 {
        x = tanh(same(x)) + x
    }
    return x
}
"""
)


@pytest.mark.parametrize("loops", ["loop", "unroll"])
def test_repeated_layer(loops: str) -> None:
    proto = agree(LOOP, random(3, 5), target=Target(loops=loops))  # type: ignore[arg-type] # a literal
    assert ("Loop" in {node.op_type for node in proto.graph.node}) == (loops == "loop")
    assert list(initializers(proto)).count("m.same.weight") == 1


def test_bodies_capture_and_hold_no_tensors() -> None:
    proto = agree(LOOP, random(3, 5), target=Target(loops="loop"))
    [loop] = [node for node in proto.graph.node if node.op_type == "Loop"]
    [body] = [attribute.g for attribute in loop.attribute if attribute.name == "body"]
    assert not body.initializer
    assert any("m.same.weight" in node.input for node in body.node)


@pytest.mark.parametrize("view", [".T", "[0:3, 2:5]", ".flip(0)", ".reshape(3, 12)", ".permute(1, 0)", "[1:5, :].T"])
def test_views_read_the_stored_tensor(view: str) -> None:
    shape = {"[0:3, 2:5]": "3, 3", ".reshape(3, 12)": "3, 12", "[1:5, :].T": "6, 4"}.get(view, "6, 6")
    agree(
        f"""
block Table(r: int, c: int)(x: f32[n]) -> f32[r, c] {{
    param weight: [r, c] = normal
    return weight * sum(x)
}}
model m(x: f32[n]) -> (a: f32[6, 6], b: f32[{shape}]) {{
    layer wide = Table(6, 6)
    layer part = Table({shape})
    share {{ wide.weight{view}, part.weight }}
    return wide(x), part(x)
}}
""",
        random(3),
    )


def test_inputs_and_stored_tensors_as_outputs() -> None:
    agree(
        """
model m(x: f32[n]) -> (same: f32[n], again: f32[n], weight: f32[3], y: f32[n], z: f32[n]) {
    param w: [3] = normal
    y = x + 1.0
    return x, x, w, y, y
}
""",
        random(4),
    )


# -- dynamic dimensions ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1, 3])
@pytest.mark.parametrize("t", [0, 2, 5])
@pytest.mark.parametrize(
    "shape", ["n * t, 6", "n, t * 6", "n, t, 2, 3", "t, n, 6", "6, n * t", "n * 6, t", "1, n, 1, t, 6", "3, n, 2 * t"]
)
def test_reshapes_of_run_time_shapes(shape: str, n: int, t: int) -> None:
    agree(f"model m(x: f32[n, t, 6]) -> (y: f32[{shape}]) {{ return reshape(x, [{shape}]) }}", random(n, t, 6))


N, T, S = (Dim.symbol(name) for name in "nts")


@pytest.mark.parametrize(("n", "t", "s"), [(1, 1, 1), (2, 5, 3), (0, 4, 2), (3, 8, 7)])
def test_arithmetic_over_sizes(n: int, t: int, s: int) -> None:
    """Every name is solved for from an input in which it stands inside arithmetic."""
    dims = [N, T + 3, N * T - T + 7, T * T * 2, (T - 5) // 2 + 4, (N + 7) % 4, (N * T) // (S + 1), Dim.of(0), 5 - S + S]
    types = [TensorType.of("f32", shape) for shape in ([N], [2 * T + 1], [T * S, N])]
    program, model = filled_with_zeros(types, dims)
    inputs = [random(n), random(2 * t + 1), random(t * s, n)]
    same_results(program, {}, onnx_of(program), inputs)
    assert evaluate(model.graph, inputs, {})[0].shape == tuple(d.evaluate({"n": n, "t": t, "s": s}) for d in dims)


def filled_with_zeros(types: list[TensorType], shape: list[Dim]) -> tuple[Lowered, Model]:
    """A program whose model `m` gives zeros of this shape."""
    graph = Graph([Value(type, f"x{i}") for i, type in enumerate(types)])
    result = Value(TensorType.of("f32", shape))
    graph.nodes.append(Node("zeros", [], {"shape": [*shape], "dtype": "f32"}, [result], "m"))
    graph.outputs.append(result)
    span = Source("test.wsd", "").span(0, 0)
    model = Model("m", graph, Module("m", "model", span), output_names=["y"])
    return Lowered(models={"m": model}), model


def operators(result: str) -> Counter[str]:
    """How many nodes of each operator there are."""
    proto = onnx_of(compiled(f"model m(x: f32[n, 1, 4]) -> (y: f32[n, 4]) {{\n    return {result}\n}}"))
    return Counter(node.op_type for node in proto.graph.node)


def test_a_further_layer_of_a_switch_adds_only_its_own_operators() -> None:
    added = operators("x[:, 0] |> Switch(Dense(4), bank=5)") - operators("x[:, 0] |> Switch(Dense(4), bank=4)")
    assert added == {"Gemm": 1}


@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "prod"])
def test_an_axis_of_one_element_is_not_reduced(name: str) -> None:
    assert operators(f"{name}(x, axis=1)") == {"Squeeze": 1}


def test_what_was_assumed_is_checked_at_run_time() -> None:
    program = compiled("model m(x: f32[n, 4], y: f32[k, 4]) -> (z: f32[n, 4]) { return x + y }")
    session = Session(onnx_of(program).SerializeToString())
    np.testing.assert_array_equal(session(x=random(3, 4), y=random(3, 4))["z"], 2 * random(3, 4))
    with pytest.raises(RunError, match=r"needs (n == k|k == n)"):
        session(x=random(3, 4), y=random(2, 4))


# -- names, metadata, bytes --------------------------------------------------------------------------------------------


def test_names_are_those_of_the_source() -> None:
    proto = onnx_of(compiled(TIED))
    assert [
        (v.name, [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]) for v in proto.graph.input
    ] == [("x", ["n", 8])]
    assert [v.name for v in proto.graph.output] == ["y"]
    assert [t.name for t in proto.graph.initializer] == ["m.encode.weight"]
    assert [node.name for node in proto.graph.node] == ["m.encode/gemm", "m/relu", "m.decode/matmul"]


def test_metadata_tells_what_is_shared_and_where_it_stands() -> None:
    proto = onnx_of(compiled(TIED))
    properties = {p.key: p.value for p in proto.metadata_props}
    [record] = json.loads(properties["wsdl.sharing"])
    assert record["slots"] == [{"path": "m.encode.weight", "view": ""}, {"path": "m.decode.weight", "view": ".T"}]
    node = proto.graph.node[0]
    assert {p.key: p.value for p in node.metadata_props} == {
        "wsdl.source": "test.wsd:4",
        "wsdl.group": "m.encode.weight",
    }
    assert (proto.producer_name, proto.ir_version, proto.opset_import[0].version) == ("wsdl", 10, 21)


def test_the_same_program_gives_the_same_bytes() -> None:
    first, second = (onnx_of(compiled(scan("", "t"))).SerializeToString(deterministic=True) for _ in range(2))
    assert first == second


def test_no_name_is_used_twice() -> None:
    proto = agree(scan("reverse", "t"), random(2, 3, 4))
    onnx.checker.check_model(proto, full_check=True)
    names = [t.name for t in proto.graph.initializer] + [v.name for v in proto.graph.input]
    graphs = [proto.graph]
    for graph in graphs:
        names += [name for node in graph.node for name in node.output]
        names += [v.name for v in graph.input] if graph is not proto.graph else []
        graphs += [a.g for node in graph.node for a in node.attribute if a.HasField("g")]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("product", ["x @ a @ b.reshape(3, 4)", "x @ a.reshape(4, 3) @ b.T", "x @ b @ a.T"])
@pytest.mark.parametrize(
    ("members", "seen"),
    [
        ("a.T, b.reshape(3, 4)", lambda a: a.T.reshape(4, 3)),
        ("a.flip(0), b.reshape(12).reshape(4, 3)", lambda a: a[::-1]),
        ("a.flip(0).reshape(12), b.reshape(12)", lambda a: a[::-1]),
    ],
)
def test_views_of_views_that_no_view_expresses(members: str, seen: Any, product: str) -> None:
    """What can't be one view of what is stored is moved at run time."""
    weights = "    param a: [4, 3] = normal\n    param b: [4, 3] = normal\n"
    program = wsdl.compile(f"model m(x: f32[n, 4]) {{\n{weights}    share {{ {members} }}\n    return {product}\n}}\n")
    (a,) = program.stored.values()
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    expected = eval(product, {"x": x, "a": a, "b": seen(a)})
    [result] = program.session()(x=x).values()
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4)
