"""`scan` over numbers: values and gradients are those of the unrolled network, at one size for any depth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import wsdl
from tests.stages import storage_of
from wsdl.diagnostics import CompileError
from wsdl.diagnostics.span import Source
from wsdl.ir.stages import Storage
from wsdl.ir.target import Target
from wsdl.ir.training_graphs import TrainStep
from wsdl.onnx.emit import emit
from wsdl.onnx.training import initial_state
from wsdl.ops.interpreter import evaluate
from wsdl.ops.verify import verify
from wsdl.pipelines.inference import lower
from wsdl.pipelines.training import evaluation, train_step
from wsdl.runtime.session import Session
from wsdl.weights.initial_values import initial_values

PROGRAM = """
block Cell()(x: [n, d], step: i64) -> [n, d] {{
    param w: [d, d] = normal(0.4)
    param b: [d] = normal
    param places: [9, d] = normal(0.1)
    return x + tanh(x @ w + b + gather(places, step, axis=0))
}}

model m(x: f32[n, 4], depth: i64) -> (z: f32[n, 4]) {{
    layer cell = Cell()
    layer head = Dense(4)
{body}
}}

train m(y: f32[n, 4]) {{
    loss mse(z, y)
    optimizer SGD(lr=1.0)
}}
"""

Cell = Callable[[torch.Tensor, int], torch.Tensor]


@dataclass(frozen=True)
class Case:
    """The body of a model, and what goes into its head: of the input, the depth and the cell."""

    body: str
    unrolled: Callable[[torch.Tensor, int, Cell], torch.Tensor]


def last(x: torch.Tensor, depth: int, cell: Cell) -> torch.Tensor:
    for step in range(depth):
        x = cell(x, step)
    return x


def with_squares(x: torch.Tensor, steps: Any, cell: Cell) -> torch.Tensor:
    squares = torch.zeros_like(x)
    for step in steps:
        x = cell(x, step)
        squares = squares + x * x
    return x + squares


def nested(x: torch.Tensor, depth: int, cell: Cell) -> torch.Tensor:
    for around in range(2):
        x = torch.tanh(last(x, depth + around, cell)) + x
    return x


CASES = {
    "to an input": Case(
        """
    scan step in 0..depth with h = x {
        h = cell(h, step)
    }
    return head(h)""",
        last,
    ),
    "with a value of each step": Case(
        """
    states = scan step in 0..depth with h = x {
        h = cell(h, step)
        emit h * h
    }
    return head(h + sum(states, axis=0))""",
        lambda x, depth, cell: with_squares(x, range(depth), cell),
    ),
    "downwards": Case(
        """
    states = scan reverse step in 0..depth with h = x {
        h = cell(h, step)
        emit h * h
    }
    return head(h + sum(states, axis=0))""",
        lambda x, depth, cell: with_squares(x, reversed(range(depth)), cell),
    ),
    "until": Case(
        """
    states = scan step in 0..9 with h = x {
        h = cell(h, step)
        until step + 1 >= depth
        emit h * h
    }
    return head(h + sum(states, axis=0))""",
        lambda x, depth, cell: with_squares(x, range(max(depth, 1)), cell),
    ),
    "in each other": Case(
        """
    scan around in 0..2 with h = x {
        scan step in 0..depth + around with k = h {
            k = cell(k, step)
        }
        h = tanh(k) + h
    }
    return head(h)""",
        nested,
    ),
    "between two numbers": Case(
        """
    scan step in 2..6 with h = x {
        h = cell(h, step)
    }
    return head(h + 0.0 * cast(depth, f32))""",
        lambda x, depth, cell: last(x, 4, lambda h, step: cell(h, step + 2)),
    ),
    "between an input and a number": Case(
        """
    scan step in depth..6 with h = x {
        h = cell(h, step)
    }
    return head(h)""",
        lambda x, depth, cell: last(x, 6 - depth, lambda h, step: cell(h, step + depth)),
    ),
    "the steps before the last one without gradients": Case(
        """
    scan step in 0..depth with h = x {
        h = cell(h, step)
    }
    return head(cell(stop_gradient(h), depth))""",
        lambda x, depth, cell: cell(last(x, depth, cell).detach(), depth),
    ),
}


def step_of(case: Case) -> tuple[Storage, TrainStep]:
    storage = storage_of(PROGRAM.format(body=case.body))
    step = train_step(storage, storage.trainings["m"])
    verify(step.program)
    return storage, step


def torch_step(case: Case, values: dict[str, Any], x: Any, y: Any, depth: int) -> dict[str, Any]:
    """The loss, and each parameter after a step of length 1."""
    tensors = {n: torch.from_numpy(v.astype("f8")).requires_grad_() for n, v in values.items()}
    w, b, places = (tensors[f"m.cell.{name}"] for name in ("w", "b", "places"))

    def cell(h: torch.Tensor, step: int) -> torch.Tensor:
        return h + torch.tanh(h @ w + b + places[step])

    h = case.unrolled(torch.from_numpy(x.astype("f8")), depth, cell)
    z = h @ tensors["m.head.weight"].T + tensors["m.head.bias"]
    loss = ((z - torch.from_numpy(y)) ** 2).mean()
    gradients = torch.autograd.grad(loss, list(tensors.values()), allow_unused=True)
    after = {n: t if g is None else t - g for (n, t), g in zip(tensors.items(), gradients, strict=True)}
    return {"loss": loss.item(), **{n: t.detach().numpy() for n, t in after.items()}}


@pytest.mark.parametrize("name", CASES)
def test_a_step_is_that_of_the_unrolled_network(name: str) -> None:
    case = CASES[name]
    storage, step = step_of(case)
    values, graph = initial_values(storage), step.model.graph
    session = Session(emit(step.program, step.model, values, fed=step.phase.fed).SerializeToString())
    x, y = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("f4")
    for depth in (0, 1, 5):
        expected = torch_step(case, values, x, y, depth)
        arrays = {"x": x, "y": y, "depth": np.int64(depth), **initial_state(step.variables, values)}
        stored = {**values, **{n: a for n, a in arrays.items() if n in step.phase.fed}}
        reference = evaluate(graph, [arrays[v.name] for v in graph.inputs], stored)
        inputs = {n: a for n, a in arrays.items() if n in step.phase.fed or n in {v.name for v in graph.inputs}}
        of_session = session.run(inputs)
        for outputs in (dict(zip(step.model.output_names, reference, strict=True)), of_session):
            for output, value in outputs.items():
                if (called := step.feeds.get(output, output)) in expected:
                    np.testing.assert_allclose(value, expected[called], rtol=1e-5, atol=1e-5, err_msg=called)


def test_what_has_no_gradient_is_not_kept() -> None:
    _, step = step_of(CASES["the steps before the last one without gradients"])
    [scan] = [node for node in step.model.graph.walk() if node.op == "scan"]
    assert len(scan.results) == 1
    _, step = step_of(CASES["to an input"])
    forward, backward = (node for node in step.model.graph.walk() if node.op == "scan")
    assert len(forward.results) > 1
    assert backward.attributes["reverse"]


def test_each_step_drops_others_and_its_losses_are_added() -> None:
    program = wsdl.compile(Source("m.wsd", DROPS))
    batch = {"x": np.ones((8, 64), "f4"), "depth": np.int64(3)}
    results = program.trainer(threads=1).make_step(batch).results
    assert results["one"] == pytest.approx(2, abs=0.3)  # the mean square of a mask of 0 and 2
    assert results["two"] == pytest.approx(1, abs=0.3)  # of two independent ones
    assert results["size"] == pytest.approx(0 + 1 + 2, abs=1e-6)


DROPS = """
model m(x: f32[n, 64], depth: i64) -> (masks: f32[k, n, 64]) {
    layer scale = Dense(1)
    masks = scan step in 0..depth with h = x {
        emit dropout(h, 0.5)
        loss size = mean(h) * cast(step, f32)
    }
    return masks + 0.0 * scale(masks)
}

