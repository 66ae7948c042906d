"""Files that are damaged, that lie about themselves, or that are no files: weights, data, models, checkpoints."""

from __future__ import annotations

import io
import json
import os
import struct
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = np.ndarray[Any, Any]
PROGRAM = """\
model m(x: f32[n, 4]) -> (y: f32[n, 3]) {
    return x |> Dense(3)
}

train m(target: f32[n, 3]) {
    loss mse(y, target)
    optimizer SGD(lr=0.1)
}
"""
WEIGHTS = {"m.dense.weight": np.ones((3, 4), np.float32), "m.dense.bias": np.zeros(3, np.float32)}
BIAS = WEIGHTS["m.dense.bias"]
DATA = {"x": np.ones((8, 4), np.float32), "target": np.zeros((8, 3), np.float32)}


@dataclass(frozen=True)
class Damage:
    """`make` puts a file with this suffix at a path; `code` is that of the error, or `None` where there is none."""

    name: str
    suffix: str
    make: Callable[[Path], None]
    code: str | None


def _write(content: bytes, path: Path) -> None:
    path.write_bytes(content)


def written(name: str, suffix: str, content: bytes, code: str) -> Damage:
    return Damage(name, suffix, partial(_write, content), code)


# -- safetensors -------------------------------------------------------------------------------------------------------


def safetensors(arrays: dict[str, Array] = WEIGHTS, **changes: Any) -> bytes:
    """A whole file; `changes` replace entries of its header, by `tensor__key`."""
    header: dict[str, Any] = {}
    end = 0
    for name, array in arrays.items():
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [end, end := end + array.nbytes]}
    for place, value in changes.items():
        tensor, _, key = place.partition("__")
        header[f"m.dense.{tensor}"][key] = value
    return packed(json.dumps(header).encode(), b"".join(a.tobytes() for a in arrays.values()))


def packed(header: bytes, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + data


WHOLE = safetensors()
SAFETENSORS = [
    *(written(f"cut after {n} bytes", ".safetensors", WHOLE[:n], "E0501") for n in (0, 1, 7, 8, 20, len(WHOLE) - 1)),
    written("random bytes", ".safetensors", np.random.default_rng(0).bytes(4096), "E0501"),
    written("a header of 2^63 bytes", ".safetensors", struct.pack("<Q", 2**63) + WHOLE[8:], "E0501"),
    written("a hundred thousand brackets", ".safetensors", packed(b"[" * 100_000), "E0501"),
    written("no JSON", ".safetensors", packed(b"{'a': 1}"), "E0501"),
    written("no UTF-8", ".safetensors", packed(b'{"\xff\xfe": 1}'), "E0501"),
    written("a list", ".safetensors", packed(b"[1, 2]"), "E0501"),
    written("a number of a million digits", ".safetensors", packed(b'{"a": ' + b"9" * 1_000_000 + b"}"), "E0501"),
    written("twice the same name", ".safetensors", packed(b'{"a": {}, "a": {}}'), "E0501"),
    written("a size of 2^62", ".safetensors", safetensors(weight__shape=[2**62, 2**62]), "E0501"),
    written("a negative size", ".safetensors", safetensors(weight__shape=[-3, -4]), "E0501"),
    written("a size with a fraction", ".safetensors", safetensors(weight__shape=[3.0, 4]), "E0501"),
    written("a size that is true", ".safetensors", safetensors(bias__shape=[True]), "E0501"),
    written("offsets behind the end", ".safetensors", safetensors(bias__data_offsets=[48, 2**60]), "E0501"),
    written("offsets the wrong way round", ".safetensors", safetensors(bias__data_offsets=[60, 48]), "E0501"),
    written("offsets of another tensor", ".safetensors", safetensors(bias__data_offsets=[0, 12]), "E0501"),
    written("bytes that don't fit the shape", ".safetensors", safetensors(bias__data_offsets=[48, 56]), "E0501"),
    written("a dtype of nobody", ".safetensors", safetensors(bias__dtype="F31"), "E0510"),
    written("integers", ".safetensors", safetensors(weight__dtype="I32"), "E0510"),
    written("another shape", ".safetensors", safetensors(weight__shape=[4, 3]), "E0508"),
    written("a tensor is missing", ".safetensors", safetensors({"m.dense.bias": WEIGHTS["m.dense.bias"]}), "E0511"),
    written("sizes of thousands of digits", ".safetensors", safetensors(weight__shape=[10**4000] * 500), "E0501"),
    written("sizes without end", ".safetensors", safetensors(weight__shape=[2**61] * 500_000), "E0501"),
    written("a name without end", ".safetensors", safetensors({**WEIGHTS, "m.dense." + "a" * 10**6: BIAS}), "E0512"),
    written("a tensor too many", ".safetensors", safetensors({**WEIGHTS, "m.dense.weigth": np.ones(1, "f4")}), "E0512"),
]


# -- NumPy's -----------------------------------------------------------------------------------------------------------


def npy(array: Array, pickle: bool = False) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, allow_pickle=pickle)
    return file.getvalue()


