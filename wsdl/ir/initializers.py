"""Initializers, with PyTorch's names and rules; the values are drawn in `wsdl.weights`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class InitializerKind:
    """`forms` are the valid lists of arguments; `rank` is the minimal number of axes."""

    doc: str
    forms: tuple[tuple[str, ...], ...] = ((),)
    defaults: tuple[float, ...] = ()  # of the arguments of the longest form
    rank: int = 0

    def accepts(self, count: int) -> bool:
        """Whether it takes this number of arguments."""
        return any(len(form) == count for form in self.forms)

    def arguments(self, values: tuple[float, ...]) -> dict[str, float]:
        """All arguments by name, with defaults for the missing ones."""
        form = next(form for form in self.forms if len(form) == len(values))
        return {**dict(zip(self.forms[-1], self.defaults, strict=False)), **dict(zip(form, values, strict=True))}


_NORMAL = ((), ("std",), ("mean", "std"))
_GAIN = ((), ("gain",))

INITIALIZERS: dict[str, InitializerKind] = {
    "zeros": InitializerKind("all 0"),
    "ones": InitializerKind("all 1"),
    "constant": InitializerKind("all the same number", (("value",),)),
    "uniform": InitializerKind("evenly between two numbers", ((), ("low", "high")), (0.0, 1.0)),
    "normal": InitializerKind("normally distributed", _NORMAL, (0.0, 1.0)),
    "trunc_normal": InitializerKind("normally, within two standard deviations", _NORMAL, (0.0, 1.0)),
    "kaiming_uniform": InitializerKind(
        "evenly within sqrt(6 / ((1 + a²) fan_in)); without `a` within 1 / sqrt(fan_in), like PyTorch's layers",
        ((), ("a",)),
        (5**0.5,),
        rank=2,
    ),
    "kaiming_normal": InitializerKind(
        "normally, with standard deviation sqrt(2 / ((1 + a²) fan_in))", ((), ("a",)), (0.0,), rank=2
    ),
    "xavier_uniform": InitializerKind("evenly within gain sqrt(6 / (fan_in + fan_out))", _GAIN, (1.0,), rank=2),
    "xavier_normal": InitializerKind(
        "normally, with standard deviation gain sqrt(2 / (fan_in + fan_out))", _GAIN, (1.0,), rank=2
    ),
    "orthogonal": InitializerKind("orthonormal rows or columns, times gain", _GAIN, (1.0,), rank=2),
}
