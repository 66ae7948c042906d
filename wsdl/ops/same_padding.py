"""`pad="same"`: in its place the numbers, which depend on the sizes of the image."""

from __future__ import annotations

from collections.abc import Sequence

from wsdl.ir.dims import Dim
from wsdl.ir.graph import Value
from wsdl.ops._define import Rules
from wsdl.ops._windows import Window
from wsdl.ops.build import Build


def padded_explicitly(
    b: Build,
    operation: Rules,
    window: Window,
    x: Value,
    *others: Value | None,
    fill: float = 0.0,
    most: Sequence[int] | None = None,
) -> Value | None:
    """The operation on `x` [n, channels, ...] with `fill` around it; `None` where its padding isn't `same`.

    Where a size is known at run time only, or an axis needs more than `most` on a side, `pad` comes before it.
    """
    if not window.same:
        return None
    pairs = window.same_padding(x.type)
    known = numbers(pairs)
    if known and (most is None or all(max(pair) <= limit for pair, limit in zip(known, most, strict=True))):
        return b(operation.name, x, *others, **{**vars(operation), "pad": known})
    around = b("pad", x, widths=[[0, 0], [0, 0], *pairs], value=fill)
    return b(operation.name, around, *others, **{**vars(operation), "pad": 0})


def numbers(pairs: Sequence[Sequence[Dim]]) -> list[list[int]] | None:
    """The pairs as numbers; `None` if one isn't known."""
    known = [[side.constant for side in pair if side.constant is not None] for pair in pairs]
    return known if all(len(pair) == 2 for pair in known) else None
