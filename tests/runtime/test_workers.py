"""Training by several workers, here threads: the same curve, the same state on each, and what crosses between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from errno import ENOSPC
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wsdl
from tests.golden import Golden
from wsdl.api.training import Trained, TrainingJob, train
from wsdl.diagnostics.render import render
from wsdl.diagnostics.run_error import RunError
from wsdl.diagnostics.span import Source
from wsdl.distributed import Communicator, in_threads
from wsdl.reporting.reports import Callback, StepReport
from wsdl.runtime.checkpoint import read_checkpoint
from wsdl.runtime.fit import fit
from wsdl.runtime.plan import Plan

HEADS = """
model m(x: f32[n, 6]) -> (a: f32[n, 4], b: f32[n, 2], c: f32[n]) {
    layer trunk[3] = Dense(6)
    share { trunk[*].weight }
    layer first = Dense(4)
    layer second = Dense(2)
    for layer in trunk {
        x = x |> layer |> tanh |> Dropout(0.2)
    }
    return first(x), second(x), mean(x, axis=1)
}

train m(label: i64[n], side: i64[n], t: f32[n]) {
    loss cross_entropy(a, label, ignore_index=3, label_smoothing=0.1)
    loss 0.5 * cross_entropy(b, side)
    loss sqrt(mean((c - t) ** 2)) + sum(first.weight ** 2)
    metric accuracy = mean(argmax(a, axis=1) == label)
    metric spread = var(c)
    optimizer AdamW(lr=cosine(1e-2, warmup=3), weight_decay=0.01, clip_norm=0.5, ema=0.9)
}
"""
NORMED = """
model m(x: f32[n, 6]) -> (y: f32[n, 3]) {
    layer norm = BatchNorm()
    state seen: [6] = zeros
    return x |> norm |> Dense(3)
}

train m(t: f32[n, 3]) {
    loss mse(y, t)
    optimizer Adam(lr=1e-2)
    update seen = 0.5 * seen + norm.running_mean + mean(x, axis=0)
}
"""
CARRIED = """
model m(x: f32[n, 6], z: f32[n, 5]) -> (y: f32[n, 3], next_z: f32[n, 5]) {
    layer inner = Dense(5)
    h = tanh(inner(concat([x, z], axis=1)))
    return h |> Dense(3), h
}

train m(t: f32[n, 3]) {
    carry z = zeros([n, 5])
    loss mse(y, t)
    optimizer SGD(lr=0.1)
    z = next_z
}
"""
TURNS = """
model m(x: f32[n, 6]) -> (y: f32[n, 3]) {
    layer body = Dense(3)
    return body(x)
}

train up of m(t: f32[n, 3]) {
    loss mse(y, t)
    optimizer Adam(lr=1e-2)
}

train down of m(t: f32[n, 3]) {
    loss mean(y ** 2) + sum(random_normal([n, 3]) * y)
    optimizer SGD(lr=1e-3)
}

