"""Warns if a loss gets probabilities in place of logits, or the other way around."""

from __future__ import annotations

from collections.abc import Mapping

from wsdl.diagnostics import Label
from wsdl.diagnostics.span import Span
from wsdl.elaborate.context import Context
from wsdl.elaborate.items import ArgumentValue
from wsdl.ir.graph import Operand
from wsdl.ops import OPERATIONS, Operation


def check_logits(
    loss: Operation, operands: Mapping[str, Operand], bound: Mapping[str, ArgumentValue], span: Span, context: Context
) -> None:
    """W0401, if the value comes directly from such an operation: the loss would be finite, but training slow."""
    expects = loss.expects
    if expects is None or span.source.is_standard:
        return
    value = operands[expects.operand]
    made_by = next((n for n in reversed(context.builder.graphs[-1].nodes) if any(r is value for r in n.results)), None)
    gives = OPERATIONS[made_by.op].gives if made_by is not None and made_by.op in OPERATIONS else None
    if made_by is None or gives in (None, expects.meaning):
        return
    operand_span = bound[expects.operand].span
    elsewhere = made_by.span is not None and made_by.span != operand_span and not made_by.span.source.is_standard
    context.error(
        "W0401",
        operand_span,
        f"`{loss.name}` {expects.says}, but gets the result of `{made_by.op}`",
        f"a result of `{made_by.op}`",
        labels=[Label(made_by.span, f"`{made_by.op}` is applied here")] if elsewhere and made_by.span else (),
        help="write `log_softmax` in its place, or `cross_entropy` without either"
        if expects.meaning == "log probabilities"
        else f"pass it the input of `{made_by.op}`",
        severity="warning",
    )
