"""Random numbers: functions of seed, step and place, in models and in training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.compiling import compiled_once
from tests.stages import storage_of
from wsdl.cli import execute
from wsdl.ir.target import Loops, Target
from wsdl.onnx.emit import emit
from wsdl.onnx.training import initial_state
from wsdl.ops import OPERATIONS
from wsdl.pipelines.training import train_step
from wsdl.runtime.checkpoint import read_checkpoint
from wsdl.runtime.session import Session
from wsdl.weights.initial_values import initial_values

SAMPLE = """
block Noisy()(x: f32[n, d], seed: i64) -> [n, d] {
    return x + random_normal([n, d], seed=seed)
}

model sample(x: f32[n, 4], seed: i64) -> (a: f32[n, 4], b: f32[n, 4], c: f32[n, 4], u: f32[3, n, 4], coin: bool[n, 4]) {
    layer noisy = Noisy()
    steps = scan step in 0..3 {
        emit random_uniform([n, 4], seed=seed)
    }
    coin = random_bernoulli(0.25, [n, 4], seed=seed)
    return noisy(x, seed), noisy(x, seed), x + random_normal([n, 4], seed=seed), steps, coin
}
"""

TRAINED = """
model m(x: f32[n, 8]) -> (y: f32[n, 3]) {
    layer head = Dense(3)
    return x |> Dropout(0.2) |> head
}

train m(label: i64[n]) {
    noise = 0.3 * random_normal([n, 3])
    kept = random_bernoulli(0.7, [n, 3])
    shift = random_uniform([3])
    loss cross_entropy(where(kept, y + noise, shift), label)
    metric noise_power = mean(noise ** 2)
    metric shift = sum(shift)
    optimizer SGD(lr=0.1)
}
"""

WITH_ITS_SEED = """
model m(x: f32[n, 8], seed: i64) -> (y: f32[n, 3]) {
    return x + random_normal([n, 8], seed=seed) |> Dense(3)
}

train m(label: i64[n]) {
    loss cross_entropy(y, label)
    optimizer SGD(lr=1e-9)
}
"""


def data(rows: int = 12) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {"x": rng.normal(size=(rows, 8)).astype("f4"), "label": rng.integers(0, 3, rows)}


def numbers(op: str, seed: int = 0, step: int = 0, place: int = 0, shape: Sequence[int] = (400, 300)) -> Any:
    given = {"seed": np.array(seed), "step": np.array(step), "place": np.array(place), "start": None}
    return OPERATIONS[op].evaluate(np, shape=list(shape), dtype="f64", **given)[0]


# -- the numbers -------------------------------------------------------------------------------------------------------

MOMENTS: dict[str, list[float]] = {
    "uniform_numbers": [1 / 2, 1 / 3, 1 / 4, 1 / 5, 1 / 9],
    "normal_numbers": [0, 1, 0, 3, 105],
}


@pytest.mark.parametrize("op", MOMENTS)
@pytest.mark.parametrize("shape", [(400, 300), (100_000,), (20, 30, 8, 25)], ids=str)
def test_moments(op: str, shape: Sequence[int]) -> None:
    """Over 10 steps, and the mean in every row and column: within five standard deviations."""
    found = np.stack([numbers(op, step=step, shape=shape) for step in range(10)])
    for power, moment in zip((1, 2, 3, 4, 8), MOMENTS[op], strict=True):
        powers = found**power
        assert abs(powers.mean() - moment) <= 5 * powers.std() / found.size**0.5, power
    for axis in range(found.ndim):
        lines = found.mean(axis=axis)
        assert abs(lines.var() * found.shape[axis] / found.var() - 1) <= 0.1 + 5 / lines.size


def test_bins() -> None:
    """Chi² of the parts of the uniform numbers, of the angle of pairs of normal ones, and of the corners of rectangles,
    which the masks of dropout don't have independent."""
    uniform, normal = (numbers(op, shape=(1000, 1000)) for op in MOMENTS)
    angles = np.arctan2(normal[:, ::2], normal[:, 1::2]) / (2 * np.pi) + 0.5
    corners = uniform[::2, ::2] + uniform[1::2, ::2] + uniform[::2, 1::2] + uniform[1::2, 1::2]
    for values in uniform, angles, uniform * 256 % 1, uniform * 2**20 % 1, corners % 1:
        counts = np.bincount((values.ravel() * 256).astype(int), minlength=256)
        chi2 = ((counts - counts.mean()) ** 2).sum() / counts.mean()
        assert abs(chi2 - 255) < 5 * (2 * 255) ** 0.5


