"""Rows that have a group each: their shapes."""

from __future__ import annotations

from math import prod

from wsdl.ir.dims import Dim, product
from wsdl.ir.types import TensorType
from wsdl.ops._errors import OpError, require_equal
from wsdl.ops._interfaces import Array
from wsdl.ops._rules import integer


def rows_and_rest(x: TensorType, group: TensorType, several: bool) -> tuple[Dim, tuple[Dim, ...]]:
    """The number of positions that have a group, and the shape of a row. Raises `OpError` if these don't match."""
    leading = integer(group, "group").shape[: -1 if several else None]
    if several and not group.rank:
        raise OpError(f"`group` has no axis with several groups: it is {group}", argument="group")
    if len(leading) > x.rank:
        raise OpError(f"`group` must have the first axes of {x}, but is {group}", argument="group")
    for axis, (a, b) in enumerate(zip(x.shape, leading, strict=False)):
        require_equal(a, b, f"the sizes along axis {axis} of {x} and {group} must be equal", argument="group")
    return product(group.shape), x.shape[len(leading) :]


def rows_of(x: Array, group: Array, several: bool) -> Array:
    axes = group.ndim - several
    return x.reshape(prod(x.shape[:axes]), *x.shape[axes:])


def axes_of_group(operation: object, x: TensorType, group: TensorType) -> range:
    """The axes of `x` along which rows have a group, as a trait."""
    return range(group.rank)
