"""`wsdl inspect`: programs, ONNX files of ours and of others, weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from tests.cli.conftest import Wsdl
from tests.golden import Golden
from tests.npz import save_npz
from wsdl.ir.views import View, ViewError
from wsdl.weights.safetensors import save_safetensors

HERE = Path(__file__).parent / "golden"
DEEP = """\
model lm(ids: i64[n, t]) -> (logits: f32[n, t, 100]) {
    layer tok = Embedding(100, 8)
    layer blocks[3] = Dense(8)
    layer norms[3] = LayerNorm()
    layer head = Dense(100, bias=false)
    share embedding { tok.weight, head.weight }
    share { blocks[*].weight }
    h = tok(ids)
    for i in 0..3 {
        h = norms[i](blocks[i](h))
    }
    return head(h)
}
"""


@pytest.mark.parametrize("name", ["tied", "two", "deep"])
def test_what_is_printed(wsdl: Wsdl, golden: Golden, name: str) -> None:
    Path("deep.wsd").write_text(DEEP)
    done = wsdl("inspect", f"{name}.wsd")
    assert (done.code, done.err) == (0, "")
    assert max(len(line) for line in done.out.splitlines()) <= 80
    golden(HERE / f"inspect_{name}.txt", done.out)


def test_the_json_that_scripts_rely_on(wsdl: Wsdl) -> None:
    Path("deep.wsd").write_text(DEEP)
    answer = wsdl("inspect", "deep.wsd", "--json").json
    assert answer["models"]["lm"] == {
        "inputs": [{"name": "ids", "dtype": "i64", "shape": ["n", "t"]}],
        "outputs": [{"name": "logits", "dtype": "f32", "shape": ["n", "t", 100]}],
        "parameters": 800 + 64 + 3 * 8 + 3 * 16,
        "parameters_without_sharing": 1600 + 3 * 64 + 3 * 8 + 3 * 16,
        "bytes": 4 * 936,
        "bytes_without_sharing": 4 * 1864,
    }
    assert answer["stored"][0] == {
        "name": "lm.embedding", "shape": [100, 8], "dtype": "f32", "trainable": True,
        "used": 2, "bytes": 3200, "bytes_without_sharing": 6400,
        "slots": [
            {"path": "lm.tok.weight", "view": "", "used": 1}, {"path": "lm.head.weight", "view": "", "used": 1},
        ],
    }  # fmt: skip
    assert {"path": "lm.blocks.2.weight", "view": "", "used": 1} in answer["stored"][1]["slots"]


@pytest.mark.parametrize("name", ["tied", "deep"])
def test_a_compiled_file_says_the_same_as_its_program(wsdl: Wsdl, name: str) -> None:
    Path("deep.wsd").write_text(DEEP)
    model = "lm" if name == "deep" else "m"
    wsdl("compile", f"{name}.wsd", "-o", "build", "--no-proof")
    program = wsdl("inspect", f"{name}.wsd", "--json").json
    file = wsdl("inspect", f"build/{model}.onnx", "--json").json
    assert file["models"] == program["models"]
    assert {t["name"]: t for t in file["stored"]} == {t["name"]: t for t in program["stored"]}


def test_the_model_of_another_tool(wsdl: Wsdl) -> None:
    w = numpy_helper.from_array(np.ones((4, 4), np.float32), "w")
    shape = numpy_helper.from_array(np.array([0, 4], np.int64), "shape")
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], name="first"),
        helper.make_node("MatMul", ["a", "w"], ["b"]),
        helper.make_node("Reshape", ["b", "shape"], ["y"]),
    ]
    io = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [None, 4]) for n in "xy"]
    onnx.save(helper.make_model(helper.make_graph(nodes, "other", io[:1], io[1:], [w, shape])), "other.onnx")
    answer = wsdl("inspect", "other.onnx", "--json").json
    [stored] = answer["stored"]  # the shape is a constant
    assert [slot["path"] for slot in stored["slots"]] == ["first", "MatMul(b)"]
    assert answer["models"]["other"]["parameters_without_sharing"] == 32
    assert "saved" in wsdl("inspect", "other.onnx").out


@pytest.mark.parametrize("suffix", ["safetensors", "npz"])
def test_weights(wsdl: Wsdl, suffix: str) -> None:
    arrays = {"m.w": np.ones((4, 4), np.float32), "optimizer/m.w": np.ones((4, 4), np.float32)}
    if suffix == "npz":
        save_npz("w.npz", arrays)
    else:
        save_safetensors("w.safetensors", arrays)
    answer = wsdl("inspect", f"w.{suffix}", "--json").json
    assert answer["models"] == {}
    assert [tensor["name"] for tensor in answer["stored"]] == ["m.w"]
    assert "16 parameters in 1 tensor, 64 B" in wsdl("inspect", f"w.{suffix}").out


def test_what_is_refused(wsdl: Wsdl) -> None:
    Path("bad.onnx").write_bytes(b"no")
    Path("bad.safetensors").write_bytes(b"no")
    Path("notes.txt").write_text("no")
    kinds = {"bad.onnx": "E0501", "bad.safetensors": "E0501", "notes.txt": "E0708", "tide.wsd": "E0701", ".": "E0701"}
    for file, code in kinds.items():
        done = wsdl("inspect", file, "--json")
        assert (file, done.codes, done.code) == (file, [code], 2)
    assert "did you mean `tied.wsd`?" in wsdl("inspect", "tide.wsd").err


@pytest.mark.parametrize(
    "text", ["", ".T", "[0:2, :]", ".permute(1, 0)", ".reshape(3, 4)", ".flip(0)", ".flip(0)[1:2, 0:3:2].T"]
)
def test_a_view_is_read_as_it_is_written(text: str) -> None:
    view = View.parse(text, (4, 3))
    assert View.parse(str(view), (4, 3)).layout == view.layout


@pytest.mark.parametrize("text", ["T", ".T.", ".turn(1)", "[0:2", "[a]"])
def test_what_is_no_view(text: str) -> None:
    with pytest.raises(ViewError):
        View.parse(text, (4, 3))