@pytest.mark.parametrize("op", MOMENTS)
def test_other_seeds_steps_places_rows_and_columns_have_nothing_in_common(op: str) -> None:
    first = numbers(op)
    others = [
        numbers(op, seed=1),
        numbers(op, step=1),
        numbers(op, place=1),
        np.roll(first, 1, 0),
        np.roll(first, 1, 1),
    ]
    for one, other in combinations([first, *others], 2):
        for power in 1, 2:
            assert abs(np.corrcoef(one.ravel() ** power, other.ravel() ** power)[0, 1]) < 5 / one.size**0.5
    np.testing.assert_array_equal(first, numbers(op))


# -- in models ---------------------------------------------------------------------------------------------------------


def test_places_seeds_and_steps_of_a_scan_draw_their_own() -> None:
    run = compiled_once(SAMPLE).session()
    x = np.zeros((3, 4), "f4")
    first, again, other = (run(x=x, seed=np.array(seed)) for seed in (5, 5, 6))
    drawn = [first["a"], first["b"], first["c"], *first["u"]]
    for one, two in combinations([*drawn, other["a"], other["u"][0]], 2):
        assert not (one == two).any()
    for name, array in first.items():
        np.testing.assert_array_equal(again[name], array)
    assert 0 < first["coin"].mean() < 0.6


def test_a_row_does_not_depend_on_the_others() -> None:
    run = compiled_once(SAMPLE).session()
    many, few = (run(x=np.zeros((rows, 4), "f4"), seed=np.array(5)) for rows in (9, 2))
    for name in ("a", "b", "c", "coin"):
        np.testing.assert_array_equal(many[name][:2], few[name])


def test_in_16_bits() -> None:
    """Uniform numbers are those of f32, rounded down; so 1 is not among them."""
    text = (
        "model m(x: f32[n], seed: i64) -> (u: f32[n], z: f32[n]) {\n"
        "    return random_uniform([n], seed=seed), random_normal([n], seed=seed)\n}"
    )
    x = np.zeros(20_000, "f4")
    wide = compiled_once(text).session()(x=x, seed=np.array(1))
    half = compiled_once(text, dtype="f16", keep_io=False).session()(x=x.astype("f2"), seed=np.array(1))
    assert half["u"].dtype == half["z"].dtype == np.float16
    assert half["u"].max() < 1
    np.testing.assert_array_equal(half["u"], np.floor(wide["u"] * 2**11) / 2**11)
    np.testing.assert_allclose(half["z"], wide["z"], rtol=2**-10)


def test_a_random_matrix_that_stays_is_a_constant() -> None:
    """With a number as the seed: a projection that is not trained."""
    text = "model m(x: f32[n, 64]) -> (y: f32[n, 8]) { return x @ random_normal([64, 8], seed=3) }"
    y = compiled_once(text).session()(x=np.eye(64, dtype="f4"))["y"]
    assert abs(y.mean()) < 0.25
    assert abs(y.std() - 1) < 0.2


# -- in training -------------------------------------------------------------------------------------------------------


def test_the_step_and_the_seed_decide() -> None:
    batch = data()
    trainers = [compiled_once(TRAINED).trainer(batch=12, seed=seed) for seed in (1, 1, 2)]
    first = [trainer.make_step(batch).results for trainer in trainers]
    assert first[0] == first[1] != first[2]
    assert len({trainers[0].make_step(batch).results["shift"] for _ in range(4)}) == 4


