"""No loss, no metric and no gradient depends on how rows are cut into batches and parts; or that is said."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import wsdl
from tests.compiling import compiled_once
from tests.golden import Golden
from tests.runtime.cuts import COUNTS, THROUGH_ALL, WRITTEN, batch, cut, nested, program, with_metrics
from wsdl.diagnostics import CompileError
from wsdl.diagnostics.render import render
from wsdl.diagnostics.run_error import RunError
from wsdl.diagnostics.span import Source
from wsdl.ops.interpreter import evaluate
from wsdl.sharing.read_stored import evaluation_over_stored

ALL = os.environ.get("WSDL_CUTS") == "all"
NESTED = list(nested(1 if ALL else 17))
METRICS = [*WRITTEN, *COUNTS, *NESTED]
ENDS: list[tuple[int, ...]] = [(), (20,), (1, 7, 30), (39,), tuple(range(1, 40))]


def chunks(expressions: list[str], size: int) -> list[list[str]]:
    return [expressions[i : i + size] for i in range(0, len(expressions), size)]


def uncut(of: Any, data: dict[str, Any]) -> list[float]:
    """Loss and metrics by the reference."""
    graph = evaluation_over_stored(of._storage, of._storage.trainings["m"]).graph
    return [float(number) for number in evaluate(graph, [data[v.name] for v in graph.inputs], dict(of.stored))]


@pytest.mark.parametrize("expressions", chunks(METRICS, 150), ids=lambda e: e[0])
def test_no_metric_depends_on_the_cut(expressions: list[str]) -> None:
    of = with_metrics(expressions)
    evaluator, wanted = of.evaluator(), uncut(of, batch(40))
    carried = {v.name: of.stored[v.of] for v in evaluator.model.variables}
    assert evaluator.model.evaluation.warnings == []
    for ends in ENDS:
        found = evaluator.run(cut(batch(40), ends), carried)
        for text, got, want in zip(["mse(y, t)", *expressions], found.values(), wanted, strict=True):
            assert got == pytest.approx(want, rel=5e-5, abs=2e-6), (text, ends)


def gradients(of: Any, data: dict[str, Any], accumulate: int) -> tuple[float, dict[str, Any]]:
    trainer = of.trainer(accumulate=accumulate)
    loss = trainer.step(data)
    return loss, {name: (of.stored[name] - array) / 0.1 for name, array in trainer.weights.items()}


ALONE = [*chunks(THROUGH_ALL, 1), *([text, "mse(y, t)"] for text in THROUGH_ALL)]


@pytest.mark.parametrize("expressions", [*ALONE, *chunks([*WRITTEN, *NESTED], 1 if ALL else 12)], ids=lambda e: e[0])
def test_no_gradient_depends_on_the_parts(expressions: list[str]) -> None:
    """Those of several losses in one, each with a weight of its own."""
    lines = [f"loss {0.5 + i / 7} * ({text})" for i, text in enumerate(expressions)]
    of, data = program(*lines), batch(13, seed=1)
    loss, wanted = gradients(of, data, 1)
    for accumulate in (2, 5, 13) if ALL else (4,):
        got_loss, got = gradients(of, data, accumulate)
        assert got_loss == pytest.approx(loss, rel=2e-5, abs=1e-6)
        for name, want in wanted.items():
            np.testing.assert_allclose(got[name], want, rtol=1e-4, atol=2e-5 * (1 + np.abs(want).max()), err_msg=name)


def test_as_pytorch_on_the_whole_batch() -> None:
    of = program("loss sqrt(mean((e - mean(e, axis=0)) ** 4)) + max(abs(y)) + var(y, correction=1) / mean(t ** 2)")
    data = batch(12)
    loss, got = gradients(of, data, 5)
    weight, bias = (torch.tensor(of.stored[f"m.head.{name}"], requires_grad=True) for name in ("weight", "bias"))
    t = torch.tensor(data["t"])
    y = torch.tanh(torch.tensor(data["x"]) @ weight.T + bias)
    e = y - t
    wanted = ((e - e.mean(0)) ** 4).mean().sqrt() + y.abs().max() + y.var() / (t**2).mean()
    wanted.backward()
    assert loss == pytest.approx(wanted.item(), rel=1e-5)
    for name, tensor in (("weight", weight), ("bias", bias)):
        assert tensor.grad is not None
        np.testing.assert_allclose(got[f"m.head.{name}"], tensor.grad.numpy(), rtol=1e-4, atol=1e-5)


# -- what can't be merged ----------------------------------------------------------------------------------------------

PAIRS = """\
model pairs(a: f32[n, 5], b: f32[n, 5]) -> (x: f32[n, 4], y: f32[n, 4]) {
    layer tower = Dense(4)
    return tower(a), tower(b)
}

