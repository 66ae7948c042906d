"""Arrays: `layer blocks[12] = …`, and those of tensors that a model takes and returns, `past[12]: f32[n, d]`."""

from __future__ import annotations

from collections.abc import Sequence

from wsdl.diagnostics import Label, limits
from wsdl.elaborate.context import Context
from wsdl.elaborate.evaluate import evaluate
from wsdl.elaborate.items import POISON, ArgumentValue, Frame, Item, as_int, describe, has_poison
from wsdl.elaborate.report import TooMuch
from wsdl.elaborate.signatures import Signature
from wsdl.ir.graph import Value
from wsdl.syntax import tree


def array_size(node: tree.Expression, what: str, frame: Frame, context: Context, help: str | None = None) -> int | None:
    """The number in `[…]` behind the name of an array; `None` after reporting an error."""
    item = evaluate(node, frame, context)
    count = as_int(item)
    if count is None or count < 1:
        if not has_poison(item):
            context.error(
                "E0234",
                node.span,
                f"the size of an array of {what} must be an integer of at least 1, known when compiling",
                f"is {describe(item)}",
            )
        return None
    if count > limits.REPETITIONS:
        message = f"an array of {count:,} {what} is too long"
        context.error("E0602", node.span, message, f"at most {limits.REPETITIONS:,} are allowed", help=help)
        raise TooMuch
    return count


def is_array(declared: tree.Input, argument: ArgumentValue, block: tree.Block | tree.Model, context: Context) -> bool:
    """Whether the argument of an array of inputs is a list of tensors; reports it if not."""
    items = argument.item
    if isinstance(items, list) and items and all(isinstance(item, Value) for item in items):
        return True
    wrong = next((i for i in items if not isinstance(i, Value)), None) if isinstance(items, list) else items
    given = "an empty list" if items == [] else describe(items if not isinstance(items, list) else wrong)
    contains = "must contain tensors" if isinstance(items, list) and items else "must be a list of tensors"
    context.error(
        "E0225",
        argument.span,
        f"`{declared.name.text}` of `{block.name.text}` {contains}, not {given}",
        help=f"it is declared `{declared.span.text}`",
    )
    return False


def count_matches(declared: tree.Input, argument: ArgumentValue, signature: Signature) -> bool:
    """Bind the name of the number of an array's tensors, or compare the number with the declared one; `False` after
    reporting that they differ."""
    frame, context, count = signature.frame, signature.context, declared.count
    assert count is not None
    assert isinstance(argument.item, list)
    given = len(argument.item)
    if isinstance(count, tree.Name) and not signature.is_known(count):
        frame.names[count.text] = given
        return True
    wanted = array_size(count, "inputs", frame, context)
    if wanted is not None and wanted != given:
        context.error(
            "E0244",
            argument.span,
            f"`{declared.name.text}` is an array of {wanted} tensors, not of {given}",
            labels=[] if declared.span.source.is_standard else [Label(declared.span, "declared here")],
            help=f"it is declared `{declared.span.text}`" if declared.span.source.is_standard else None,
        )
    return wanted == given


def spread(
    outputs: Sequence[tree.Output] | None, frame: Frame, what: str, context: Context
) -> tuple[Sequence[tree.Output] | None, list[ArgumentValue]]:
    """The declared outputs and the results with those of an array one by one."""
    results = frame.results or []
    if outputs is None or len(outputs) != len(results) or all(o.count is None for o in outputs):
        return outputs, results
    pairs: list[tuple[tree.Output, ArgumentValue]] = []
    for output, result in zip(outputs, results, strict=True):
        if output.count is None or output.name is None:
            pairs.append((output, result))
            continue
        count = array_size(output.count, "results", frame, context)
        if count is not None and (not isinstance(result.item, list) or len(result.item) != count):
            size = f"has {len(result.item)}" if isinstance(result.item, list) else f"is {describe(result.item)}"
            context.error(
                "E0244",
                result.span,
                f"`{output.name.text}` of {what} is a list of {count} tensors, but this {size}",
                labels=[Label(output.span, f"{count} declared")],
            )
            count = None
        items = [POISON] if count is None or not isinstance(result.item, list) else result.item
        pairs += [(output, ArgumentValue(None, item, result.span)) for item in items]
    return [output for output, _ in pairs], [result for _, result in pairs]


def grouped(outputs: Sequence[tree.Output] | None, frame: Frame, values: Sequence[Value]) -> list[Item]:
    """The results of `finish` with those of an array as a list."""
    if outputs is None:
        return [*values]
    rest = iter(values)
    return [
        next(rest) if output.count is None or not isinstance(result.item, list) else [next(rest) for _ in result.item]
        for output, result in zip(outputs, frame.results or (), strict=True)
    ]
