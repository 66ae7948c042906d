"""Warns where a loss gets probabilities in place of the logits from which it computes them."""

from __future__ import annotations

from collections.abc import Mapping

from wsdl.diagnostics import Label
from wsdl.ir.graph import Operand
from wsdl.passes.elaborate.context import Context
from wsdl.passes.elaborate.items import Given
from wsdl.span import Span

# Of each loss: its first operand, what must not have made it, and what it takes.
TAKES = {
    "cross_entropy": ("logits", ("softmax", "log_softmax", "sigmoid"), "takes logits, and applies softmax itself"),
    "bce_with_logits": ("logits", ("sigmoid", "softmax"), "takes logits, and applies sigmoid itself"),
    "nll": ("log_probabilities", ("softmax", "sigmoid"), "takes logarithms of probabilities"),
}


def check_logits(
    loss: str, operands: Mapping[str, Operand], bound: Mapping[str, Given], span: Span, context: Context
) -> None:
    """W0401, where the value comes directly from such an operation: the loss is a number all the same, and training
    only slow."""
    if loss not in TAKES or span.source.is_standard:
        return
    name, wrong, takes = TAKES[loss]
    value = operands[name]
    made_by = next((n for n in reversed(context.graphs[-1].nodes) if any(r is value for r in n.results)), None)
    if made_by is None or made_by.op not in wrong:
        return
    place = bound[name].span
    elsewhere = made_by.span is not None and made_by.span != place and not made_by.span.source.is_standard
    context.error(
        "W0401",
        place,
        f"`{loss}` {takes}, but gets the result of `{made_by.op}`",
        f"a result of `{made_by.op}`",
        labels=[Label(made_by.span, f"`{made_by.op}` is applied here")] if elsewhere and made_by.span else (),
        help="write `log_softmax` in its place, or `cross_entropy` without either"
        if loss == "nll"
        else f"give it what `{made_by.op}` is applied to",
        severity="warning",
    )
