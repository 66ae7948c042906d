"""Damaged files of every kind end in a finding that has a code, quickly, and nothing is written."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from onnx import numpy_helper

from tests.cli.conftest import Wsdl
from tests.npz import save_npz
from tests.robustness import damage, pickles
from tests.robustness.damage import DATA, WEIGHTS, Damage
from tests.robustness.pickles import PYTORCH

WEIGHTS_DAMAGE = [
    *damage.SAFETENSORS,
    *damage.npz_damage(WEIGHTS, "m.dense.weight", "E0501", "E0508", "E0510"),
    *damage.onnx_damage("E0501", "E0510"),
    *PYTORCH,
    *damage.no_files((".safetensors", ".pt", ".npz", ".onnx"), "E0501"),
]
DATA_DAMAGE = [
    *damage.npz_damage(DATA, "x", "E0717", "E0713", "E0712"),
    *damage.TABLES,
    *damage.no_files((".npz", ".npy", ".csv", ".parquet"), "E0717"),
]
MODEL_DAMAGE = [*damage.onnx_damage("E0715", "E0715"), *damage.no_files((".onnx",), "E0701")]


def named(kinds: list[Damage]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("kind", kinds, ids=[f"{d.suffix[1:]}: {d.name}" for d in kinds])


@pytest.fixture
def folder(wsdl: Wsdl, tmp_path: Path) -> Path:
    (tmp_path / "m.wsd").write_text(damage.PROGRAM, encoding="utf-8")
    return tmp_path


def codes(text: str) -> list[str]:
    return re.findall(r"error\[(E\d+)\]", text)


@named(WEIGHTS_DAMAGE)
def test_weights(kind: Damage, wsdl: Wsdl, folder: Path) -> None:
    kind.make(folder / f"w{kind.suffix}")
    before = {*folder.iterdir()}
    done = wsdl("compile", "m.wsd", "--weights", f"w{kind.suffix}", "-o", "out")
    assert (done.code, codes(done.err)) == (2 if kind.code == "E0501" else 1, [kind.code]), done.err
    assert {*folder.iterdir()} == before


@named(DATA_DAMAGE)
def test_data(kind: Damage, wsdl: Wsdl, folder: Path) -> None:
    kind.make(folder / f"d{kind.suffix}")
    before = {*folder.iterdir()}
    for verb in (["run", "m.wsd", "--input"], ["train", "m.wsd", "-o", "run", "--data"]):
        done = wsdl(*verb, f"d{kind.suffix}")
        assert (done.code, codes(done.err)) == (2, [kind.code]), done.err
    assert {*folder.iterdir()} == before


@named(MODEL_DAMAGE)
def test_models(kind: Damage, wsdl: Wsdl, folder: Path) -> None:
    kind.make(folder / "m.onnx")
    save_npz(folder / "d.npz", DATA)
    done = wsdl("run", "m.onnx", "--input", "d.npz")
    assert (done.code, codes(done.err)) == (2, [kind.code]), done.err


@named([kind for kind in WEIGHTS_DAMAGE if kind.code is not None])
def test_inspect(kind: Damage, wsdl: Wsdl, folder: Path) -> None:
    """It reads no numbers: what is wrong with these, or doesn't fit a program, is no matter to it."""
    kind.make(folder / f"w{kind.suffix}")
    done = wsdl("inspect", f"w{kind.suffix}")
    assert done.code == 0 or codes(done.err) in (["E0501"], ["E0701"]), done.err
    assert len(done.out) + len(done.err) < 5_000


def test_a_folder_with_a_pipe(wsdl: Wsdl, folder: Path) -> None:
    (folder / "d").mkdir()
    os.mkfifo(folder / "d" / "x.npy")
    assert codes(wsdl("run", "m.wsd", "--input", "d").err) == ["E0717"]


# -- what a file says about itself -------------------------------------------------------------------------------------


def sharing(path: str = "b", view: str = "", **changes: object) -> list[dict[str, object]]:
    record = {"name": "a", "shape": [4], "dtype": "f32", "trainable": True, "slots": [{"path": path, "view": view}]}
    return [{**record, **changes}]


