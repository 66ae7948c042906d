"""What a shape rule may report besides a type: an error, or a condition that is checked at run time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from wsdl.ir.dims import Dim, compare


class OpError(Exception):
    """An invalid call of an operation. `argument` names the parameter at fault, `part` is the range of characters if
    that is a string, `help` says what to do."""

    def __init__(
        self,
        message: str,
        *,
        argument: str | None = None,
        part: tuple[int, int] | None = None,
        help: str | None = None,
        code: str = "E0401",
    ) -> None:
        super().__init__(message)
        self.message, self.argument, self.part, self.help, self.code = message, argument, part, help, code


@dataclass(frozen=True, eq=False)
class Assumption:
    """Two dimensions that must be equal, which only run time can tell."""

    left: Dim
    right: Dim
    what: str


_assumptions: list[list[Assumption]] = []


@contextmanager
def collecting_assumptions() -> Iterator[list[Assumption]]:
    """Collects the assumptions of the shape rules called inside; the caller has them checked at run time."""
    _assumptions.append([])
    try:
        yield _assumptions[-1]
    finally:
        _assumptions.pop()


def require_equal(left: Dim, right: Dim, what: str, *, argument: str | None = None, help: str | None = None) -> None:
    """Two dimensions must be equal: an `OpError` if they differ, an assumption if that is unknown."""
    answer = compare(left, right)
    if answer == "different":
        raise OpError(f"{what}: {left} and {right}", argument=argument, help=help)
    if answer == "unknown" and _assumptions:
        _assumptions[-1].append(Assumption(left, right, what))