turns { up 2, down 1 }
"""


THREE_EPOCHS = Plan(3)


@cache
def compiled(text: str) -> Any:
    return wsdl.compile(Source("m.wsd", text))


def data(rows: int = 50, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {"x": rng.normal(size=(rows, 6)).astype("f4"), "t": rng.normal(size=(rows, 3)).astype("f4")}


def heads(rows: int = 50, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    labels = {"label": rng.integers(0, 4, rows), "side": rng.integers(0, 2, rows)}
    return {"x": data(rows, seed)["x"], **labels, "t": rng.normal(size=rows).astype("f4")}


@dataclass
class Curve(Callback):
    """The losses of all steps."""

    losses: list[float]

    def on_step(self, r: StepReport) -> None:
        self.losses.append(r.loss)


@dataclass(frozen=True)
class Run:
    losses: list[float]
    results: dict[str, float]
    state: Mapping[str, Any]


def trained(
    text: str, rows: Any, workers: int, *, plan: Plan = THREE_EPOCHS, resume: Path | None = None, **options: Any
) -> Run:
    """A run of several workers, whose states are the same to the last bit. 50 rows in batches of 16 leave two for the
    last batch, of which one of three workers has none."""
    program = compiled(text)
    make = program.trainer if program.turns is None else program.trainers
    files = None if program.turns is None else ("up", "down")

    def work(own: Communicator) -> Run:
        trainer = make(**{"batch": 16, "seed": 3, "threads": 1, "workers": own, **options})
        curve, checkpoint = Curve([]), None if resume is None else read_checkpoint(resume)
        arrays = rows if files is None else dict.fromkeys(files, rows)
        done = fit(trainer, arrays, plan, evaluation=arrays, callback=curve, resume=checkpoint)
        return Run(curve.losses, done.results, trainer.state)

    first, *others = in_threads(workers, work)
    for other in others:
        assert other.results == first.results
        assert not other.losses  # only the first reports
        for name, array in first.state.items():
            np.testing.assert_array_equal(other.state[name], array, err_msg=name)
    return first


def require_same(got: Run, expected: Run) -> None:
    assert got.losses == pytest.approx(expected.losses, rel=1e-5)
    assert got.results == pytest.approx(expected.results, rel=1e-5)
    for name, array in expected.state.items():
        np.testing.assert_allclose(got.state[name], array, rtol=1e-4, atol=1e-6, err_msg=name)


# -- the same training -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("workers", "text", "rows", "options"),
    [
        (3, HEADS, heads(), {}),
        (2, HEADS, heads(), {"accumulate": 2}),
        (3, TURNS, data(), {}),
        (3, CARRIED, data(), {"hold": 3}),
    ],
    ids=["heads", "in parts", "turns", "carried"],
)
def test_as_by_one_worker(workers: int, text: str, rows: Any, options: dict[str, Any]) -> None:
    require_same(trained(text, rows, workers, **options), trained(text, rows, 1, **options))


def test_batch_statistics_are_those_of_each_worker() -> None:
    """As those of parts: running statistics move by the mean over the rows, and updates read them."""
    rows = data(48)
    require_same(trained(NORMED, rows, 3), trained(NORMED, rows, 1, accumulate=3))


@pytest.mark.parametrize("ends", [(1, 12), (0, 16), (5, 5)], ids=str)
def test_rows_may_be_spread_in_any_way(ends: tuple[int, ...]) -> None:
    """In a loop of one's own."""
    program, batches = compiled(HEADS), [heads(16, seed) for seed in range(4)]
    cuts = list(pairwise([0, *ends, 16]))

    def work(own: Communicator) -> list[float]:
        trainer = program.trainer(workers=own, threads=1)
        trainer.total_steps = 4
        low, high = cuts[own.rank] if own.size > 1 else (0, 16)
        return [trainer.step({name: array[low:high] for name, array in batch.items()}) for batch in batches]

    [alone] = in_threads(1, work)
    first, *others = in_threads(3, work)
    assert first == pytest.approx(alone, rel=1e-5)
    assert others == [first, first]


@pytest.mark.parametrize(("text", "rows"), [(HEADS, heads()), (CARRIED, data())], ids=["heads", "carried"])
def test_a_run_goes_on_with_other_workers(text: str, rows: Any, tmp_path: Path) -> None:
    """Begun by one, gone on with by three in the middle of a batch that is held, and ended by two."""
    whole = trained(text, rows, 1, hold=2)
    last, parts = tmp_path / "last.safetensors", list[Run]()
    for workers, limit in ((1, 3), (3, 13), (2, None)):
        resume = last if parts else None
        plan = Plan(3, tmp_path, limit_steps=limit)
        parts.append(trained(text, rows, workers, plan=plan, resume=resume, hold=2))
    assert [loss for part in parts for loss in part.losses] == pytest.approx(whole.losses, rel=1e-5)
    require_same(Run(whole.losses, parts[-1].results, parts[-1].state), whole)


@dataclass(frozen=True)
class Threads:
    """Runs a training in threads, as `wsdl.ray.Workers` does in processes."""

    count: int

    def run_training(self, job: TrainingJob, reporter: Callback, *, resume: bool, replace: bool) -> Trained:
        def work(own: Communicator) -> Trained:
            return job.run(reporter, resume=resume, replace=replace, workers=own)

        return in_threads(self.count, work)[0]


def test_a_run_on_files(tmp_path: Path) -> None:
    """By one worker, then two; the folder is that of the first."""
    np.savez(tmp_path / "rows.npz", **data())
    Path(tmp_path, "m.wsd").write_text(CARRIED)

    def run(folder: str, epochs: int, workers: Threads | None = None, **options: Any) -> Trained:
        plan, rows = Plan(epochs, tmp_path / folder), tmp_path / "rows.npz"
        settings = {"batch": 16}
        return train(tmp_path / "m.wsd", rows, plan, evaluation=rows, settings=settings, workers=workers, **options)

    one, two = run("one", 3), run("two", 1, Threads(2))
    assert (two.steps, [path.name for path in two.files]) == ({"m": 4}, ["last.safetensors", "best.safetensors"])
    with pytest.raises(RunError) as caught:
        run("two", 3, Threads(2))
    assert caught.value.diagnostics[0].code == "E0724"
    assert run("two", 3, Threads(3), resume=True).progress.results == pytest.approx(one.progress.results, rel=1e-5)
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == ["best.safetensors", "last.safetensors"]


