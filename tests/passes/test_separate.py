"""What adds up over batches: parts of scalars, shares of a whole, steps in halves, evaluations of whole sets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from wsdl.compiler import check
from wsdl.diagnostics import Problems
from wsdl.ir.graph import Program
from wsdl.ir.verify import verify
from wsdl.onnx.initial_values import initial_values
from wsdl.ops.evaluate import evaluate
from wsdl.passes.evaluation import evaluation
from wsdl.passes.split_step import split_step
from wsdl.passes.train_step import train_step
from wsdl.span import Source

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
LOSSES = {
    "a mean": "loss mse(score, wanted)",
    "several with weights": "loss 0.3 * cross_entropy(logits, label) - (1 - mse(score, wanted)) / 4",
    "labels left out": "loss cross_entropy(logits, label, ignore_index=2)",
    "classes with weights": "loss cross_entropy(logits, label, weight=weight, label_smoothing=0.1)",
    "nll": "loss nll(log_softmax(logits, axis=-1), label, weight=weight)",
    "a sum": "loss 0.01 * sum((score - wanted) ** 2)",
    "a penalty": "loss mae(score, wanted)\n    loss 1e-2 * sum(head.weight ** 2)",
    "for each row": "loss (score - wanted) ** 2",
    "an average of its own": "loss sum(wanted * (score - wanted) ** 2) / sum(wanted)",
}


def program(losses: str, optimizer: str = "SGD(lr=0.1)") -> Program:
    problems = Problems()
    text = MODEL.replace("LOSSES", losses).replace("OPTIMIZER", optimizer)
    result = check(Source("m.wsd", text), problems)
    assert not problems.errors, [d.message for d in problems.errors]
    return result


def batch(rows: int = 7, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "x": rng.normal(size=(rows, 3, 6)).astype("f4"),
        "label": rng.integers(0, 4, (rows, 3)),
        "wanted": rng.uniform(0.5, 1.5, rows).astype("f4"),
        "weight": np.array([0.5, 1, 2, 1], "f4"),
    }


def cut(whole: dict[str, Any], *ends: int) -> list[dict[str, Any]]:
    pieces = zip((0, *ends), (*ends, None), strict=True)
    return [{n: a if n == "weight" else a[low:high] for n, a in whole.items()} for low, high in pieces]


def run(of: Program, values: dict[str, Any], inputs: dict[str, Any]) -> dict[str, Any]:
    """By the reference."""
    verify(of)
    graph = of.only.graph
    outputs = evaluate(graph, [inputs[v.name] for v in graph.inputs], {**values, **inputs})
    return dict(zip(of.only.output_names, outputs, strict=True))


@pytest.mark.parametrize("losses", LOSSES.values(), ids=LOSSES.keys())
def test_the_shares_of_parts_add_up_to_the_whole(losses: str) -> None:
    p = program(losses)
    values = initial_values(p, 0)
    whole = split_step(p, p.trainings["m"])
    wanted = run(whole.first, values, batch())

    parts = split_step(p, p.trainings["m"], of_parts=True)
    assert parts.counts is not None
    pieces = cut(batch(), 2, 3)
    counts = [run(parts.counts, values, piece) for piece in pieces]
    carried: dict[str, Any] = {f"sum/{s.name}": np.zeros(s.sizes, "f4") for s in parts.trained}
    carried |= {total: np.float32(sum(float(c[total]) for c in counts)) for total in parts.totals}
    loss = 0.0
    for piece in pieces:
        outputs = run(parts.first, values, {**piece, **carried})
        loss += float(outputs["loss"])
        carried |= {f"sum/{s.name}": outputs[f"gradient/{s.name}"] for s in parts.trained}
    assert loss == pytest.approx(float(wanted["loss"]), rel=1e-5)
    for stored in whole.trained:
        got, want = carried[f"sum/{stored.name}"], wanted[f"gradient/{stored.name}"]
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6, err_msg=stored.name)


def test_a_root_is_weighed_by_the_rows() -> None:
    """It can't be put together from those of parts, and is told as what it is: a mean over the rows."""
    p = program("loss sqrt(mse(score, wanted))")
    parts = split_step(p, p.trainings["m"], of_parts=True)
    values, pieces = initial_values(p, 0), cut(batch(), 2)
    given: dict[str, Any] = {f"sum/{s.name}": np.zeros(s.sizes, "f4") for s in parts.trained}
    given |= dict.fromkeys(parts.totals, np.float32(7))
    own = [float(run(split_step(p, p.trainings["m"]).first, values, piece)["loss"]) for piece in pieces]
    got = sum(float(run(parts.first, values, {**piece, **given})["loss"]) for piece in pieces)
    assert got == pytest.approx((2 * own[0] + 5 * own[1]) / 7, rel=1e-5)


@pytest.mark.parametrize("ends", [(), (3,), (1, 2, 5)])
def test_an_evaluation_does_not_depend_on_how_the_data_are_cut(ends: tuple[int, ...]) -> None:
    p = program("loss cross_entropy(logits, label, weight=weight, ignore_index=0)\n    loss mse(score, wanted)")
    values = initial_values(p, 0)
    found = evaluation(p, p.trainings["m"])
    tally = found.start()
    for piece in cut(batch(), *ends):
        tally.add(run(found.program, values, piece))
    results = tally.results()

    whole = run(split_step(p, p.trainings["m"]).first, values, batch())
    assert list(results) == ["loss", "accuracy", "root", "ratio", "length"]
    for name, result in results.items():
        assert result == pytest.approx(float(whole[name]), rel=1e-5), name


def test_an_empty_part_counts_for_nothing() -> None:
    """A batch in which every label is to be left out has no mean."""
    p = program("loss cross_entropy(logits, label, ignore_index=0)")
    values = initial_values(p, 0)
    found = evaluation(p, p.trainings["m"])
    tally = found.start()
    empty = batch(2)
    empty["label"][:] = 0
    with np.errstate(all="ignore"):
        for piece in (batch(), empty):
            tally.add(run(found.program, values, piece))
    alone = found.start()
    alone.add(run(found.program, values, batch()))
    assert tally.results()["loss"] == pytest.approx(alone.results()["loss"])


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
    state = {s.name: values[s.name] for s in joined.trained}
    state |= {name: np.full(type.sizes or (), 0.1, "f4") for name, type in joined.states.items()}
    state |= {name: values[s.name] for name, s in joined.averages.items()}
    inputs = {**batch(), **state, "step": np.int64(4), "total_steps": np.int64(10)}
    wanted = run(joined.program, values, inputs)
    first = run(split.first, values, inputs)
    second = run(split.second, values, {**inputs, **first})
    assert first["loss"] == wanted["loss"]
    assert joined.states == split.states
    for name in joined.feeds:
        np.testing.assert_array_equal(second[name], wanted[name], err_msg=name)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_what_is_written_in_place_is_read_by_nothing_else(optimizer: str) -> None:
    """Every node that reads such an input comes before the output in any order that there may be."""
    p = program("loss cross_entropy(logits, label)", optimizer)
    split = split_step(p, p.trainings["m"])
    assert {s.name for s in split.trained} <= split.in_place
    assert ("step" in split.in_place) == ("Adam" not in optimizer)  # whose bias correction reads it, too
    lion = {name for name in split.states if name.startswith("optimizer/first")} if "Lion" in optimizer else set()
    assert split.in_place.isdisjoint(lion)  # read twice, for the direction and for what is kept
    assert set(split.states) - lion <= split.in_place
