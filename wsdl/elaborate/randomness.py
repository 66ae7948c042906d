"""Random numbers of a program: a function of the seed, the number of the step, and the place in the program."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

from wsdl.diagnostics.span import Span
from wsdl.elaborate.context import Context
from wsdl.elaborate.journal import Placed
from wsdl.ir.graph import Attribute, Value
from wsdl.ir.types import TensorType
from wsdl.ops._define import Operation
from wsdl.ops._rules import axes_of

NUMBER = TensorType.of("i64")
FACTOR = 0x5851F42D4C957F2D  # Knuth's multiplier for linear congruential generators: separates the steps of a scan


def drop(x: Value, p: float, axis: int | list[int] | None, span: Span, context: Context) -> Value:
    """`dropout(x, p, axis)` in training."""
    if p == 0:
        return x
    seed, step = context.builder.seed(), context.builder.step()
    place = _place(span, context)
    axes = axes_of(axis, x.type.rank)
    mask = TensorType.of("bool", [size if a in axes else 1 for a, size in enumerate(x.type.shape)])
    attributes: dict[str, Attribute] = {"shape": list(mask.shape), "p": p}
    [keep] = context.builder.node("random_mask", [seed, step, place], attributes, [mask], span)
    return context.builder.node("dropout_training", [x, keep], {"p": p}, [x.type], span)[0]


def draw(
    operation: Operation, seed: Value | None, attributes: Mapping[str, Attribute], span: Span, context: Context
) -> Value | None:
    """The result of a random operation; `None` where it has no seed, which is reported.

    A compiled model has no steps, and neither has an evaluation.
    """
    if seed is None and not context.mode.again:
        context.error(
            "E0243",
            span,
            f"`{operation.name}` has no seed",
            "in a `train` it is that of the run",
            help="let the seed be an input of the model, `seed: i64`, and write `seed=seed`",
        )
        return None
    context.mode.depends_on_training |= context.mode.again
    place = _place(span, context, operation.name)
    step = context.builder.step() if context.mode.again and context.mode.training else _number(0, span, context)
    with context.builder.build(span) as build:
        result: Value = operation.draw(build, seed or context.builder.seed(), step, place, **attributes)
    return result


def _place(span: Span, context: Context, operation: str = "") -> Value:
    """A number for this location: a hash of the path of its layer and of how often this operation (by default dropout)
    was applied there so far, and of the training, where a model has several.

    So adding a layer elsewhere changes none of its numbers. Inside of scans it is combined with the number of the step.
    """
    path = context.where.path
    place = _number(number_of_place(path, operation, context), span, context)
    context.note(Placed(place, path, operation))
    for body in context.builder.graphs[1:]:
        place = context.builder.node("add", [place, context.builder.step_of(body)], {}, [NUMBER], span)[0]
        place = context.builder.node("mul", [place, _number(FACTOR, span, context)], {}, [NUMBER], span)[0]
    return place


def number_of_place(path: str, operation: str, context: Context) -> int:
    """That of the next operation in the layer `path`, which this counts."""
    drawn = context.builder.drawn
    count = drawn[path, operation] = drawn.get((path, operation), 0) + 1
    parts = [path, *filter(None, (operation, context.mode.trained)), str(count)]
    return int.from_bytes(sha256("\0".join(parts).encode()).digest()[:8], "little", signed=True)


def _number(number: int, span: Span, context: Context) -> Value:
    return context.builder.constant(number, NUMBER, span)
