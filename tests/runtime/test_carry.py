"""`carry`: an input that goes from one step on a batch to the next, and batches that are held."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file

import wsdl
from tests.compiling import compiled_once
from wsdl.diagnostics.run_error import RunError
from wsdl.diagnostics.span import Source
from wsdl.runtime.checkpoint import read_checkpoint
from wsdl.runtime.fit import fit
from wsdl.runtime.plan import Plan

Array = NDArray[Any]
PROGRAM = """\
model m(x: f32[n, 4], z: f32[n, 8]) -> (y: f32[n, 3], next_z: f32[n, 8]) {
    layer inner = Dense(8)
    layer head = Dense(3)
    param start: [8] = normal(1.0)
    h = tanh(inner(concat([x, z], axis=1)))
    return head(h), h
}

train m(wanted: f32[n, 3]) {
    carry z = zeros([n, 8]) + start
    loss mse(y, wanted)
    metric size = mean(z ** 2)
    optimizer SGD(lr=0.1)
    z = next_z
}
"""
HOLD, ROWS = 3, 6


def trainer(**options: Any) -> Any:
    return compiled_once(PROGRAM).trainer(batch=ROWS, hold=HOLD, **options)


def data(rows: int = 2 * ROWS) -> dict[str, Array]:
    rng = np.random.default_rng(0)
    return {"x": rng.normal(size=(rows, 4)).astype("f4"), "wanted": rng.normal(size=(rows, 3)).astype("f4")}


class Twin:
    """The same in PyTorch."""

    def __init__(self, values: dict[str, Array]) -> None:
        self.w = {name[2:]: torch.tensor(array, requires_grad=True) for name, array in values.items()}
        self.z = torch.zeros(0)

    def step(self, batch: dict[str, Array], again: bool) -> float:
        x, wanted = (torch.tensor(batch[name]) for name in ("x", "wanted"))
        z = self.z if again else self.w["start"].expand(len(x), 8)
        self.z = torch.tanh(torch.cat([x, z], 1) @ self.w["inner.weight"].T + self.w["inner.bias"])
        loss = ((self.z @ self.w["head.weight"].T + self.w["head.bias"] - wanted) ** 2).mean()
        for tensor in self.w.values():
            tensor.grad = None
        loss.backward()
        self.z = self.z.detach()
        with torch.no_grad():
            for tensor in self.w.values():
                tensor -= 0 if tensor.grad is None else 0.1 * tensor.grad
        return loss.item()


@pytest.mark.parametrize("accumulate", [1, 4])
def test_each_step_begins_where_the_one_before_ended(accumulate: int) -> None:
    ours = trainer(accumulate=accumulate)
    twin = Twin(dict(ours.weights))
    for batch in ours.batches(data()).epoch(0):
        for number in range(HOLD):
            loss = ours.step(batch, again=number > 0)
            assert loss == pytest.approx(twin.step(batch, number > 0), rel=1e-5)
    for name, array in ours.weights.items():
        assert np.allclose(array, twin.w[name[2:]].detach(), atol=1e-5), name
    start = ours.weights["m.start"]
    assert ours.evaluate(data())["size"] == pytest.approx(np.mean(start**2), rel=1e-5)


def test_other_rows_are_refused() -> None:
    ours = trainer()
    ours.step(data(4))
    with pytest.raises(RunError, match="E0718"):
        ours.step(data(5), again=True)


def test_a_held_batch_is_resumed_bit_for_bit(tmp_path: Path) -> None:
    whole, first, second = trainer(), trainer(), trainer()
    fit(whole, data(), Plan(epochs=2, folder=tmp_path / "whole"))
    assert whole.steps == 2 * 2 * HOLD
    fit(first, data(), Plan(epochs=2, folder=tmp_path / "run", limit_steps=HOLD + 2))
    checkpoint = read_checkpoint(tmp_path / "run" / "last.safetensors")
    assert checkpoint.progress["batch"] == HOLD + 2
    fit(second, data(), Plan(epochs=2, folder=tmp_path / "run"), resume=checkpoint)
    ends = [(tmp_path / name / "last.safetensors").read_bytes() for name in ("whole", "run")]
    assert ends[0] == ends[1]


def test_the_step_as_one_file_carries_too(tmp_path: Path) -> None:
    contract = wsdl.compile(Source("m.wsd", PROGRAM)).save(tmp_path, train=True)["training"]["m"]
    assert contract["batch"] == ["x", "wanted"]
    assert (contract["carry"], contract["first"]) == ({"next/z": "z"}, "carry/first")
    session = ort.InferenceSession(str(tmp_path / "m.train.onnx"))
    assert json.loads(session.get_modelmeta().custom_metadata_map["wsdl.training"]) == contract
    names = [output.name for output in session.get_outputs()]
    state, ours, batch = load_file(tmp_path / contract["initial"]), trainer(), data(ROWS)
    carried = {"z": np.zeros((ROWS, 8), "f4")}
    for number in range(HOLD):
        feeds = {**batch, **state, **carried, "carry/first": np.array(number == 0)}
        outputs = dict(zip(names, session.run(None, feeds), strict=True))
        state = {name: outputs[output] for output, name in contract["feeds"].items()}
        carried = {name: outputs[output] for output, name in contract["carry"].items()}
        assert outputs["loss"] == pytest.approx(ours.step(batch, again=number > 0), rel=1e-5)


def test_what_the_loss_does_not_read_is_carried_all_the_same(tmp_path: Path) -> None:
    source = """\
model m(x: f32[n, 4], z: f32[n, 4]) -> (y: f32[n, 1], next_z: f32[n, 4]) {
    return x |> Dense(1), z + 1
}

train m(wanted: f32[n, 1]) {
    carry z = zeros([n, 4])
    loss mse(y, wanted)
    optimizer SGD(lr=0.1)
    z = 2 * x
}
"""
    contract = wsdl.compile(Source("m.wsd", source)).save(tmp_path, train=True)["training"]["m"]
    session = ort.InferenceSession(str(tmp_path / "m.train.onnx"))
    assert {*contract["carry"].values(), contract["first"]} < {value.name for value in session.get_inputs()}
