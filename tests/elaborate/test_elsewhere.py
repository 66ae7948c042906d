"""What PyTorch and Keras call things: the tables name what is here, and the code that they give computes the same."""

from __future__ import annotations

import numpy as np
import torch

import wsdl
from wsdl.elaborate.elsewhere import ELSEWHERE, WRITTEN
from wsdl.elaborate.scopes import standard_blocks
from wsdl.ir.types import DTYPES
from wsdl.ops import NAMED

ORACLES = {
    **{name: getattr(torch, name) for name in (
        "square", "reciprocal", "exp2", "erfc", "logit", "frac", "sinc", "deg2rad", "rad2deg", "nan_to_num",
        "ones_like", "zeros_like", "norm",
    )},
    **{name: lambda x, name=name: getattr(torch, name)(x, torch.full_like(x, 2)) for name in (
        "fmod", "hypot", "xlogy", "isclose",
    )},
    **{name: getattr(torch.nn.functional, name) for name in (
        "hardtanh", "tanhshrink", "hardshrink", "softshrink", "celu",
    )},
    "copysign": lambda x: torch.full_like(x, 2).copysign(x),
    "lerp": lambda x: x.lerp(torch.full_like(x, 2), 0.25),
    "logical_xor": lambda x: (x > 0) ^ (x > 2),
    "median": lambda x: x.quantile(0.5),
    "digitize": lambda x: torch.bucketize(x, torch.tensor([0.0, 1.0]), right=True),
    "searchsorted": lambda x: torch.searchsorted(torch.tensor([0.0, 1.0]), x),
    "amax": lambda x: x.amax(0),
    "amin": lambda x: x.amin(0),
    "eye": lambda _: torch.eye(4),
    "any": lambda x: (x > 0).any(),
    "all": lambda x: (x > 0).all(),
    "masked_fill": lambda x: x.masked_fill(x > 0, 0),
    "swapaxes": lambda x: x.swapaxes(0, 1),
    "grad": lambda x: 1 - x.tanh() ** 2,
    "outer": lambda x: torch.outer(x.flatten(), x.flatten()),
}  # fmt: skip


def test_names_elsewhere_are_not_here_and_what_they_mean_is() -> None:
    here = {*NAMED, *standard_blocks(), *DTYPES}
    assert not {*ELSEWHERE, *WRITTEN} & here
    assert {*ELSEWHERE.values()} <= here


def test_code_in_place_of_functions_computes_the_same() -> None:
    small = {name: code for name, code in WRITTEN.items() if name in ORACLES}
    assert {WRITTEN[name] for name in small} == {*WRITTEN.values()}
    lines = "\n".join(f"    {name}_ = {code}" for name, code in small.items())
    program = f"model m(x: f32[n, 4]) {{\n{lines}\n    return {', '.join(f'{name}_' for name in small)}\n}}\n"
    x = np.random.default_rng(0).uniform(0.1, 8, (3, 4)).astype(np.float32) * np.array([1, 1, -0.1, 1], np.float32)
    got = wsdl.compile(program).session()(x=x)
    for name, value in zip(small, got.values(), strict=True):
        expected = ORACLES[name](torch.from_numpy(x)).numpy()
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6, err_msg=name)
