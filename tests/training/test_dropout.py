"""Dropout: in training a mask that follows from seed, step and place; nothing of it anywhere else."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.stages import storage_of
from wsdl.compiler import lower
from wsdl.ir.stages import Storage
from wsdl.ir.target import Loops, Target
from wsdl.ir.training_graphs import TrainStep
from wsdl.onnx.emit import emit
from wsdl.onnx.training import initial_state
from wsdl.ops import OPERATIONS
from wsdl.ops.interpreter import evaluate
from wsdl.ops.verify import verify
from wsdl.pipelines.training import train_step
from wsdl.runtime.session import Session
from wsdl.sharing.read_stored import objective_over_stored
from wsdl.weights.initial_values import initial_values

NETWORK = """
model m(x: f32[n, 8]) -> (y: f32[n, 3]) {
    layer drop = Dropout(0.3)
    h = x |> drop |> Dense(16) |> relu |> drop
    return h |> Dropout(0.5) |> Dense(3)
}

train m(label: i64[n]) {
    loss cross_entropy(y, label)
    optimizer SGD(lr=1.0)
}
"""

OVER_LAYERS = """
model m(x: f32[n, t, 8]) -> (y: f32[n, 3]) {
    layer up = Dense(8)
    layer norm = LayerNorm()
    for i in 0..9 {
        x = norm(x + (x |> up |> tanh |> Dropout(0.2)))
        for j in 0..2 {
            x = x |> up |> Dropout(0.1)
        }
    }
    return x |> mean(axis=1) |> Dense(3)
}

train m(label: i64[n]) {
    loss cross_entropy(y, label)
    optimizer SGD(lr=1.0)
}
"""

OVER_TIME = """
model m(x: f32[n, t, 8]) -> (y: f32[n, 3]) {
    layer cell = GRUCell(5)
    layer drop = Dropout(0.3)
    states = scan reverse xt in x along t with h = zeros([n, 5]) {
        h = cell(drop(xt), drop(h))
        emit drop(h)
    }
    return h + states[:, 0] |> Dense(3)
}

train m(label: i64[n]) {
    loss cross_entropy(y, label)
    optimizer SGD(lr=1.0)
}
"""


OF_ROWS = """
model m(x: f32[n, t, 8]) -> (y: f32[n, 3]) {
    layer up = Dense(8)
    layer norm = LayerNorm()
    for i in 0..9 {
        x = norm(x + (x |> up |> tanh |> Dropout(0.4, axis=0))) |> Dropout(0.2, axis=[0, 2])
    }
    return x |> mean(axis=1) |> Dense(3)
}

