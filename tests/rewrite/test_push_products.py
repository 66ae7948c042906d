"""Weights of random formulas, whose products are all pushed through as far as they can be, and not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

import wsdl
from wsdl.diagnostics.span import Source
from wsdl.rewrite.product_plans import Plan, Planner, Whole

ROWS, COLUMNS = 5, 6
MODELS = {
    "dense": ("x: f32[n, 6]", "layer f = Dense(5)", "f(x)", (3, 6)),
    "sequences": ("x: f32[n, t, 6]", "layer f = Dense(5)", "relu(f(x)) @ f.weight", (2, 3, 6)),
    "turned": ("x: f32[n, 5]", "", "x @ f.weight", (3, 5)),
    "places": ("x: f32[n, 6, 3, 3]", "layer f = Conv2d(5, kernel=1, stride=2)", "f(x)", (2, 6, 3, 3)),
    "windows": ("x: f32[n, 2, 6]", "layer f = Conv1d(5, kernel=3, pad=1, bias=false)", "f(x)", (2, 2, 6)),
}


def expression(random: Random, rows: int, columns: int, depth: int, parameters: list[str]) -> str:
    """One for a matrix, over parameters that are appended to `parameters`."""

    def parameter(*shape: int) -> str:
        parameters.append(f"param p{len(parameters)}: [{', '.join(map(str, shape))}] = uniform(0.3, 1.0)")
        return f"p{len(parameters) - 1}"

    def inner(rows: int, columns: int) -> str:
        return expression(random, rows, columns, depth - 1, parameters)

    kind = random.choice(["+", "-", "@", "*", "/", "neg", "T", "exp"] if depth else ["parameter"])
    if kind in "+-":
        return f"({inner(rows, columns)} {kind} {inner(rows, columns)})"
    if kind == "@":
        rank = random.randint(1, 3)
        return f"({inner(rows, rank)} @ {inner(rank, columns)})"
    if kind in "*/":
        scale = parameter(*random.choice([(rows, 1), (1, columns), (columns,), (1, 1), ()]))
        matrix = inner(rows, columns)
        return f"({scale} * {matrix})" if kind == "*" and random.random() < 0.5 else f"({matrix} {kind} {scale})"
    if kind in ("neg", "T", "exp"):
        return {"neg": "(-{})", "T": "{}.T", "exp": "tanh({})"}[kind].format(
            inner(columns, rows) if kind == "T" else inner(rows, columns)
        )
    return parameter(rows, columns)


def program(name: str, seed: int) -> str:
    inputs, layer, result, _ = MODELS[name]
    parameters: list[str] = []
    formula = expression(Random(seed), ROWS, COLUMNS, 3, parameters)
    shape = {"places": ".reshape(5, 6, 1, 1)", "windows": ".reshape(5, 2, 3)"}.get(name, "")
    lines = [layer, *parameters, f"param f.weight = {formula}{shape}" if layer else "", f"return {result}"]
    body = "".join(f"    {line}\n" for line in lines if line)
    train = "train m() {\n    loss mean(output ** 2)\n    optimizer SGD(lr=0.01)\n}\n"
    return f"model m({inputs}) {{\n{body}}}\n\n{train}".replace("@ f.weight", f"@ ({formula})")


@contextmanager
def pushing(always: bool) -> Iterator[None]:
    def cost(self: Planner, plan: Plan) -> float:
        return float(isinstance(plan, Whole) == always)

    with patch.object(Planner, "_typical_cost", cost):
        yield


def results(text: str, x: Any, dtype: Any = "f32") -> tuple[dict[str, Any], wsdl.Program]:
    """What a session computes, and one step of a training makes of the weights."""
    compiled = wsdl.compile(Source("m.wsd", text), dtype=dtype)
    found = dict(compiled.session()(x=x.astype("f4")))
    if dtype == "f32":
        trainer = compiled.trainer(batch=len(x))
        wsdl.fit(trainer, {"x": x.astype("f4")}, epochs=1)
        found |= dict(trainer.weights)
    return found, compiled


@pytest.mark.parametrize("seed", range(1, 5))
@pytest.mark.parametrize("name", MODELS)
def test_values_and_gradients(name: str, seed: int) -> None:
    text, x = program(name, seed), np.random.default_rng(seed).uniform(0.2, 1.0, MODELS[name][-1])
    with pushing(always=True):
        (pushed, compiled), (narrow, _) = results(text, x), results(text, x, "f16")
    with pushing(always=False):
        expected, whole = results(text, x)
    for key, array in expected.items():
        np.testing.assert_allclose(pushed[key], array, 1e-3, 1e-4 * np.abs(array).max(), err_msg=text)
    output = expected["output"]
    np.testing.assert_allclose(narrow["output"], output, 0.05, 0.02 * np.abs(output).max(), err_msg=text)
    if name != "windows" and "@" in text.split("param f.weight = ")[-1] and "tanh(" not in text:
        assert compiled.protos["m"] != whole.protos["m"], text
