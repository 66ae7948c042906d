"""The trainer takes the same way as PyTorch, in one part or in several; evaluation; losses that are not finite."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wsdl
from tests.runtime.training import CLASSIFY, Classify, data, program
from wsdl.diagnostics.render import render
from wsdl.diagnostics.run_error import RunError
from wsdl.diagnostics.span import Source
from wsdl.runtime.batches import Batches
from wsdl.runtime.fit import checkpoint_in, fit
from wsdl.runtime.plan import Better, Plan
from wsdl.runtime.trainer import Trainer


def trainer(text: str = CLASSIFY, **options: Any) -> Any:
    made = program(text).trainer(**{"batch": 16, **options})
    made.total_steps = 21
    return made


def message(error: RunError) -> str:
    return render(error.diagnostics, "full")


# -- steps -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("accumulate", [1, 3])
def test_the_losses_are_those_of_pytorch(accumulate: int) -> None:
    """Three epochs, whose last batches are short."""
    ours = trainer(accumulate=accumulate, seed=3)
    batches = Batches(data(), 16, seed=3)
    assert (batches.steps, batches.rows) == (7, 100)
    order = [batch for epoch in range(3) for batch in batches.epoch(epoch)]
    losses = [ours.step(batch) for batch in order]
    twin = Classify(program().stored, 21)
    np.testing.assert_allclose(losses, twin.losses(order), rtol=1e-5)
    for name, tensor in zip(("blocks.0.inner.weight", "blocks.0.inner.bias"), twin.tensors, strict=False):
        np.testing.assert_allclose(ours.weights[f"classify.{name}"], tensor.detach().numpy(), rtol=1e-4, atol=1e-6)


def test_parts_with_labels_left_out_are_exact() -> None:
    text = CLASSIFY.replace("cross_entropy(logits, label)", "cross_entropy(logits, label, ignore_index=1)")
    whole, parts = trainer(text), trainer(text, accumulate=5)
    for batch in Batches(data(), 16).epoch(0):
        assert parts.step(batch) == pytest.approx(whole.step(batch), rel=1e-5)
    for name, array in whole.weights.items():
        np.testing.assert_allclose(parts.weights[name], array, rtol=1e-4, atol=1e-6)


def test_a_session_with_what_was_learnt() -> None:
    ours, rows = trainer(), data()
    fit(ours, rows, Plan(epochs=5))
    logits = program().session(weights=ours.weights)(x=rows["x"])["logits"]
    assert ours.evaluate(rows)["accuracy"] == pytest.approx(float((logits.argmax(1) == rows["label"]).mean()))
    assert ours.evaluate(rows)["accuracy"] > 0.7


def test_statistics_and_averages_are_carried() -> None:
    text = CLASSIFY.replace("return head(x)", "return x |> norm |> head").replace(
        "layer head", "layer norm = LayerNorm()\n    layer bn = BatchNorm()\n    layer head"
    )
    text = text.replace("x |> norm |> head", "x |> norm |> unsqueeze(2) |> bn |> squeeze(2) |> head")
    ours = trainer(text.replace("weight_decay=0.01", "ema=0.9"))
    before = ours.state
    fit(ours, data(), Plan(epochs=1))
    after = ours.state
    assert after["step"] == 7
    assert not np.array_equal(before["classify.bn.running_mean"], after["classify.bn.running_mean"])
    assert not np.array_equal(after["classify.head.weight"], after["optimizer/average/classify.head.weight"])
    np.testing.assert_array_equal(ours.weights["classify.head.weight"], after["optimizer/average/classify.head.weight"])


def test_any_iterable_of_batches() -> None:
    ours, batches = trainer(), list(Batches(data(), 16).epoch(0))
    assert fit(ours, batches, Plan(epochs=2)).epoch == 2
    assert ours.steps == 14
    with pytest.raises(RunError) as caught:
        fit(trainer(), iter(batches), Plan(epochs=2))
    assert message(caught.value) == (
        "error[E0718]: these batches can be iterated only once\n"
        "   = help: pass a list instead of a generator to train for several epochs\n"
        "   = see: wsdl explain E0718\n\n1 error\n"
    )


def test_the_length_of_the_run_has_to_be_known() -> None:
    with pytest.raises(RunError) as caught:
        program().trainer().step(data())
    assert message(caught.value) == (
        "error[E0831]: the learning rate schedule needs the length of the run, which is not known\n"
        "   = help: set `trainer.total_steps = 1000`, or write `cosine(1e-3, steps=1000)` in the program\n"
        "   = see: wsdl explain E0831\n\n1 error\n"
    )


@pytest.mark.parametrize(
    ("changed", "code"),
    [({"label": None}, "E0711"), ({"x": np.zeros((100, 8))}, "E0712"), ({"x": np.zeros((99, 8), "f4")}, "E0713")],
)
def test_data_that_do_not_fit(changed: dict[str, Any], code: str) -> None:
    rows = {name: array for name, array in {**data(), **changed}.items() if array is not None}
    for attempt in (lambda: trainer().step(rows), lambda: fit(trainer(), rows)):
        with pytest.raises(RunError) as caught:
            attempt()
        assert [d.code for d in caught.value.diagnostics] == [code]


def test_no_rows() -> None:
    with pytest.raises(RunError, match="the data has no rows"):
        fit(trainer(), data(0))


# -- batches -----------------------------------------------------------------------------------------------------------


def test_the_order_depends_on_seed_and_epoch_alone(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", data()["x"])
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    one, other = Batches({"x": data()["x"]}, 30, seed=7), Batches({"x": mapped}, 30, seed=7)
    assert [len(batch["x"]) for batch in one.epoch(0)] == [30, 30, 30, 10]
    for a, b in zip(one.epoch(2), other.epoch(2), strict=True):
        np.testing.assert_array_equal(a["x"], b["x"])
    np.testing.assert_array_equal(next(iter(one.epoch(1, start=2)))["x"], list(one.epoch(1))[2]["x"])
    assert not np.array_equal(one.order(0), one.order(1))
    assert not np.array_equal(one.order(0), Batches({"x": mapped}, 30, seed=8).order(0))
    assert sorted(one.order(5)) == list(range(100))


# -- losses that are not finite ----------------------------------------------------------------------------------------

BROKEN = CLASSIFY.replace("loss cross_entropy(logits, label)", "loss cross_entropy(log(logits - 9), label)")


def test_the_first_tensor_that_went_wrong_is_named() -> None:
    ours = trainer(BROKEN)
    before = ours.state
    with pytest.raises(RunError) as caught:
        ours.step(data(4))
    text = message(caught.value)
    assert text.startswith(
        "error[E0830]: the loss of step 1 is nan\n"
        "   │ the first tensor that is not finite is `classify/log` (classify.wsd:12), computed by Log\n"
        "   │ from `classify/sub`, whose elements are from "
    )
    for name, array in before.items():
        np.testing.assert_array_equal(ours.state[name], array, err_msg=name)  # the step was not made


def test_numbers_in_the_data_that_are_not_finite() -> None:
    rows = data(4)
    rows["x"][1, 2:4] = np.inf
    with pytest.raises(RunError) as caught:
        trainer().step(rows)
    assert "`x` of the batch has 2 elements that are not finite" in message(caught.value)


def test_such_batches_can_be_left_out() -> None:
    rows = data()
    rows["x"][5] = np.nan
    ours = trainer(on_nan="skip")
    progress = fit(ours, rows, Plan(epochs=2))
    assert (progress.skipped, ours.steps) == (2, 12)
    assert all(np.isfinite(array).all() for array in ours.weights.values())
    with pytest.raises(RunError, match="the losses or gradients of 20 batches in a row are not finite"):
        fit(trainer(BROKEN, on_nan="skip"), data(), Plan(epochs=9))


# The loss is finite for the batch below, and a gradient is not: a root at 0, a square beyond f32, a variance beyond it.
DISTANCE = """\
model m(x: f32[n, 4], y: f32[n, 4]) -> (d: f32[n]) {
    layer embed = Dense(8)
    return sqrt(sum((embed(x) - embed(y)) ** 2, axis=1))
}

