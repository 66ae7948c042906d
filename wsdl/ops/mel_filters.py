"""Filters of mel bands: triangles over the bins of a spectrum, evenly spaced on a scale of pitch."""

from __future__ import annotations

from math import exp, log, log10

SCALES = ("htk", "slaney")
# Slaney (1998), "Auditory Toolbox": linear up to 1000 Hz, then 27 steps for each factor of 6.4.
HERTZ_PER_MEL, KNEE, STEP = 200 / 3, 1000.0, log(6.4) / 27


def mel_filters(
    bins: int, n_mels: int, sample_rate: float, band: tuple[float, float], scale: str, by_width: bool
) -> list[list[float]]:
    """The weight of each bin in each band, [n_mels, bins]: from 0 at the center of the band before, up to 1 at its own
    and down to 0 at the next; with `by_width`, twice that for each Hz of its width."""
    lowest, highest = (_mel(frequency, scale) for frequency in band)
    edges = [_hertz(lowest + (highest - lowest) * i / (n_mels + 1), scale) for i in range(n_mels + 2)]
    frequencies = [sample_rate / 2 * k / max(bins - 1, 1) for k in range(bins)]
    filters = []
    for low, center, high in zip(edges, edges[1:], edges[2:], strict=False):
        factor = 2 / (high - low) if by_width else 1
        rising_and_falling = (min((f - low) / (center - low), (high - f) / (high - center)) for f in frequencies)
        filters.append([factor * max(0.0, weight) for weight in rising_and_falling])
    return filters


def _mel(frequency: float, scale: str) -> float:
    if scale == "htk":
        return 2595 * log10(1 + frequency / 700)
    if frequency < KNEE:
        return frequency / HERTZ_PER_MEL
    return KNEE / HERTZ_PER_MEL + log(frequency / KNEE) / STEP


def _hertz(mel: float, scale: str) -> float:
    if scale == "htk":
        return 700 * (10 ** (mel / 2595) - 1)
    if mel < KNEE / HERTZ_PER_MEL:
        return HERTZ_PER_MEL * mel
    return KNEE * exp(STEP * (mel - KNEE / HERTZ_PER_MEL))
