"""`update`: what parameters and states become by a step, in every way to compute one; and `load PATH into PATH`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file

import wsdl
from tests.compiling import compiled_once
from tests.golden import Golden
from wsdl.diagnostics import CompileError
from wsdl.diagnostics.render import render
from wsdl.diagnostics.span import Source
from wsdl.runtime.checkpoint import read_checkpoint
from wsdl.training import pieces

Array = NDArray[Any]
State = dict[str, Array]
HERE = Path(__file__).parent
STEPS, ROWS = 4, 6

PROGRAM = """\
model m(x: f32[n, 4]) -> (y: f32[n, 3], z: f32[n, 3]) {
    layer online = Tower()
    layer target = Tower()
    layer wide = Dense(6, bias=false)
    layer narrow = Dense(3, bias=false)
    state queue: [8, 3] = normal(1.0)
    state seen: [3] = zeros
    state steps: i64[] = zeros
    param gain: [3] = ones
    share { wide.weight[0:3], narrow.weight }
    y = gain * online(x) + narrow(x) + wide(x)[:, :3]
    return y, target(x)
}

block Tower()(x: [n, 4]) -> [n, 3] {
    layer norm = BatchNorm()
    return x |> norm |> Dense(3)
}

train m(wanted: f32[n, 3]) {
    freeze target train
    loss mse(y, wanted)
    optimizer Adam(lr=0.1EMA)
    UPDATES
}
"""


@dataclass(frozen=True)
class At:
    """A step: the state `before`, what it is `after` the same step without updates, and the batch."""

    before: State
    after: State
    x: Array
    number: int  # from 1

    @property
    def z(self) -> Array:
        """The result of the target in the forward pass."""
        x = self.x
        x = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)
        x = x * self.before["m.target.norm.weight"] + self.before["m.target.norm.bias"]
        return np.asarray(x @ self.before["m.target.dense.weight"].T + self.before["m.target.dense.bias"])

    def layer(self, name: str, state: State, *, states: bool = False) -> State:
        """The tensors of a tower, by their paths below it."""
        below = {k.removeprefix(f"m.{name}."): a for k, a in state.items() if k.startswith(f"m.{name}.")}
        return {k: a for k, a in below.items() if states or not k.startswith("norm.running")}

    def mixed(self, share: float, *, states: bool = False) -> State:
        """`share` of the target of before, and the rest of what the online tower is after the optimizer's step."""
        old, new = self.layer("target", self.before, states=states), self.layer("online", self.after, states=states)
        return {f"m.target.{k}": share * a + (1 - share) * new[k] for k, a in old.items()}


def unit(rows: Array) -> Array:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


