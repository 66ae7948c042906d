"""What a shape rule may say besides a type: an error, or what only the run can tell."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from wsdl.ir.dims import Dim, compare


class OpError(Exception):
    """A use of an operation that doesn't fit. `argument` names the parameter at fault, `part` from where to where in it
    if it is a string, `help` says what to do."""

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
    """Two dimensions that have to be equal, where only the run time can tell."""

    left: Dim
    right: Dim
    what: str


_assumptions: list[list[Assumption]] = []


@contextmanager
def collecting_assumptions() -> Iterator[list[Assumption]]:
    """Gathers what the shape rules inside had to assume; the caller has it checked at run time."""
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
