"""`sort` and `argsort` keep the order of equal elements, as ONNX says of `TopK`, which ONNX Runtime computes in several
ways, by the number of elements."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.build import Built, typed
from wsdl.ir.dtypes import numpy_dtype
from wsdl.ir.types import DType


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("dtype", ["f32", "f16", "f64", "i64", "u8"])
def test_equal_elements_keep_their_order(dtype: DType, descending: bool) -> None:
    built = Built("argsort", [typed(f"{dtype}[n, t]")], {"descending": descending})
    session, rng = built.session(), np.random.default_rng(0)
    for size in (2, 3, 15, 16, 17, 33, 100, 257, 1000, 5000):
        for different in (1, 2, 7, 200):
            x = rng.integers(0, different, (2, size))
            expected = np.argsort(-x if descending else x, axis=1, kind="stable")
            given = x.astype(numpy_dtype(dtype))
            np.testing.assert_array_equal(session.run(None, {"x0": given})[0], expected)
