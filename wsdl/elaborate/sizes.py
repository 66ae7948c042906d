"""Sizes as numbers: comparisons that may not be known, and constants in their simplest form."""

from __future__ import annotations

import operator
from collections.abc import Callable

from wsdl.ir.dims import Dim, compare

LARGEST = 2**63  # integers that are computed when compiling are below
_ORDER: dict[str, Callable[[int, int], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


def compared(sign: str, a: Dim, b: Dim) -> bool | None:
    """The result of a comparison of sizes; `None` where only the run knows it."""
    answer = compare(a, b)
    if sign in ("==", "!=") and answer != "unknown":
        return (answer == "equal") == (sign == "==")
    difference = (a - b).constant
    if difference is not None and sign in _ORDER:
        return _ORDER[sign](difference, 0)
    if sign in ("<=", ">=", "<", ">"):
        low = a - b if sign in (">=", "<") else b - a  # at least 0 when every term of it is
        if all(c >= 0 for _, c in low.terms):
            return sign in ("<=", ">=")
    return None


def simplest(dim: Dim) -> int | Dim:
    """An `int` if the dimension is constant."""
    return dim if dim.constant is None else dim.constant
