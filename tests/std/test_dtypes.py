"""Every block of the standard library in every dtype of floats: what comes out has the dtype of what goes in."""

from __future__ import annotations

import numpy as np

import wsdl
from tests.stages import storage_of
from tests.std.case import Case, program_of
from tests.std.cases import CASES
from tests.together import together
from wsdl.diagnostics.span import Source

OF_FLOATS = [case for case in CASES if "f32" in program_of(case)]


@together("case", OF_FLOATS, by=lambda case: case.block, ids=lambda case: case.layer)
def test_types(case: Case) -> None:
    for dtype in ("f16", "bf16", "f64"):
        program = storage_of(Source("m.wsd", program_of(case).replace("f32", dtype)))
        for model in program.models.values():
            assert {v.type.dtype for v in model.graph.outputs if v.type.is_float} == {dtype}
        assert {s.type.dtype for s in program.stored.values()} <= {dtype}


ENCODED = """
model m(x: f64[n, t, 8]) -> f64[n, t, 8] {
    return x |> PositionalEncoding() |> RotaryEncoding() |> GRU(8)
}
"""


def test_numbers_of_64_bits() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 5, 8))
    (wide,) = wsdl.compile(Source("m.wsd", ENCODED)).session().run({"x": x}).values()
    narrow = wsdl.compile(Source("m.wsd", ENCODED.replace("f64", "f32"))).session().run({"x": x.astype("f4")})
    assert wide.dtype == np.float64
    np.testing.assert_allclose(wide, next(iter(narrow.values())), atol=1e-6)
