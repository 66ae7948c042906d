"""What f16 doesn't hold is computed in f32: numbers of the program, what leaves the range of f16 on its way, masks."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

import wsdl
from wsdl.onnx.emit import fill
from wsdl.onnx.proof import prove
from wsdl.rewrite.lower_precision import held_by_f16

Arrays = dict[str, np.ndarray]

# Expressions of `h` [n, 8], which comes in f16 from a product; each would be wrong in f16.
BEYOND = {
    "divisor too large": "h / 100000.0",
    "factor too large": "h * 1e6",
    "factor of some size": "h * 5000.0",
    "divisor too small": "h / 1e-4",
    "quotient": "1.0 / (h * 0.001)",
    "epsilon": "h / (abs(h) + 1e-8)",
    "smallest": "log(maximum(softmax(h), 1e-12))",
    "no digits left": "(h * 1e-7) * 1e7",
    "whole number": "(h + 4097.0) - 4096.0",
    "remainder": "(h + 300.0) % 4097.0",
    "square": "h * h",
    "power": "h ** 2",
    "square of a norm": "h / sqrt(mean(h * h, axis=-1, keepdims=true) + 1e-6)",
    "attribute": "log(clip(h, 1e-9, 1e9))",
    "slope": "leaky_relu(h, 1e-7) * 1e7",
    "filled": "h + full([n, 8], 100_001.0)",
    "filled and moved": "h * expand(full([1, 8], 1e-7), [n, 8])",
    "chosen": "softmax(where(h > 0.0, h, -1e30))",
    "joined": "concat([h, full([n, 8], 1e6)], axis=-1)[:, 4:12]",
    "padded": "pad(h, [[0, 0], [0, 8]], value=-1e30)[:, 4:12]",
    "factor of a matrix": "((h * 1e6) @ ones([8, 8])) * 1e-6",
    "dynamic dimension": "h + sum(h, axis=0) / n",
    "sum": "cumsum(h * 100.0, axis=-1)",
    "almost 0": "log(sigmoid(h - 300.0))",
    "one less": "log(1.0 - tanh(h / 50.0))",
    "one more": "log(1.0 + h * h * 1e-7)",
    "one more than elu": "log(elu(h) + 1.0)",
    "shifted": "(h / 300.0 + 2048.0) - 2048.0",
    "large integers": "h @ reshape(cast(arange(70_000, 70_064), f32), [8, 8])",
    "product of a sum": "((h * 1e6 + 1.0) @ ones([8, 8])) * 1e-6",
    "quotient of a matrix": "((h / 1e9) @ ones([8, 8])) * 1e9",
    "softplus": "log(softplus(h - 300.0))",
}
WEIGHTS = {"m.f.weight": np.eye(8, dtype=np.float32), "m.f.bias": np.zeros(8, np.float32)}


def checked(program: wsdl.Program) -> wsdl.Program:
    """The program, whose one file passes the checker of ONNX."""
    proto = onnx.ModelProto()
    proto.CopyFrom(program.protos["m"])
    fill(proto, program.values())
    onnx.checker.check_model(proto, full_check=True)
    return program


def computed(text: str, arrays: Arrays, half: str = "f32", *, keep_io: bool = True, **options: object) -> Arrays:
    """What a program of one model gives, as f32; its file passes the checker of ONNX."""
    program = checked(wsdl.compile(text, dtype=half, keep_io=keep_io, **options))  # type: ignore[arg-type] # a literal
    narrow = half == "f16" and not keep_io
    given = {n: a.astype(np.float16) if narrow and a.dtype == np.float32 else a for n, a in arrays.items()}
    return {n: a.astype(np.float32) for n, a in program.session()(**given).items()}


@pytest.mark.parametrize("keep_io", [True, False], ids=["keep-io", "no-keep-io"])
@pytest.mark.parametrize("expression", BEYOND.values(), ids=BEYOND.keys())
def test_numbers_that_f16_does_not_hold(expression: str, keep_io: bool) -> None:
    text = f"""\
model m(x: f32[n, 8]) -> (y: f32[n, 8]) {{
    layer f = Dense(8)
    h = f(x)
    return {expression}
}}
"""
    x = (300 * np.random.default_rng(0).standard_normal((4, 8))).astype(np.float16).astype(np.float32)
    expected = computed(text, {"x": x}, weights=WEIGHTS)["y"]
    if not keep_io:
        with np.errstate(over="ignore"):
            expected = expected.astype(np.float16).astype(np.float32)
    got = computed(text, {"x": x}, "f16", keep_io=keep_io, weights=WEIGHTS)["y"]
    np.testing.assert_allclose(got, expected, rtol=4e-3, atol=0 if keep_io else 1e-7)


def test_a_scan_carries_f32() -> None:
    """A sum over time in f16 would stay at 2048."""
    text = """\