train m() {
    loss mean(masks)
    metric one = mean(masks[0] * masks[0])
    metric two = mean(masks[0] * masks[1])
    optimizer SGD(lr=0.1)
}
"""


# -- adaptive computation ----------------------------------------------------------------------------------------------


def adaptive_step(values: Mapping[str, Any], bits: Any, odd: Any) -> dict[str, Any]:
    """Graves 2016, row by row."""
    tensors = {n.removeprefix("parity."): torch.from_numpy(v.astype("f8")).requires_grad_() for n, v in values.items()}

    def dense(name: str, x: torch.Tensor) -> torch.Tensor:
        return x @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]

    logits, steps = [], []
    for row in torch.from_numpy(bits.astype("f8")):
        h = dense("dense", row)
        result, left, count = torch.zeros_like(h), torch.ones(1, dtype=h.dtype), torch.zeros(1, dtype=h.dtype)
        for step in range(10):
            h = torch.tanh(dense("adaptive.cell", h))
            p = torch.sigmoid(dense("adaptive.halt", h))
            if p > left - 0.01 or step == 9:
                result, count = result + left * h, count + 1 + left
                break
            result, left, count = result + p * h, left - p, count + 1
        logits.append(dense("dense_2", result))
        steps.append(count)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(torch.cat(logits), torch.from_numpy(odd.astype("f8")))
    loss = loss + 0.01 * torch.cat(steps).mean()
    gradients = torch.autograd.grad(loss, list(tensors.values()))
    pairs = zip(tensors.items(), gradients, strict=True)
    return {"loss": loss.item(), **{f"parity.{n}": (t - g).detach().numpy() for (n, t), g in pairs}}


def test_adaptive_computation_of_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "depth.md").read_text("utf-8")
    text = page.partition("<!-- file: adaptive.wsd -->\n```wsd\n")[2].partition("```")[0]
    program = wsdl.compile(Source("adaptive.wsd", text.replace("AdamW(lr=1e-3)", "SGD(lr=1.0)")))
    assert not program.diagnostics
    values = program.values()
    values["parity.adaptive.halt.bias"][:] = -1.0  # so that rows halt after different steps
    bits = np.random.default_rng(0).normal(size=(6, 16)).astype("f4")
    batch = {"bits": bits, "odd": np.arange(6, dtype="f4") % 2}
    for accumulate in (1, 3):
        trainer = program.trainer(weights=values, accumulate=accumulate, threads=1)
        loss = trainer.step(batch)
        expected = adaptive_step(values, **batch)
        assert loss == pytest.approx(expected.pop("loss"), abs=1e-5)
        for name, value in expected.items():
            np.testing.assert_allclose(trainer.weights[name], value, atol=1e-5, err_msg=name)


# -- compiled models ---------------------------------------------------------------------------------------------------

ENDS = """
model m(x: f32[n, 4], depth: i64) -> (y: f32[n, 4], used: i64, all: f32[k, n, 4]) {
    layer cell = Dense(4)
    states = scan step in 0..depth with h = x, used = 0 {
        next = tanh(cell(h))
        until max(abs(next - h)) < 0.1
        h, used = next, used + 1
        emit h
    }
    return h, used, states
}
"""


@pytest.mark.parametrize("dtype", ["f32", "f16", "bf16"])
def test_a_run_ends_after_the_step(dtype: Any) -> None:
    program = wsdl.compile(Source("m.wsd", ENDS), dtype=dtype)
    session, values = program.session(), program.values()
    weight, bias = (values[f"m.cell.{name}"].astype("f4") for name in ("weight", "bias"))
    x = np.random.default_rng(0).normal(size=(3, 4)).astype("f4")
    for depth in (-1, 0, 2, 50):
        h, states = x, []
        for _ in range(depth):
            before, h = h, np.tanh(h @ weight.T + bias)
            states.append(h)
            if np.abs(h - before).max() < 0.1:
                break
        outputs = session(x=x, depth=np.int64(depth))
        assert outputs["used"] == len(states)
        np.testing.assert_allclose(outputs["y"], h, atol=1e-5 if dtype == "f32" else 1e-2)
        wanted = np.array(states, "f4").reshape(-1, 3, 4)
        np.testing.assert_allclose(outputs["all"], wanted, atol=1e-5 if dtype == "f32" else 1e-2)


SIZED = """
model m(x: f32[n, 4]) -> (y: f32[n, 4]) {{
    layer cell = Dense(4)
    scan step in 0..{depth} with h = x {{
        h = tanh(cell(h))
    }}
    return h
}}
"""


def test_the_file_has_one_size_for_any_depth() -> None:
    few, many = (wsdl.compile(Source("m.wsd", SIZED.format(depth=d))).protos["m"] for d in (10, 5000))
    assert [node.op_type for node in few.graph.node].count("Loop") == 1
    assert abs(len(many.SerializeToString()) - len(few.SerializeToString())) < 10
    assert sorted(t.name for t in few.graph.initializer if t.name.startswith("m.")) == ["m.cell.bias", "m.cell.weight"]


# -- rows of a batch ---------------------------------------------------------------------------------------------------

HALTS = """
model m(x: f32[n, 4]) -> (y: f32[n, 4]) {
    layer cell = Dense(4)
    scan step in 0..20 with h = x, done = zeros([n, 1], bool) {
        next = tanh(cell(h))
        h = where(done, h, next)
        done = done or mean(abs(next), axis=1, keepdims=true) < 0.2
        until END
    }
    return h
}