# -- what crosses ------------------------------------------------------------------------------------------------------


class Counting:
    """A communicator that counts the bytes that its worker sends."""

    def __init__(self, own: Communicator) -> None:
        self.own, self.rank, self.size, self.sent = own, own.rank, own.size, list[int]()

    def all_reduce(self, array: Any) -> None:
        self.sent.append(array.nbytes)
        self.own.all_reduce(array)


def test_a_shared_tensor_crosses_once() -> None:
    """Twelve layers of an encoder with all parameters shared send what one layer does."""
    layers = """
model m(x: f32[n, t, 32]) -> (y: f32[n, t, 32]) {
    layer layers[DEPTH] = EncoderLayer(4, 64)
    SHARE
    for layer in layers {
        x = layer(x)
    }
    return x
}

train m(wanted: f32[n, t, 32]) {
    loss mse(y, wanted)
    optimizer SGD(lr=0.1)
}
"""
    rows = np.ones((2, 3, 32), "f4")

    def work(text: str, own: Communicator) -> list[int]:
        counting = Counting(own)
        trainer = compiled(text).trainer(workers=counting, threads=1)
        counting.sent.clear()
        trainer.step({"x": rows, "wanted": rows})
        return counting.sent

    def sent(depth: int, share: str) -> int:
        text = layers.replace("DEPTH", str(depth)).replace("SHARE", share)
        (sizes, values, gradients), _ = in_threads(2, partial(work, text))
        assert max(sizes, values) < 200
        return gradients

    one = sent(1, "")
    assert sent(12, "share { layers[*] }") == one
    assert sent(3, "") == 3 * one
    parameters = compiled(layers.replace("DEPTH", "1").replace("SHARE", "")).stored.values()
    assert sum(array.nbytes for array in parameters) <= one < sum(array.nbytes + 64 for array in parameters)


# -- what goes wrong ---------------------------------------------------------------------------------------------------


def normed(own: Communicator, **options: Any) -> Any:
    return compiled(NORMED).trainer(workers=own, threads=1, **options)


def misfit(own: Communicator) -> None:
    rows = data(4)
    normed(own).step(rows if own.rank == 0 else {**rows, "x": rows["x"][:, :5]})


def not_finite(own: Communicator) -> None:
    rows, trainer = data(4), normed(own)
    rows["x"][0, 0] = np.nan if own.rank else 1
    before = trainer.state
    try:
        trainer.step(rows)
    finally:
        for name, array in trainer.state.items():
            np.testing.assert_array_equal(array, before[name])


def other_steps(own: Communicator) -> None:
    trainer = normed(own)
    trainer.write({"step": np.array(own.rank)})
    trainer.step(data(4))


WRONG: dict[str, Callable[[Communicator], Any]] = {
    "rows that don't fit": misfit,
    "a number that is not finite": not_finite,
    "different numbers of steps": other_steps,
    "different settings": lambda own: normed(own, batch=8 + own.rank),
    "no rows at all": lambda own: normed(own).step(data(0)),
}


def test_what_each_worker_says(golden: Golden) -> None:
    """None waits for another one."""

    def said(act: Callable[[Communicator], Any], own: Communicator) -> str:
        with pytest.raises(RunError) as caught:
            act(own)
        return f"worker {own.rank}: {render(caught.value.diagnostics)}"

    texts = [f"-- {title}\n\n{chr(10).join(in_threads(2, partial(said, act)))}" for title, act in WRONG.items()]
    golden(Path(__file__).parent / "golden/workers.txt", "\n".join(texts))


def test_a_checkpoint_that_can_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk all stop; only the first knows why."""

    def full(*_: object) -> None:
        raise OSError(ENOSPC, "no space left")

    def work(own: Communicator) -> str:
        with pytest.raises((OSError, RunError)) as caught:
            fit(normed(own), data(), Plan(1, tmp_path))
        return str(caught.value)

    monkeypatch.setattr("wsdl.runtime.fit.write_checkpoint", full)
    first, second = in_threads(2, work)
    assert "no space left" in first
    assert "worker 0 of 2 has stopped" in second


def test_a_step_is_skipped_by_all() -> None:
    def work(own: Communicator) -> int:
        rows, trainer = data(4), normed(own, on_nan="skip")
        rows["x"][0, 0] = np.nan if own.rank else 1
        assert trainer.make_step(rows).is_skipped
        return int(trainer.steps)

    assert in_threads(2, work) == [0, 0]
