"""`load` of a part of a file (`at`), and of several files as one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.golden import Golden
from tests.onnx.running import random
from tests.stages import examined, storage_of
from wsdl.diagnostics import Problems
from wsdl.diagnostics.render import render
from wsdl.diagnostics.span import Source
from wsdl.weights.fill import filled
from wsdl.weights.initial_values import initial_values
from wsdl.weights.loads import open_loads
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
    "ours": {f"net.{n}": a for n, a in {**FIRST, **SECOND}.items()},
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, arrays in FILES.items():
        save_safetensors(f"{name}.safetensors", arrays)
    return tmp_path


@pytest.mark.parametrize(
    "load",
    [
        'load "whole.safetensors" at "model" into net',
        'load "whole.safetensors" at "" into net ' + TABLE.replace('\n"', '\n"model.'),
        'load ["first.safetensors", "second.safetensors"] into net',
        'load ["first.safetensors", "second.safetensors"] into net ' + TABLE,
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


MISTAKES = [
    'load "whole.safetensors" at "modle" into net',
    'load "whole.safetensors" at "model.first.bias" into net',
    'load "second.safetensors" at "generator" into net',
    'load ["first.safetensors", "other.safetensors"] into net',
    'load ["first.safetensors", "second.npz"] into net',
    'load ["first.safetensors", "second.h5"] into net',
    'load ["first.safetensors", "whole.safetensors"] into net',
    'load "whole.safetensors" at "model.first" into net',
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
