"""The Fourier transform of sound, and mel bands."""

# ruff: noqa: E501  (a table has one row in a line)

from __future__ import annotations

import warnings
from typing import Any

import torch
from transformers.audio_utils import mel_filter_bank

from tests.ops.case import Case, case

CONFIGURED: list[dict[str, Any]] = [
    {"n_fft": 16}, {"n_fft": 15, "hop_length": 4}, {"n_fft": 16, "hop_length": 5, "window": "hamming"},
    {"n_fft": 16, "win_length": 11, "hop_length": 3, "normalized": True}, {"n_fft": 6, "window": "ones", "hop_length": 6},
    {"n_fft": 12, "hop_length": 6, "center": False, "window": "hamming"},
]  # fmt: skip


def torch_options(dtype: torch.dtype, n_fft: int, window: str = "hann", **rest: Any) -> dict[str, Any]:
    length = rest.get("win_length", n_fft)
    shape = torch.ones if window == "ones" else getattr(torch, f"{window}_window")
    return {"n_fft": n_fft, "window": shape(length, dtype=dtype), **rest}


def stft(x: str, **options: Any) -> Case:
    def expected(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = torch.stft(x, return_complex=True, **torch_options(x.dtype, **options))
        return y.real, y.imag

    return case("stft", x, torch=expected, slack=5, **options)


def istft(parts: str, **options: Any) -> Case:
    def expected(re: torch.Tensor, im: torch.Tensor) -> torch.Tensor:
        with warnings.catch_warnings(action="ignore"):  # of zeros where `length` is beyond the last frame
            return torch.istft(torch.complex(re, im), **torch_options(re.dtype, **options))

    return case("istft", parts, parts, torch=expected, slack=5, **options)


def mel(x: str, **options: Any) -> Case:
    def expected(x: torch.Tensor) -> torch.Tensor:
        ends = (options.get("f_min", 0.0), options.get("f_max", options["sample_rate"] / 2))
        bank = mel_filter_bank(
            x.shape[-2],
            options["n_mels"],
            *ends,
            options["sample_rate"],
            options.get("norm"),
            options.get("mel_scale", "htk"),
        )
        return torch.from_numpy(bank.T).to(x.dtype) @ x

    return case("mel", x, torch=expected, slack=3, **options)


def bins(n_fft: int) -> int:
    return n_fft // 2 + 1


CASES = [
    *(stft(x, **o) for x in ("f32[40]", "f32[2, 41]") for o in CONFIGURED),
    stft("f32[40]", n_fft=16, pad_mode="constant"),
    *(istft(f"f32[{rows}{bins(o['n_fft'])}, 9]", **o) for rows in ("", "2, ") for o in CONFIGURED),
    *(istft("f32[2, 9, 8]", n_fft=16, length=length) for length in (25, 28, 33, 40)),
    stft("f32[700]", n_fft=512),  # in two steps
    stft("f32[2, 900]", n_fft=600, hop_length=240, win_length=500, normalized=True, center=False),
    istft("f32[257, 3]", n_fft=512),
    istft("f32[2, 301, 4]", n_fft=600, hop_length=120, normalized=True, length=500),
    case("fourier_step", n_fft=6, step=1, torch=lambda: steps(6)[0]),
    case("fourier_step", n_fft=6, step=2, torch=lambda: steps(6)[1]),
    case("spectral_basis", n_fft=6, win_length=4, window="hann", torch=lambda: basis(6, 4)),
    mel("f32[2, 33, 5]", n_mels=8, sample_rate=16000),
    mel("f32[65, 3]", n_mels=20, sample_rate=8000, mel_scale="slaney", norm="slaney"),
    mel("f32[1, 2, 65, 3]", n_mels=5, sample_rate=22050.0, f_min=80.0, f_max=7600.0, mel_scale="slaney"),
    case("mel_filters", bins=33, n_mels=4, sample_rate=16000.0, f_min=0.0, f_max=8000.0, mel_scale="htk", norm=None,
         torch=lambda: torch.from_numpy(mel_filter_bank(33, 4, 0.0, 8000.0, 16000, None, "htk").T)),
]  # fmt: skip


def steps(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """For n = 2 * 3."""
    waves = torch.exp(torch.arange(n) * -2j * torch.pi / n)
    first = waves[torch.outer(torch.arange(2), torch.arange(2)) * 3 % n]
    frequencies = torch.arange(2)[:, None, None] + 2 * torch.arange(2)
    second = waves[torch.arange(3)[:, None] * frequencies % n]
    rows = [torch.cat(pair, 2) for pair in ((second.real, second.imag), (-second.imag, second.real))]
    return torch.cat([first.real, first.imag]), torch.cat(rows, 1)


def basis(n_fft: int, length: int) -> torch.Tensor:
    """That of PyTorch: the transform of each element alone."""
    alone = torch.fft.rfft(torch.eye(n_fft, dtype=torch.float64)).T
    window = torch.zeros(n_fft, dtype=torch.float64)
    window[(n_fft - length) // 2 :][:length] = torch.hann_window(length, dtype=torch.float64)
    return (torch.cat([alone.real, alone.imag]) * window)[:, None]