METADATA: dict[str, object] = {
    "a range without end": sharing("b[0:2000000000]"),
    "ranges in ranges": sharing("b" + "[0:1000]" * 10),
    "numbers of thousands of digits": sharing(f"b[0:{'9' * 9000}]"),
    "a path without end": sharing("b[0:1]" * 100_000),
    "a view without end": sharing(view=".flip(0)" * 100_000),
    "a view of another shape": sharing(view=".T"),
    "a view of nobody": sharing(view=".turn(1)"),
    "a step of nothing": sharing(view="[0:4:0]"),
    "a size that is text": sharing(shape=["4"]),
    "a size of 2^62": sharing(shape=[2**62]),
    "a shape that is a number": sharing(shape=4),
    "a dtype of nobody": sharing(dtype="f31"),
    "a name that is a number": sharing(name=1),
    "a name that is a list": sharing(name=[]),
    "a path that is a number": [{**sharing()[0], "slots": [{"path": 1, "view": ""}]}],
    "no slots": sharing(slots=None),
    "slots that are text": sharing(slots="b"),
    "a count that is text": [{**sharing()[0], "slots": [{"path": "b", "view": "", "used": "often"}]}],
    "a count of thousands of digits": [{**sharing()[0], "slots": [{"path": "b", "view": "", "elements": 10**4000}]}],
    "no answer": sharing(trainable="perhaps"),
    "one name twice": sharing() * 2,
    "a number": 1,
    "a text": "a",
    "an object": {"a": 1},
    "a list of lists": [[]],
}


@pytest.mark.parametrize("records", METADATA.values(), ids=METADATA)
def test_metadata(records: object, wsdl: Wsdl, folder: Path) -> None:
    proto = damage.model()
    proto.metadata_props.add(key="wsdl.sharing", value=json.dumps(records))
    (folder / "m.onnx").write_bytes(proto.SerializeToString())
    done = wsdl("inspect", "m.onnx")
    assert (done.code, codes(done.err)) == (2, ["E0501"]), done.out + done.err


NAMES = {
    "a title": "\x1b]0;you\x07\x1b[2J",
    "a direction": "gpj\u202e.exe",
    "a line": "a\n\nerror[E0799]",
    "half": "\ud800",
}


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".npz", ".onnx"])
def test_names_from_files(suffix: str, wsdl: Wsdl, folder: Path) -> None:
    """What people see can be printed, and has no more lines than are ours; JSON is exact."""
    names = [n for n in (*NAMES.values(), "long" * 2000) if suffix in (".safetensors", ".pt") or "\ud800" not in n]
    arrays = {name: np.ones((2, 2), np.float32) for name in names}
    if suffix == ".safetensors":
        (folder / "w.safetensors").write_bytes(damage.safetensors(arrays))
    elif suffix == ".npz":
        np.savez(folder / "w.npz", allow_pickle=False, **arrays)
    elif suffix == ".pt":
        square: dict[str, Any] = {"shape": (2, 2), "strides": (2, 1), "elements": 4}
        state = pickles.dictionary({name: pickles.tensor(str(i), **square) for i, name in enumerate(names)})
        (folder / "w.pt").write_bytes(pickles.archive(state, {str(i): bytes(16) for i in range(len(names))}))
    else:
        proto = damage.model()
        proto.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in arrays.items())
        for value in (proto.graph, proto.graph.node[0], proto.graph.input[0], proto.graph.output[0]):
            value.name = NAMES["a title"]
        proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param = NAMES["a line"]
        (folder / "w.onnx").write_bytes(proto.SerializeToString())
    done = [wsdl("inspect", f"w{suffix}"), wsdl("compile", "m.wsd", "--weights", f"w{suffix}", "-o", "o", "--json")]
    done += [wsdl("compile", "m.wsd", "--weights", f"w{suffix}", "-o", "o")]
    for text in (done[0].out, done[1].out, done[2].err):
        assert all(line.isprintable() for line in text.split("\n"))
        assert len(text) < 20_000
    assert "\nerror[E0799]" not in done[0].out + done[2].err
    exact = wsdl("inspect", f"w{suffix}", "--json")
    assert exact.out.rstrip("\n").isprintable()
    assert set(names) <= {tensor["name"] for tensor in json.loads(exact.out)["stored"]}


# -- weights that are no numbers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["<f4", "<f2", "<f8"])
def test_weights_that_are_not_finite_are_said(dtype: str, wsdl: Wsdl, folder: Path) -> None:
    weight = np.ones((3, 4), dtype)
    weight[0, 0], weight[1], weight[2, 0] = np.nan, np.inf, -np.inf
    save_npz(folder / "w.npz", {**WEIGHTS, "m.dense.weight": weight})
    done = wsdl("compile", "m.wsd", "--weights", "w.npz", "-o", "out", "--no-proof")
    assert (done.code, done.err) == (
        0,
        "warning[W0703]: a weight tensor has values that are not finite\n"
        "   ╭─ w.npz\n"
        "   │ m.dense.weight: 1 NaN and 5 infinite of 12\n"
        "   = help: check the training that wrote them; `freeze` a tensor that is infinite on purpose, such as a "
        "mask\n"
        "   = see: wsdl explain W0703\n\n1 warning\nwrote out/m.onnx (707 B)\n",
    )


