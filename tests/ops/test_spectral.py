"""The page about sound: features as those of `transformers`, and the inverse of a transform."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from transformers import WhisperFeatureExtractor

import wsdl
from website.blocks import blocks

PAGE = Path(__file__).parents[2] / "docs" / "sound.md"


def test_features_of_whisper() -> None:
    """Of noise, of a tone that ends, and of silence."""
    [text] = [block.text for block in blocks(PAGE.read_text("utf-8")) if block.note.get("file") == "log_mel.wsd"]
    sound = np.random.default_rng(0).normal(size=(3, 48000)).astype(np.float32) / 10
    sound[1] = np.sin(np.arange(48000) / 7) * (np.arange(48000) < 20000)
    sound[2] = 0
    extract = WhisperFeatureExtractor(chunk_length=3)
    expected = extract(list(sound), sampling_rate=16000, return_tensors="np")["input_features"]
    np.testing.assert_allclose(wsdl.compile(text).session()(sound=sound)["features"], expected, atol=1e-4)


@pytest.mark.parametrize(
    "options", ["n_fft=64", "n_fft=63, hop_length=20", 'n_fft=64, win_length=50, window="hamming"']
)
def test_inverse(options: str) -> None:
    """Of a sound of any length, in one file."""
    text = f"""\
model m(x: f32[n, t]) -> (y: f32[n, t]) {{
    re, im = stft(x, {options})
    return istft(re, im, {options}, length=t)
}}
"""
    session = wsdl.compile(text).session()
    for size in (40, 64, 101):
        x = np.random.default_rng(size).normal(size=(2, size)).astype(np.float32)
        np.testing.assert_allclose(session(x=x)["y"], x, atol=1e-5)


def test_windows_with_gaps_are_refused() -> None:
    text = "model m(re: f32[9, t], im: f32[9, t]) {\n    return istft(re, im, n_fft=16, center=false)\n}\n"
    with pytest.raises(wsdl.CompileError) as refused:
        wsdl.compile(text)
    [found] = refused.value.diagnostics
    assert (found.code, "under no `hann` window" in found.message) == ("E0414", True)