train m(target: f32[n, 4]) {
    loss mse(y, target)
    optimizer SGD(lr=1.0)
}
"""


def halting(end: str) -> wsdl.Program:
    return wsdl.compile(Source("m.wsd", HALTS.replace("END", end)))


def test_rows_that_halt_by_themselves_can_be_computed_in_parts() -> None:
    program = halting("min(done)")
    x, target = np.random.default_rng(1).normal(size=(2, 6, 4)).astype("f4")
    session = program.session()
    rows = np.concatenate([session(x=row[None])["y"] for row in x])
    np.testing.assert_allclose(session(x=x)["y"], rows, atol=1e-6)
    data = {"x": x, "target": target}
    states = []
    for accumulate in (1, 3):
        trainer = program.trainer(seed=0, accumulate=accumulate)
        trainer.step(data)
        states.append(dict(trainer.weights))
    for name, value in states[0].items():
        np.testing.assert_allclose(states[1][name], value, atol=1e-6)


def test_an_end_for_all_rows_is_refused_in_parts() -> None:
    with pytest.raises(CompileError) as caught:
        halting("max(done)").trainer(accumulate=3)
    assert [d.code for d in caught.value.diagnostics] == ["E0823"]
    storage = storage_of(HALTS.replace("END", "max(done)"))
    assert [d.code for d in evaluation(storage, storage.trainings["m"]).warnings] == ["W0801"]


@pytest.mark.parametrize(
    ("stop", "depth", "expected"),
    [("0", 0, 2.0), ("depth", 0, 2.0), ("depth", 3, 0.0), ("1", 0, None), ("t", 0, None)],
)
def test_without_a_step_the_result_is_what_the_scan_starts_from(stop: str, depth: int, expected: float | None) -> None:
    """No step reads what is carried into it: it is trained if there is none."""
    text = f"""
