"""A model that is written in pieces is the file that protobuf would have written."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import onnx
import pytest

import wsdl
from wsdl.onnx.folder import filled
from wsdl.onnx.streaming import _varint, model_writer

MODEL = """
## Two layers and one that has no numbers of its own.
model m(x: f32[n, 3]) -> (y: f32[n, 2]) {
    layer one = Dense(300)
    layer two = Dense(2)
    return x |> one |> relu |> two
}
"""


def test_the_same_bytes() -> None:
    program = wsdl.compile(MODEL)
    proto, values = program.protos["m"], program.values()
    file = BytesIO()
    model_writer(proto, values)(file)
    whole = filled(proto, values)
    assert file.getvalue() == whole.SerializeToString(deterministic=True)
    read = onnx.load_model_from_string(file.getvalue())
    assert read == whole
    found = {t.name: onnx.numpy_helper.to_array(t) for t in read.graph.initializer}
    np.testing.assert_array_equal(found["m.one.weight"], program.stored["m.one.weight"])


def test_what_isnt_given_stays_without_numbers() -> None:
    proto = wsdl.compile(MODEL).protos["m"]
    file = BytesIO()
    model_writer(proto, {})(file)
    assert file.getvalue() == proto.SerializeToString(deterministic=True)


@pytest.mark.parametrize(("value", "bytes_"), [(0, b"\0"), (127, b"\x7f"), (128, b"\x80\1"), (300, b"\xac\2")])
def test_varint(value: int, bytes_: bytes) -> None:
    assert _varint(value) == bytes_
