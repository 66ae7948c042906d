"""Files of PyTorch: what `torch.save` writes is read as PyTorch reads it, and nothing in a file runs."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import wsdl
from tests.golden import Golden
from tests.robustness import pickles
from tests.robustness.damage import WEIGHTS
from wsdl.diagnostics import limits
from wsdl.diagnostics.render import render
from wsdl.weights.open_source import open_source
from wsdl.weights.parts import part_at
from wsdl.weights.source import WeightsError

HERE = Path(__file__).parent
MODULES: dict[str, Callable[[], nn.Module]] = {
    "Linear": lambda: nn.Linear(4, 3),
    "Conv2d": lambda: nn.Conv2d(4, 6, 3, groups=2).to(memory_format=torch.channels_last),  # type: ignore[call-overload] # PyTorch's types leave it out
    "ConvTranspose1d": lambda: nn.ConvTranspose1d(2, 3, 5).double(),
    "BatchNorm2d": lambda: nn.BatchNorm2d(5),
    "LayerNorm": lambda: nn.LayerNorm(7).bfloat16(),
    "Embedding": lambda: nn.Embedding(9, 2).half(),
    "LSTM": lambda: nn.LSTM(3, 4, 2, bidirectional=True),
    "MultiheadAttention": lambda: nn.MultiheadAttention(8, 2, kdim=3, vdim=5),
    "TransformerEncoderLayer": lambda: nn.TransformerEncoderLayer(8, 2, 16),
    "Sequential": lambda: nn.Sequential(nn.Linear(2, 2), nn.PReLU(), nn.Sequential(nn.GRUCell(2, 3))),
}
SAVES: dict[str, dict[str, Any]] = {
    "zip": {},
    "before 1.6": {"_use_new_zipfile_serialization": False},
    "protocol 5": {"pickle_protocol": 5},
}


def numbers(tensor: torch.Tensor) -> np.ndarray[Any, Any]:
    return tensor.detach().float().numpy() if tensor.dtype == torch.bfloat16 else tensor.detach().numpy()


def assert_same(path: Path, expected: dict[str, torch.Tensor]) -> None:
    source = open_source(path)
    assert [*source.names] == [*expected] or {*source.names} == {*expected}
    for name, tensor in expected.items():
        array = source.read(name)
        assert (array.shape, str(tensor.dtype)[6:]) == (tuple(tensor.shape), array.dtype.name)
        np.testing.assert_array_equal(array.astype(numbers(tensor).dtype), numbers(tensor))


@pytest.mark.parametrize("save", SAVES.values(), ids=SAVES)
@pytest.mark.parametrize("module", MODULES.values(), ids=MODULES)
def test_modules(module: Callable[[], nn.Module], save: dict[str, Any], tmp_path: Path) -> None:
    """As a state dict, and as a whole module, whose class isn't imported."""
    made, path = module(), tmp_path / "m.pt"
    torch.save(made.state_dict(), path, **save)
    assert_same(path, made.state_dict())
    torch.save(made, path, **save)
    assert_same(path, made.state_dict())


@pytest.mark.parametrize("save", SAVES.values(), ids=SAVES)
def test_views_of_storages(save: dict[str, Any], tmp_path: Path) -> None:
    whole = torch.arange(24.0).reshape(6, 4)
    tensors = {
        "whole": whole, "tied": whole, "parameter": nn.Parameter(whole), "turned": whole.T, "rows": whole[1:3],
        "columns": whole[:, ::2], "repeated": whole[0].expand(3, 4), "nothing": whole[:0], "number": torch.tensor(2),
        "flags": whole > 3, "bytes": whole.byte(), "diagonal": whole[:4].diagonal(),
    }  # fmt: skip
    torch.save(tensors, tmp_path / "m.pt", **save)
    assert_same(tmp_path / "m.pt", tensors)
    assert open_source(tmp_path / "m.pt").aliases == {"tied": "whole", "parameter": "whole"}


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # such files will be around for years
def test_torchscript(tmp_path: Path) -> None:
    script = torch.jit.script(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Conv1d(2, 3, 1)))
    script.save(tmp_path / "m.pt")
    assert_same(tmp_path / "m.pt", script.state_dict())


