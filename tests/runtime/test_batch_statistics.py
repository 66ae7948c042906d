"""Running statistics: of batches in several parts, and of batches with one value per channel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.compiling import compiled_once
from wsdl.diagnostics.render import render
from wsdl.diagnostics.run_error import RunError
from wsdl.reporting.reports import Callback
from wsdl.runtime.fit import fit
from wsdl.runtime.plan import Plan

NORMED = """\
model m(x: f32[n, 3]) -> (y: f32[n, 3]) {
    layer norm = BatchNorm()
    return norm(x)
}

train m(wanted: f32[n, 3]) {
    loss mse(y, wanted)
    optimizer SGD(lr=0.1)
}
"""
IMAGES = NORMED.replace("x: f32[n, 3]", "x: f32[n, 3, t]").replace("norm(x)", "norm(x) |> mean(axis=2)")


def rows(count: int, *sizes: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    x = rng.normal(2.0, 3.0, (count, 3, *sizes)).astype("f4")
    return {"x": x, "wanted": rng.normal(size=(count, 3)).astype("f4")}


def trainer(text: str = NORMED, **options: Any) -> Any:
    return compiled_once(text).trainer(**options)


def statistics(ours: Any) -> tuple[Any, Any]:
    return tuple(ours.state[f"m.norm.running_{name}"] for name in ("mean", "var"))


def in_pytorch(parts: list[Any]) -> tuple[Any, Any]:
    """What each part would make of fresh statistics, weighed by the rows; a part of one row makes nothing of them."""
    found, total = np.zeros((2, 3)), sum(map(len, parts))
    for x in parts:
        norm = torch.nn.BatchNorm1d(3)
        if x.size > 3:
            norm(torch.tensor(x))
        assert norm.running_mean is not None
        assert norm.running_var is not None
        found += len(x) / total * torch.stack([norm.running_mean, norm.running_var]).numpy()
    return found[0], found[1]


@pytest.mark.parametrize(("text", "sizes"), [(NORMED, ()), (IMAGES, (4,))])
@pytest.mark.parametrize(
    ("count", "accumulate", "cuts"), [(8, 1, []), (8, 2, [4]), (7, 3, [2, 4]), (3, 2, [1]), (1, 1, []), (2, 5, [1])]
)
def test_they_are_those_of_the_parts(
    count: int, accumulate: int, cuts: list[int], text: str, sizes: tuple[int, ...]
) -> None:
    ours, batch = trainer(text, accumulate=accumulate), rows(count, *sizes)
    ours.step(batch)
    for found, expected in zip(statistics(ours), in_pytorch(np.split(batch["x"], cuts)), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


class Notes(Callback):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def on_note(self, text: str) -> None:
        self.texts.append(text)


@pytest.mark.parametrize(
    ("text", "sizes", "count", "options", "note"),
    [
        (NORMED, (), 9, {"batch": 4}, "1 row, which is one value per channel in `m.norm`"),
        (NORMED, (), 10, {"batch": 4, "accumulate": 2},
         "2 rows, computed in 2 parts, which is one value per channel in `m.norm`"),
        (NORMED, (), 8, {"batch": 4}, None),
        (NORMED, (), 4, {"batch": 9}, None),
        (IMAGES, (4,), 9, {"batch": 4}, None),
        (IMAGES, (1,), 9, {"batch": 4}, "1 row, which is one value per channel in `m.norm`"),
    ],
)  # fmt: skip
def test_a_last_batch_of_one_value_is_left_out(
    text: str, sizes: tuple[int, ...], count: int, options: dict[str, int], note: str | None
) -> None:
    ours, batch, notes = trainer(text, **options), rows(count, *sizes), Notes()
    fit(ours, batch, Plan(epochs=3), callback=notes)
    says = "the last batch of an epoch has {}; running statistics ignore it"
    assert notes.texts == ([says.format(note)] if note else [])
    norm = torch.nn.BatchNorm1d(3)
    for epoch in range(3):
        for one in ours.batches(batch).epoch(epoch):
            if one["x"].size > 3 * ours.settings.accumulate:
                norm(torch.tensor(one["x"]))
    if ours.settings.accumulate == 1:
        for found, expected in zip(statistics(ours), (norm.running_mean, norm.running_var), strict=True):
            assert expected is not None
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert np.isfinite(ours.evaluate(batch)["loss"])


@pytest.mark.parametrize(
    ("options", "message"),
    [({"batch": 1}, "a batch of 1 row"), ({"batch": 4, "accumulate": 4}, "a batch of 4 rows, computed in 4 parts")],
)
def test_batches_of_one_value_are_refused(options: dict[str, Any], message: str) -> None:
    ours = trainer(**options)
    with pytest.raises(RunError) as caught:
        fit(ours, rows(12), Plan())
    fewer = "fewer parts" if "parts" in message else "larger batches"
    assert render(caught.value.diagnostics, "full") == (
        f"error[E0832]: `m.norm` can't normalize {message}: it has one value per channel\n"
        f"   = help: use {fewer}, or a norm of single rows, such as LayerNorm; a frozen layer can "
        "normalize by its running statistics: `freeze PATH eval`\n"
        "   = see: wsdl explain E0832\n\n1 error\n"
    )
    assert ours.steps == 0