train m(wanted: f32[n]) {
    loss mse(d, wanted)
    optimizer SGD(lr=0.1)
}
"""
HUGE = DISTANCE.replace("sqrt(sum((embed(x) - embed(y)) ** 2, axis=1))", "sum(embed(x) - embed(y), axis=1) * 1e-20")
VARIANCE = DISTANCE.replace("layer embed", "layer norm = BatchNorm()\n    layer embed").replace(
    "sqrt(sum((embed(x) - embed(y)) ** 2, axis=1))", "sum(embed(norm(x)), axis=1)"
)


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize(
    ("text", "optimizer", "spoiled", "found"),
    [
        (DISTANCE, "SGD(lr=0.1)", 0.0, "`m/div_3` (m.wsd:3), computed by Div"),
        (DISTANCE, "AdamW(lr=0.1, clip_norm=1.0, ema=0.9)", 0.0, "`m/div_3` (m.wsd:3), computed by Div"),
        (DISTANCE, "Lion(lr=0.1, clip_norm=1.0, clip_value=0.1)", 0.0, "`m/div_3` (m.wsd:3), computed by Div"),
        (
            HUGE,
            "AdamW(lr=0.1, clip_norm=1.0)",
            1e37,
            "but their sum of squares is not: `gradient/m.embed.weight` reaches",
        ),
        (VARIANCE, "SGD(lr=0.1)", 1e25, "the first tensor that is not finite is "),
    ],
)
def test_a_finite_loss_whose_gradients_are_not(
    text: str, optimizer: str, spoiled: float, found: str, accumulate: int
) -> None:
    made = wsdl.compile(Source("m.wsd", text.replace("SGD(lr=0.1)", optimizer)))
    options: dict[str, Any] = {"batch": 8, "accumulate": accumulate}
    stops, skips = made.trainer(**options), made.trainer(**options, on_nan="skip")
    rng = np.random.default_rng(0)
    sound = {name: rng.normal(size=(8, 4)).astype("f4") for name in "xy"} | {"wanted": np.ones(8, "f4")}
    bad = {name: array.copy() for name, array in sound.items()}
    bad["x"][6] = bad["y"][6] + np.float32(spoiled)
    assert skips.make_step(sound).gradient_norm > 0
    stops.step(sound)
    before = stops.state
    step = skips.make_step(bad)
    assert (step.is_skipped, np.isfinite(step.loss), np.isfinite(step.gradient_norm)) == (True, True, False)
    with pytest.raises(RunError) as caught:
        stops.step(bad)
    text = message(caught.value)
    assert "error[E0830]: the loss of step 2 is " in text
    assert ", but its gradients are not finite\n" in text
    assert found in text
    for ours in (stops, skips):
        for name, array in before.items():
            np.testing.assert_array_equal(ours.state[name], array, err_msg=name)
    assert not skips.make_step(sound).is_skipped


def test_early_stopping() -> None:
    """A learning rate of almost nothing: no evaluation is better than the first by the accuracy."""
    text = CLASSIFY.replace("cosine(1e-2, warmup=5)", "1e-12")
    plan = Plan(epochs=50, patience=3, better=Better.of("accuracy"))
    progress = fit(trainer(text), data(), plan, evaluation=data(50, seed=1))
    assert (progress.epoch, progress.waited, progress.best_step) == (4, 3, 7)


@pytest.mark.parametrize(
    ("better", "odd"), [("accuracy", np.nan), ("accuracy:min", -np.inf), ("loss", np.nan), ("loss:max", np.inf)]
)
def test_what_is_not_finite_is_never_the_best(
    better: str, odd: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An odd result first, then one that counts, then odd ones until patience is at its end; stopped in between."""
    results = iter([odd, 0.5, odd, odd, 0.4 if better.endswith("max") or better == "accuracy" else 0.6])
    monkeypatch.setattr(Trainer, "evaluate", lambda *_: dict.fromkeys(("loss", "accuracy"), next(results)))
    plan = Plan(epochs=9, folder=tmp_path, better=Better.of(better), patience=3, limit_steps=7)
    ours = trainer(on_nan="skip")
    progress = fit(ours, data(), plan, evaluation=data(50))
    assert (progress.has_best, progress.waited) == (False, 1)
    assert not (tmp_path / "best.safetensors").exists()
    progress = fit(ours, data(), replace(plan, limit_steps=21), evaluation=data(50), resume=kept(tmp_path))
    assert (progress.best, progress.best_step, progress.waited) == (0.5, 14, 1)
    progress = fit(ours, data(), replace(plan, limit_steps=None), evaluation=data(50), resume=kept(tmp_path))
    assert (progress.best, progress.best_step, progress.waited, progress.epoch) == (0.5, 14, 3, 5)


def kept(folder: Path) -> Any:
    return checkpoint_in(folder, resume=True, replace=False)


def test_an_earlier_best_that_is_not_finite_is_replaced() -> None:
    """As checkpoints may hold that were written before."""
    assert all(Better.of(name).than(0.5, odd) for name in ("accuracy", "loss") for odd in (np.nan, np.inf, -np.inf))


def test_program_trainer_is_in_the_public_module(tmp_path: Path) -> None:
    path = trainer().save(tmp_path)
    assert path == tmp_path / "last.safetensors"
    assert wsdl.compile(CLASSIFY, weights=path).stored.keys() == program().stored.keys()
