"""Scans and loops backward, against PyTorch's unrolled ones: values in float64, and through ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from tests.differentiation.test_differentiate import as_program, run, session_of
from tests.ops.build import Array, assert_close, typed
from wsdl.differentiation.differentiate import differentiate
from wsdl.ir.graph import Graph, Node, Value
from wsdl.ops.build import Build
from wsdl.ops.interpreter import evaluate

Step = Callable[..., tuple[list[Any], list[Any]]]


def scan(
    b: Build, step: Step, starts: Sequence[Value], sequences: Sequence[Value], axes: Sequence[int],
    emit_axes: Sequence[int] = (), reverse: bool = False,
) -> list[Value]:  # fmt: skip
    """A scan whose `step(build, *carried, *slices)` gives what is carried on and what is emitted."""
    body = Graph([Value(v.type) for v in starts])
    for whole, axis in zip(sequences, axes, strict=True):
        shape = whole.type.shape
        body.inputs.append(Value(whole.type.with_shape((*shape[:axis], *shape[axis + 1 :]))))
    carried, emitted = step(Build(body), *body.inputs)
    body.outputs = [*carried, *emitted]
    count = sequences[0].type.shape[axes[0]]
    stacks = [
        v.type.with_shape((*v.type.shape[:a], count, *v.type.shape[a:]))
        for v, a in zip(emitted, emit_axes, strict=True)
    ]
    results = [Value(t) for t in [*(v.type for v in carried), *stacks]]
    attributes: Any = {"axes": list(axes), "emit_axes": list(emit_axes), "reverse": reverse}
    b.graph.nodes.append(Node("scan", [list(starts), list(sequences)], attributes, results, body=body))
    return results


def loop(b: Build, step: Callable[..., list[Value]], starts: Sequence[Value], count: int) -> list[Value]:
    body = Graph([Value(v.type) for v in starts])
    body.outputs = step(Build(body), *body.inputs)
    results = [Value(v.type) for v in starts]
    b.graph.nodes.append(Node("loop", [list(starts)], {"count": count}, results, body=body))
    return results


@dataclass
class Example:
    """The same loss twice: `graph(build, *inputs)`, and `torch(*tensors)` unrolled."""

    name: str
    inputs: dict[str, tuple[int, ...]]  # types as text, and their shapes in the run
    graph: Callable[..., Value]
    torch: Callable[..., torch.Tensor]


def gru_step(b: Build, h: Value, x: Value, w: Value, u: Value, bias: Value) -> Value:
    """As PyTorch computes it, with one bias."""
    of_x = b.all("split", b("add", b("matmul", x, w), bias), parts=3, axis=-1)
    of_h = b.all("split", b("matmul", h, u), parts=3, axis=-1)
    reset, update = (b("sigmoid", b("add", of_x[i], of_h[i])) for i in (0, 1))
    new = b("tanh", b("add", of_x[2], b("mul", reset, of_h[2])))
    return b("add", new, b("mul", update, b("sub", h, new)))


def gru_torch(h: torch.Tensor, x: torch.Tensor, w: torch.Tensor, u: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    of_x, of_h = (x @ w + bias).split(h.shape[-1], -1), (h @ u).split(h.shape[-1], -1)
    reset, update = torch.sigmoid(of_x[0] + of_h[0]), torch.sigmoid(of_x[1] + of_h[1])
    new = torch.tanh(of_x[2] + reset * of_h[2])
    return new + update * (h - new)


def gru(reverse: bool) -> Example:
    def graph(b: Build, x: Value, h: Value, w: Value, u: Value, bias: Value) -> Value:
        def step(s: Build, h: Value, x: Value) -> tuple[list[Value], list[Value]]:
            after = gru_step(s, h, x, w, u, bias)
            return [after], [after]

        last, states = scan(b, step, [h], [x], [1], [1], reverse)
        return b("add", b("sum", b("mul", last, last)), b("sum", b("sin", states)))

    def unrolled(x: torch.Tensor, h: torch.Tensor, *weights: torch.Tensor) -> torch.Tensor:
        states = []
        for step in reversed(x.unbind(1)) if reverse else x.unbind(1):
            h = gru_torch(h, step, *weights)
            states.append(h)
        return (h * h).sum() + torch.stack(states).sin().sum()

    inputs = {"[n, t, 3]": (4, 6, 3), "[n, 5]": (4, 5), "[3, 15]": (3, 15), "[5, 15]": (5, 15), "[15]": (15,)}
    return Example("gru backwards" if reverse else "gru", inputs, graph, unrolled)


def of_two_sequences() -> Example:
    """Two sequences along different axes, two carried values of which one is only handed on, two kinds of emission; a
    weight in a product, in a scale, transposed, and in a place where its gradient can't be computed behind the loop."""

    def graph(b: Build, xs: Value, zs: Value, w: Value, scale: Value) -> Value:
        start = b.zeros(typed("f64[n, 4]" if xs.type.dtype == "f64" else "f32[n, 4]"))

        def step(s: Build, h: Value, fixed: Value, x: Value, z: Value) -> tuple[list[Value], list[Value]]:
            seen = s("matmul", s("mul", h, scale), s("transpose", w))
            square = s("matmul", w, w)
            after = s("tanh", s("add", s("add", seen, x), s("matmul", z, square)))
            return [after, fixed], [s("mul", after, fixed), s("sum", s("mul", x, s("exp", scale)), axis=-1)]

        last, fixed, first, second = scan(b, step, [start, scale], [xs, zs], [0, 2], [2, 0])
        parts = [b("sum", b("cos", first)), b("sum", b("mul", second, second)), b("sum", last), b("sum", fixed)]
        return b.add(parts)

    def unrolled(xs: torch.Tensor, zs: torch.Tensor, w: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        h, total = torch.zeros(xs.shape[1:], dtype=xs.dtype), scale.sum()
        for x, z in zip(xs.unbind(0), zs.unbind(2), strict=True):
            h = torch.tanh((h * scale) @ w.T + x + z @ (w @ w))
            total = total + (h * scale).cos().sum() + ((x * scale.exp()).sum(-1) ** 2).sum()
        return total + h.sum()

    inputs = {"[t, n, 4]": (5, 3, 4), "[n, 4, t]": (3, 4, 5), "[4, 4]": (4, 4), "[4]": (4,)}
    return Example("two sequences", inputs, graph, unrolled)


def nested() -> Example:
    """A scan over rows in a scan over columns; the inner one starts where the outer one stands."""

    def graph(b: Build, x: Value, h: Value, w: Value) -> Value:
        def outer(s: Build, h: Value, row: Value) -> tuple[list[Value], list[Value]]:
            def inner(i: Build, c: Value, x: Value) -> tuple[list[Value], list[Value]]:
                after = i("tanh", i("add", i("matmul", c, w), i("mul", x, h)))
                return [after], [i("sum", after, axis=-1)]

            after, emitted = scan(s, inner, [h], [row], [1], [1])
            return [after], [emitted]

        last, emitted = scan(b, outer, [h], [x], [1], [1])
        return b("add", b("sum", last), b("sum", b("mul", emitted, emitted)))

    def unrolled(x: torch.Tensor, h: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        total: Any = 0
        for row in x.unbind(1):
            c = h
            for cell in row.unbind(1):
                c = torch.tanh(c @ w + cell * h)
                total = total + (c.sum(-1) ** 2).sum()
            h = c
        return total + h.sum()

    return Example("nested", {"[n, s, t, 3]": (2, 3, 4, 3), "[n, 3]": (2, 3), "[3, 3]": (3, 3)}, graph, unrolled)


def rolled() -> Example:
    def graph(b: Build, x: Value, w: Value, bias: Value) -> Value:
        def step(s: Build, h: Value) -> list[Value]:
            return [s("add", h, s("tanh", s("add", s("matmul", h, w), bias)))]

        return b("sum", b("sin", loop(b, step, [x], 7)[0]))

    def unrolled(x: torch.Tensor, w: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        for _ in range(7):
            x = x + torch.tanh(x @ w + bias)
        return x.sin().sum()

    return Example("loop", {"[n, t, 3]": (2, 4, 3), "[3, 3]": (3, 3), "[3]": (3,)}, graph, unrolled)


EXAMPLES = [gru(False), gru(True), of_two_sequences(), nested(), rolled()]
every_example = pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.name)


def differentiated(example: Example, dtype: str) -> Graph:
    graph = Graph([Value(typed(dtype + shape), f"x{i}") for i, shape in enumerate(example.inputs)])
    loss = example.graph(Build(graph), *graph.inputs)
    gradients = differentiate(graph, loss, graph.inputs)
    graph.outputs = [loss, *(g for g in gradients if g is not None)]
    assert len(graph.outputs) == 1 + len(graph.inputs)
    as_program(graph)
    return graph


def expected(example: Example, arrays: Sequence[Array]) -> list[Array]:
    tensors = [torch.from_numpy(a).requires_grad_() for a in arrays]
    loss = example.torch(*tensors)
    return [t.detach().numpy() for t in [loss, *torch.autograd.grad(loss, tensors)]]


def arrays_of(example: Example, dtype: str) -> list[Array]:
    rng = np.random.default_rng(0)
    return [0.5 * rng.normal(size=shape).astype(dtype) for shape in example.inputs.values()]


@every_example
def test_against_unrolled(example: Example) -> None:
    arrays = arrays_of(example, "float64")
    results = evaluate(differentiated(example, "f64"), arrays, {})
    for actual, wanted in zip(results, expected(example, arrays), strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=1e-9, atol=1e-12)


@every_example
def test_through_onnx_runtime(example: Example) -> None:
    arrays = arrays_of(example, "float32")
    results = run(session_of(differentiated(example, "f32")), arrays)
    for actual, wanted in zip(results, expected(example, arrays), strict=True):
        assert_close(actual, wanted, 10)


def test_one_graph_for_all_lengths() -> None:
    example = gru(False)
    session = session_of(differentiated(example, "f32"))
    for n, t in ((4, 6), (1, 1), (3, 20), (0, 2)):
        shapes = ((n, t, 3), (n, 5), (3, 15), (5, 15), (15,))
        arrays = [np.random.default_rng(1).normal(size=s).astype(np.float32) for s in shapes]
        for actual, wanted in zip(run(session, arrays), expected(example, arrays), strict=True):
            assert_close(actual, wanted, 20)


def test_the_gradients_of_weights_are_computed_behind_the_loop() -> None:
    graph = differentiated(gru(False), "f32")
    (backward,) = (node for node in graph.nodes[1:] if node.op == "scan" and node.attributes["reverse"])
    assert backward.body is not None
    starts, _ = backward.operands
    assert isinstance(starts, list)
    assert len(starts) == 1  # nothing is carried but the gradient of the state
    assert not any(n.op == "gemm" and n.attributes["trans_a"] for n in backward.body.nodes)
    behind = graph.nodes[graph.nodes.index(backward) :]
    assert [n.op for n in behind].count("gemm") == 2
    assert {n.op for n in backward.body.nodes} == {"add", "mul", "concat", "gemm"}  # all else is done for all steps


def test_second_derivatives() -> None:
    example = gru(False)
    graph = Graph([Value(typed(f"f64{shape}"), f"x{i}") for i, shape in enumerate(example.inputs)])
    loss = example.graph(Build(graph), *graph.inputs)
    first = [g for g in differentiate(graph, loss, graph.inputs) if g is not None]
    b = Build(graph)
    length = b.add([b("sum", b("mul", g, g)) for g in first])
    graph.outputs = [g for g in differentiate(graph, length, graph.inputs) if g is not None]
    as_program(graph)
    arrays = arrays_of(example, "float64")
    tensors = [torch.from_numpy(a).requires_grad_() for a in arrays]
    gradients = torch.autograd.grad(example.torch(*tensors), tensors, create_graph=True)
    wanted = torch.autograd.grad(torch.stack([(g * g).sum() for g in gradients]).sum(), tensors)
    for actual, tensor in zip(evaluate(graph, arrays, {}), wanted, strict=True):
        np.testing.assert_allclose(actual, tensor.numpy(), rtol=1e-9, atol=1e-11)


def test_what_is_carried_without_a_gradient() -> None:
    """A counter, and a state that only the forward step needs."""

    def graph(b: Build, x: Value, w: Value) -> Value:
        def step(s: Build, i: Value, x: Value) -> tuple[list[Value], list[Value]]:
            number = s("cast", i, dtype="f64")
            return [s("add", i, s.constant(1, i.type))], [s("mul", s("mul", x, w), number)]

        return b("sum", scan(b, step, [b("constant", value=0, dtype="i64")], [x], [0], [0])[1])

    inputs = [Value(typed("f64[t, 3]"), "x0"), Value(typed("f64[3]"), "x1")]
    made = Graph(inputs)
    gradients = differentiate(made, graph(Build(made), *inputs), inputs)
    made.outputs = [g for g in gradients if g is not None]
    x, w = np.random.default_rng(0).normal(size=(4, 3)), np.array([1.0, 2.0, 3.0])
    of_x, of_w = evaluate(made, [x, w], {})
    numbers = np.arange(4)[:, None]
    np.testing.assert_allclose(of_x, w * numbers)
    np.testing.assert_allclose(of_w, (x * numbers).sum(0))
