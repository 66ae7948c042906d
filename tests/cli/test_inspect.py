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
from tests.stages import storage_of
from wsdl.diagnostics.span import Source
from wsdl.ir.views import View, ViewError
from wsdl.weights.initial_values import initial_values
from wsdl.weights.safetensors import save_safetensors
from wsdl.weights.weights import save_weights

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


ROLES = """\
model net(x: f32[n, 8], z: f32[n, 8]) -> (y: f32[n, 8], next_z: f32[n, 8]) {
    layer body = Dense(8)
    layer online = Dense(8)
    layer target = Dense(8)
    layer norm = BatchNorm()
    state seen: [8] = zeros
    h = norm(body(x) + z)
    return online(h) + target(h) - seen, h
}

train first of net(label: i64[n]) {
    freeze body, target
    carry z = zeros([n, 8])
    loss cross_entropy(y, label)
    optimizer SGD(lr=0.1)
    update target = 0.9 * target + 0.1 * online
    update seen = mean(next_z, axis=0)
    z = next_z
}

train second of net(label: i64[n]) {
    freeze body, target, norm eval
    loss cross_entropy(y, label)
    optimizer SGD(lr=0.1)
}
"""


WAYS = """\
model m(x: f32[n, 64]) -> (y: f32[n, 64]) {
    layer a[3] = Dense(64)
    layer b[3] = Dense(64)
    layer c[3] = Dense(64, bias=false)
    layer d = Dense(64, bias=false)
    share as Delta(rank=4) { a[*] }
    share bank as Mix(bank=2) { b[*] }
    share near as Soft(strength=1) { c[*] }
    param half: [64, 64] = normal(0.1)
    param d.weight = half + half.T
    for i in 0..3 {
        x = x |> a[i] |> b[i] |> c[i]
    }
    return d(x)
}
"""


@pytest.mark.parametrize("name", ["tied", "two", "deep", "ways", "roles"])
def test_what_is_printed(wsdl: Wsdl, golden: Golden, name: str) -> None:
    Path("deep.wsd").write_text(DEEP)
    Path("ways.wsd").write_text(WAYS)
    Path("roles.wsd").write_text(ROLES)
    done = wsdl("inspect", f"{name}.wsd")
    assert (done.code, done.err) == (0, "")
    assert max(len(line) for line in done.out.splitlines()) <= 80
    golden(HERE / f"inspect_{name}.txt", done.out)


def test_what_each_training_does_is_in_the_json(wsdl: Wsdl) -> None:
    Path("roles.wsd").write_text(ROLES)
    roles = {tensor["name"]: tensor["training"] for tensor in wsdl("inspect", "roles.wsd", "--json").json["stored"]}
    assert roles["net.target.bias"] == {"first": "updated", "second": "frozen"}
    assert roles["net.norm.running_mean"] == {"first": "statistic", "second": "frozen"}


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


@pytest.mark.parametrize("name", ["tied", "deep", "ways"])
def test_a_compiled_file_says_the_same_as_its_program(wsdl: Wsdl, name: str) -> None:
    Path("deep.wsd").write_text(DEEP)
    Path("ways.wsd").write_text(WAYS.replace("Soft(strength=1)", "WeightNorm()"))  # a file has all of it
    model = "lm" if name == "deep" else "m"
    wsdl("compile", f"{name}.wsd", "-o", "build", "--no-proof")
    program = wsdl("inspect", f"{name}.wsd", "--json").json
    file = wsdl("inspect", f"build/{model}.onnx", "--json").json
    assert file["models"] == program["models"]
    for tensor in (*file["stored"], *program["stored"]):  # a file also says what blocks of ways call what they take
        tensor["slots"] = [slot for slot in tensor["slots"] if slot["used"]]
    assert {t["name"]: t for t in file["stored"]} == {t["name"]: t for t in program["stored"]}
    assert file.get("ways") == program.get("ways")
    computed, expected = (
        sorted(({**f, "stored": sorted(f["stored"])} for f in answer.get("formulas", ())), key=lambda f: f["slots"])
        for answer in (file, program)
    )
    assert computed == expected
    assert bool(computed) == (name == "ways")