Expected = Callable[[At], Mapping[str, Any]]
CASES: dict[str, Expected] = {
    "update target = 0.9 * target + 0.1 * online": lambda at: at.mixed(0.9),
    "update target all = 0.9 * target + 0.1 * online": lambda at: at.mixed(0.9, states=True),
    "update target = online every 2": lambda at: at.mixed(0.0) if at.number % 2 == 0 else {},
    "update target = target * (1 - step / total_steps) + online * step / total_steps": lambda at: at.mixed(
        1 - at.number / STEPS
    ),
    "update target.dense = clip(online.dense, min=-0.1, max=0.1)": lambda at: {
        f"m.target.dense.{k}": np.clip(at.after[f"m.online.dense.{k}"], -0.1, 0.1) for k in ("weight", "bias")
    },
    "update online = clip(online, min=-0.1, max=0.1)": lambda at: {
        f"m.online.{k}": np.clip(a, -0.1, 0.1) for k, a in at.layer("online", at.after).items()
    },
    "update online.dense.weight = online.dense.weight / sqrt(sum(online.dense.weight ** 2, axis=1, keepdims=true))": (
        lambda at: {"m.online.dense.weight": unit(at.after["m.online.dense.weight"])}
    ),
    "update queue = concat([z, queue], axis=0)[:8]": lambda at: {
        "m.queue": np.concatenate([at.z, at.before["m.queue"]])[:8]
    },
    "update seen = 0.9 * seen + 0.1 * mean(z, axis=0)": lambda at: {
        "m.seen": 0.9 * at.before["m.seen"] + 0.1 * at.z.mean(0)
    },
    "update seen = seen + sum(z, axis=0) / n * gain": lambda at: {
        "m.seen": at.before["m.seen"] + at.z.mean(0) * at.after["m.gain"]
    },
    "update seen = max(abs(z), axis=0)": lambda at: {"m.seen": np.abs(at.z).max(0)},
    "update steps = steps + 1": lambda at: {"m.steps": at.before["m.steps"] + 1},
    "update gain = 1.0": lambda at: {"m.gain": np.ones(3)},
    "update seen = gain\n    update gain = seen": lambda at: {
        "m.seen": at.after["m.gain"], "m.gain": at.before["m.seen"]
    },
    "update online.norm.running_mean = 0.5 * online.norm.running_mean": lambda at: {
        "m.online.norm.running_mean": 0.5 * at.after["m.online.norm.running_mean"]
    },
    "update narrow.weight = 2 * narrow.weight": lambda at: {
        "m.wide.weight": at.after["m.wide.weight"] * np.array([[2.0]] * 3 + [[1.0]] * 3)
    },
}  # fmt: skip
IN_PARTS = [
    "update target = target * (1 - step / total_steps) + online * step / total_steps",
    "update seen = 0.9 * seen + 0.1 * mean(z, axis=0)",
    "update seen = seen + sum(z, axis=0) / n * gain",
    "update seen = max(abs(z), axis=0)",
]


def program(updates: str, ema: str = ", ema=0.5") -> Any:
    return compiled_once(PROGRAM.replace("UPDATES", updates).replace("EMA", ema))


def batches() -> Iterator[dict[str, Array]]:
    rng = np.random.default_rng(0)
    for _ in range(STEPS):
        yield {"x": rng.normal(size=(ROWS, 4)).astype("f4"), "wanted": rng.normal(size=(ROWS, 3)).astype("f4")}


def tensors(trainer: Any) -> State:
    return dict(trainer.checkpoint().arrays)


def check(before: State, after: State, plain: Any, batch: dict[str, Array], expected: Expected, number: int) -> None:
    plain.write(before)
    plain.step(batch)
    other = tensors(plain)
    wanted = {**other, **expected(At(before, other, batch["x"], number))}
    for name, array in after.items():
        if name.startswith("optimizer/average/"):
            tensor = name.removeprefix("optimizer/average/")
            wanted[name] = 0.5 * before[name] + 0.5 * after[tensor]
        assert np.allclose(array, wanted[name], atol=1e-5), name


@pytest.fixture(scope="module")
def plain() -> Any:
    """The training without updates."""
    return program("").trainer()


@pytest.mark.parametrize("lines", CASES)
def test_what_tensors_become(lines: str, plain: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "LARGE", 1)  # the update of each tensor that can be cut is
    trainer = program(lines).trainer()
    trainer.total_steps = STEPS
    for number, batch in enumerate(batches(), 1):
        before = tensors(trainer)
        trainer.step(batch)
        check(before, tensors(trainer), plain, batch, CASES[lines], number)


@pytest.mark.parametrize("lines", IN_PARTS)
def test_what_reads_sums_and_means_is_exact_in_parts(lines: str) -> None:
    """Without layers that normalize by the batch, which is that of a part."""
    text = PROGRAM.replace("UPDATES", lines).replace("EMA", "").replace("BatchNorm()", "LayerNorm()")
    whole, parts = (wsdl.compile(Source("m.wsd", text)).trainer(accumulate=n) for n in (1, 3))
    for trainer in whole, parts:
        trainer.total_steps = STEPS
        for batch in batches():
            trainer.step(batch)
    for name, array in whole.state.items():
        assert np.allclose(array, parts.state[name], atol=1e-5), name


