"""The walk backward: sums over uses, what isn't reached, second derivatives, dynamic dimensions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch

import wsdl
from tests.ops.build import NOWHERE, Array, assert_close, typed
from tests.pipelines.test_passes import examples
from wsdl.diagnostics.span import Source
from wsdl.differentiation import differentiate as module
from wsdl.differentiation.differentiate import differentiate
from wsdl.ir.graph import Graph, Lowered, Model, Module, Value
from wsdl.ir.text import from_text, to_text
from wsdl.onnx.emit import emit
from wsdl.ops.build import Build
from wsdl.ops.interpreter import evaluate
from wsdl.ops.verify import verify
from wsdl.runtime.session import Session

Compute = Callable[..., Value]


def graph_of(compute: Compute, *types: str) -> tuple[Graph, Value]:
    """A graph with inputs of these types, and the scalar that `compute` makes of them."""
    graph = Graph([Value(typed(text), f"x{i}") for i, text in enumerate(types)])
    return graph, compute(Build(graph), *graph.inputs)


def gradients_of(compute: Compute, *types: str) -> Graph:
    """The gradients with respect to all float inputs as the outputs of a graph."""
    graph, loss = graph_of(compute, *types)
    wanted = [v for v in graph.inputs if v.type.is_float]
    for value, gradient in zip(wanted, differentiate(graph, loss, wanted), strict=True):
        graph.outputs.append(gradient or Build(graph).zeros(value.type))
    return graph


def as_program(graph: Graph) -> Lowered:
    names = [f"y{i}" for i in range(len(graph.outputs))]
    program = Lowered(models={"test": Model("test", graph, Module("test", "", NOWHERE), output_names=names)})
    verify(program)
    return program


def session_of(graph: Graph) -> Session:
    program = as_program(graph)
    return Session(emit(program, program.models["test"], {}).SerializeToString())


def run(session: Session, arrays: Sequence[Array]) -> list[Array]:
    feeds = {f"x{i}": array for i, array in enumerate(arrays)}
    return list(session.run({name: feeds[name] for name in session.inputs}).values())


def test_the_docstring_shows_what_it_does() -> None:
    before, after = examples((module.__doc__ or "").replace("with respect to `%w` becomes", "becomes"))
    program = from_text(before)
    model = program.models["m"]
    (gradient,) = differentiate(model.graph, model.graph.outputs[0], model.graph.inputs[1:])
    assert gradient is not None
    model.graph.outputs.append(gradient)
    model.output_names.append("gradient")
    verify(program)
    assert to_text(program) == after


def test_a_shared_value_gets_the_sum_over_its_uses() -> None:
    graph = gradients_of(
        lambda b, x, w: b("sum", b("matmul", b("tanh", b("matmul", x, w)), w)), "f64[3, 4]", "f64[4, 4]"
    )
    x, w = np.random.default_rng(0).normal(size=(3, 4)), np.random.default_rng(1).normal(size=(4, 4))
    tensors = [torch.from_numpy(a).requires_grad_() for a in (x, w)]
    expected = torch.autograd.grad((torch.tanh(tensors[0] @ tensors[1]) @ tensors[1]).sum(), tensors)
    for actual, tensor in zip(evaluate(graph, [x, w], {}), expected, strict=True):
        np.testing.assert_allclose(actual, tensor.numpy(), rtol=1e-12)


def test_what_the_loss_does_not_depend_on_has_no_gradient() -> None:
    graph, loss = graph_of(lambda b, x, y, z: b("sum", b("mul", x, b("floor", y))), "f32[3]", "f32[3]", "f32[3]")
    of_x, of_y, of_z = differentiate(graph, loss, graph.inputs)
    assert of_x is not None
    assert of_y is None
    assert of_z is None


def test_the_loss_itself() -> None:
    graph, loss = graph_of(lambda b, x: b("sum", x), "f32[3]")
    (gradient,) = differentiate(graph, loss, [loss])
    assert gradient is not None
    graph.outputs = [gradient]
    assert evaluate(graph, [np.zeros(3, np.float32)], {}) == [1.0]


def test_nothing_is_computed_that_is_not_asked_for() -> None:
    """The data needs no gradient, so the first layer is a product less."""
    graph, loss = graph_of(lambda b, x, w: b("sum", b("matmul", x, w)), "f32[n, 4]", "f32[4, 2]")
    differentiate(graph, loss, graph.inputs[1:])
    assert [node.op for node in graph.nodes].count("gemm") == 1


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0, 3.0, 0.5, -1.0])
def test_a_power_with_a_constant_exponent(exponent: float) -> None:
    x = np.array([0.5, 1.0, 2.0] if exponent != int(exponent) else [-2.0, -0.5, 0.5, 2.0])
    graph = gradients_of(lambda b, x: b("sum", b("pow", x, exponent)), f"f64[{x.size}]")
    np.testing.assert_allclose(evaluate(graph, [x], {})[0], exponent * x ** (exponent - 1))
    assert "log" not in {node.op for node in graph.nodes}


def test_second_derivatives() -> None:
    def loss_of(b: Build, x: Value, w: Value) -> Value:
        return b("sum", b("sigmoid", b("matmul", b("softmax", b("mul", x, x)), w)))

    graph, loss = graph_of(loss_of, "f64[2, 3]", "f64[3, 3]")
    (first,) = differentiate(graph, loss, graph.inputs[:1])
    assert first is not None
    b = Build(graph)
    second = differentiate(graph, b("sum", b("mul", first, first)), graph.inputs)
    graph.outputs = [g for g in second if g is not None]
    arrays = [np.random.default_rng(i).normal(size=s) for i, s in enumerate([(2, 3), (3, 3)])]
    x, w = (torch.from_numpy(a).requires_grad_() for a in arrays)
    (of_x,) = torch.autograd.grad(((x * x).softmax(-1) @ w).sigmoid().sum(), [x], create_graph=True)
    expected = torch.autograd.grad((of_x * of_x).sum(), [x, w])
    for actual, tensor in zip(evaluate(graph, arrays, {}), expected, strict=True):
        np.testing.assert_allclose(actual, tensor.numpy(), rtol=1e-9, atol=1e-12)


def perceptron(b: Build, x: Value, w: Value, bias: Value, v: Value) -> Value:
    hidden = b("relu", b("add", b("matmul", x, w), bias))
    return b("sum", b("logsumexp", b("matmul", hidden, v), axis=-1))


def test_run_time_sizes() -> None:
    session = session_of(gradients_of(perceptron, "f32[n, t, 4]", "f32[4, 5]", "f32[5]", "f32[5, 3]"))
    rng = np.random.default_rng(0)
    for n, t in ((3, 2), (1, 1), (0, 2), (2, 0), (5, 7)):
        arrays = [rng.normal(size=s).astype(np.float32) for s in ((n, t, 4), (4, 5), (5,), (5, 3))]
        x, w, bias, v = (torch.from_numpy(a).requires_grad_() for a in arrays)
        loss = (torch.relu(x @ w + bias) @ v).logsumexp(-1).sum()
        for actual, tensor in zip(run(session, arrays), torch.autograd.grad(loss, [x, w, bias, v]), strict=True):
            assert_close(actual, tensor.numpy(), 10)


def test_the_gradient_of_a_weight_is_one_product_of_matrices() -> None:
    """A product for each element of the batch would take as much memory as so many weights."""
    program = as_program(gradients_of(perceptron, "f32[n, t, 4]", "f32[4, 5]", "f32[5]", "f32[5, 3]"))
    nodes = emit(program, program.models["test"], {}).graph.node
    assert "Transpose" not in {node.op_type for node in nodes}
    assert [node.op_type for node in nodes].count("Gemm") == 4


def test_one_scattered_gradient_for_both_of_a_sum() -> None:
    """Both terms have the gradient of one `pad`, which is what one node scatters."""
    text = """
    model m(x: f32[n, 6]) -> (y: f32[n, 8]) {
        param w: [6]
        h = x * w
        return pad(h + h, [[0, 0], [1, 1]], mode="reflect")
    }

    train m(wanted: f32[n, 8]) {
        loss sum(y * wanted)
        optimizer SGD(lr=1.0)
    }
    """
    trainer = wsdl.compile(Source("m.wsd", text)).trainer(threads=1)
    before = trainer.weights["m.w"]
    trainer.step({"x": np.ones((1, 6), np.float32), "wanted": np.ones((1, 8), np.float32)})
    np.testing.assert_allclose(before - trainer.weights["m.w"], [2, 4, 2, 2, 4, 2], rtol=1e-5)