def test_an_archive_that_was_compressed(tmp_path: Path) -> None:
    state = nn.Linear(40, 30).state_dict()
    torch.save(state, tmp_path / "m.pt")
    with (
        zipfile.ZipFile(tmp_path / "m.pt") as old,
        zipfile.ZipFile(tmp_path / "n.pt", "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for entry in old.namelist():
            new.writestr(entry, old.read(entry))
    assert_same(tmp_path / "n.pt", state)


def test_tensors_that_are_not_plain(tmp_path: Path) -> None:
    """They are listed by what they are, and the others are read."""
    torch.save(
        {
            "plain": torch.ones(2),
            "sparse": torch.eye(3).to_sparse(),
            "complex": torch.zeros(2, dtype=torch.complex64),
            "nested": torch.zeros(2, device="meta"),
        },
        tmp_path / "m.pt",
    )
    source = open_source(tmp_path / "m.pt")
    assert [str(info) for info in source.tensors.values()] == ["f32[2]", "sparse[3, 3]", "complex64[2]", "meta[2]"]
    np.testing.assert_array_equal(source.read("plain"), np.ones(2))
    for name in ("sparse", "complex", "nested"):
        with pytest.raises(WeightsError):
            source.read(name)


@pytest.mark.parametrize("protocol", [2, 5])
def test_arrays_of_numpy(protocol: int, tmp_path: Path) -> None:
    """They are in the pickle itself."""
    whole = np.arange(24, dtype=np.float32).reshape(4, 6)
    arrays: dict[str, np.ndarray[Any, Any]] = {
        "plain": whole, "fortran": np.asfortranarray(whole), "half": whole.astype(np.float16),
        "ints": whole.astype(np.int64), "flags": whole > 3, "nothing": whole[:0],
    }  # fmt: skip
    others = {"number": np.float32(2), "texts": np.array(["a"]), "objects": np.array([{}]), "big": whole.astype(">f4")}
    torch.save({**arrays, **others, "tensor": torch.ones(3)}, tmp_path / "m.pt", pickle_protocol=protocol)
    source = open_source(tmp_path / "m.pt")
    assert source.tensors.keys() == {*arrays, "texts", "big", "tensor"}
    for name, array in arrays.items():
        np.testing.assert_array_equal(source.read(name), array)
        assert source.read(name).dtype == array.dtype
    with pytest.raises(WeightsError):
        source.read("big")


def test_a_tensor_of_an_unknown_class(tmp_path: Path) -> None:
    """Its name says what it is; the others are read."""
    for weight, what in {
        pickles.call("other.nn", "Params4bit", pickles.tensor(), pickles.plain(1)): "other.nn.Params4bit",
        pickles.call("a", "b") + b"(" + pickles.tensor() + b"tR": "computed",
    }.items():
        (tmp_path / "w.pt").write_bytes(pickles.archive(pickles.state(weight)))
        source = open_source(tmp_path / "w.pt")
        np.testing.assert_array_equal(source.read("m.dense.bias"), WEIGHTS["m.dense.bias"])
        with pytest.raises(WeightsError) as error:
            source.read("m.dense.weight")
        assert error.value.diagnostics[0].message == f"`m.dense.weight` is a {what} tensor, which can't be read"


# -- which weights are meant -------------------------------------------------------------------------------------------

NET = """model net(x: f32[n, 4]) -> (y: f32[n, 2]) {
    layer first = Dense(3)
    layer second = Dense(2)
    return x |> first |> relu |> second
}
"""


def checkpoints() -> dict[str, Any]:
    """Checkpoints as programs write them, with the path of the weights that are meant if nothing is said."""
    module = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    state = module.state_dict()
    average = {name: tensor * 2 for name, tensor in state.items()}
    moments = {i: {"step": torch.tensor(3.0), "exp_avg": torch.ones(2)} for i in range(4)}
    adam = {"state": moments, "param_groups": [{"lr": 0.1, "params": [0, 1, 2, 3]}]}
    return {
        "": state,
        "state_dict": {"state_dict": state, "epoch": 3, "best": torch.tensor(0.5)},
        "model": {"model": state, "optimizer": adam, "lr_scheduler": {"last": 1}},
        "weights": {"weights": state, "criterion": {"scale": torch.ones(1)}, "optimizer_state": adam},
        "run.generator": {"run": {"generator": state}, "optim_g": adam},
        "0": [state, 5],
        "several": {"model": state, "model_ema": average, "optimizer": adam},
        "parts": {"encoder": state, "decoder": average},
    }


def test_which_weights_are_meant(tmp_path: Path, golden: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = ""
    for path, checkpoint in checkpoints().items():
        torch.save(checkpoint, "v.pt")
        try:
            read = part_at(open_source("v.pt"), None)
            assert [*read.tensors] == [
                f"{'0.' if path == '0' else ''}{n}" for n in ("0.weight", "0.bias", "2.weight", "2.bias")
            ]
        except WeightsError as error:
            text += f"-- {path}\n\n{render(error.diagnostics)}\n"
    golden(HERE / "golden" / "which_weights.txt", text)


@pytest.mark.parametrize("at", ["", ' at "model"'])
def test_a_program(at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By `load` and its table, with and without `at`."""
    monkeypatch.chdir(tmp_path)
    module = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    torch.save({"model": module.state_dict(), "step": 3}, "v.pt")
    table = '{\n    "0.{p}" -> first.{p}\n    "2.{p}" -> second.{p}\n}\n'
    Path("net.wsd").write_text(f'{NET}\nload "v.pt"{at} into net {table}', encoding="utf-8")
    x = torch.randn(5, 4)
    [y] = wsdl.compile("net.wsd").session()(x=x.numpy()).values()
    np.testing.assert_allclose(y, module(x).detach(), rtol=1e-5, atol=1e-6)


def test_weights_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    module = nn.Sequential()
    module.first, module.second = nn.Linear(4, 3), nn.Linear(3, 2)
    torch.save({"state_dict": module.state_dict()}, "v.ckpt")
    Path("net.wsd").write_text(NET, encoding="utf-8")
    stored = wsdl.compile("net.wsd", weights="v.ckpt").stored
    for name, tensor in module.state_dict().items():
        np.testing.assert_array_equal(stored[f"net.{name}"], tensor)


def test_a_second_name_of_a_tensor_need_not_be_known(tmp_path: Path) -> None:
    """A tied parameter has two names in a state dict."""
    (tmp_path / "net.wsd").write_text(NET, encoding="utf-8")
    shapes = {"first.weight": (3, 4), "first.bias": (3,), "second.weight": (2, 3), "second.bias": (2,)}
    state = {name: torch.ones(shape) for name, shape in shapes.items()}
    torch.save({**state, "copy.weight": state["first.weight"]}, tmp_path / "v.pt")
    assert wsdl.compile(tmp_path / "net.wsd", weights=tmp_path / "v.pt").stored.keys() == {f"net.{n}" for n in state}


# -- files that lie ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [pickles.archive, pickles.sequence])
@pytest.mark.parametrize("value", pickles.HARMFUL.values(), ids=pickles.HARMFUL)
def test_nothing_runs(
    value: bytes, write: Callable[[bytes], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a pickle would call is data beside the tensors."""
    monkeypatch.chdir(tmp_path)
    Path("w.pt").write_bytes(write(pickles.state(more=value)))
    source = open_source("w.pt")
    assert source.tensors.keys() == WEIGHTS.keys()
    for name, array in WEIGHTS.items():
        np.testing.assert_array_equal(source.read(name), array)
    assert [*tmp_path.iterdir()] == [tmp_path / "w.pt"]
    assert "antigravity" not in sys.modules


def said(content: bytes) -> str:
    Path("w.pt").write_bytes(content)
    with pytest.raises(WeightsError) as error:
        open_source("w.pt")
    [diagnostic] = error.value.diagnostics
    assert diagnostic.code == "E0501"
    return diagnostic.message


def test_what_is_said_about_lies(tmp_path: Path, golden: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = "".join(f"{lie}\n    {said(pickles.archive(content))}\n" for lie, content in pickles.LIES.items())
    for content in pickles.LIES.values():
        assert said(pickles.sequence(content))
    for limit, number in {"PICKLE_STEPS": 10_000, "SLOTS": 10_000, "PICKLE": 45_000}.items():
        monkeypatch.setattr(limits, limit, number)
    text += "".join(f"{bomb}\n    {said(pickles.archive(content))}\n" for bomb, content in pickles.BOMBS.items())
    golden(HERE / "golden" / "lies.txt", text)


# -- damage ------------------------------------------------------------------------------------------------------------

SEED = pickles.state(
    more=b"".join((b"}(", *(pickles.plain(k) + v for k, v in pickles.HARMFUL.items()), b"u")), other=pickles.tensor()
)


@given(
    changes=st.lists(
        st.tuples(st.integers(0, 10_000), st.integers(0, 255), st.sampled_from(["replace", "insert", "remove"])),
        min_size=1,
        max_size=4,
    ),
    in_archive=st.booleans(),
    whole=st.booleans(),
)
def test_damaged_files_run_nothing(
    changes: list[tuple[int, int, str]], in_archive: bool, whole: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """An error or other weights. The pickle holds calls of `os.mkdir` and `exec`."""
    write = pickles.archive if in_archive else pickles.sequence
    content = bytearray(write(SEED) if whole else SEED)
    for place, byte, change in changes:
        place %= len(content)
        content[place : place + (change != "insert")] = b"" if change == "remove" else bytes([byte])
    folder = tmp_path_factory.getbasetemp() / "damaged"
    folder.mkdir(exist_ok=True)
    path = folder / "w.pt"
    path.write_bytes(content if whole else write(bytes(content)))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        with suppress(WeightsError):
            source = open_source(path)
            for name in source.names:
                with suppress(WeightsError):
                    assert source.read(name).shape == source.info(name).shape
    assert [*folder.iterdir()] == [path]
    assert "antigravity" not in sys.modules