@pytest.mark.parametrize("lines", [lines for lines in CASES if "running" in lines or "all" in lines])
def test_running_statistics_of_parts_are_read_and_written(lines: str) -> None:
    trainer, plain = program(lines).trainer(accumulate=3), program("").trainer(accumulate=3)
    for number, batch in enumerate(batches(), 1):
        before = tensors(trainer)
        trainer.step(batch)
        check(before, tensors(trainer), plain, batch, CASES[lines], number)


def test_the_rows_themselves_are_refused_in_parts(golden: Golden) -> None:
    with pytest.raises(CompileError) as caught:
        program("update queue = concat([z, queue], axis=0)[:8]").trainer(accumulate=2)
    golden(HERE / "golden/update_in_parts.txt", render(caught.value.diagnostics))


ALL = "\n    ".join([
    "update target all = 0.9 * target + 0.1 * online",
    "update queue = concat([z, queue], axis=0)[:8] every 2",
    "update seen = seen + mean(z, axis=0) * step / total_steps",
])  # fmt: skip


def test_the_step_as_one_file_does_the_same(tmp_path: Path) -> None:
    manifest = program(ALL).save(tmp_path, train=True)
    contract = manifest["training"]["m"]
    assert {"m.target.dense.weight", "m.target.norm.running_var", "m.queue", "m.seen"} <= {*contract["feeds"].values()}
    session = ort.InferenceSession(str(tmp_path / "m.train.onnx"))
    assert json.loads(session.get_modelmeta().custom_metadata_map["wsdl.training"]) == contract
    state = load_file(tmp_path / contract["initial"])
    names = [output.name for output in session.get_outputs()]
    trainer = program(ALL).trainer()
    trainer.total_steps = STEPS
    for batch in batches():
        outputs = dict(zip(names, session.run(None, {**batch, **state, "total_steps": np.array(STEPS)}), strict=True))
        state = {name: outputs[output] for output, name in contract["feeds"].items()}
        trainer.step(batch)
        for name, array in trainer.state.items():
            assert np.allclose(array, state[name], atol=1e-5), name


def test_a_run_resumes_bit_for_bit(tmp_path: Path) -> None:
    first, second = program(ALL).trainer(), program(ALL).trainer()
    first.total_steps = second.total_steps = STEPS
    for number, batch in enumerate(batches()):
        if number == 2:
            first.save(tmp_path)
            second.restore(read_checkpoint(tmp_path / "last.safetensors"))
        first.step(batch)
        if number >= 2:
            second.step(batch)
    assert first.state.keys() == second.state.keys()
    assert all(np.array_equal(array, second.state[name]) for name, array in first.state.items())


def test_a_step_that_is_not_finite_writes_nothing() -> None:
    trainer = program("update seen = mean(1 / (z - z), axis=0)").trainer(on_nan="skip")
    before = tensors(trainer)
    trainer.step(next(batches()))
    assert all(np.array_equal(array, tensors(trainer)[name]) for name, array in before.items())


def test_batches_of_each_size_are_read() -> None:
    trainer = program("update queue = concat([z, queue], axis=0)[:8]", ema="").trainer()
    before = trainer.state["m.queue"]
    for rows in (5, 2, 4):
        trainer.step({name: array[:rows] for name, array in next(batches()).items()})
    after = trainer.state["m.queue"]
    assert not np.isin(before, after).any()
    assert len(np.unique(after[:, 0])) == 8


def test_an_evaluation_sees_what_was_written() -> None:
    trainer = program("update online.dense = 0.0", ema="").trainer()
    for batch in batches():
        trainer.step(batch)
    assert not trainer.state["m.online.dense.weight"].any()
    batch["x"] *= 0
    assert trainer.evaluate(batch)["loss"] == pytest.approx(np.mean(batch["wanted"] ** 2))


# -- load PATH into PATH -----------------------------------------------------------------------------------------------

COPIES = """\
model m(x: f32[n, 4]) -> (y: f32[n, 4]) {
    layer a = Dense(4)
    layer b = Dense(4)
    layer c = Dense(4, bias=false)
    layer rows[2] = Residual(BatchNorm())
    layer others[2] = Residual(BatchNorm())
    param w: [4, 4] = a.weight
    return x |> a |> b |> c |> rows[0] |> rows[1] |> others[0] |> others[1]
}
"""