def npz(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return file.getvalue()


def _with(name: str, content: bytes, arrays: dict[str, Array]) -> bytes:
    """A whole archive, but for one member."""
    return npz({**{n: npy(a) for n, a in arrays.items()}, name: content})


def _bomb(path: Path, arrays: dict[str, Array], name: str) -> None:
    """64 MB of zeros in 64 kB, an array of another shape."""
    header = io.BytesIO()
    fields = {"descr": "<f4", "fortran_order": False, "shape": (1 << 24,)}
    np.lib.format.write_array_header_1_0(header, fields)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for other, array in arrays.items():
            archive.writestr(f"{other}.npy", npy(array) if other != name else header.getvalue() + b"\0" * (1 << 26))


def _one_name_twice(path: Path, arrays: dict[str, Array], name: str) -> None:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")  # of zipfile, which says so too
        for other in (*arrays, name):
            archive.writestr(f"{other}.npy", npy(arrays[other]))


def npz_damage(arrays: dict[str, Array], name: str, broken: str, misfit: str, other: str) -> list[Damage]:
    """Archives with damage in one array; the codes are those for what can't be read, another shape, another dtype."""
    whole, array = npz({n: npy(a) for n, a in arrays.items()}), arrays[name]
    member = npy(array)
    objects = np.array([[1], [2, 3]], object)
    wrong_sum = whole.replace(member[-8:], b"\1" * 8, 1)
    return [
        *(
            written(f"cut after {n} bytes", ".npz", whole[:n], broken)
            for n in (0, 3, 40, len(whole) // 2, len(whole) - 1)
        ),
        written("random bytes", ".npz", np.random.default_rng(0).bytes(4096), broken),
        written("Python objects", ".npz", _with(name, npy(objects, pickle=True), arrays), broken),
        written("no array", ".npz", _with(name, b"hello", arrays), broken),
        written("an empty member", ".npz", _with(name, b"", arrays), broken),
        written(
            "a header that is code", ".npz", _with(name, member[:10] + b"__import__('os').system('x')", arrays), broken
        ),
        written(
            "a header that lies", ".npz", _with(name, member.replace(b"'shape': (", b"'shape': (9"), arrays), broken
        ),
        written("less than it says", ".npz", _with(name, member[:-4], arrays), broken),
        written("a wrong checksum", ".npz", wrong_sum, broken),
        written("texts", ".npz", _with(name, npy(np.full(array.shape, "1.0")), arrays), other),
        written("another rank", ".npz", _with(name, npy(array[None]), arrays), misfit),
        Damage("one name twice", ".npz", lambda path: _one_name_twice(path, arrays, name), broken),
        Damage("a bomb", ".npz", lambda path: _bomb(path, arrays, name), misfit),
    ]


# -- ONNX --------------------------------------------------------------------------------------------------------------


def model(weight: TensorProto | None = None) -> onnx.ModelProto:
    """`y = x W' + b`, as others would write it."""
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", size]) for n, size in (("x", 4), ("y", 3))]
    tensors = [numpy_helper.from_array(a, name) for name, a in WEIGHTS.items()]
    if weight is not None:
        tensors[0] = weight
    node = helper.make_node("Gemm", ["x", *WEIGHTS], ["y"], transB=1)
    graph = helper.make_graph([node], "m", values[:1], values[1:], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def _weight(**fields: Any) -> onnx.ModelProto:
    """The model with other fields of its weight; lists replace."""
    tensor = numpy_helper.from_array(WEIGHTS["m.dense.weight"], "m.dense.weight")
    for name, value in fields.items():
        if isinstance(value, list):
            tensor.ClearField(name)
            getattr(tensor, name).extend(value)
        else:
            setattr(tensor, name, value)
    return model(tensor)


def _external(location: str, offset: int = 0, length: int = 48) -> onnx.ModelProto:
    tensor = TensorProto(name="m.dense.weight", dims=[3, 4], data_type=TensorProto.FLOAT)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))
    return model(tensor)


def _twice_the_same() -> onnx.ModelProto:
    proto = model()
    proto.graph.initializer.append(proto.graph.initializer[0])
    return proto


def onnx_damage(broken: str, odd: str) -> list[Damage]:
    whole = model().SerializeToString()
    protos = {
        "less data than it says": (_weight(raw_data=b"\0" * 44), broken),
        "more data than it says": (_weight(raw_data=b"\0" * 52), broken),
        "a negative size": (_weight(dims=[-3, -4]), broken),
        "a size of 2^62": (_weight(dims=[2**62, 4]), broken),
        "sizes without end": (_weight(dims=[2**62] * 20_000), broken),
        "one name twice": (_twice_the_same(), broken),
        "a dtype of nobody": (_weight(data_type=999), odd),
        "no dtype": (_weight(data_type=0), odd),
        "numbers of 4 bits": (_weight(data_type=TensorProto.INT4), odd),
        "texts": (_weight(data_type=TensorProto.STRING), odd),
        "data in a folder above": (_external("../w.data"), broken),
        "data at a place of the machine": (_external("/etc/passwd"), broken),
        "data that are not there": (_external("nowhere.data"), broken),
        "data in a pipe": (_external("pipe.data"), broken),
        "data behind the end": (_external("short.data", 40), broken),
        "data at a negative place": (_external("short.data", -8), broken),
    }
    return [
        *(written(f"cut after {n} bytes", ".onnx", whole[:n], broken) for n in (9, 40, len(whole) - 9)),
        written("random bytes", ".onnx", np.random.default_rng(0).bytes(4096), broken),
        *(Damage(name, ".onnx", _beside(proto), code) for name, (proto, code) in protos.items()),
    ]


def _beside(proto: onnx.ModelProto) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.with_name("short.data").write_bytes(b"\0" * 48)
        os.mkfifo(path.with_name("pipe.data"))
        path.write_bytes(proto.SerializeToString())

    return make


# -- no files at all ---------------------------------------------------------------------------------------------------


def no_files(suffixes: tuple[str, ...], code: str) -> list[Damage]:
    kinds: dict[str, Callable[[Path], Any]] = {
        "a pipe": lambda path: os.mkfifo(path),
        "an endless device": lambda path: path.symlink_to("/dev/zero"),
        "a folder": lambda path: path.mkdir(),
        "a link to itself": lambda path: path.symlink_to(path),
        "nothing": lambda path: None,
    }
    return [Damage(name, suffix, make, code) for suffix in suffixes for name, make in kinds.items()]


# -- tables ------------------------------------------------------------------------------------------------------------


def _twice(path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_arrays([pyarrow.array([1.0])] * 2, names=["x", "x"]), path)


TABLES = [
    written("an empty table", ".csv", b"", "E0717"),
    written("rows of two lengths", ".csv", b"x.0,x.1\n1,2\n3\n", "E0717"),
    written("words", ".csv", b"x.0,x.1,x.2,x.3\n1,2,three,4\n", "E0718"),
    written("bytes of 0", ".csv", b"x.0,x.1\n\0,\0\n", "E0718"),
    written("no UTF-8", ".csv", b"x.0\n\xff\xfe\n", "E0717"),
    written("a name twice", ".csv", b"x,x\n1,2\n", "E0717"),
    written("a column is missing", ".csv", b"x.0,x.1,x.3\n1,2,4\n", "E0717"),
    written("a column and its parts", ".csv", b"x,x.0\n1,2\n", "E0717"),
    written("an endless quote", ".csv", b'x.0\n"' + b"1" * 300_000, "E0717"),
    written("no table", ".parquet", b"PAR1" + b"\0" * 100 + b"PAR1", "E0717"),
    Damage("a name twice", ".parquet", lambda path: _twice(path), "E0717"),
    written("random bytes", ".parquet", np.random.default_rng(0).bytes(4096), "E0717"),
]
