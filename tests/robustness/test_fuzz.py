"""A sample of what `make fuzz` tries."""

from __future__ import annotations

import pytest

from tests.robustness.fuzz import case, tried

CASES = 400


@pytest.mark.parametrize("part", range(4))
def test_nothing_fails(part: int) -> None:
    for number in range(part, CASES, 4):
        text = case(0, number)
        end, error = tried(text)
        assert end != "failed", f"{type(error).__name__}: {error}\n{text}"