model m(x: f32[n, t], depth: i64) -> (y: f32[]) {{
    param w: f32[] = ones
    scan step in 0..{stop} with h = w {{
        h = sum(x)
    }}
    return h
}}

train m() {{
    loss y
    optimizer SGD(lr=2.0)
}}
"""
    if expected is None:
        with pytest.raises(CompileError, match="E0816"):
            wsdl.compile(text).trainer()
        return
    trainer = wsdl.compile(text).trainer(batch=2)
    trainer.step({"x": np.ones((2, 3), np.float32), "depth": np.array(depth)})
    assert trainer.state["m.w"] == 1.0 - expected


def test_what_a_step_computes_for_nothing_mixes_no_rows() -> None:
    source = HALTS.replace("END", "min(done)").replace("next =", "unread = cumsum(h, axis=0)\n        next =")
    assert "unread" in source
    wsdl.compile(Source("m.wsd", source)).trainer(accumulate=3)


@pytest.mark.parametrize("case", ["to an input", "with a value of each step", "until", "in each other"])
def test_a_program_in_f16_learns_as_one_in_f32(case: str) -> None:
    source = PROGRAM.format(body=CASES[case].body).replace("lr=1.0", "lr=0.1")
    programs = [wsdl.compile(Source("m.wsd", source.replace("f32", dtype))) for dtype in ("f32", "f16")]
    weights = {name: array.astype("f2") for name, array in programs[0].stored.items()}
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 3, 4)).astype("f2")
    ends = []
    for program, dtype in zip(programs, ("f4", "f2"), strict=True):
        trainer = program.trainer(weights={name: array.astype(dtype) for name, array in weights.items()})
        for _ in range(3):
            trainer.step({"x": x.astype(dtype), "y": y.astype(dtype), "depth": np.array(3)})
        ends.append(trainer.weights)
    for name, array in ends[0].items():
        assert ends[1][name].dtype == np.float16
        np.testing.assert_allclose(ends[1][name], array, atol=0.01, err_msg=name)
        assert not np.allclose(array, weights[name], atol=0.01) or name.endswith("places")


def test_half_precision_keeps_the_bodies() -> None:
    lowered = lower(storage_of(PROGRAM.format(body=CASES["in each other"].body)), Target(dtype="f16"))
    verify(lowered)
    assert [n.op for n in lowered.only.graph.walk()].count("scan") == 2
