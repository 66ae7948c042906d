"""Files of weights: what is whole is read, what is broken is said to be, and nothing else happens."""

from __future__ import annotations

import io
import json
import os
import zipfile
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import pytest
import safetensors
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from tests.npz import save_npz
from tests.onnx.running import random
from wsdl.weights.open_source import open_source
from wsdl.weights.safetensors import save_safetensors
from wsdl.weights.source import Source, WeightsError

ARRAYS = {
    "a.weight": random(3, 4),
    "b": np.arange(5),
    "half": random(2, 2).astype(np.float16),
    "flags": np.array([True, False]),
    "empty": np.zeros((0, 3), np.float32),
    "scalar": np.array(2, np.float32),
}


def write(folder: Path, suffix: str) -> Path:
    path = folder / f"weights{suffix}"
    if suffix == ".safetensors":
        safetensors.numpy.save_file(ARRAYS, path)
    elif suffix == ".npz":
        save_npz(path, ARRAYS, compressed=True)
    else:
        tensors = [numpy_helper.from_array(array, name) for name, array in ARRAYS.items()]
        onnx.save(helper.make_model(helper.make_graph([], "g", [], [], tensors)), path)
    return path


def read_all(source: Source) -> None:
    for name in source.names:
        assert source.read(name).shape == source.info(name).shape


def broken(path: Path) -> str:
    with pytest.raises(WeightsError) as error:
        read_all(open_source(path))
    [diagnostic] = error.value.diagnostics
    assert diagnostic.code == "E0501"
    return diagnostic.message


@pytest.mark.parametrize("suffix", [".safetensors", ".npz", ".onnx"])
def test_all_formats(tmp_path: Path, suffix: str) -> None:
    source = open_source(write(tmp_path, suffix))
    assert source.tensors.keys() == ARRAYS.keys()
    assert str(source.info("half")) == "f16[2, 2]"
    for name, array in ARRAYS.items():
        read = source.read(name)
        assert (source.info(name).shape, read.dtype) == (array.shape, array.dtype)
        np.testing.assert_array_equal(read, array)


def test_names_that_are_not_there(tmp_path: Path) -> None:
    source = open_source(write(tmp_path, ".npz"))
    with pytest.raises(WeightsError) as error:
        source.read("a.weigth")
    assert error.value.diagnostics[0].help == "did you mean `a.weight`?"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing.safetensors", "no such file"),
        ("model.h5", "weights can't be read from a .h5 file"),
        ("weights", "doesn't say what it is"),
    ],
)
def test_other_files(tmp_path: Path, name: str, message: str) -> None:
    assert message in broken(tmp_path / name)


# -- safetensors -------------------------------------------------------------------------------------------------------


