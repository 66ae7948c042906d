"""Each pass on real programs: well-formed before and after, and the same numbers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.stages import storage_of
from wsdl.compiler import lower
from wsdl.ir.graph import Lowered
from wsdl.ir.target import Target
from wsdl.ir.text import from_text, to_text
from wsdl.onnx.emit import emit
from wsdl.ops.interpreter import evaluate
from wsdl.ops.verify import verify
from wsdl.pipelines.inference import INFERENCE
from wsdl.sharing.read_stored import read_stored
from wsdl.syntax.read import read
from wsdl.weights.initial_values import WithDerived, initial_values

EXAMPLES = Path(__file__).parents[2] / "examples"

PROGRAMS = {
    "shared blocks": """
        model m(x: f32[n, 8]) -> f32[n, 8] {
            layer blocks[9] = Residual(Dense(8))
            share { blocks[*] }
            for block in blocks {
                x = block(x) |> relu
            }
            return x
        }
    """,
    "blocks of their own": """
        model m(x: f32[n, 8]) -> f32[n, 8] {
            layer blocks[9] = Residual(Dense(8))
            for block in blocks {
                x = block(x) |> relu
            }
            return x
        }
    """,
    "one tower twice": """
        model m(left: f32[n, 1, 8, 8], right: f32[n, 1, 8, 8]) -> f32[n, 3] {
            layer conv = Conv2d(3, kernel=3)
            layer norm = BatchNorm()
            a = left |> conv |> norm |> relu |> mean(axis=[2, 3])
            b = right |> conv |> norm |> relu |> mean(axis=[2, 3])
            return a - b
        }
    """,
    "two norms behind one convolution": """
        model m(left: f32[n, 1, 8, 8], right: f32[n, 1, 8, 8]) -> f32[n, 3] {
            layer conv = Conv2d(3, kernel=3)
            a = left |> conv |> BatchNorm() |> relu |> mean(axis=[2, 3])
            b = right |> conv |> BatchNorm() |> relu |> mean(axis=[2, 3])
            return a - b
        }
    """,
    "two norms behind one convolution of whole blocks": """
        model m(left: f32[n, 1, 8, 8], right: f32[n, 1, 8, 8]) -> f32[n, 16] {
            layer conv = Conv2d(16, kernel=3)
            a = left |> conv |> BatchNorm() |> relu |> mean(axis=[2, 3])
            b = right |> conv |> BatchNorm() |> relu |> mean(axis=[2, 3])
            return a - b
        }
    """,
    "several widths of one layer": """
        model m(x: f32[n, 6]) -> (a: f32[n, 2], b: f32[n, 3], c: f32[n, 8], d: f32[n, 2]) {
            layer wide = Dense(8)
            layer narrow = Dense(2)
            layer middle = Dense(3)
            layer other = Dense(2)
            share { wide.weight[0:2], narrow.weight }
            share { wide.weight[4:7], middle.weight }
            share { wide.weight[1:5].reshape(2, 12)[:, 0:6], other.weight }
            return narrow(x), middle(x), wide(x), other(x)
        }
    """,
    "slices and permutations": """
        model m(x: f32[n, 4]) -> (a: f32[n, 6], b: f32[n, 3], c: f32[n, 2]) {
            layer wide = Dense(6)
            layer narrow = Dense(3)
            layer other = Dense(2)
            share { wide.weight[0:3], narrow.weight }
            share { wide.weight[4:6].flip(0), other.weight }
            return wide(x), narrow(x), other(x)
        }
    """,
    "a number of its own in each step": """
        model m(x: f32[n, 4]) -> f32[n, 4] {
            layer f = Dense(4)
            for i in 0..9 {
                x = tanh(f(x)) * (1.0 + 0.1 * i) + (2 - i) * x
            }
            return x
        }
    """,
    "a loop inside a loop": """
        model m(x: f32[n, 8]) -> f32[n, 8] {
            layer f = Dense(8)
            layer g = Dense(8)
            for i in 0..8 {
                x = f(x)
                for j in 0..8 {
                    x = x + g(relu(x))
                }
            }
            return x
        }
    """,
    "a recurrent layer": """
        model m(left: f32[n, t, 4], right: f32[n, t, 4]) -> f32[n, 5] {
            layer gru = GRU(5)
            return gru(left)[:, -1] - gru(right)[:, -1]
        }
    """,
}


def program(text: str) -> Lowered:
    return read_stored(storage_of(text), Target(loops="loop"))


def numbers(of: Lowered, values: dict[str, Any]) -> list[Any]:
    results = []
    for model in of.models.values():
        sizes = {"n": 3, "t": 4, "h": 16, "w": 16}
        rng = np.random.default_rng(0)
        inputs = [rng.normal(size=[d.evaluate(sizes) for d in v.type.shape]).astype("f4") for v in model.graph.inputs]
        results += evaluate(model.graph, inputs, WithDerived(of, values))
    return results


def drawn(of: Lowered) -> dict[str, Any]:
    """Values for all that is stored, statistics too: none that a pass could mistake for another."""
    rng = np.random.default_rng(1)
    return {name: rng.uniform(0.2, 1.0, a.shape).astype(a.dtype) for name, a in initial_values(of, 0).items()}


@pytest.mark.parametrize("text", PROGRAMS.values(), ids=PROGRAMS)
def test_no_pass_changes_the_numbers(text: str) -> None:
    p = program(text)
    values = drawn(p)
    expected = numbers(p, values)
    for run in INFERENCE:
        run(p)
        verify(p)
        for got, wanted in zip(numbers(p, values), expected, strict=True):
            np.testing.assert_allclose(got, wanted, rtol=2e-5, atol=1e-6, err_msg=run.__name__)


@pytest.mark.parametrize("text", PROGRAMS.values(), ids=PROGRAMS)
def test_text_of_a_program_reads_back(text: str) -> None:
    p = program(text)
    assert to_text(from_text(to_text(p))) == to_text(p)


def test_unroll_is_obeyed() -> None:
    p = lower(storage_of(PROGRAMS["shared blocks"]), Target(loops="unroll"))
    assert "loop" not in [node.op for node in p.only.graph.walk()]
    assert [c.why for c in p.loops] == ["requested with --loops unroll"]


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.wsd")), ids=lambda p: p.stem)
def test_examples_stay_well_formed(path: Path) -> None:
    source = read(str(path))
    assert source is not None
    p = read_stored(storage_of(source), Target(loops="loop"))
    for run in INFERENCE:
        run(p)
        verify(p)


def test_a_rolled_loop_has_one_size() -> None:
    """The graph of shared blocks doesn't grow with their number."""
    sizes = set()
    for count in (12, 96):
        p = lower(storage_of(PROGRAMS["shared blocks"].replace("[9]", f"[{count}]")), Target(loops="loop"))
        values = WithDerived(p, initial_values(p, 0))
        sizes.add(len(emit(p, p.models["m"], values).SerializeToString()))
    assert len(sizes) == 1
