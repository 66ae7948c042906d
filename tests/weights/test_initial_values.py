"""Initial values: PyTorch's distributions, the same numbers for the same path and seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import init

from wsdl.diagnostics.span import Source
from wsdl.ir.graph import Initializer, Slot, Stored
from wsdl.ir.initializers import INITIALIZERS
from wsdl.ir.types import DType, TensorType
from wsdl.ir.views import View
from wsdl.weights.initial_values import initial_value

SPAN = Source("test.wsd", "").span(0, 0)


def draw(
    initializer: str, *arguments: float, shape: tuple[int, ...] = (60, 40, 3), path: str = "m.w", seed: int = 0,
    dtype: DType = "f32",
) -> np.ndarray:  # fmt: skip
    slot = Slot(path, TensorType.of(dtype, shape), "param", Initializer(initializer, arguments), SPAN, SPAN)
    return initial_value(Stored(path, slot.type, slot, ((slot, View.identity(shape)),), slot.initializer), seed)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (("zeros",), init.zeros_),
        (("ones",), init.ones_),
        (("constant", 0.5), lambda t: init.constant_(t, 0.5)),
        (("uniform",), init.uniform_),
        (("uniform", -2, 3), lambda t: init.uniform_(t, -2, 3)),
        (("normal",), init.normal_),
        (("normal", 0.02), lambda t: init.normal_(t, std=0.02)),
        (("normal", 1, 0.1), lambda t: init.normal_(t, 1, 0.1)),
        (("trunc_normal", 1.0), lambda t: init.trunc_normal_(t, std=1.0)),
        (("kaiming_uniform",), lambda t: init.kaiming_uniform_(t, a=5**0.5)),
        (("kaiming_uniform", 0), init.kaiming_uniform_),
        (("kaiming_normal",), init.kaiming_normal_),
        (("xavier_uniform",), init.xavier_uniform_),
        (("xavier_normal", 2), lambda t: init.xavier_normal_(t, 2)),
        (("orthogonal",), init.orthogonal_),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_like_pytorch(ours: tuple[str, float], theirs: object) -> None:
    torch.manual_seed(0)
    expected = torch.empty(60, 40, 3)
    theirs(expected)  # type: ignore[operator] # functions of torch.nn.init, in a table
    array = draw(*ours)
    assert (array.shape, array.dtype.name) == ((60, 40, 3), "float32")
    spread = float(expected.std()) if expected.std() > 0 else 1.0
    assert abs(array.mean() - expected.mean()) < 0.06 * spread
    assert abs(array.std() - expected.std()) < 0.05 * spread
    assert abs(np.abs(array).max() - expected.abs().max()) < 1.2 * spread


def test_every_initializer_is_drawn() -> None:
    for name, kind in INITIALIZERS.items():
        for form in kind.forms:
            assert np.isfinite(draw(name, *([0.5, 1.0][: len(form)]))).all()


@pytest.mark.parametrize("shape", [(8, 20), (20, 8), (6, 3, 2)])
def test_orthogonal(shape: tuple[int, ...]) -> None:
    matrix = draw("orthogonal", shape=shape).reshape(shape[0], -1)
    product = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-5)


def test_the_same_numbers_for_the_same_path_and_seed() -> None:
    np.testing.assert_array_equal(draw("normal"), draw("normal"))
    assert not np.array_equal(draw("normal"), draw("normal", path="m.v"))
    assert not np.array_equal(draw("normal"), draw("normal", seed=1))


def test_the_numbers_never_change() -> None:
    """Training runs are repeated from their seed, also with a later version."""
    np.testing.assert_allclose(draw("uniform", shape=(3,)), FIRST_UNIFORM, rtol=1e-6)
    np.testing.assert_allclose(draw("normal", shape=(3,)), FIRST_NORMAL, rtol=1e-5)


FIRST_UNIFORM = [0.8187587, 0.3606941, 0.560339]
FIRST_NORMAL = [-1.716962, -0.9237993, -0.6840272]


@pytest.mark.parametrize("dtype", ["f16", "bf16", "f64", "i64"])
def test_other_dtypes(dtype: DType) -> None:
    assert (draw("ones", dtype=dtype) == 1).all()
