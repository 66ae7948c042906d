"""Warns of results whose shape may differ from the declared one, and suggests how to declare or compute it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from wsdl.diagnostics import Label
from wsdl.diagnostics.span import Span
from wsdl.elaborate.items import Frame
from wsdl.elaborate.signatures import Signature
from wsdl.ir.dims import Dim, compare
from wsdl.ir.types import TensorType, shape_text
from wsdl.syntax import tree


def warn_of_result(declared: tree.Type, actual: TensorType, signature: Signature, span: Span, what: str) -> None:
    """W0402 for the run-time checks that remain after matching a result with its declaration, in place of notes."""
    context = signature.context
    pairs = [(str(a), str(b)) for a, b in signature.unchecked]
    if all(pair in context.builder.compared for pair in pairs):
        return
    context.builder.compared |= {*pairs, *(pair[::-1] for pair in pairs)}
    context.error(
        "W0402",
        span,
        f"{what} may not have the declared shape",
        f"is {actual}",
        labels=[Label(declared.span, f"declared {declared.span.text}")],
        help=_help(declared, actual, signature.frame, span),
        severity="warning",
    )


def _help(declared: tree.Type, actual: TensorType, frame: Frame, span: Span) -> str:
    declared_dims = [_dim(node, frame) for node in declared.dims]
    if (order := _order(declared_dims, actual.shape)) is not None:
        view = ".T" if order == [1, 0] else f".permute({', '.join(map(str, order))})"
        turned = f"return `{span.text}{view}`" if re.fullmatch(r"\w+", span.text) else f"append `{view}`"
        return f"its axes have another order: {turned}, or declare {shape_text(actual.shape)}"
    new = "declare a new name for the computed dimension"
    if isinstance(frame.layer.definition.node, tree.Model):
        return f"if the computation is right, declare {shape_text(actual.shape)}, or {new}"
    return f"if the computation is right, {new}"


def _dim(node: tree.Expression | tree.Ellipsis, frame: Frame) -> Dim | None:
    """A declared dimension that is a name or a number."""
    if isinstance(node, tree.Number) and isinstance(node.value, int):
        return Dim.of(node.value)
    item = frame.names.get(node.text) if isinstance(node, tree.Name) else None
    return Dim.of(item) if isinstance(item, int | Dim) else None


def _order(declared: Sequence[Dim | None], actual: Sequence[Dim]) -> list[int] | None:
    """The permutation from the axes of `actual` to those of `declared`, if only their order differs."""
    left = dict(enumerate(actual))
    order: list[int] = []
    for dim in declared:
        axis = next((i for i, d in left.items() if dim is not None and compare(d, dim) == "equal"), None)
        if axis is None:
            return None
        del left[axis]
        order.append(axis)
    return order if not left else None
