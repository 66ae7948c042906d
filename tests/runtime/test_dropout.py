"""A training with dropout: it resumes bit for bit, in parts too, and its evaluation draws nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.runtime.training import CLASSIFY, data, program
from wsdl.diagnostics.render import render
from wsdl.diagnostics.run_error import RunError
from wsdl.runtime.batches import Batches
from wsdl.runtime.checkpoint import read_checkpoint

TEXT = CLASSIFY.replace("block(x) |> tanh", "block(x) |> tanh |> Dropout(0.4)")


def trainer(**options: Any) -> Any:
    made = program(TEXT).trainer(**{"batch": 16, **options})
    made.total_steps = 20
    return made


@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_run_that_goes_on_repeats_bit_for_bit(accumulate: int, tmp_path: Any) -> None:
    whole, broken_off = (trainer(accumulate=accumulate, seed=5) for _ in range(2))
    batches = list(Batches(data(), 16).epoch(0))
    losses = [whole.step(batch) for batch in batches]
    assert [broken_off.step(batch) for batch in batches[:3]] == losses[:3]
    gone_on = trainer(accumulate=accumulate, seed=5)
    gone_on.restore(read_checkpoint(broken_off.save(tmp_path)))
    assert [gone_on.step(batch) for batch in batches[3:]] == losses[3:]
    for name, array in whole.state.items():
        np.testing.assert_array_equal(gone_on.state[name], array)


def test_the_seed_and_the_step_decide() -> None:
    batch = next(iter(Batches(data(), 16).epoch(0)))
    first = [trainer(seed=seed).step(batch) for seed in (1, 1, 2)]
    assert first[0] == first[1] != first[2]
    ours = program(TEXT.replace("lr=cosine(1e-2, warmup=5)", "lr=1e-12")).trainer(batch=16)
    assert len({ours.step(batch) for _ in range(5)}) == 5


def test_evaluation_is_that_of_the_compiled_model() -> None:
    ours, rows = trainer(), data()
    assert ours.evaluate(rows) == ours.evaluate(rows)
    logits = program(TEXT).session(weights=ours.weights)(x=rows["x"])["logits"]
    assert ours.evaluate(rows)["accuracy"] == pytest.approx(float((logits.argmax(1) == rows["label"]).mean()))


@pytest.mark.parametrize("accumulate", [1, 3])
def test_where_a_loss_went_wrong_is_found_with_the_same_masks(accumulate: int) -> None:
    """In the last part: no number but one that is kept there makes the loss infinite."""
    text = TEXT.replace("return head(x)", "return head(x |> Dropout(0.5) |> exp)")
    ours = program(text.replace("tanh |>", "relu |>")).trainer(batch=16, accumulate=accumulate)
    ours.total_steps = 20
    rows = data(16)
    rows["x"][12:] *= 1e4
    with pytest.raises(RunError) as caught:
        ours.step(rows)
    assert "the first tensor that is not finite is `classify/exp` (classify.wsd:8), computed by Exp" in render(
        caught.value.diagnostics, "full"
    )


def test_a_row_has_its_mask_however_the_batch_is_cut() -> None:
    """Over all steps of an epoch, whose last batch is shorter, with rows that count as several positions of a mask."""
    text = """
model m(x: f32[n, 8]) -> (y: f32[n, 3]) {
    h = x.reshape(n, 4, 2) |> Dropout(0.3) |> Dropout(0.3, axis=[0, 2])
    return h.reshape(n, 8) |> Dense(9) |> Dropout(0.2) |> Dropout(0.3, axis=0) |> Dense(3)
}

train m(label: i64[n]) {
    loss cross_entropy(y, label)
    optimizer Adam(lr=1e-2)
}
"""
    batches = list(Batches(data(), 16).epoch(0))
    whole, *parts = (program(text).trainer(batch=16, accumulate=parts, seed=3) for parts in (1, 3, 100))
    expected = [whole.step(batch) for batch in batches]
    for ours in parts:
        assert [ours.step(batch) for batch in batches] == pytest.approx(expected, rel=1e-5)