def test_ours_are_read_by_the_reference_implementation(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_safetensors(path, ARRAYS, {"format": "wsdl"})
    for name, array in safetensors.numpy.load_file(path).items():
        np.testing.assert_array_equal(array, ARRAYS[name])
    first = path.read_bytes()
    save_safetensors(path, ARRAYS, {"format": "wsdl"})
    assert path.read_bytes() == first
    assert path.stat().st_mode & 0o777 == 0o644
    assert os.listdir(tmp_path) == ["w.safetensors"]


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_safetensors(path, {"a": random(2)})
    first = path.read_bytes()
    with pytest.raises(KeyError):
        save_safetensors(path, {"a": np.zeros(2, np.complex64)})
    assert path.read_bytes() == first
    assert os.listdir(tmp_path) == ["w.safetensors"]


def test_names_of_tied_tensors_in_the_metadata(tmp_path: Path) -> None:
    """As `safetensors.torch.save_model` leaves a GPT-2."""
    path = tmp_path / "w.safetensors"
    save_safetensors(path, {"lm_head.weight": random(2, 2)}, {"format": "pt", "wte.weight": "lm_head.weight"})
    source = open_source(path)
    assert source.names == ["lm_head.weight", "wte.weight"]
    np.testing.assert_array_equal(source.read("wte.weight"), random(2, 2))


def header(**entries: object) -> bytes:
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text


def entry(dtype: object = "F32", shape: object = (2,), offsets: object = (0, 8)) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 8,
        b"\xff" * 16,
        (2**40).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"\xff\xff",
        (2).to_bytes(8, "little") + b"[]",
        (40000).to_bytes(8, "little") + b"[" * 40000,
        header(a=1),
        header(a=entry(shape=[-1])),
        header(a=entry(shape=[2.0])),
        header(a=entry(shape=[True, 2])),
        header(a=entry(offsets=[8, 0])),
        header(a=entry(offsets=[0])),
        header(a=entry(offsets=[0, 8])),
        header(a=entry(shape=[3], offsets=[0, 8])) + bytes(8),
        header(a=entry(shape=[2**62, 2**62], offsets=[0, 8])) + bytes(8),
        header(a=entry(), b=entry(offsets=[4, 12])) + bytes(12),
        header(a=entry(dtype=7)) + bytes(8),
        header(a=entry(dtype="F8_E4M3", shape=[8])) + bytes(8),
        header(a=entry(), b=entry(offsets=[12, 20])) + bytes(20),
        header(a=entry()) + bytes(9),
        header(__metadata__={"a": 1}),
        (17).to_bytes(8, "little") + b'{"a": 1, "a": 2} ',
    ],
    ids=range(23),
)
def test_headers_that_lie(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    assert broken(path)


# -- npz and onnx ------------------------------------------------------------------------------------------------------


def test_python_objects_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", a=np.array([{}, []], object))
    assert broken(tmp_path / "w.npz") == "`a` contains Python objects, which can't be read safely"


def test_a_zip_that_claims_too_much(tmp_path: Path) -> None:
    content = io.BytesIO()
    np.save(content, np.zeros(1))
    lie = content.getvalue().replace(b"(1,)", b"(9" + b"9" * 12 + b",)").replace(b" " * 12, b"", 1)
    with zipfile.ZipFile(tmp_path / "w.npz", "w") as archive:
        archive.writestr("a.npy", lie)
    assert broken(tmp_path / "w.npz")


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/hostname", "", "not there"])
def test_external_data_stay_in_their_folder(tmp_path: Path, location: str) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(64))
    (tmp_path / "in").mkdir()
    tensor = TensorProto(name="a", data_type=1, dims=[4], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    path = tmp_path / "in" / "m.onnx"
    path.write_bytes(helper.make_model(helper.make_graph([], "g", [], [], [tensor])).SerializeToString())
    assert "`a`" in broken(path)


def test_external_data_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(64))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link.bin").symlink_to(tmp_path / "secret.bin")
    tensor = TensorProto(name="a", data_type=1, dims=[4], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="link.bin")
    path = tmp_path / "in" / "m.onnx"
    path.write_bytes(helper.make_model(helper.make_graph([], "g", [], [], [tensor])).SerializeToString())
    assert "outside the model's folder" in broken(path)


# -- damage ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".safetensors", ".npz", ".onnx"])
def test_any_damage_is_an_error_or_harmless(tmp_path_factory: pytest.TempPathFactory, suffix: str) -> None:
    folder = tmp_path_factory.mktemp("damage")
    whole = write(folder, suffix).read_bytes()
    path = folder / f"damaged{suffix}"

    @given(
        cut=st.integers(0, len(whole)),
        changes=st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)), max_size=4),
    )
    def check(cut: int, changes: list[tuple[int, int]]) -> None:
        content = bytearray(whole)
        for place, byte in changes:
            content[place] = byte
        path.write_bytes(content[: cut or None])
        with suppress(WeightsError):
            read_all(open_source(path))

    check()


OF_JSON = b'{}[]",:0123456789 aFIB\\-.\n'


@given(
    changes=st.lists(st.tuples(st.integers(8, 400), st.sampled_from(OF_JSON), st.booleans()), min_size=1, max_size=3),
    more=st.integers(-20, 20),
)
def test_the_package_judges_damaged_headers_alike(changes: list[tuple[int, int, bool]], more: int) -> None:
    """Both refuse a file, or find the same tensors in it."""
    content = bytearray(safetensors.numpy.save(ARRAYS, {"format": "pt", "tied": "b"}))
    for place, byte, insert in changes:
        content[place : place + (not insert)] = [byte]
    whole = bytes(content[:more] if more < 0 else content + bytes(more // 10))
    with TemporaryDirectory() as folder:
        path = Path(folder, "w.safetensors")
        path.write_bytes(whole)
        try:
            source = open_source(path)
            read = {name: source.read(name) for name in source.tensors}
        except WeightsError:
            with pytest.raises((safetensors.SafetensorError, ValueError, KeyError)):
                safetensors.numpy.load_file(path)
            return
        other = safetensors.numpy.load_file(path)
        assert read.keys() == other.keys()
        for name, array in read.items():
            assert (array.dtype, array.shape) == (other[name].dtype, other[name].shape)
            assert array.tobytes() == other[name].tobytes()