model m(x: f32[t, 4]) -> (sums: f32[t, 4], last: f32[4]) {
    layer f = Dense(4)
    sums = scan row in f(x), large in f(x) * 1e6 along t with total = zeros([4]), least = 1e-9 {
        total = total + row
        least = minimum(least, max(abs(row)) + 1e-8)
        emit total / least + (large @ ones([4, 4])) * 1e-6
    }
    return sums, total
}
"""
    weights = {"m.f.weight": np.eye(4, dtype=np.float32), "m.f.bias": np.zeros(4, np.float32)}
    x = np.ones((5000, 4), np.float32)
    expected, got = (computed(text, {"x": x}, half, weights=weights) for half in ("f32", "f16"))
    assert got["last"].tolist() == [5000] * 4
    np.testing.assert_allclose(got["sums"], expected["sums"], rtol=1e-3)


@pytest.mark.parametrize(
    ("number", "held"),
    [
        (0.0, True), (1.0, True), (0.1, True), (-65504.0, True), (float("inf"), True), (float("nan"), True),
        (2047.0, True), (2048.0, True), (2049.0, False), (2050.0, True), (4098.0, False), (65505.0, False),
        (-1e30, False), (6.2e-5, True), (6e-5, False), (1e-8, False),
    ],
)  # fmt: skip
def test_what_f16_holds(number: float, held: bool) -> None:
    assert held_by_f16(number) == held


# -- a parameter that is read in two dtypes ----------------------------------------------------------------------------

TWICE = {
    "normalized": "x |> Dense(8) |> RMSNorm()",
    "scaled": "x * s",
    "exponential": "x * exp(w[0])",
    "product and sum": "x @ w + sum(w, axis=0)",
    "transposed": "x @ w.T + sum(w.T, axis=0)",
    "a part": "x @ w + x @ w[:, 0:8] * w[2]",
    "layer norm of f32": "exp(x) |> LayerNorm()",
    "group norm": "x.reshape(n, 4, 2) |> GroupNorm(2) |> flatten",
    "instance norm": "x.reshape(n, 4, 2) |> InstanceNorm() |> flatten",
    "in steps": "(x + looped(x)) * s",
}


@pytest.mark.parametrize("keep_io", [True, False], ids=["keep-io", "no-keep-io"])
@pytest.mark.parametrize("half", ["f16", "bf16"])
@pytest.mark.parametrize("expression", TWICE.values(), ids=TWICE.keys())
def test_a_parameter_may_be_read_in_two_dtypes(expression: str, half: str, keep_io: bool) -> None:
    text = f"""\
block Steps()(x: [n, d]) -> [n, d] {{
    param gain: [d] = ones
    layer f = Dense(d)
    for i in 0..9 {{
        x = f(x) * gain + x
    }}
    return x / exp(gain)
}}

model m(x: f32[n, 8]) -> (y: f32[n, 8]) {{
    param w: [8, 8]
    param s: [8] = normal
    layer looped = Steps()
    return {expression}
}}
"""
    text = text if "looped" in expression else text.replace("    layer looped = Steps()\n", "")
    x = np.random.default_rng(0).standard_normal((4, 8)).astype(np.float32)
    program = checked(wsdl.compile(text, dtype=half, keep_io=keep_io))  # type: ignore[arg-type] # a literal
    if half == "f16":
        expected, got = computed(text, {"x": x})["y"], computed(text, {"x": x}, half, keep_io=keep_io)["y"]
        np.testing.assert_allclose(got, expected, rtol=1e-2, atol=1e-2 * np.abs(expected).max())
    else:
        assert program.session().inputs["x"].dtype == ("f32" if keep_io else "bf16")


# -- masks -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", ["f32", "f16", "f64"])
@pytest.mark.parametrize("more", ["", ", causal=true", ", kv_heads=2", ", causal=true, kv_heads=2"])
def test_a_query_that_may_look_nowhere_gives_zeros(written: str, more: str) -> None:
    """The first row sees no place at all, the second one is padded on the left."""
    text = f"""\
model m(x: {written}[n, t, 8], mask: bool[n, t]) -> (y: {written}[n, t, 8]) {{
    layer look = Attention(heads=4{more}, bias=false, relative=RelativeBias())
    return look(x, mask)
}}
"""
    rng = np.random.default_rng(0)
    mask = np.array([[0, 0, 0, 0, 0], [0, 0, 1, 1, 1]], bool)
    arrays = {"x": rng.standard_normal((2, 5, 8)).astype(np.float32), "mask": mask}
    if written != "f32":
        program = wsdl.compile(text)
        y = program.session()(x=arrays["x"].astype(f"float{written[1:]}"), mask=mask)["y"]
    else:
        expected = computed(text, arrays)["y"]
        for keep_io in (True, False):
            y = computed(text, arrays, "f16", keep_io=keep_io)["y"]
            np.testing.assert_allclose(y, expected, atol=5e-3)
            assert (y[0] == 0).all()
    assert (y[0] == 0).all()
    if "causal" in more:
        assert (y[1, :2] == 0).all()
    assert (y[1, 2:] != 0).all()


def test_a_mask_of_large_numbers_stays_f32() -> None:
    text = """\
