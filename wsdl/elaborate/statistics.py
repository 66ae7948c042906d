"""Batch normalization in training: by the statistics of the batch, with updated running statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wsdl.diagnostics.span import Span
from wsdl.elaborate.context import Context
from wsdl.elaborate.journal import Updated
from wsdl.ir.dims import is_part
from wsdl.ir.graph import Attribute, Operand, Value


def normalize_by_batch(
    values: Sequence[Operand], attributes: Mapping[str, Attribute], span: Span, context: Context
) -> list[Value]:
    """`batch_norm` in training. Later applications see the updated running statistics, as in PyTorch. A `scan` doesn't
    update them: `check_training` reports that, unless the statistics are frozen (E0819). A use of `frozen(layer)`
    doesn't either."""
    operands = [v for v in values if isinstance(v, Value)]
    x, statistics = operands[0], operands[3:]
    if any(is_part(name) for dim in x.type.shape for name in dim.names()):
        context.error(
            "E0426",
            span,
            "a batch whose size is known at run time only has no statistics",
            f"`{operands[0].type}` may have no rows",
            help="normalize before the rows are picked, or use a norm of single rows, such as LayerNorm",
        )
    types = [x.type, *(s.type for s in statistics)]
    y, *new = context.builder.node("batch_norm_training", operands, dict(attributes), types, span)
    if context.builder.weights_are_constants:
        return [y]
    paths = {value: path for path, value in context.builder.parameters.items()}
    for old, latest in zip(statistics, new, strict=True):
        path = paths.get(old)
        if path is not None and len(context.builder.graphs) == 1:
            context.note(Updated(path, latest))
    return [y]
