"""What is computed of parts of the rows, and in which rounds; steps in halves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.stages import storage_of
from wsdl.ir.phase import Phase
from wsdl.ir.stages import Storage
from wsdl.ir.step import step_variable
from wsdl.onnx.training import initial_state
from wsdl.ops.interpreter import evaluate
from wsdl.ops.verify import verify
from wsdl.pipelines.training import evaluation, split_step, train_step
from wsdl.weights.initial_values import initial_values

MODEL = """
model m(x: f32[n, t, 6]) -> (logits: f32[n, t, 4], score: f32[n]) {
    layer trunk = Dense(5)
    layer head = Dense(4)
    h = x |> trunk |> tanh
    return head(h), mean(h, axis=[1, 2])
}

train m(label: i64[n, t], wanted: f32[n], weight: f32[4]) {
    LOSSES
    metric accuracy = mean(argmax(logits, axis=2) == label)
    metric root = sqrt(mse(score, wanted))
    metric ratio = sum(score * wanted) / sum(score ** 2)
    metric length = sum(head.weight ** 2)
    optimizer OPTIMIZER
}
"""


def program(losses: str, optimizer: str = "SGD(lr=0.1)") -> Storage:
    text = MODEL.replace("LOSSES", losses).replace("OPTIMIZER", optimizer)
    return storage_of(text)


def batch(rows: int = 7, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "x": rng.normal(size=(rows, 3, 6)).astype("f4"),
        "label": rng.integers(0, 4, (rows, 3)),
        "wanted": rng.uniform(0.5, 1.5, rows).astype("f4"),
        "weight": np.array([0.5, 1, 2, 1], "f4"),
    }


def run(phase: Phase, values: dict[str, Any], inputs: dict[str, Any]) -> dict[str, Any]:
    """By the reference."""
    verify(phase.program)
    graph = phase.graph
    outputs = evaluate(graph, [inputs[v.name] for v in graph.inputs], {**values, **inputs})
    return dict(zip(phase.model.output_names, outputs, strict=True))


def test_means_in_parts_want_nothing_but_sizes() -> None:
    """What was exact in one time through the parts is so still."""
    p = program("loss mse(score, wanted)\n    loss 0.1 * mae(score, wanted) + sum(head.weight ** 2)")
    split = split_step(p, p.trainings["m"], parts="several")
    assert split.rounds == []
    read = split.gradients.inputs.values()
    assert {m.how for m in split.merges if any(whole in read for whole in m.wholes)} == {"size"}


def test_the_weights_of_labels_are_all_that_is_looked_at_before() -> None:
    p = program("loss cross_entropy(logits, label, weight=weight, ignore_index=2)")
    [first] = split_step(p, p.trainings["m"], parts="several").rounds
    assert [v.name for v in first.phase.graph.inputs] == ["label", "weight"]
    assert {merge.how for merge in first.merges} == {"sum"}


def test_an_evaluation_goes_through_the_data_as_often_as_it_has_to() -> None:
    p = program("loss mean((score - mean(score)) ** 2)")
    first, second = evaluation(p, p.trainings["m"]).rounds
    assert len(first.merges) > len(second.merges) == 1
    verify(first.phase.program)
    verify(second.phase.program)


OPTIMIZERS = [
    "SGD(lr=0.1, momentum=0.9, nesterov=true, weight_decay=0.1)",
    "Adam(lr=cosine(1e-2, warmup=3), weight_decay=0.1, clip_norm=0.1)",
    "AdamW(lr=1e-2, ema=0.9)",
    "RMSprop(lr=1e-2, momentum=0.5)",
    "Lion(lr=1e-2, weight_decay=0.1)",
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_two_halves_are_one_step(optimizer: str) -> None:
    p = program("loss cross_entropy(logits, label)", optimizer)
    joined, split = train_step(p, p.trainings["m"]), split_step(p, p.trainings["m"])
    values = initial_values(p, 0)
    state = initial_state(joined.variables, values)
    state |= {v.name: np.full(v.type.sizes or (), 0.1, "f4") for v in joined.variables if v.role == "optimizer"}
    inputs = {**batch(), **state, "step": np.int64(4), "total_steps": np.int64(10)}
    wanted = run(joined.phase, values, inputs)
    gradients = run(split.gradients, values, inputs)
    second = run(split.update, values, {**inputs, **gradients})
    assert gradients["loss"] == wanted["loss"]
    assert joined.variables == split.variables
    for name in joined.feeds:
        np.testing.assert_array_equal(second[name], wanted[name], err_msg=name)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_what_is_written_in_place_is_read_by_nothing_else(optimizer: str) -> None:
    """Every node that reads such an input comes before the output in any order that there may be."""
    p = program("loss cross_entropy(logits, label)", optimizer)
    split = split_step(p, p.trainings["m"])
    assert set(split.trained) <= split.in_place
    assert (step_variable() in split.in_place) == ("Adam" not in optimizer)  # whose bias correction reads it, too
    states = {v for v in split.variables if v.role == "optimizer"}
    lion = states if "Lion" in optimizer else set()
    assert split.in_place.isdisjoint(lion)  # read twice, for the direction and for what is kept
    assert states - lion <= split.in_place
