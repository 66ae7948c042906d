"""`load` of a part of a file (`at`), and of several files as one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import wsdl
from tests.golden import Golden
from tests.onnx.running import random
from tests.stages import examined, storage_of
from wsdl import api
from wsdl.diagnostics import Problems
from wsdl.diagnostics.render import render
from wsdl.diagnostics.span import Source
from wsdl.weights.fill import filled
from wsdl.weights.initial_values import initial_values
from wsdl.weights.loads import open_loads
from wsdl.weights.open_source import open_source
from wsdl.weights.safetensors import save_safetensors

HERE = Path(__file__).parent
MODEL = """model net(x: f32[n, 4]) -> (y: f32[n, 2]) {
    layer first = Dense(3)
    layer second = Dense(2)
    return x |> first |> second
}

"""
TABLE = '{\n"first.{p}" -> first.{p}\n"second.{p}" -> second.{p}\n}'
FIRST = {"first.weight": random(3, 4), "first.bias": random(3)}
SECOND = {"second.weight": random(2, 3), "second.bias": random(2) + 1}
OTHER = {name: array + 1 for name, array in FIRST.items()}
FILES = {
    "whole": {**{f"model.{n}": a for n, a in {**FIRST, **SECOND}.items()}, "ema.first.bias": random(3) + 2},
    "first": FIRST,
    "second": SECOND,
    "other": OTHER,
    "both": {**SECOND, "first.bias": random(3)},
    "ours": {f"net.{n}": a for n, a in {**FIRST, **SECOND}.items()},
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, arrays in FILES.items():
        save_safetensors(f"{name}.safetensors", arrays)
    for name, text in INDICES.items():
        Path(f"{name}.safetensors.index.json").write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    "load",
    [
        'load "whole.safetensors" at "model" into net',
        'load "whole.safetensors" at "" into net ' + TABLE.replace('\n"', '\n"model.'),
        'load ["first.safetensors", "second.safetensors"] into net',
        'load ["first.safetensors", "second.safetensors"] into net ' + TABLE,
        'load "shards.safetensors.index.json" into net',
        'load ["ours.safetensors", "whole.safetensors"] at "net" into net',
    ],
)
def test_what_is_loaded(load: str, folder: Path) -> None:
    problems = Problems()
    storage = storage_of(Source("m.wsd", f"{MODEL}{load}\n"))
    loads = open_loads(storage, problems)
    assert not problems.errors, problems.errors
    values = filled(storage, loads.fills, loads.sources, initial_values(storage).__getitem__).values
    assert values.keys() == {f"net.{name}" for name in (*FIRST, *SECOND)}
    for name, array in {**FIRST, **SECOND}.items():
        np.testing.assert_array_equal(values[f"net.{name}"], array)


def index(**owners: object) -> str:
    return json.dumps({"metadata": {"total_size": 1}, "weight_map": owners})


NAMES = {name: f"{name.split('.')[0]}.safetensors" for name in (*FIRST, *SECOND)}
INDICES = {
    "shards": index(**NAMES),
    "missing": index(**NAMES, third="third.safetensors"),
    "elsewhere": index(**NAMES, third="../secret.safetensors"),
    "nested": index(**NAMES, third="shards.safetensors.index.json"),
    "too_much": index(**NAMES, **{"second.scale": "second.safetensors"}),
    "too_little": index(**{"first.weight": "first.safetensors"}),
    "twice": index(**{**NAMES, **dict.fromkeys(SECOND, "both.safetensors")}),
    "numbers": index(a=1),
    "list": "[1]",
    "no_json": "{",
}


def test_shards_of_pytorch(folder: Path) -> None:
    for name, arrays in {"a": FIRST, "b": SECOND}.items():
        torch.save({n: torch.from_numpy(a) for n, a in arrays.items()}, f"{name}.bin")
    owners = {**dict.fromkeys(FIRST, "a.bin"), **dict.fromkeys(SECOND, "b.bin")}
    Path("pytorch_model.bin.index.json").write_text(index(**owners), encoding="utf-8")
    Path("net.wsd").write_text(MODEL, encoding="utf-8")
    stored = wsdl.compile("net.wsd", weights="pytorch_model.bin.index.json").stored
    for name, array in {**FIRST, **SECOND}.items():
        np.testing.assert_array_equal(stored[f"net.{name}"], array)
    assert [*api.inspect("pytorch_model.bin.index.json").stored] == [*FIRST, *SECOND]


def test_shards_of_transformers(tmp_path: Path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    model = GPT2LMHeadModel(GPT2Config(vocab_size=50, n_positions=8, n_embd=16, n_layer=2, n_head=2))
    model.save_pretrained(tmp_path, max_shard_size="10KB")
    assert len([*tmp_path.glob("*.safetensors")]) > 2
    source = open_source(tmp_path / "model.safetensors.index.json")
    state = model.state_dict()
    assert source.tensors.keys() == state.keys() - {"lm_head.weight"}  # tied
    for name in source.tensors:
        np.testing.assert_array_equal(source.read(name), state[name])


MISTAKES = [
    'load "whole.safetensors" at "modle" into net',
    'load "whole.safetensors" at "model.first.bias" into net',
    'load "second.safetensors" at "generator" into net',
    'load ["first.safetensors", "other.safetensors"] into net',
    'load ["first.safetensors", "second.npz"] into net',
    'load ["first.safetensors", "second.h5"] into net',
    'load ["first.safetensors", "whole.safetensors"] into net',
    'load "whole.safetensors" at "model.first" into net',
    *(f'load "{name}.safetensors.index.json" into net' for name in INDICES),
    'load "config.json" into net',
]


def test_what_is_said(folder: Path, golden: Golden) -> None:
    text = ""
    for load in MISTAKES:
        problems = Problems()
        storage = examined(Source("m.wsd", f"{MODEL}{load}\n"), problems)
        if storage is not None:
            open_loads(storage, problems)
        text += f"-- {load}\n\n{render(list(problems))}\n"
    golden(HERE / "golden" / "parts.txt", text)