@pytest.mark.parametrize(
    ("declared", "number", "said"),
    [
        ("state mask: [4]", -np.inf, False),
        ("state mask: [4]", np.nan, True),
        ("param mask: [4]", -np.inf, True),
        ("freeze mask\n    param mask: [4]", -np.inf, False),
        ("freeze mask\n    param mask: [4]", np.nan, True),
    ],
)
def test_an_infinity_in_a_state_or_in_what_is_frozen_is_meant(
    declared: str, number: float, said: bool, wsdl: Wsdl, folder: Path
) -> None:
    (folder / "i.wsd").write_text(
        f'model m(x: f32[n, 4]) -> (y: f32[n, 4]) {{\n    {declared}\n    return x + mask\n}}\nload "w.npz" into m\n'
    )
    np.savez(folder / "w.npz", mask=np.array([0, number, 0, number], "f4"))
    done = wsdl("compile", "i.wsd", "-o", "out", "--no-proof")
    assert (done.code, "W0703" in done.err) == (0, said)


def test_large_weights_are_finite(wsdl: Wsdl, folder: Path) -> None:
    """Their sum isn't."""
    save_npz(folder / "w.npz", {**WEIGHTS, "m.dense.weight": np.full((3, 4), 3e38, np.float32)})
    assert "W0703" not in wsdl("compile", "m.wsd", "--weights", "w.npz", "-o", "out", "--no-proof").err


def test_several_tensors_and_a_load(wsdl: Wsdl, folder: Path) -> None:
    (folder / "l.wsd").write_text('load "./w.npz" into m.dense\n' + damage.PROGRAM, encoding="utf-8")
    np.savez(folder / "w.npz", weight=np.full((3, 4), np.nan, "f4"), bias=np.full(3, np.nan, "f4"))
    done = wsdl("compile", "l.wsd", "-o", "out", "--no-proof")
    assert done.code == 0
    assert "warning[W0703]: weight tensors have values that are not finite" in done.err


# -- checkpoints -------------------------------------------------------------------------------------------------------


def _with_header(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    def damaged(whole: bytes) -> bytes:
        length = int.from_bytes(whole[:8], "little")
        header = json.loads(whole[8 : 8 + length])
        change(header)
        return damage.packed(json.dumps(header).encode(), whole[8 + length :])

    return damaged


def _run(header: dict[str, Any], text: str) -> None:
    header["__metadata__"]["wsdl.run"] = text


def _without(tensor: str, whole: bytes) -> bytes:
    header = json.loads(whole[8 : 8 + int.from_bytes(whole[:8], "little")])
    arrays = safetensors.numpy.load(whole)
    del arrays[tensor]
    return safetensors.numpy.save(arrays, header["__metadata__"])


CHECKPOINTS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "nothing in it": (lambda whole: b"", "E0501"),
    "half of it": (lambda whole: whole[: len(whole) // 2], "E0501"),
    "all but a byte": (lambda whole: whole[:-1], "E0501"),
    "other bytes": (lambda whole: np.random.default_rng(0).bytes(len(whole)), "E0501"),
    "no record of the run": (_with_header(lambda h: h["__metadata__"].pop("wsdl.run")), "E0722"),
    "a record that is no JSON": (_with_header(lambda h: _run(h, "{")), "E0722"),
    "a record that is a list": (_with_header(lambda h: _run(h, "[1]")), "E0722"),
    "a record of nothing": (_with_header(lambda h: _run(h, '{"settings": {}, "progress": {}}')), "E0722"),
    "progress that is text": (_with_header(lambda h: _run(h, '{"settings": {}, "progress": {"step": "x"}}')), "E0722"),
    "no source": (_with_header(lambda h: h["__metadata__"].pop("wsdl.source")), "E0722"),
    "other settings": (_with_header(lambda h: _run(h, h["__metadata__"]["wsdl.run"].replace("64", "8"))), "E0722"),
    "no checksum": (_with_header(lambda h: h["__metadata__"].pop("wsdl.checksum")), "E0722"),
    "a source that is no JSON": (_with_header(lambda h: h["__metadata__"].update({"wsdl.source": "x"})), "E0722"),
    "bytes without a tensor": (_with_header(lambda h: h.pop("optimizer/step")), "E0501"),
    "a tensor of the optimizer is missing": (lambda whole: _without("optimizer/step", whole), "E0722"),
}


@pytest.mark.parametrize(("damaged", "code"), CHECKPOINTS.values(), ids=CHECKPOINTS)
def test_checkpoints(damaged: Callable[[bytes], bytes], code: str, wsdl: Wsdl, folder: Path) -> None:
    save_npz(folder / "d.npz", DATA)
    train = ["train", "m.wsd", "--data", "d.npz", "-o", "run", "--epochs", "2"]
    assert wsdl(*train, "--limit-steps", "1").code == 0
    last = folder / "run" / "last.safetensors"
    content = damaged(last.read_bytes())
    last.write_bytes(content)
    done = wsdl(*train, "--resume")
    assert (done.code, codes(done.err)) == (2, [code]), done.err
    assert last.read_bytes() == content