def test_initial_values_of_another_layer() -> None:
    text = COPIES.replace(
        "    param w: [4, 4] = a.weight\n", "    share { c.weight, w.T }\n    param w: [4, 4] = ones\n"
    )
    text = text.replace("return x |>", "return x @ w |>")
    text += "load m.b into m.a\nload m.c.weight into m.b.weight\nload m.rows into m.others\n"
    program = wsdl.compile(Source("m.wsd", text))
    values = {**program.stored}
    assert np.array_equal(values["m.a.weight"], values["m.b.weight"])
    assert np.array_equal(values["m.a.bias"], values["m.b.bias"])
    assert np.array_equal(values["m.b.weight"], values["m.c.weight"])
    assert np.array_equal(values["m.others.1.inner.running_var"], np.ones(4))
    given = {name: np.full_like(array, i) for i, (name, array) in enumerate(values.items())}
    loaded = wsdl.compile(Source("m.wsd", text), weights=given).stored
    assert all(np.array_equal(loaded[name], array) for name, array in given.items())
    part = wsdl.compile(Source("m.wsd", text), weights={"m.b.bias": np.full(4, 7, "f4")}, partial=True).stored
    assert np.array_equal(part["m.a.bias"], np.full(4, 7))


# -- updates of blocks -------------------------------------------------------------------------------------------------

BLOCKS = """\
block Watched()(x: [n, 3]) -> [n, 3] {
    param gain: [3] = ones
    state seen: [3] = zeros
    state rows: i64[] = zeros
    update seen = 0.9 * seen + 0.1 * mean(x, axis=0)
    update rows = rows + n
    update gain = clip(gain, min=0.99, max=1.01) every 2
    return x * gain
}

model m(x: f32[n, 3], z: f32[n, 3]) -> (y: f32[n, 3]) {
    layer watched = Watched()
    layer other = Watched()
    LINES
    return watched(x) + watched(z) + other(x)
}

train m(wanted: f32[n, 3]) {
    loss mse(y, wanted)
    optimizer SGD(lr=1.0)
}
"""


@pytest.mark.parametrize("lines", ["", "freeze other", "share { watched, other }"])
@pytest.mark.parametrize("accumulate", [1, 3])
def test_updates_of_a_block_are_averaged_over_its_applications(lines: str, accumulate: int) -> None:
    text = BLOCKS.replace("LINES", lines).replace("rows + n", "rows + cast(sum(x * 0 + 1) / 3, i64)")
    trainer = wsdl.compile(Source("m.wsd", text)).trainer(accumulate=accumulate)
    seen, other, count = np.zeros(3), np.zeros(3), 0
    for number, batch in enumerate(batches(), 1):
        x, z = batch["wanted"], 2 * batch["wanted"][::-1]
        trainer.step({"x": x, "z": z, "wanted": batch["wanted"]})
        state = tensors(trainer)
        places = [x, z, x] if "share" in lines else [x, z]
        seen = 0.9 * seen + 0.1 * np.mean([place.mean(0) for place in places], axis=0)
        other = other if "freeze" in lines else 0.9 * other + 0.1 * x.mean(0)
        count += ROWS
        assert np.allclose(state["m.watched.seen"], seen, atol=1e-6)
        assert state["m.watched.rows"] == count
        assert (np.abs(state["m.watched.gain"] - 1) < 0.011).all() == (number % 2 == 0)
        if "share" not in lines:
            assert np.allclose(state["m.other.seen"], other, atol=1e-6)
            assert state["m.other.rows"] == (0 if "freeze" in lines else count)


def test_the_compiled_model_has_no_updates(tmp_path: Path) -> None:
    wsdl.compile(Source("m.wsd", BLOCKS.replace("    LINES\n", ""))).save(tmp_path)
    assert {node.op_type for node in onnx.load(str(tmp_path / "m.onnx")).graph.node} == {"Mul", "Add"}
