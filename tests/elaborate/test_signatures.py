"""Inputs: dynamic dimensions inside arithmetic, and what stands where an input is left out."""

from __future__ import annotations

import numpy as np
import pytest

import wsdl

SUM = """\
model m(x: f32[n, 2 * t], y: f32[n, t]) -> (z: f32[n, t]) {
    return x[:, t:] + y
}
"""
HALF = """\
model m(x: f32[n, 2 * t]) -> (z: f32[n, t]) {
    return x[:, :t]
}
"""
SCALED = """\
block Scaled(by: float = 2.0)(x: [n, d], factor: [] = by) -> [n, d] {
    return factor * x
}

model m(x: f32[n, 2]) -> (twice: f32[n, 2], thrice: f32[n, 2]) {
    layer scaled = Scaled()
    return scaled(x), scaled(x, 3.0)
}
"""


def codes(text: str, **dims: int) -> list[str]:
    return [d.code for d in wsdl.check(text, dims=dims)]


@pytest.mark.parametrize("text", [SUM, HALF])
def test_a_run_time_dimension_may_stand_inside_arithmetic_only(text: str) -> None:
    session = wsdl.compile(text).session()
    x = np.arange(12, dtype=np.float32).reshape(2, 6)
    arrays = {"x": x, "y": np.zeros((2, 3), np.float32)}
    z = session(**{name: arrays[name] for name in session.inputs})["z"]
    np.testing.assert_array_equal(z, x[:, 3:] if text is SUM else x[:, :3])


def test_such_a_dimension_can_be_given_a_value() -> None:
    assert codes(HALF, t=3) == []
    assert [str(t) for t in wsdl.compile(HALF, dims={"t": 3}).models["m"].inputs.values()] == ["f32[n, 6]"]


@pytest.mark.parametrize("shape", ["t // 2", "t * s", "t + s", "t * t"])
def test_an_input_says_what_each_dimension_is(shape: str) -> None:
    assert codes(f"model m(x: f32[{shape}]) {{\n    return x\n}}\n") == ["E0419"]


def test_one_free_name_in_a_product_of_known_ones() -> None:
    assert codes("model m(x: f32[t, t * s + 1]) {\n    return x\n}\n") == []


def test_an_input_that_is_left_out_is_its_default() -> None:
    outputs = wsdl.compile(SCALED).session()(x=np.ones((1, 2), np.float32))
    assert (outputs["twice"] == 2).all()
    assert (outputs["thrice"] == 3).all()


def test_a_models_inputs_have_no_default() -> None:
    assert codes("model m(x: f32[n], y: f32[n] = none) {\n    return x\n}\n") == ["E0232"]


def test_names_change_places() -> None:
    text = "model m(x: f32[n], y: f32[n]) -> (a: f32[n], b: f32[n]) {\n    x, y = y, x\n    return x, y\n}\n"
    session = wsdl.compile(text).session()
    x, y = np.array([1, 2], np.float32), np.array([3, 4], np.float32)
    assert [a.tolist() for a in session(x=x, y=y).values()] == [[3, 4], [1, 2]]


def test_a_size_that_the_run_divides_is_noted_with_its_divisor() -> None:
    text = "model m(x: f32[n, 4]) -> (y: f32[h, 4]) {\n    y, _ = split(x, 2)\n    return y\n}\n"
    [note] = wsdl.check(text)
    assert note.message == "whether 2 divides `n` is checked at run time"
    assert note.help == "if it always does, write `2 * n` in the signature"


def test_numbers_of_an_initializer_go_by_name_too() -> None:
    forms = ("normal(std=0.5)", "normal(std=0.5, mean=2)", "normal(mean=2)", "uniform(high=2)", "constant(value=3)")
    for form, expected in zip(forms, ("0, 0.5", "2, 0.5", "2, 1", "0, 2", "3"), strict=True):
        program = wsdl.compile(f"model m(x: f32[n, 2]) {{\n    param w: [2] = {form}\n    return x + w\n}}\n")
        assert str(program._storage.stored["m.w"].initializer).replace(".0", "").endswith(f"({expected})")
