"""`wsdl run`: programs and ONNX files on arrays, summaries and files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Wsdl
from tests.npz import save_npz

X = np.linspace(-1, 1, 5 * 64, dtype=np.float32).reshape(5, 64)


@pytest.fixture(autouse=True)
def inputs(wsdl: Wsdl) -> None:
    """The same numbers as `x.npz`, as `x.npy` and in the folder `xs`."""
    np.savez("x.npz", x=X)
    np.save("x.npy", X)
    Path("xs").mkdir()
    np.save("xs/x.npy", X)


def test_a_summary(wsdl: Wsdl) -> None:
    done = wsdl("run", "tied.wsd", "--input", "x.npz")
    assert done.code == 0
    header, _, row = done.out.splitlines()
    assert header.split() == ["output", "type", "min", "mean", "max", "first", "values"]
    assert row.startswith("y       f32[5, 64]")
    assert "warning[W0701]" in done.err  # the weights are random


def test_json(wsdl: Wsdl) -> None:
    answer = wsdl("run", "tied.wsd", "--input", "x.npz", "--json").json
    [output] = answer["outputs"]
    assert (output["name"], output["dtype"], output["shape"], output["not_finite"]) == ("y", "f32", [5, 64], 0)
    assert output["min"] <= output["mean"] <= output["max"]
    assert len(output["first"]) == 5
    assert [d["code"] for d in answer["diagnostics"]] == ["W0701"]


@pytest.mark.parametrize("data", ["x.npz", "x.npy", "xs"])
def test_a_program_and_what_it_compiles_to_give_the_same(wsdl: Wsdl, data: str) -> None:
    assert wsdl("compile", "tied.wsd", "-o", "build", "--no-proof").code == 0
    assert wsdl("run", "tied.wsd", "--input", data, "-o", "a.npz").code == 0
    done = wsdl("run", "build/m.onnx", "--input", data, "-o", "b.npy")
    assert (done.code, done.out, done.err) == (0, "", "wrote b.npy\n")
    assert np.array_equal(np.load("a.npz")["y"], np.load("b.npy"))


def test_batches(wsdl: Wsdl) -> None:
    wsdl("run", "tied.wsd", "--input", "x.npz", "-o", "a.npz")
    wsdl("run", "tied.wsd", "--input", "x.npz", "--batch", "2", "-o", "b.npz")
    assert np.allclose(np.load("a.npz")["y"], np.load("b.npz")["y"], atol=1e-6)


def test_not_finite_numbers_are_told(wsdl: Wsdl) -> None:
    Path("log.wsd").write_text("model m(x: f32[n, 64]) -> (y: f32[n, 64]) {\n    return log(x)\n}\n")
    done = wsdl("run", "log.wsd", "--input", "x.npz")
    assert "(160 not finite)" in done.out
    assert done.err == ""
    assert wsdl("run", "log.wsd", "--input", "x.npz", "--json").json["outputs"][0]["first"] == [None] * 5


def test_weights_and_models(wsdl: Wsdl) -> None:
    values = {"m.encode.weight": np.zeros((16, 64), np.float32), "m.encode.bias": np.zeros(16, np.float32),
              "m.decode.bias": np.full(64, 3, np.float32)}  # fmt: skip
    save_npz("w.npz", values)
    done = wsdl("run", "tied.wsd", "--input", "x.npz", "--weights", "w.npz")
    assert done.err == ""
    assert done.out.splitlines()[-1].split()[3:6] == ["3", "3", "3"]
    np.savez("two.npz", x=X[:, :32])
    assert "logits" in wsdl("run", "two.wsd", "--model", "classify", "--input", "two.npz").out


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["two.wsd", "--input", "x.npz"], "E0705"),
        (["two.wsd", "--model", "embedd", "--input", "x.npz"], "E0705"),
        (["tied.wsd"], "E0704"),
        (["tied.wsd", "--input", "nowhere.npz"], "E0717"),
        (["two.wsd", "--model", "embed", "--input", "x.npz"], "E0713"),
        (["nowhere.onnx", "--input", "x.npz"], "E0701"),
        (["x.npz", "--input", "x.npz"], "E0708"),
        (["build/m.onnx", "--input", "x.npz", "--dim", "n=2"], "E0704"),
        (["tied.wsd", "--input", "x.npz", "-o", "y.txt"], "E0704"),
        (["tied.wsd", "--input", "x.npz", "-o", "tied.wsd/y.npz"], "E0703"),
        (["tied.wsd", "--input", "x.npz", "--device", "tpu"], "E0704"),
        (["tied.wsd", "--input", "x.npz", "--batch", "0"], "E0704"),
    ],
)
def test_what_is_refused(wsdl: Wsdl, arguments: list[str], code: str) -> None:
    if arguments[0].startswith("build"):
        wsdl("compile", "tied.wsd", "-o", "build", "--no-proof")
    there = set(os.listdir())
    done = wsdl("run", *arguments, "--json")
    assert done.codes == [code]
    assert done.code == 2
    assert set(os.listdir()) == there
