"""A step of training: the reference and ONNX Runtime take the same way as PyTorch, loss by loss."""

from __future__ import annotations

from collections.abc import Iterator
from math import cos, pi
from typing import Any

import numpy as np
import pytest
import torch

import wsdl
from tests.stages import storage_of
from wsdl.diagnostics.span import Source
from wsdl.ir.stages import Storage
from wsdl.ir.training_graphs import TrainStep
from wsdl.onnx.emit import emit
from wsdl.onnx.training import initial_state
from wsdl.ops.interpreter import evaluate
from wsdl.ops.verify import verify
from wsdl.pipelines.training import train_step
from wsdl.runtime.session import Session
from wsdl.weights.initial_values import initial_values

STEPS = 50

TIED = """
model ae(image: f32[n, 20]) -> (restored: f32[n, 20]) {
    layer encode = Dense(8)
    layer decode = Dense(20)
    share { encode.weight, decode.weight.T }
    return image |> encode |> relu |> decode
}

train ae() {
    loss mean((restored - image) ** 2)
    metric error = mean(abs(restored - image))
    optimizer AdamW(lr=cosine(1e-2, warmup=5), weight_decay=0.1)
}
"""


def program(text: str) -> Storage:
    return storage_of(text)


def batches() -> Any:
    return np.random.default_rng(0).normal(size=(STEPS, 6, 20)).astype("f4")


def steps(step: TrainStep, values: dict[str, Any], run: Any) -> Iterator[dict[str, Any]]:
    """The outputs of each step, the new values fed back in."""
    carried = initial_state(step.variables, values)
    for image in batches():
        outputs = run({"image": image, "total_steps": np.int64(STEPS), **carried})
        yield outputs
        carried = {name: outputs[output] for output, name in step.feeds.items()}


def by_reference(step: TrainStep, values: dict[str, Any]) -> Any:
    def run(arrays: dict[str, Any]) -> dict[str, Any]:
        graph = step.model.graph
        stored = {**values, **{n: a for n, a in arrays.items() if n in step.phase.fed}}
        outputs = evaluate(graph, [arrays[v.name] for v in graph.inputs], stored)
        return dict(zip(step.model.output_names, outputs, strict=True))

    return run


def by_runtime(step: TrainStep, values: dict[str, Any]) -> Any:
    session = Session(emit(step.program, step.model, values, fed=step.phase.fed).SerializeToString())
    return session.run