train pairs() {
    loss LOSS
    metric between = mean(cumsum(x, axis=0))
    metric error = mse(x, y)
    optimizer SGD(lr=0.1)
}
"""


def pairs(loss: str = "info_nce(x, y)") -> Any:
    return compiled_once(PAIRS.replace("LOSS", loss), "pairs")


def views(rows: int = 10) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=(rows, 5)).astype("f4") for name in "ab"}


def test_a_loss_that_compares_rows_is_refused_in_parts(golden: Golden) -> None:
    with pytest.raises(CompileError) as caught:
        pairs().trainer(accumulate=2)
    golden(Path(__file__).parent / "golden/rows_in_parts.txt", render(caught.value.diagnostics))


@pytest.mark.parametrize(
    "loss", ["mean(x[1:, :])", "sum(topk(x[:, 0], 3)[0])", "sum(x @ y.T) / n", "mean(x * unsqueeze(arange(n), 1))"]
)
def test_what_else_compares_rows(loss: str) -> None:
    with pytest.raises(CompileError, match="E0823"):
        pairs(loss.replace("arange(n)", "cast(arange(n), f32)")).trainer(accumulate=2)


def test_a_metric_that_compares_rows_is_that_of_a_batch_and_says_so(golden: Golden) -> None:
    trainer = pairs().trainer(batch=5)
    found = trainer.evaluate(views())
    whole = [trainer.evaluate([{name: a[low:high] for name, a in views().items()}]) for low, high in ((0, 5), (5, 10))]
    assert trainer.findings == []
    for name in ("loss", "between"):
        assert found[name] == pytest.approx((whole[0][name] + whole[1][name]) / 2, rel=1e-5)
    trainer.evaluate(views())
    golden(Path(__file__).parent / "golden/rows_in_batches.txt", render(trainer.findings))
    in_parts = pairs("mse(x, y)").trainer(accumulate=2)
    in_parts.step(views())
    assert [f.message.partition(" ")[0] for f in in_parts.findings] == ["`between`"]


# -- sizes, and nothing ------------------------------------------------------------------------------------------------


def test_other_sizes_have_to_be_those_of_all_batches() -> None:
    of = wsdl.compile(Source("m.wsd", """
model m(x: f32[n, t, 3]) -> (y: f32[n, t, 4]) {
    return x |> Dense(4)
}

train m() {
    loss mean(y ** 2)
    metric each = sum(y) / t
    metric over = sum(reshape(mean(y, axis=0), [t * 4]) ** 2)
    optimizer SGD(lr=0.1)
}
"""))  # fmt: skip
    evaluator = of.evaluator()
    carried = {v.name: of.stored[v.of] for v in evaluator.model.variables}
    x = np.random.default_rng(0).normal(size=(6, 5, 3)).astype("f4")
    whole, halves = evaluator.run([{"x": x}], carried), evaluator.run([{"x": x[:2]}, {"x": x[2:]}], carried)
    assert halves == pytest.approx(whole, rel=1e-5)
    with pytest.raises(RunError, match="E0713"):
        evaluator.run([{"x": x}, {"x": x[:, :4]}], carried)
    area = wsdl.compile(
        Source("m.wsd", of.source.text.replace("sum(y) / t", "sum(y) / (n * t)").replace("metric over", "# "))
    )
    with pytest.raises(RunError, match="`t` is 5 in one batch and 4 in another"):
        area.evaluator().run([{"x": x}, {"x": x[:, :4]}], carried)


def test_what_has_no_rows_has_to_be_the_same_in_all_batches() -> None:
    trainer, (first, second) = with_metrics(["sum(w) * mean(e)"]).trainer(), cut(batch(8), [3])
    trainer.evaluate([first, second])
    with pytest.raises(RunError, match="without rows differs"):
        trainer.evaluate([first, {**second, "w": second["w"] + 1}])


def test_a_generator_serves_where_one_time_through_is_enough() -> None:
    once, twice = with_metrics(["var(e)"]).trainer(), with_metrics(["mean((e - mean(e)) ** 2)"]).trainer()
    wanted = twice.evaluate(cut(batch(8), [3]))
    assert once.evaluate(part for part in cut(batch(8), [3])) == pytest.approx(wanted, rel=1e-5)
    with pytest.raises(RunError, match="iterated only once"):
        twice.evaluate(part for part in cut(batch(8), [3]))


def test_a_size_of_a_round_that_reads_no_rows() -> None:
    """What the scan goes over is of all rows; it counts as rows that meet, as its body reads `x`."""
    text = """
    model m(x: f32[n, t, 4]) -> (y: f32[1, t, 1]) {
        means = mean(x, axis=[0, 2], keepdims=true)
        steps = scan step in means along t {
            unused = var(x, axis=2)
            emit step
        }
        return steps |> RMSNorm()
    }

    train m(wanted: f32[1, t, 1]) {
        loss mse(y, wanted)
        optimizer SGD(lr=0.1)
    }
    """
    trainer = wsdl.compile(Source("m.wsd", text)).trainer(threads=1)
    rows = {"x": np.ones((4, 3, 4), np.float32), "wanted": np.zeros((1, 3, 1), np.float32)}
    assert np.isclose(trainer.evaluate(rows)["loss"], 1, atol=1e-5)
    assert np.isclose(trainer.step(rows), 1, atol=1e-5)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_no_rows(accumulate: int) -> None:
    trainer = with_metrics(["max(e)"]).trainer(accumulate=accumulate)
    with pytest.raises(RunError, match="this batch has no rows"):
        trainer.step(batch(0))
    assert trainer.steps == 0
    for data in (batch(0), [], [batch(0)]):
        with pytest.raises(RunError, match="E0718"):
            trainer.evaluate(data)
    assert trainer.evaluate([batch(0), batch(5)]) == trainer.evaluate(batch(5))


def test_labels_that_are_all_left_out_count_for_nothing() -> None:
    of, data = program("loss cross_entropy(y, label, ignore_index=0) ** 2"), batch(9)
    data["label"][:5] = 0
    loss, wanted = gradients(of, data, 1)
    got_loss, got = gradients(of, data, 3)
    assert got_loss == pytest.approx(loss, rel=1e-5)
    for name, want in wanted.items():
        np.testing.assert_allclose(got[name], want, rtol=1e-4, atol=1e-5)
