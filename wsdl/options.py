"""Valid values of options: one table for the flags of the command line and the arguments of the Python functions.

    @takes(batch=COUNT, seed=SEED)
    def trainer(self, *, batch: int = 64, seed: int = 0): ...

An invalid argument raises `CompileError` with E0704 before anything is done. NumPy's integers become Python's.
"""

from __future__ import annotations

import inspect
import os
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from math import inf
from operator import index
from typing import Any, ParamSpec, Protocol, TypeVar

from wsdl.diagnostics import CompileError, Diagnostic, limits
from wsdl.diagnostics.span import Source

P = ParamSpec("P")
T = TypeVar("T")


class Option(Protocol):
    """A kind of value."""

    def of(self, value: Any) -> Any:
        """The value, normalized; raises `ValueError` or `TypeError` if it is invalid."""

    def __str__(self) -> str:
        """As in "`batch` is …"."""


@dataclass(frozen=True)
class Whole:
    """An integer."""

    lowest: int
    highest: int

    def of(self, value: Any) -> int:
        number = index(value)
        if isinstance(value, bool) or not self.lowest <= number <= self.highest:
            raise ValueError
        return number

    def __str__(self) -> str:
        return f"an integer from {self.lowest} to {self.highest}"


@dataclass(frozen=True)
class Share:
    """A ratio, which may be more than 1."""

    def of(self, value: Any) -> float:
        number = float(value)
        if isinstance(value, bool | str) or not 0 < number < inf:
            raise ValueError
        return number

    def __str__(self) -> str:
        return "a number above 0"


@dataclass(frozen=True)
class OneOf:
    """One of several words."""

    words: tuple[str, ...]

    def of(self, value: Any) -> str:
        if not isinstance(value, str) or value not in self.words:
            raise ValueError
        return value

    def __str__(self) -> str:
        return f"one of {', '.join(f'`{word}`' for word in self.words)}"


@dataclass(frozen=True)
class Instance:
    """An instance of one of several types."""

    types: tuple[type, ...]
    text: str

    def of(self, value: Any) -> Any:
        if not isinstance(value, self.types):
            raise TypeError
        return value

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Having:
    """An object with some attributes."""

    attributes: tuple[str, ...]
    text: str

    def of(self, value: Any) -> Any:
        if not all(hasattr(value, name) for name in self.attributes):
            raise TypeError
        return value

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Sizes:
    """Dynamic dimensions by name."""

    def of(self, value: Any) -> dict[str, int]:
        if not isinstance(value, Mapping) or not all(isinstance(n, str) and n.isidentifier() for n in value):
            raise TypeError
        return {name: SIZE.of(size) for name, size in value.items()}

    def __str__(self) -> str:
        return f'a mapping from names to {SIZE}, like {{"n": 8}}'


@dataclass(frozen=True)
class Names:
    """A list of names."""

    def of(self, value: Any) -> list[str]:
        if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
            raise TypeError
        return list(value)

    def __str__(self) -> str:
        return "a list of names"


@dataclass(frozen=True)
class Alternatives:
    """Several values for each of several constants."""

    def of(self, value: Any) -> dict[str, list[Any]]:
        if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
            raise TypeError
        if not all(isinstance(values, list | tuple) and values for values in value.values()):
            raise TypeError
        return {name: list(values) for name, values in value.items()}

    def __str__(self) -> str:
        return 'a mapping from names to lists of values, like {"rank": [2, 4, 8]}'


@dataclass(frozen=True)
class Optional:
    """Another option, or `None`."""

    option: Option

    def of(self, value: Any) -> Any:
        return None if value is None else self.option.of(value)

    def __str__(self) -> str:
        return f"{self.option}, or None"


@dataclass(frozen=True)
class ForEach:
    """One value, or one for each of some trainings, by their names."""

    option: Option

    def of(self, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return self.option.of(value)
        if not value or not all(isinstance(name, str) for name in value):
            raise TypeError
        return {name: self.option.of(each) for name, each in value.items()}

    def __str__(self) -> str:
        return f"{self.option}, or a mapping from the names of trainings to such"


@dataclass(frozen=True)
class Each:
    """A list of which each element is of an option."""

    option: Option
    text: str

    def of(self, value: Any) -> Any:
        if not isinstance(value, list | tuple):
            raise TypeError
        return [self.option.of(element) for element in value]

    def __str__(self) -> str:
        return self.text


COUNT = Whole(1, 2**31 - 1)
NONE_OR_MORE = Whole(0, 2**31 - 1)
SEED = Whole(0, 2**63 - 1)
SIZE = Whole(1, limits.DIMENSION - 1)
SHARE = Share()
FLAG = Instance((bool,), "True or False")
NAME = Instance((str,), "a name")
PATH = Instance((str, os.PathLike), "a path")
PROGRAM = Instance((str, os.PathLike, Source), "a path, or a source")
FUNCTION = Instance((Callable,), "a function")  # type: ignore[arg-type]  # an abstract class, but no type for mypy
WEIGHTS = Instance((str, os.PathLike, Mapping), "a weights file, or a mapping from names to arrays")
DATA = Instance((str, os.PathLike, Mapping), "a path, or a mapping from names to arrays")
WORKERS = Having(("rank", "size", "all_reduce"), "a communicator, such as `distributed.mpi()`")
CALLBACKS = Each(
    Having(("on_begin", "on_step", "on_eval", "on_note", "on_save", "on_end"), "a callback"),
    "a list of callbacks, which have the base `wsdl.Callback`",
)
DIMS = Sizes()
ON_NAN = OneOf(("stop", "skip"))


def checked(name: str, option: Option, value: Any) -> Any:
    """The normalized value of one option."""
    try:
        return option.of(value)
    except (ValueError, TypeError):
        message = f"`{name}` is {option}, not {reprlib.repr(value)}"
        raise CompileError([Diagnostic("E0704", message)]) from None


def takes(**options: Option) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """A decorator that checks the arguments of a function."""

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        signature = inspect.signature(function)
        assert options.keys() <= signature.parameters.keys()

        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            bound = signature.bind(*args, **kwargs)
            for name in bound.arguments.keys() & options.keys():
                bound.arguments[name] = checked(name, options[name], bound.arguments[name])
            return function(*bound.args, **bound.kwargs)

        call.__dict__["options"] = options
        return call

    return decorate


def settle(record: Any, **options: Option) -> None:
    """Check the fields of a frozen data class, in its `__post_init__`."""
    for name, option in options.items():
        object.__setattr__(record, name, checked(name, option, getattr(record, name)))
