"""Dropout in training: the mask is a function of the seed, the number of the step, and the location in the model."""

from __future__ import annotations

from hashlib import sha256

from wsdl.diagnostics.span import Span
from wsdl.elaborate.context import Context
from wsdl.ir.graph import Attribute, Value
from wsdl.ir.types import TensorType

NUMBER = TensorType.of("i64")
FACTOR = 0x5851F42D4C957F2D  # Knuth's multiplier for linear congruential generators: separates the steps of a scan


def drop(x: Value, p: float, span: Span, context: Context) -> Value:
    """`dropout(x, p)` in training."""
    if p == 0:
        return x
    seed, step = context.builder.noise()
    place = _place(span, context)
    attributes: dict[str, Attribute] = {"shape": list(x.type.shape), "p": p}
    [keep] = context.builder.node("random_mask", [seed, step, place], attributes, [x.type.with_dtype("bool")], span)
    return context.builder.node("dropout_training", [x, keep], {"p": p}, [x.type], span)[0]


def _place(span: Span, context: Context) -> Value:
    """A number for this location: a hash of the path of its layer and of the number of its dropouts so far.

    So adding a layer elsewhere changes no mask. Inside of scans it is combined with the number of the step.
    """
    path = context.where.path
    count = context.builder.drops[path] = context.builder.drops.get(path, 0) + 1
    digest = sha256(f"{path}\0{count}".encode()).digest()
    place = context.builder.constant(int.from_bytes(digest[:8], "little", signed=True), NUMBER, span)
    for body in context.builder.graphs[1:]:
        place = context.builder.node("add", [place, context.builder.step_of(body)], {}, [NUMBER], span)[0]
        place = context.builder.node(
            "mul", [place, context.builder.constant(FACTOR, NUMBER, span)], {}, [NUMBER], span
        )[0]
    return place
