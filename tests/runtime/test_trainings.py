"""Several trainings of one state: each step as in PyTorch, in the order that the program says, resumed bit for bit."""

from __future__ import annotations

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
from wsdl.diagnostics import CompileError
from wsdl.diagnostics.run_error import RunError
from wsdl.ir.training import Turns
from wsdl.runtime.checkpoint import read_checkpoint
from wsdl.runtime.fit import fit
from wsdl.runtime.plan import Plan
from wsdl.runtime.trainer import Trainers
from wsdl.runtime.turns import steps_until, training_of_step

Array = NDArray[Any]

PROGRAM = """
model maker(z: f32[n, 4]) -> (made: f32[n, 6]) {
    layer first = Dense(8)
    layer norm = BatchNorm()
    layer last = Dense(6)
    return z |> first |> norm |> tanh |> last
}

model judge(x: f32[n, 6]) -> (score: f32[n, 1]) {
    layer first = Dense(8)
    layer last = Dense(1)
    return x |> first |> dropout(DROP) |> tanh |> last
}

train critic of maker(real: f32[n, 6]) {
    freeze maker eval
    loss mean((judge(real) - 1) ** 2) + mean(judge(made) ** 2)
    metric apart = mean(judge(real)) - mean(judge(made))
    optimizer Adam(lr=cosine(0.01), ema=0.9)
}

train making of maker() {
    loss mean((frozen(judge)(made) - 1) ** 2)
    optimizer SGD(lr=0.1, momentum=0.9)
}

turns { critic 2, making 1 }
"""


def program(drop: str = "0") -> wsdl.Program:
    return compiled_once(PROGRAM.replace("DROP", drop), "gan")


def data(rows: int = 24, seed: int = 1) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    return {"z": rng.normal(size=(rows, 4)).astype("f4"), "real": rng.normal(size=(rows, 6)).astype("f4")}


def both(rows: int = 24) -> dict[str, dict[str, Array]]:
    return {"critic": data(rows), "making": {"z": data(rows, 2)["z"]}}


class Twin:
    """The two networks in PyTorch, with an optimizer for each."""

    def __init__(self, weights: dict[str, Array], total: int) -> None:
        from torch import nn

        self.maker = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8, momentum=0.1), nn.Tanh(), nn.Linear(8, 6))
        self.judge = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1))
        self.named = {
            f"{model}.{layer}.{name}": tensor
            for model, net, layers in (
                ("maker", self.maker, {"first": 0, "norm": 1, "last": 3}),
                ("judge", self.judge, {"first": 0, "last": 2}),
            )
            for layer, number in layers.items()
            for name, tensor in net[number].state_dict(keep_vars=True).items()
            if name != "num_batches_tracked"
        }
        with torch.no_grad():
            for name, tensor in self.named.items():
                tensor.copy_(torch.tensor(weights[name]))
        self.critic = torch.optim.Adam(self.judge.parameters(), lr=0.01)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.critic, total)
        self.making = torch.optim.SGD(self.maker.parameters(), lr=0.1, momentum=0.9)

    def step(self, training: str, batch: dict[str, Array]) -> float:
        optimizer = {"critic": self.critic, "making": self.making}[training]
        self.critic.zero_grad()
        self.making.zero_grad()
        z = torch.tensor(batch["z"])
        if training == "critic":
            self.maker.eval()
            real = self.judge(torch.tensor(batch["real"]))
            loss = ((real - 1) ** 2).mean() + (self.judge(self.maker(z).detach()) ** 2).mean()
        else:
            self.maker.train()
            loss = ((self.judge(self.maker(z)) - 1) ** 2).mean()
        loss.backward()
        optimizer.step()
        if training == "critic":
            self.schedule.step()
        return loss.item()


def test_each_step_is_that_of_pytorch() -> None:
    ours = program().trainers()
    ours["critic"].total_steps = 14
    twin = Twin(dict(ours.weights), 14)
    for number in range(20):
        batch = data(8, number)
        name = ours.turn
        assert name == ("critic", "critic", "making")[number % 3]
        given = batch if name == "critic" else {"z": batch["z"]}
        assert ours[name].step(given) == pytest.approx(twin.step(name, batch), rel=1e-4), number
    assert (ours["critic"].steps, ours["making"].steps, ours.steps) == (14, 6, 20)
    state = ours.state
    for name, tensor in twin.named.items():
        # the variance of the running statistics is that of PyTorch, unbiased or not by the definition of the block
        assert np.allclose(state[name], tensor.detach(), atol=1e-4), name
    assert {n for n in state if n.startswith("optimizer/making/")} >= {"optimizer/making/step"}
    averages = ours["critic"].weights
    assert not np.array_equal(averages["judge.last.weight"], state["judge.last.weight"])
    assert np.array_equal(averages["maker.last.weight"], state["maker.last.weight"])


def test_in_parts_the_steps_are_the_same() -> None:
    whole, parts = program().trainers(batch=8), program().trainers(batch=8, accumulate=2)
    for trainers in (whole, parts):
        trainers["critic"].total_steps = 6
    for number in range(6):
        batch = data(8, number)
        ends = [trainers["critic"].step(batch) for trainers in (whole, parts)]
        assert ends[0] == pytest.approx(ends[1], rel=1e-5)
    for name, array in whole.weights.items():
        assert np.allclose(array, parts.weights[name], atol=1e-6), name


