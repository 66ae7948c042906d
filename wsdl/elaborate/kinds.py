"""Kinds of arguments: which items a parameter accepts, how they are converted, and their names in messages.

Operations, blocks, optimizers, schedules, initializers and built-in functions declare kinds in different notations; all
are looked up here.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from math import inf, isfinite
from typing import Any

from wsdl.elaborate.items import Item, Layer, Partial, Recipe, as_dim, describe, whole
from wsdl.ir.dims import Dim
from wsdl.ir.graph import Value
from wsdl.ir.types import DTYPES
from wsdl.ops._define import Operation

MOST_AXES = 16
ROUNDING = "`floor(…)`, `ceil(…)` and `round(…)` of a constant are integers"


class Misfit(Exception):
    """An argument that its parameter doesn't accept; the message follows the name of the parameter."""

    def __init__(self, message: str = "", help: str | None = None) -> None:
        super().__init__(message)
        self.help = help


@dataclass(frozen=True)
class Kind:
    """`words` is its name in messages; `convert` returns the converted item, and raises `Misfit` for an item of another
    kind."""

    words: str
    convert: Callable[[Item], Any]

    def fit(self, item: Item) -> Any:
        """The converted argument; 2.0 where an integer is required is 2. Raises `Misfit` with a message."""
        for candidate in (item, whole(item)):
            try:
                return self.convert(candidate)
            except Misfit as misfit:
                if str(misfit):
                    raise
        known = " known when compiling" if isinstance(item, Dim | Value) else ""
        raise Misfit(f"must be {self.words}{known}, not {describe(item)}", self._rounding(item))

    def _rounding(self, item: Item) -> str | None:
        """The help about a fraction where an integer is required."""
        if isinstance(item, float) and abs(item) <= 2**53:
            with suppress(Misfit):
                self.convert(round(item))
                return ROUNDING
        return None


def _one_of(*types: type) -> Callable[[Item], Item]:
    """Accepts items of these types, unchanged; `true` isn't a number."""

    def convert(item: Item) -> Item:
        if isinstance(item, Dim) and item.constant is not None and Dim not in types:
            item = item.constant
        if isinstance(item, types) and (bool in types or not isinstance(item, bool)):
            return item
        raise Misfit

    return convert


def _size(item: Item) -> Dim:
    dim = as_dim(item)
    if dim is None:
        raise Misfit
    return dim


def _integer(low: int, high: float = inf) -> Callable[[Item], int]:
    """An integer in a range."""

    def convert(item: Item) -> int:
        number: int = INT.convert(item)
        if low <= number <= high:
            return number
        raise Misfit

    return convert


def _share(item: Item) -> float:
    number: float = FINITE.convert(item)
    if number > 0:
        return number
    raise Misfit


def _dtype(item: Item) -> str:
    if isinstance(item, str) and item in DTYPES:
        return item
    raise Misfit


def _float(item: Item) -> float:
    return float(NUMBER.convert(item))


def _finite(item: Item) -> int | float:
    number: int | float = NUMBER.convert(item)
    if isinstance(number, float) and not isfinite(number):
        raise Misfit(f"must be finite, not {number}")
    return number


def _pair(item: Item) -> list[float]:
    if isinstance(item, list) and len(item) == 2:
        return [float(_finite(i)) for i in item]
    raise Misfit


def _list_of(kind: Kind) -> Kind:
    """A list; a single item becomes a list of one: `x.reshape(12)`."""
    noun = kind.words.removeprefix("an ").removeprefix("a ")
    return Kind(
        f"a list of {noun.replace('list', 'lists', 1) if noun.startswith('list') else f'{noun}s'}",
        lambda item: [kind.convert(i) for i in (item if isinstance(item, list | tuple) else [item])],
    )


@cache
def either(*kinds: Kind) -> Kind:
    """The first of several kinds that accepts an item."""
    if len(kinds) == 1:
        return kinds[0]

    def convert(item: Item) -> Any:
        why = ""
        for kind in kinds:
            try:
                return kind.convert(item)
            except Misfit as misfit:
                why = why or str(misfit)
        raise Misfit(why)

    return Kind(" or ".join(kind.words for kind in kinds), convert)


INT = Kind("an integer", _one_of(int))
NUMBER = Kind("a number", _one_of(int, float))
FLOAT = Kind("a number", _float)
FINITE = Kind("a number", lambda item: float(_finite(item)))
BOOL = Kind("`true` or `false`", _one_of(bool))
STRING = Kind("a string", _one_of(str))
NONE = Kind("`none`", _one_of(type(None)))
LIST = Kind("a list", _one_of(list))
INTS = replace(_list_of(INT), words="an integer or a list of integers")
COUNT = Kind("an integer of at least 1", _integer(1))
LIMIT = Kind("an integer of at least 0", _integer(0))
SHARE = Kind("a number above 0", _share)
AXES = Kind(f"an integer from 1 to {MOST_AXES}", _integer(1, MOST_AXES))

# The types of a block's configuration; its integers may be dynamic dimensions.
CONFIGURATION = {
    "int": Kind("an integer", _one_of(int, Dim)),
    "float": NUMBER,
    "bool": BOOL,
    "string": STRING,
    "list": LIST,
    "layer": Kind("a layer or an operation", _one_of(Layer, Operation, Partial)),
    "block": Kind("a block with its configuration, such as `Dense(64)`", _one_of(Recipe)),
    "none": NONE,
}

# The annotations of an operation's attributes.
_ATTRIBUTES = {
    "int": INT,
    "float": Kind("a number", _finite),
    "bool": BOOL,
    "str": STRING,
    "Dim": Kind("a size", _size),
    "DType": Kind("a dtype", _dtype),
    "None": NONE,
}

# The options of optimizers and schedules. A schedule isn't an item; it is handled separately.
OPTIONS = {
    "rate": Kind("a number or a schedule", FINITE.convert),
    "number": FINITE,
    "count": INT,
    "pair": Kind("a list of two numbers", _pair),
    "switch": BOOL,
}


@cache
def attribute(annotation: str, is_unbounded: bool = False) -> Kind:
    """The kind of an operation's attribute, `int | list[int] | None`; an unbounded number may be infinite or NaN."""
    kinds = annotation.replace(" ", "").split("|")
    return either(*(NUMBER if is_unbounded and kind == "float" else _annotated(kind) for kind in kinds))


def _annotated(annotation: str) -> Kind:
    if annotation.startswith("list["):
        return _list_of(_annotated(annotation[5:-1]))
    return _ATTRIBUTES[annotation]
