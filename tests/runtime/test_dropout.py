"""A training with dropout: it goes on bit for bit, its parts differ, its evaluation is none of chance's business."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.runtime.training import CLASSIFY, data, program
from tests.stages import storage_of
from wsdl.diagnostics.render import render
from wsdl.diagnostics.run_error import RunError
from wsdl.ir.dtypes import numpy_dtype
from wsdl.ir.step import Part, Result, Sum, Whole
from wsdl.ops.interpreter import evaluate
from wsdl.pipelines.training import split_step
from wsdl.runtime.batches import Batches
from wsdl.runtime.checkpoint import read_checkpoint
from wsdl.weights.initial_values import initial_values

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


def test_each_part_of_a_batch_has_masks_of_its_own() -> None:
    """The same rows as the first and as the second part, in place of which the whole is but the first."""
    p = storage_of(TEXT)
    training, values = p.trainings["classify"], initial_values(p)

    def loss(of_parts: bool, part: int = 0) -> float:
        phase = split_step(p, training, of_parts=of_parts).gradients
        model, inputs = phase.model, phase.inputs.items()
        numbers = {"seed": np.array(3), "step": np.array(2), "part/start": np.array(part)}
        numbers |= {n: np.array(16, numpy_dtype(p.type.dtype)) for n, p in inputs if isinstance(p, Whole)}
        numbers |= {n: np.zeros_like(values[p.of.of]) for n, p in inputs if isinstance(p, Sum)}
        given = {**data(16), **numbers}
        outputs = evaluate(model.graph, [np.asarray(given[v.name]) for v in model.graph.inputs], values)
        return float(next(o for p, o in zip(phase.outputs, outputs, strict=True) if isinstance(p, Result | Part)))

    assert loss(True, 0) == pytest.approx(loss(False), rel=1e-6)
    assert len({loss(True, part) for part in range(4)}) == 4
