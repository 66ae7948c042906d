"""Patterns of `load` that could be read in more ways than there is time for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from wsdl.api import check

PROGRAM = """
layer fc = Dense(8)

load "./w.safetensors" into fc {{
    "{pattern}" -> {target}
}}

model m(x: f32[n, 8]) -> (y: f32[n, 8]) {{
    return fc(x)
}}
"""


@pytest.mark.parametrize(
    ("pattern", "target", "code"),
    [
        ("{a}{b}{c}{d}{e}{f}{g}{h}{i}{j}z", "weight", "E0505"),
        ("{a}_{b}_{c}_{d}_{e}z", "weight", "E0505"),
        ("{a...}.{b...}.{c...}.{d...}z", "weight", "E0505"),
        ("{a...}.{b...}.{c...}z", "weight", "E0506"),
        ("{a}.{b}.{c}.{d}z", "{a}.{b}.{c}.{d}", "E0506"),
        ("a.{i}", "weight[i * 8 : (i + 1) * 8]", "E0315"),
        ("{a}.{b}.{c}.{d}z", "weight", "E0506"),
    ],
)
def test_a_pattern_ends(pattern: str, target: str, code: str, tmp_path: Path) -> None:
    weight = np.zeros((8, 8), np.float32)
    save_file({"a" * 300: weight, "a." * 300 + "b": weight, "a." + "9" * 9: weight}, tmp_path / "w.safetensors")
    program = tmp_path / "m.wsd"
    program.write_text(PROGRAM.format(pattern=pattern, target=target), encoding="utf-8")
    assert code in [d.code for d in check(program)]