def tied_in_pytorch(values: dict[str, Any]) -> list[float]:
    tensors = [
        torch.nn.Parameter(torch.tensor(values[f"ae.{n}"])) for n in ("encode.weight", "encode.bias", "decode.bias")
    ]
    weight, bias, other = tensors
    optimizer = torch.optim.AdamW(tensors, weight_decay=0.1)
    losses = []
    for i, image in enumerate(map(torch.tensor, batches())):
        optimizer.param_groups[0]["lr"] = 0.005 * (1 + cos(pi * max(0, i - 5) / (STEPS - 5))) * min(1, (i + 1) / 5)
        loss = ((torch.relu(image @ weight.T + bias) @ weight + other - image) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("way", [by_reference, by_runtime], ids=["reference", "runtime"])
def test_a_tied_autoencoder_learns_as_in_pytorch(way: Any) -> None:
    p = program(TIED)
    values = initial_values(p, 0)
    step = train_step(p, p.trainings["ae"])
    verify(step.program)
    assert [s.name for s in step.trained] == ["ae.encode.weight", "ae.encode.bias", "ae.decode.bias"]
    losses = [float(outputs["loss"]) for outputs in steps(step, values, way(step, values))]
    np.testing.assert_allclose(losses, tied_in_pytorch(values), rtol=1e-5)


RECURRENT = """
model voices(frames: f32[n, t, 20]) -> (logits: f32[n, 3]) {
    layer gru = GRU(8)
    return gru(frames)[:, -1] |> Dense(3)
}

train voices(label: i64[n]) {
    loss cross_entropy(logits, label)
    optimizer SGD(lr=0.1, momentum=0.9)
}
"""


def test_a_recurrent_layer_learns_as_in_pytorch() -> None:
    """Its cell reads transposed weights inside of the scan."""
    p = program(RECURRENT)
    values = initial_values(p, 0)
    step = train_step(p, p.trainings["voices"])
    run = by_runtime(step, values)
    gru, head = torch.nn.GRU(20, 8, batch_first=True), torch.nn.Linear(8, 3)
    gru.load_state_dict(
        {
            f"{n}_l0": torch.tensor(values[f"voices.gru.cell.{n}"])
            for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        }
    )
    head.load_state_dict({n: torch.tensor(values[f"voices.dense.{n}"]) for n in ("weight", "bias")})
    optimizer = torch.optim.SGD([*gru.parameters(), *head.parameters()], lr=0.1, momentum=0.9)
    carried = initial_state(step.variables, values)
    for i, frames in enumerate(batches().reshape(STEPS // 2, 4, 3, 20)):
        label = np.arange(i, i + 4) % 3
        outputs = run({"frames": frames, "label": label, **carried})
        carried = {name: outputs[output] for output, name in step.feeds.items()}
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(head(gru(torch.tensor(frames))[0][:, -1]), torch.tensor(label))
        loss.backward()
        optimizer.step()
        assert outputs["loss"] == pytest.approx(loss.item(), rel=1e-5)


def test_a_frozen_tensor_is_a_part_of_the_file() -> None:
    p = program(TIED.replace("    metric", "    freeze decode.bias\n    metric"))
    step = train_step(p, p.trainings["ae"])
    proto = emit(step.program, step.model, initial_values(p, 0), fed=step.phase.fed)
    names = {t.name for t in proto.graph.initializer}
    assert "ae.decode.bias" in names
    assert "ae.encode.weight" not in names
    assert "next/ae.decode.bias" not in step.feeds


SCANNED = """
model heard(frames: f32[n, t, 3]) -> (logits: f32[n, 2]) {
    layer cell = GRUCell(4)
    layer head = Dense(2)
    scan frame in frames along t with h = zeros([n, 4]) {
        h = cell(frame, h)
    }
    return head(h)
}

train heard(label: u8[n]) {
    loss cross_entropy(logits, label)
    optimizer SGD(lr=0.5)
}
"""


def test_a_recurrent_network_learns_as_in_pytorch() -> None:
    """Its weights are read in the steps of a scan; its labels are small integers."""
    p = program(SCANNED)
    values = initial_values(p, 0)
    step = train_step(p, p.trainings["heard"])
    verify(step.program)
    run = by_runtime(step, values)
    rng = np.random.default_rng(1)
    frames, label = rng.normal(size=(5, 7, 3)).astype("f4"), rng.integers(0, 2, 5).astype("u1")
    tensors = {name: torch.nn.Parameter(torch.tensor(value)) for name, value in values.items()}
    cell = [tensors[f"heard.cell.{n}"] for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    optimizer = torch.optim.SGD(tensors.values(), lr=0.5)
    carried = {**values, "step": np.int64(0)}
    for _ in range(10):
        outputs = run({"frames": frames, "label": label, **carried})
        carried = {name: outputs[output] for output, name in step.feeds.items()}
        h = torch.zeros(5, 4)
        for frame in torch.tensor(frames).unbind(1):
            h = torch.gru_cell(frame, h, *cell)
        logits = h @ tensors["heard.head.weight"].T + tensors["heard.head.bias"]
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor(label, dtype=torch.int64))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert float(outputs["loss"]) == pytest.approx(loss.item(), rel=1e-5)


NORMALIZED = """
model siamese(left: f32[n, 1, 6, 6], right: f32[n, 1, 6, 6]) -> (distance: f32[n]) {
    layer conv = Conv2d(3, kernel=3)
    layer norm = BatchNorm()
    layer head = Dense(4)
    a = left |> conv |> norm |> relu |> flatten |> head
    b = right |> conv |> norm |> relu |> flatten |> head
    return mean((a - b) ** 2, axis=1)
}

train siamese(same: f32[n]) {
    loss mean(same * distance + (1 - same) * exp(-distance))
    optimizer SGD(lr=0.1, momentum=0.9)
}
"""


def test_statistics_follow_the_batches_as_in_pytorch() -> None:
    p = program(NORMALIZED)
    values = initial_values(p, 0)
    step = train_step(p, p.trainings["siamese"])
    verify(step.program)
    assert [s.name for s in step.statistics] == ["siamese.norm.running_mean", "siamese.norm.running_var"]
    run = by_runtime(step, values)
    rng = np.random.default_rng(1)
    carried = initial_state(step.variables, values)

    conv, norm, head = torch.nn.Conv2d(1, 3, 3), torch.nn.BatchNorm2d(3), torch.nn.Linear(48, 4)
    for name, module in (("conv", conv), ("norm", norm), ("head", head)):
        own = {k: torch.tensor(values[f"siamese.{name}.{k}"]) for k in module.state_dict() if "num" not in k}
        module.load_state_dict(own, strict=False)
    modules = torch.nn.ModuleList([conv, norm, head])
    optimizer = torch.optim.SGD(modules.parameters(), lr=0.1, momentum=0.9)

    for _ in range(20):
        left, right = rng.normal(size=(2, 5, 1, 6, 6)).astype("f4")
        same = rng.integers(0, 2, 5).astype("f4")
        outputs = run({"left": left, "right": right, "same": same, **carried})
        carried = {name: outputs[output] for output, name in step.feeds.items()}
        a, b = (head(torch.relu(norm(conv(torch.tensor(x)))).flatten(1)) for x in (left, right))
        distance, wanted = ((a - b) ** 2).mean(1), torch.tensor(same)
        loss = (wanted * distance + (1 - wanted) * torch.exp(-distance)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert float(outputs["loss"]) == pytest.approx(loss.item(), rel=2e-4)
    for name in ("running_mean", "running_var"):
        np.testing.assert_allclose(carried[f"siamese.norm.{name}"], norm.state_dict()[name], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("by_value", [True, False])
def test_clipping_and_averages_as_in_pytorch(by_value: bool) -> None:
    options = f"optimizer SGD(lr=0.5, clip_norm=0.05, {'clip_value=0.02, ' if by_value else ''}ema=0.9)"
    p = program(TIED.replace("optimizer AdamW(lr=cosine(1e-2, warmup=5), weight_decay=0.1)", options))
    values = initial_values(p, 0)
    step = train_step(p, p.trainings["ae"])
    names = ("encode.weight", "encode.bias", "decode.bias")
    tensors = [torch.nn.Parameter(torch.tensor(values[f"ae.{n}"])) for n in names]
    averages = [t.detach().clone() for t in tensors]
    weight, bias, other = tensors
    optimizer = torch.optim.SGD(tensors, lr=0.5)
    for image, outputs in zip(
        map(torch.tensor, batches()), steps(step, values, by_reference(step, values)), strict=True
    ):
        loss = ((torch.relu(image @ weight.T + bias) @ weight + other - image) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.get_total_norm([t.grad for t in tensors if t.grad is not None])
        assert float(outputs["norm/gradients"]) == pytest.approx(norm.item(), rel=1e-5)
        if by_value:
            torch.nn.utils.clip_grad_value_(tensors, 0.02)
        torch.nn.utils.clip_grad_norm_(tensors, 0.05)
        optimizer.step()
        averages = [0.9 * a + 0.1 * t.detach() for a, t in zip(averages, tensors, strict=True)]
        assert float(outputs["loss"]) == pytest.approx(loss.item(), rel=1e-5)
    for name, average in zip(names, averages, strict=True):
        np.testing.assert_allclose(outputs[f"next/optimizer/average/ae.{name}"], average, rtol=1e-5, atol=1e-6)


WIDE = """
model m(x: f64[n, 128]) -> (y: f64[n, 2]) {
    layer hidden = Dense(160)
    layer head = Dense(2)
    return x |> hidden |> tanh |> head
}

train m(wanted: f64[n, 2]) {
    loss mse(y, wanted)
    optimizer OPTIMIZER
}
"""


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize(
    ("optimizer", "twin"),
    [
        ("AdamW(lr=0.01, weight_decay=0.1, clip_norm=0.05)", lambda p: torch.optim.AdamW(p, 0.01, weight_decay=0.1)),
        ("RMSprop(lr=0.01, momentum=0.9, clip_norm=0.05)", lambda p: torch.optim.RMSprop(p, 0.01, momentum=0.9)),
        ("SGD(lr=step(0.1, every=3), momentum=0.9, clip_norm=0.05)", lambda p: torch.optim.SGD(p, 0.1, momentum=0.9)),
    ],
)
def test_f64_is_computed_in_f64(optimizer: str, twin: Any, accumulate: int) -> None:
    """The update of a large tensor goes piece by piece, with the learning rate and the norm in f64, too."""
    made = wsdl.compile(Source("m.wsd", WIDE.replace("OPTIMIZER", optimizer)))
    trainer = made.trainer(batch=8, accumulate=accumulate)
    names = ("hidden.weight", "hidden.bias", "head.weight", "head.bias")
    tensors = [torch.nn.Parameter(torch.tensor(made.stored[f"m.{n}"])) for n in names]
    theirs, rng = twin(tensors), np.random.default_rng(0)
    for step in range(8):
        x, wanted = rng.normal(size=(8, 128)), rng.normal(size=(8, 2))
        if "step(" in optimizer:
            theirs.param_groups[0]["lr"] = 0.1 * 0.1 ** (step // 3)
        h = torch.tanh(torch.nn.functional.linear(torch.tensor(x), *tensors[:2]))
        loss = torch.nn.functional.mse_loss(torch.nn.functional.linear(h, *tensors[2:]), torch.tensor(wanted))
        theirs.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(tensors, 0.05)
        theirs.step()
        assert trainer.step({"x": x, "wanted": wanted}) == pytest.approx(loss.item(), rel=1e-11)
    for name, tensor in zip(names, tensors, strict=True):
        np.testing.assert_allclose(trainer.weights[f"m.{name}"], tensor.detach(), rtol=1e-9, atol=1e-11)