model m(x: f32[n, 4, 8], mask: bool[n, 4]) -> (y: f32[n, 4, 8]) {
    layer f = Dense(8)
    z = f(x)
    return attention(z, z, z, where(mask.reshape(n, 1, 4), 0.0, -1e30))
}
"""
    rng = np.random.default_rng(0)
    arrays = {"x": rng.standard_normal((2, 4, 8)).astype(np.float32), "mask": np.array([[0, 1, 1, 0], [0] * 4], bool)}
    expected, got = computed(text, arrays)["y"], computed(text, arrays, "f16")["y"]
    np.testing.assert_allclose(got, expected, atol=5e-3)
    proto = wsdl.compile(text, dtype="f16").protos["m"]
    types = {i.name: i.type.tensor_type.elem_type for i in onnx.shape_inference.infer_shapes(proto).graph.value_info}
    [product] = [n for n in proto.graph.node if n.op_type == "MatMul" and "attention" in n.name.lower()][-1:] or [None]
    assert product is None or types[product.output[0]] == onnx.TensorProto.FLOAT16, "the product itself is f16"


def test_a_tensor_that_is_read_in_two_dtypes_is_stored_once(tmp_path: object) -> None:
    text = "model m(x: f32[n, 64]) -> (y: f32[n, 64]) {\n    param w: [64, 64]\n    return x @ w + sum(w, axis=0)\n}\n"
    for half in ("f16", "bf16"):
        [path] = wsdl.compile(text, dtype=half).models["m"].save(f"{tmp_path}/{half}.onnx")
        assert prove(path).holds


# -- equal numbers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("written", "half"), [("f16", "f32"), ("f32", "f16"), ("f32", "f32")])
def test_what_is_chosen_among_numbers_equals_one_of_them(written: str, half: str) -> None:
    """A largest element that was moved is rounded, and the others aren't: ONNX Runtime computes them in f32."""
    text = f"""\
model m(x: {written}[n, 8]) -> (chosen: bool[n, 8], others: bool[n, 8]) {{
    param w: {written}[8, 8]
    h = x @ w
    largest = max(h, axis=1, keepdims=true)
    moved = concat([largest, -largest], axis=1)[:, 0:1]
    return h == moved, h != moved
}}
"""
    x = np.random.default_rng(0).standard_normal((50, 8)).astype(f"float{written[1:]}")
    got = checked(wsdl.compile(text, dtype=half)).session()(x=x)  # type: ignore[arg-type] # a literal
    assert got["chosen"].any(axis=1).all()
    assert (got["chosen"].sum(axis=1) < 3).all()
    assert (got["chosen"] != got["others"]).all()


def test_neighbors_in_f16_are_not_equal() -> None:
    every = np.arange(0x7C01, dtype=np.uint16).view(np.float16)  # from 0 to infinity
    text = "model m(x: f16[n], y: f16[n]) -> (same: bool[n], other: bool[n]) {\n    return x == y, x != y\n}\n"
    session = wsdl.compile(text).session()
    for sign in (1, -1):
        below, above = sign * every[:-1], sign * every[1:]
        for x, y, equal in [(below, below, True), (above, above, True), (below, above, False), (above, below, False)]:
            got = session(x=x, y=y)
            assert (got["same"] == equal).all()
            assert (got["other"] != equal).all()
    nothing = np.full(3, np.nan, np.float16)
    assert not session(x=nothing, y=nothing)["same"].any()
    assert session(x=every[:3], y=-every[:3])["same"].tolist() == [True, False, False]


CHOSEN = {
    "largest": "max(h)",
    "smallest": "0.5 - min(h * h)",
    "largest of a column": "mean(max(h, axis=0))",
    "largest of a group": "mean(segment_max(h, group, 3))",
    "largest in place": "mean(scatter_max(full([3, 4], -9.0, dtype={written}), group, h))",
    "largest of a row": "mean(max(h, axis=1))",
}


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("loss", CHOSEN.values(), ids=CHOSEN.keys())
def test_gradients_reach_what_was_chosen_in_f16(loss: str, parts: int) -> None:
    def step(written: str) -> np.ndarray:
        text = f"""\
model m(x: {written}[n, 8], group: i64[n]) -> (h: {written}[n, 4]) {{
    param w: {written}[8, 4]
    return tanh(x @ w)
}}

train m() {{
    loss {loss.replace("{written}", written)}
    optimizer SGD(lr=1.0)
}}
"""
        dtype = np.dtype(f"float{written[1:]}")
        weights = {"m.w": (np.linspace(-1, 1, 32) ** 3).reshape(8, 4).astype(dtype)}
        trainer = wsdl.compile(text, weights=weights).trainer(batch=6, accumulate=parts)
        x = np.random.default_rng(0).standard_normal((6, 8)).astype(dtype)
        trainer.step({"x": x, "group": np.array([0, 1, 2, 2, 0, 1])})
        return trainer.state["m.w"].astype(np.float32) - weights["m.w"]

    expected = step("f32")
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(step("f16"), expected, atol=5e-3)