@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_resumed_run_repeats_bit_for_bit(accumulate: int, tmp_path: Any) -> None:
    def trainer() -> Any:
        return compiled_once(TRAINED).trainer(batch=12, accumulate=accumulate, seed=5)

    whole, first, resumed = trainer(), trainer(), trainer()
    results = [whole.make_step(data()).results for _ in range(5)]
    assert [first.make_step(data()).results for _ in range(2)] == results[:2]
    resumed.restore(read_checkpoint(first.save(tmp_path)))
    assert [resumed.make_step(data()).results for _ in range(3)] == results[2:]
    for name, array in whole.state.items():
        np.testing.assert_array_equal(resumed.state[name], array)


def test_rows_keep_their_numbers_however_a_batch_is_cut() -> None:
    """But for the masks of dropout, which are those of a part."""
    text = TRAINED.replace("Dropout(0.2)", "Dropout(0.0)")
    whole, parts = (compiled_once(text).trainer(batch=12, accumulate=accumulate) for accumulate in (1, 5))
    for _ in range(2):
        one, other = (trainer.make_step(data()) for trainer in (whole, parts))
        assert one.results == pytest.approx(other.results, rel=1e-5)
        assert one.gradient_norm == pytest.approx(other.gradient_norm, rel=1e-5)


def test_rows_behind_another_axis_have_numbers_of_their_own_in_each_part() -> None:
    text = TRAINED.replace("random_normal([n, 3])", "random_normal([2, n, 3])[0]").replace("(0.2)", "(0.0)")
    rows = {name: np.concatenate([array[:4]] * 3) for name, array in data().items()}
    metrics = [compiled_once(text).trainer(batch=12, accumulate=a).make_step(rows).results for a in (1, 3)]
    assert metrics[0]["shift"] == metrics[1]["shift"]
    assert metrics[0]["noise_power"] != metrics[1]["noise_power"]


def test_an_evaluation_repeats_in_any_batches_with_the_seed_of_the_run() -> None:
    rows = data(50)
    found = [
        compiled_once(TRAINED).trainer(batch=batch, seed=seed).evaluate(rows)
        for batch, seed in ((50, 1), (7, 1), (7, 2))
    ]
    assert found[0] == pytest.approx(found[1], rel=1e-6)
    assert found[1]["noise_power"] != found[2]["noise_power"]
    trainer = compiled_once(TRAINED).trainer(batch=10)
    before = trainer.evaluate(rows)["noise_power"]
    trainer.step(data())
    assert trainer.evaluate(rows)["noise_power"] == before


def test_the_seed_of_a_model_is_that_of_the_run() -> None:
    trainers = [compiled_once(WITH_ITS_SEED).trainer(batch=12, seed=seed) for seed in (1, 1, 2)]
    assert trainers[0].batch_types.keys() == {"x", "label"}
    losses = [trainer.step(data()) for trainer in trainers]
    assert losses[0] == losses[1] != losses[2]
    assert losses[0] != trainers[0].step(data())  # the next step
    assert trainers[0].evaluate(data()) == trainers[1].evaluate(data()) != trainers[2].evaluate(data())