@pytest.mark.parametrize("limit", [1, 5, 9])
def test_a_run_is_resumed_at_the_right_turn_bit_for_bit(tmp_path: Path, limit: int) -> None:
    def trainers() -> Trainers:
        return program("0.1").trainers(batch=8, seed=3)

    whole, first, second = trainers(), trainers(), trainers()
    plan = Plan(epochs=3, folder=tmp_path / "whole")
    progress = fit(whole, both(20), plan, evaluation={"critic": data(10)})
    assert progress.results.keys() == {"critic.loss", "critic.apart"}
    assert (whole["critic"].steps, whole["making"].steps) == (9, 4)
    fit(first, both(20), Plan(epochs=3, folder=tmp_path / "run", limit_steps=limit), evaluation={"critic": data(10)})
    assert first.steps == limit
    checkpoint = read_checkpoint(tmp_path / "run" / "last.safetensors")
    fit(second, both(20), Plan(folder=tmp_path / "run"), evaluation={"critic": data(10)}, resume=checkpoint)
    for name, array in whole.state.items():
        assert np.array_equal(array, second.state[name]), name


def test_the_steps_as_files_have_one_initial_state(tmp_path: Path) -> None:
    manifest = program("0.1").save(tmp_path, train=True)
    assert manifest["turns"] == {"kind": "turns", "counts": {"critic": 2, "making": 1}}
    contracts = manifest["training"]
    assert {contract["initial"] for contract in contracts.values()} == {"turns.train.safetensors"}
    state: dict[str, Any] = load_file(tmp_path / "turns.train.safetensors")
    sessions = {name: ort.InferenceSession(str(tmp_path / f"{name}.train.onnx")) for name in contracts}
    ours = program("0.1").trainers()
    assert state.keys() == ours.state.keys()
    ours["critic"].total_steps = 6
    for number in range(9):
        name = ours.turn
        assert name is not None
        contract, session, batch = contracts[name], sessions[name], data(8, number)
        given = {n: batch[n] for n in contract["batch"]}
        assert set(contract["feeds"].values()) <= set(contract["state"]) <= state.keys()
        total = {n: np.array(6) for n in [contract["total_steps"]] if n}
        outputs = dict(
            zip(
                [output.name for output in session.get_outputs()],
                session.run(None, {**given, **total, **{n: state[n] for n in contract["state"]}}),
                strict=True,
            )
        )
        state |= {name: outputs[output] for output, name in contract["feeds"].items()}
        assert outputs[contract["loss"]] == pytest.approx(ours[name].step(given), rel=1e-5)
    for name, array in ours.state.items():
        assert np.allclose(array, state[name], atol=1e-6), name


def test_dropout_differs_from_training_to_training() -> None:
    seeds = {name: array for name, array in program("0.1").trainers().state.items() if name.endswith("/seed")}
    assert len(seeds) == 2
    assert len({int(seed) for seed in seeds.values()}) == 2


TURNS = [
    (Turns("turns", {"a": 2, "b": 1}, None), "aabaabaa"),  # type: ignore[arg-type] # a program's place isn't needed
    (Turns("turns", {"b": 1, "a": 3}, None), "baaabaaa"),  # type: ignore[arg-type] # likewise
]


@pytest.mark.parametrize(("turns", "order"), TURNS)
def test_the_order_of_turns(turns: Turns, order: str) -> None:
    assert "".join(training_of_step(turns, 0, number) for number in range(8)) == order


def test_the_order_of_a_mix_depends_on_the_seed_and_has_the_proportions() -> None:
    turns = Turns("mix", {"a": 3, "b": 1}, TURNS[0][0].span)
    orders = ["".join(training_of_step(turns, seed, number) for number in range(3000)) for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert 0.22 < orders[0].count("b") / 3000 < 0.28
    made = steps_until(turns, 0, "a", 100)
    assert made["a"] == 100
    assert orders[0][: sum(made.values())].count("b") == made["b"]
    assert orders[0][sum(made.values())] == "a"


def test_what_is_refused() -> None:
    with pytest.raises(CompileError, match="E0705"):
        program().trainers("critic")
    with pytest.raises(CompileError, match="E0705"):
        program().trainers("critic", "maker")
    ours = program().trainers(batch=8)
    with pytest.raises(RunError, match="E0704"):
        fit(ours, {"critic": data()}, Plan())
    with pytest.raises(RunError, match="E0704"):
        fit(ours, both(), Plan(better=wsdl.api.Better.of("apart")))
    with pytest.raises(RunError, match="E0718"):
        fit(ours, {"critic": data(), "making": []}, Plan())
    with pytest.raises(RunError, match="E0711"):
        ours.write({"optimizer/making/first/judge.last.weight": np.zeros(1)})
    named = program().trainers("making", "critic")
    assert named.turn == "critic"
    alone = program().trainer("making")
    assert "judge.last.weight" not in alone.state