@pytest.mark.parametrize("name", ["tied", "deep", "ways"])
def test_weights_say_the_same_as_their_program(wsdl: Wsdl, name: str) -> None:
    Path("deep.wsd").write_text(DEEP)
    Path("ways.wsd").write_text(WAYS)
    storage = storage_of(Source(f"{name}.wsd", Path(f"{name}.wsd").read_text()))
    save_weights("w.safetensors", storage, initial_values(storage))
    expected = wsdl("inspect", f"{name}.wsd", "--json").json
    answer = wsdl("inspect", "w.safetensors", "--json").json
    assert answer["models"] == {}
    keys = ("name", "shape", "dtype", "used", "bytes", "bytes_without_sharing")
    assert [[t[key] for key in keys] for t in answer["stored"]] == [
        [t[key] for key in keys] for t in expected["stored"]
    ]
    assert answer.get("ways") == expected.get("ways")
    assert answer.get("formulas") == expected.get("formulas")


# By what is shared as it: the bytes that are stored, the names of what is shared, and how many tensors are one member's
# own. Three layers of [8, 16] and [8], f32.
WAYS_BY_HAND = {
    "Delta(rank=2)": (4 * (8 * 16 + 8 + 3 * 2 * (8 + 16)), ("weight", "bias"), 6),
    "Mix(bank=2)": (4 * (2 * 8 * 16 + 3 * 2 + 3 * 8), ("templates", "mixtures"), 3),
    "Basis(rank=2)": (4 * (8 * 2 + 3 * 2 * 16 + 3 * 8), ("basis",), 6),
    "Scaled()": (4 * (8 * 16 + 3 * 8 + 8 + 3 * 8), ("weight", "bias"), 6),
    "Hashed(ratio=2)": (4 * (4 * 16 + 8), ("values", "common"), 0),
    "WeightNorm()": (4 * (8 * 16 + 3 * 8 + 8), ("weight", "bias"), 3),
    "Soft(strength=0.1)": (4 * (8 * 16 + 8) * 4, ("weight", "bias"), 6),
}


@pytest.mark.parametrize("way", WAYS_BY_HAND)
def test_what_a_way_of_sharing_stores_and_saves(wsdl: Wsdl, way: str) -> None:
    stored, shared, own = WAYS_BY_HAND[way]
    unshared = 3 * 4 * (8 * 16 + 8)
    text = (
        "model m(x: f32[n, 16]) -> (y: f32[n, 8]) {\n    layer a[3] = Dense(8)\n"
        f"    share g as {way} {{ a[*] }}\n    return a[0](x) + a[1](x) + a[2](x)\n}}\n"
    )
    Path("way.wsd").write_text(text)
    [listed] = wsdl("inspect", "way.wsd", "--json").json["ways"]
    assert (listed["block"], listed["name"], listed["members"]) == (way, "m.g", ["m.a[0:3]"])
    assert (listed["bytes"], listed["bytes_without_sharing"]) == (stored, unshared)
    assert (tuple(name.rpartition(".")[2] for name in listed["shared"]), len(listed["own"])) == (shared, own)
    manifest = wsdl("compile", "way.wsd", "-o", "build", "--no-proof", "--json").json
    assert wsdl("inspect", "build/m.onnx", "--json").json["ways"] == manifest["ways"]
    soft = way.startswith("Soft")  # of which the compiled model has what is each member's own alone
    [compiled] = manifest["ways"]
    assert compiled == ({**listed, "shared": [], "bytes": unshared} if soft else listed)
    assert manifest["models"]["m"]["bytes_without_sharing"] == unshared


OTHER = '{"block": "B()", "name": "", "members": [], "shared": ["x"], "own": []}'


@pytest.mark.parametrize("metadata", ["[", "[1]", '[{"block": 1}]', f"[{OTHER}]"])
def test_ways_of_sharing_in_a_file_that_was_changed(wsdl: Wsdl, metadata: str) -> None:
    wsdl("compile", "tied.wsd", "-o", "build", "--no-proof")
    model = onnx.load("build/m.onnx")
    model.metadata_props.add(key="wsdl.ways", value=metadata)
    onnx.save(model, "changed.onnx")
    done = wsdl("inspect", "changed.onnx", "--json")
    assert (done.codes, done.code) == (["E0501"], 2)


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