def test_the_command_says_which_seed_it_evaluates_with(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """By default that of the training."""
    source, rows, out = (str(tmp_path / name) for name in ("m.wsd", "rows.npz", "run"))
    Path(source).write_text(TRAINED, encoding="utf-8")
    np.savez(rows, **data())
    assert execute(["train", source, "--data", rows, "--eval", rows, "--seed", "7", "-o", out, "--json"]) == 0
    trained = json.loads(capsys.readouterr().out)["eval"]
    found = {}
    for name, seed in (("last", ()), ("best", ()), ("last", ("--seed", "8"))):
        arguments = ["--data", rows, "--weights", f"{out}/{name}.safetensors", *seed]
        assert execute(["eval", source, *arguments, "--batch", "5", "--json"]) == 0
        answer = json.loads(capsys.readouterr().out)
        [note] = answer["diagnostics"]
        assert note["code"] == "N0803"
        assert note["message"].endswith(f"of the seed {8 if seed else 7}")
        found[name, seed] = answer["eval"]["noise_power"]
    assert found["last", ()] == found["best", ()] == pytest.approx(trained["noise_power"])
    assert found["last", ("--seed", "8")] != found["last", ()]


def test_an_update_draws_with_the_seed_of_the_model() -> None:
    text = WITH_ITS_SEED.replace("{\n    return x", "{\n    state last: [3] = zeros\n    return last[0] + x")
    text = text.replace("    optimizer", "    update last = random_normal([3])\n    optimizer")
    graph = storage_of(text).trainings["m"].written.objective.graph
    assert [value.name for value in graph.inputs] == ["x", "seed", "label", "step"]
    trainers = [compiled_once(text).trainer(batch=12, seed=seed) for seed in (1, 1, 2)]
    for trainer in trainers:
        trainer.step(data())
    first, again, other = (tuple(trainer.weights["m.last"]) for trainer in trainers)
    assert first == again != other


WRITTEN = """
model m(x: f32[n, 8], z: f32[n, 8]) -> (y: f32[n, 3]) {
    state shift: [3] = zeros
    layer head = Dense(3)
    param base: [3, 8]
    param head.weight = base + 0.1 * random_normal([3, 8], seed=3)
    return head(x + z) + shift
}

train m(label: i64[n]) {
    carry z = random_normal([n, 8])
    loss cross_entropy(y, label)
    optimizer SGD(lr=0.1)
    update shift = random_normal([3])
    z = z + random_normal([n, 8])
}
"""


def test_formulas_updates_and_carried_tensors_draw() -> None:
    """The same in parts; what is written and carried differs from step to step, a formula with a seed doesn't."""
    whole, parts = (compiled_once(WRITTEN).trainer(batch=12, accumulate=accumulate) for accumulate in (1, 3))
    losses, shifts = [], []
    for _ in range(3):
        losses.append(whole.step(data()))
        assert parts.step(data()) == pytest.approx(losses[-1], rel=1e-5)
        shifts.append(tuple(whole.weights["m.shift"]))
        assert tuple(parts.weights["m.shift"]) == shifts[-1]
    assert len(set(losses)) == len(set(shifts)) == 3
    program = compiled_once(WRITTEN)
    given = {"x": data()["x"], "z": np.zeros((12, 8), "f4")}
    values = program.materialized("all").session()(**given)["y"]
    np.testing.assert_allclose(program.session()(**given)["y"], values, rtol=1e-5, atol=1e-6)


def test_two_trainings_of_a_model_draw_their_own() -> None:
    train = TRAINED[TRAINED.index("train m") :]
    text = TRAINED + train.replace("train m", "train other of m") + "\nturns { m 1, other 1 }\n"
    p = storage_of(text)
    places = [
        {node.attributes["value"] for node in training.written.objective.graph.nodes if node.op == "constant"}
        for training in p.trainings.values()
    ]
    shared = {place for place in places[0] & places[1] if isinstance(place, int) and abs(place) > 2**32}
    assert len(places) == 2
    assert not shared


IN_LAYERS = """
model m(x: f32[n, 8]) -> (y: f32[n, 8]) {
    return x |> Dense(8)
}

train m() {
    h = y
    for i in 0..5 {
        h = tanh(h + 0.1 * random_normal([n, 8]))
    }
    loss mean(h ** 2)
    optimizer SGD(lr=0.1)
}
"""


@pytest.mark.parametrize("loops", ["loop", "unroll"])
def test_a_rolled_loop_draws_the_same(loops: Loops) -> None:
    p = storage_of(IN_LAYERS)
    values = initial_values(p)

    def loss(target: Target) -> float:
        step = train_step(p, p.trainings["m"], target)
        session = Session(emit(step.program, step.model, values, fed=step.phase.fed).SerializeToString())
        return float(session.run({"x": data()["x"], **initial_state(step.variables, values, 3)})["loss"])

    assert loss(Target(loops)) == pytest.approx(loss(Target()), rel=1e-6)