train m(label: i64[n]) {
    loss cross_entropy(y, label)
    optimizer SGD(lr=1.0)
}
"""


def program(text: str) -> Storage:
    return storage_of(text)


def never(text: str) -> str:
    """The same with a probability of 0."""
    return re.sub(r"Dropout\([\d.]+", "Dropout(0.0", text)


def batch(p: Storage, rows: int = 6) -> dict[str, Any]:
    """Inputs and targets of the training of `m`; a time is 7 long."""
    rng = np.random.default_rng(0)
    arrays = {}
    for value in p.trainings["m"].written.objective.graph.inputs:
        shape = [d.evaluate({"n": rows, "t": 7}) for d in value.type.shape]
        arrays[value.name] = rng.normal(size=shape).astype("f4") if value.type.is_float else rng.integers(0, 3, shape)
    return {name: array for name, array in arrays.items() if name not in ("seed", "step")}


def masks(text: str, seed: int = 0, step: int = 0) -> dict[str, Any]:
    """The masks of the training's graph, by the layer in which they stand, a further one there with `'` behind it."""
    p = program(text)
    graph = objective_over_stored(p, p.trainings["m"]).graph
    arrays = {**batch(p), "seed": np.array(seed), "step": np.array(step)}
    nodes = [node for node in graph.nodes if node.op == "random_mask"]
    graph.outputs = [node.result for node in nodes]
    found: dict[str, Any] = {}
    for node, mask in zip(
        nodes, evaluate(graph, [arrays[v.name] for v in graph.inputs], initial_values(p)), strict=True
    ):
        name = node.path
        while name in found:
            name += "'"
        found[name] = mask
    return found


Run = Callable[[Mapping[str, Any]], dict[str, Any]]


def by_reference(step: TrainStep, values: Mapping[str, Any]) -> Run:
    def run(arrays: Mapping[str, Any]) -> dict[str, Any]:
        stored = {**values, **{n: a for n, a in arrays.items() if n in step.phase.fed}}
        outputs = evaluate(step.model.graph, [arrays[v.name] for v in step.model.graph.inputs], stored)
        return dict(zip(step.model.output_names, outputs, strict=True))

    return run


def by_runtime(step: TrainStep, values: Mapping[str, Any]) -> Run:
    return Session(emit(step.program, step.model, values, fed=step.phase.fed).SerializeToString()).run


def trained(
    text: str, loops: Loops = "auto", way: Callable[..., Run] = by_runtime, seed: int = 4
) -> list[dict[str, Any]]:
    """What four steps give on one batch."""
    p = program(text)
    values = initial_values(p)
    step = train_step(p, p.trainings["m"], Target(loops))
    verify(step.program)
    run, state, found = way(step, values), initial_state(step.variables, values, seed), []
    for _ in range(4):
        found.append(run({**batch(p), **state}))
        state = {name: found[-1][output] for output, name in step.feeds.items()}
    return found


def losses(steps: Sequence[Mapping[str, Any]]) -> list[float]:
    return [float(outputs["loss"]) for outputs in steps]


# -- where it is, and where not ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", [NETWORK, OVER_LAYERS, OVER_TIME, OF_ROWS], ids=["network", "over layers", "over time", "of rows"]
)
def test_a_compiled_model_and_its_evaluation_have_no_trace_of_it(text: str) -> None:
    with_dropout, without = program(text), program(never(text))
    for p in with_dropout, without:
        written = p.trainings["m"].written
        graphs = [lower(p).models["m"].graph, written.evaluation.graph]
        for graph in graphs if p is with_dropout else [*graphs, written.objective.graph]:
            assert not {"random_mask", "dropout_training"} & {node.op for node in graph.walk()}
            assert not {"seed", "step"} & {value.name for value in graph.inputs}
    ours, theirs = (emit(p, p.only, initial_values(p)) for p in map(lower, (with_dropout, without)))
    assert [node.op_type for node in ours.graph.node] == [node.op_type for node in theirs.graph.node]


def test_the_runtime_keeps_no_mask_as_floats(tmp_path: Any) -> None:
    """What makes floats of the bytes is not merged with what does so forward, by its own optimizer."""
    p = program(NETWORK)
    step = train_step(p, p.trainings["m"])
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    proto = emit(step.program, step.model, initial_values(p), fed=step.phase.fed)
    ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    ops = [node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node]
    assert ops.count("DequantizeLinear") == 5  # three forward, two backward: the input has no gradient


def test_the_seed_is_a_part_of_the_state_where_something_is_random() -> None:
    p = program(NETWORK)
    step = train_step(p, p.trainings["m"])
    state = initial_state(step.variables, initial_values(p), 7)
    assert state["seed"] == 7
    assert step.feeds["next/seed"] == "seed"
    assert [int(outputs["next/seed"]) for outputs in trained(NETWORK, seed=7)] == [7, 7, 7, 7]
    p = program(never(NETWORK))
    step = train_step(p, p.trainings["m"])
    assert "seed" not in initial_state(step.variables, initial_values(p), 7)
    assert "seed" not in step.feeds.values()


# -- the mask ----------------------------------------------------------------------------------------------------------


def mask(seed: int = 0, step: int = 0, place: int = 0, shape: Sequence[int] = (400, 300), p: float = 0.5) -> Any:
    numbers = {"seed": np.array(seed), "step": np.array(step), "place": np.array(place)}
    return OPERATIONS["random_mask"].evaluate(np, shape=list(shape), p=p, **numbers)[0]


@pytest.mark.parametrize("p", [0.0, 0.01, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("shape", [(400, 300), (100_000,), (20, 30, 8, 25)], ids=str)
def test_the_rate_is_the_probability(p: float, shape: Sequence[int]) -> None:
    """Over 20 steps, and in every row and column: within five standard deviations."""
    found = np.stack([mask(step=step, shape=shape, p=p) for step in range(20)])
    deviation = (p * (1 - p)) ** 0.5
    assert abs(found.mean() - (1 - p)) <= 5 * deviation / found.size**0.5
    for axis in range(found.ndim):
        lines = found.mean(axis=axis)
        assert abs(lines.var() * found.shape[axis] - deviation**2) <= 0.1 * deviation**2 + 5 * deviation / lines.size


def test_masks_of_other_seeds_steps_places_rows_and_columns_have_nothing_in_common() -> None:
    first = mask()
    others = [mask(seed=1), mask(step=1), mask(place=1), np.roll(first, 1, axis=0), np.roll(first, 1, axis=1)]
    for one, other in combinations([first, *others], 2):
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 5 / one.size**0.5
    np.testing.assert_array_equal(first, mask())


def test_each_place_step_and_seed_has_its_own() -> None:
    found = masks(NETWORK)
    assert list(found) == ["m.drop", "m.drop'", "m.dropout"]
    assert (found["m.drop'"] != found["m.dropout"]).any()
    for other in masks(NETWORK, seed=1), masks(NETWORK, step=1):
        for name, of_first in found.items():
            assert (of_first != other[name]).any()
    for name, of_same in masks(NETWORK).items():
        np.testing.assert_array_equal(found[name], of_same)


def test_elements_at_one_index_of_the_axes_are_dropped_together() -> None:
    shapes = {name.rstrip("'"): mask.shape for name, mask in masks(OF_ROWS).items()}
    assert set(shapes.values()) == {(6, 1, 1), (6, 1, 8)}
    rows = np.stack([mask for mask in masks(OF_ROWS).values() if mask.shape == (6, 1, 1)])
    assert 0.3 < rows.mean() < 0.9
    assert len({row.tobytes() for row in rows}) > 1


def test_a_layer_more_moves_no_other_mask() -> None:
    """As it moves no other initial values."""
    more = NETWORK.replace("|> Dense(16)", "|> Dense(8) |> Residual(Dropout(0.1)) |> Dense(16)")
    found, moved = masks(NETWORK), masks(more)
    assert len(moved) == len(found) + 1
    for name, of_first in found.items():
        np.testing.assert_array_equal(of_first, moved[name])


# -- gradients ---------------------------------------------------------------------------------------------------------


def test_gradients_as_pytorch_has_them_with_the_same_masks() -> None:
    p = program(NETWORK)
    values = initial_values(p)
    inputs = batch(p)
    first, second, third = (torch.tensor(m) for m in masks(NETWORK, seed=4).values())
    weights = {name: torch.tensor(array, requires_grad=True) for name, array in values.items()}
    h = torch.where(first, torch.tensor(inputs["x"]) / 0.7, 0) @ weights["m.dense.weight"].T + weights["m.dense.bias"]
    h = torch.where(third, torch.where(second, torch.relu(h) / 0.7, 0) / 0.5, 0)
    y = h @ weights["m.dense_2.weight"].T + weights["m.dense_2.bias"]
    loss = F.cross_entropy(y, torch.tensor(inputs["label"]))
    loss.backward()
    outputs = trained(NETWORK)[0]
    assert float(outputs["loss"]) == pytest.approx(loss.item(), rel=1e-6)
    for name, weight in weights.items():
        assert weight.grad is not None
        ours = values[name] - outputs[f"next/{name}"]  # the learning rate is 1
        np.testing.assert_allclose(ours, weight.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("text", [OVER_LAYERS, OVER_TIME, OF_ROWS], ids=["over layers", "over time", "of rows"])
def test_backward_has_the_masks_of_forward(text: str) -> None:
    """With seed and step fixed the loss is a smooth function, whose slope the gradient has to be."""
    p = program(text)
    values = initial_values(p)
    step = train_step(p, p.trainings["m"], Target("loop"))
    run, state = by_reference(step, values), initial_state(step.variables, values, 4)
    inputs, rng = batch(p), np.random.default_rng(1)
    outputs = run({**inputs, **state})
    for stored in step.trained:
        gradient = values[stored.name] - outputs[f"next/{stored.name}"]
        direction = (np.sign(gradient) * rng.random(gradient.shape)).astype("f4")
        up, down = ({**state, stored.name: values[stored.name] + s * 1e-3 * direction} for s in (1, -1))
        slope = (float(run({**inputs, **up})["loss"]) - float(run({**inputs, **down})["loss"])) / 2e-3
        assert slope == pytest.approx(float((gradient * direction).sum()), rel=0.02)


# -- loops -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", [by_reference, by_runtime], ids=["reference", "runtime"])
@pytest.mark.parametrize("text", [OVER_LAYERS, OF_ROWS], ids=["of elements", "of rows"])
def test_a_rolled_loop_takes_the_same_way(text: str, way: Callable[..., Run]) -> None:
    steady = text.replace("lr=1.0", "lr=0.1")
    rolled, unrolled = (trained(steady, loops, way) for loops in ("loop", "unroll"))
    np.testing.assert_allclose(losses(rolled), losses(unrolled), rtol=1e-6)
    assert len({*losses(rolled)}) == 4


def test_the_loop_is_rolled_and_not_only_asked_for() -> None:
    p = program(OVER_LAYERS)
    steps = train_step(p, p.trainings["m"], Target("loop"))
    graph = steps.model.graph
    assert [node.op for node in graph.nodes if node.body is not None] == ["scan", "scan"]
    assert "tanh" not in {node.op for node in graph.nodes}  # nor is a layer computed for all steps at once


def test_the_masks_of_all_steps_of_time_are_made_at_once() -> None:
    p = program(OVER_TIME)
    graph = train_step(p, p.trainings["m"]).model.graph
    inside = [node.op for scan in graph.nodes if scan.body is not None for node in scan.body.walk()]
    assert inside
    assert "random_mask" not in inside
    assert [node.op for node in graph.nodes].count("random_mask") == 3


SURVIVORS = """
model m(x: f32[n, t, 64]) -> (y: f32[n, 64]) {
    layer scale = Dense(64)
    BODY
    return y
}

train m() {
    loss mean(scale(y))
    metric left = mean(cast(y > 0, f32))
    optimizer SGD(lr=0.1)
}
"""
BODIES = {
    "for": "y = mean(x * x, axis=1)\n    for i in 0..10 {\n        y = y |> Dropout(0.5)\n    }",
    "scan": "scan xt in x along t with y = ones([n, 64]) {\n        y = y * (xt * xt + 1) |> Dropout(0.5)\n    }",
}


@pytest.mark.parametrize("loops", ["loop", "unroll"])
@pytest.mark.parametrize("body", BODIES)
def test_each_step_of_a_loop_has_its_own_mask(body: str, loops: Loops) -> None:
    """Half of what is left goes with each: of 10 independent masks, one in 1024 is left, and one in 128 of 7."""
    p = program(SURVIVORS.replace("BODY", BODIES[body]))
    step = train_step(p, p.trainings["m"], Target(loops))
    run, state = by_runtime(step, initial_values(p)), initial_state(step.variables, initial_values(p))
    left = float(np.mean([run({**batch(p, 500), **state, "step": np.array(i)})["left"] for i in range(4)]))
    expected = 2.0 ** -(10 if body == "for" else 7)
    assert abs(left - expected) < 5 * (expected / (4 * 500 * 64)) ** 0.5


# -- repeatable --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", [NETWORK, OVER_LAYERS, OVER_TIME, OF_ROWS], ids=["network", "over layers", "over time", "of rows"]
)
def test_a_run_that_goes_on_from_its_middle_repeats_bit_for_bit(text: str) -> None:
    p = program(text)
    values = initial_values(p)
    step = train_step(p, p.trainings["m"])
    whole = trained(text)
    state = {name: whole[1][output] for output, name in step.feeds.items()}
    run = by_runtime(step, values)  # another session
    for expected in whole[2:]:
        outputs = run({**batch(p), **state})
        for name, array in expected.items():
            np.testing.assert_array_equal(outputs[name], array)
        state = {name: outputs[output] for output, name in step.feeds.items()}
    assert all(a != b for a, b in pairwise(losses(whole)))
    assert losses(trained(text, seed=5)) != losses(whole)


# -- in blocks ---------------------------------------------------------------------------------------------------------

LAYER = """
model m(x: f32[n, t, 8]) -> (y: f32[n, t, 8]) {
    layer f = EncoderLayer(heads=2, width=12, activation=relu, dropout=0.25)
    return f(x)
}

train m() {
    loss mean(y ** 2)
    optimizer SGD(lr=1.0)
}
"""


def test_an_encoder_layer_drops_out_where_pytorch_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch's own layer, with our masks in place of its random numbers."""
    p = program(LAYER)
    values = initial_values(p)
    found = [torch.tensor(m) for m in masks(LAYER, seed=4).values()]
    rest = iter(found)

    def dropped(x: torch.Tensor, p: float, training: bool = True, inplace: bool = False) -> torch.Tensor:
        return torch.where(next(rest), x / (1 - p), 0)

    def attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: Any, p: float, *_: Any) -> torch.Tensor:
        return dropped(torch.softmax(q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5, -1), p) @ v

    monkeypatch.setattr(F, "dropout", dropped)
    monkeypatch.setattr(F, "scaled_dot_product_attention", attention)
    twin = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.25, batch_first=True)
    own = {name.removeprefix("m.f."): torch.tensor(a) for name, a in values.items()}
    named = {n.replace("attn.out", "self_attn.out_proj").replace("ffn.up", "linear1").replace("ffn.down", "linear2"): a
             for n, a in own.items() if "query" not in n and "key" not in n and "value" not in n}  # fmt: skip
    for part in ("weight", "bias"):
        named[f"self_attn.in_proj_{part}"] = torch.cat([own[f"attn.{w}.{part}"] for w in ("query", "key", "value")])
    twin.load_state_dict(named)
    loss = (twin(torch.tensor(batch(p)["x"])) ** 2).mean()
    assert next(rest, None) is None
    assert len(found) == 4
    assert losses(trained(LAYER))[0] == pytest.approx(loss.item(), rel=1e-5)
