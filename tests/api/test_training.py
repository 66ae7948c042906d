"""`compile --train`: an ordinary ONNX file with which any app can train."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

import wsdl
from wsdl.diagnostics import CompileError
from wsdl.diagnostics.span import Source

CLASSIFY = """
model classify(x: f32[n, 8]) -> (logits: f32[n, 3]) {
    layer blocks[2] = Residual(Dense(8))
    share { blocks[*] }
    for block in blocks {
        x = block(x) |> relu
    }
    return x |> Dense(3)
}

train classify(label: i64[n]) {
    loss cross_entropy(logits, label)
    metric accuracy = mean(argmax(logits, axis=1) == label)
    optimizer AdamW(lr=cosine(1e-2, warmup=5), weight_decay=0.01)
}
"""


def data() -> tuple[Any, Any]:
    """Three clouds."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, 256)
    return (rng.normal(size=(256, 8)) + 2 * np.eye(3, 8)[label]).astype("f4"), label


def saved(folder: Path) -> dict[str, Any]:
    return wsdl.compile(Source("classify.wsd", CLASSIFY)).save(folder, train=True)


def state_in(path: Path) -> dict[str, Any]:
    """A safetensors file by hand, as an app without the library would read it."""
    raw = path.read_bytes()
    end = 8 + int.from_bytes(raw[:8], "little")
    dtypes = {"F32": "<f4", "I64": "<i8"}
    found = {}
    for name, entry in json.loads(raw[8:end]).items():
        first, last = entry["data_offsets"]
        found[name] = np.frombuffer(raw[end + first : end + last], dtypes[entry["dtype"]]).reshape(entry["shape"])
    return found


def test_a_seed_is_a_part_of_the_state_where_something_is_random(tmp_path: Path) -> None:
    with_dropout = CLASSIFY.replace("block(x) |> relu", "block(x) |> relu |> Dropout(0.1)")
    manifest = wsdl.compile(Source("classify.wsd", with_dropout), seed=7).save(tmp_path, train=True)
    contract = manifest["training"]["classify"]
    assert contract["batch"] == ["x", "label"]
    assert contract["feeds"]["next/seed"] == "seed"
    assert state_in(tmp_path / contract["initial"])["seed"] == 7
    contract = saved(tmp_path)["training"]["classify"]
    assert "seed" not in contract["feeds"].values()
    assert "seed" not in state_in(tmp_path / contract["initial"])


def test_an_app_trains_with_the_file_alone(tmp_path: Path) -> None:
    manifest = saved(tmp_path)
    session = ort.InferenceSession(str(tmp_path / "classify.train.onnx"))
    contract = json.loads(session.get_modelmeta().custom_metadata_map["wsdl.training"])
    assert contract == manifest["training"]["classify"]
    assert contract["batch"] == ["x", "label"]
    state = state_in(tmp_path / contract["initial"])
    names = [output.name for output in session.get_outputs()]
    x, label = data()
    losses, right = [], []
    for step in range(100):
        rows = slice(64 * (step % 4), 64 * (step % 4) + 64)
        feeds = {"x": x[rows], "label": label[rows], "total_steps": np.array(100), **state}
        outputs = dict(zip(names, session.run(None, feeds), strict=True))
        state = {name: outputs[output] for output, name in contract["feeds"].items()}
        losses.append(outputs["loss"])
        right.append(outputs["accuracy"])
    assert np.mean(losses[-4:]) < 0.5 * np.mean(losses[:4])
    assert np.mean(right[-4:]) > 0.85
    assert state["step"] == 100

    trained = wsdl.compile(Source("classify.wsd", CLASSIFY), weights=state).session()
    logits = trained(x=x)["logits"]
    assert np.mean(logits.argmax(1) == label) > 0.85


def test_it_has_standard_operators_only_and_the_same_bytes(tmp_path: Path) -> None:
    saved(tmp_path / "once")
    saved(tmp_path / "again")
    for name in ("classify.train.onnx", "classify.train.safetensors", "manifest.json"):
        assert (tmp_path / "once" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    proto = onnx.load(str(tmp_path / "once" / "classify.train.onnx"))
    onnx.checker.check_model(proto, full_check=True)
    assert {entry.domain for entry in proto.opset_import} == {""}
    assert {node.domain for node in proto.graph.node} == {""}


def test_the_folder_still_loads(tmp_path: Path) -> None:
    saved(tmp_path)
    assert list(wsdl.load(tmp_path)) == ["classify"]


def test_without_train_there_is_nothing_to_write(tmp_path: Path) -> None:
    program = wsdl.compile(Source("m.wsd", CLASSIFY[: CLASSIFY.index("train")]))
    with pytest.raises(CompileError) as caught:
        program.save(tmp_path, train=True)
    assert [d.code for d in caught.value.diagnostics] == ["E0820"]
    assert not list(tmp_path.iterdir())
