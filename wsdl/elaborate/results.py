"""The results of a body: matched with the declared outputs, by name or in order, and named for whoever applies it."""

from __future__ import annotations

from collections.abc import Sequence

from wsdl.diagnostics import Label
from wsdl.diagnostics.span import Span
from wsdl.elaborate.arguments import Callee, Wording, match
from wsdl.elaborate.arrays import grouped, spread
from wsdl.elaborate.context import Context
from wsdl.elaborate.items import ArgumentValue, Frame, Item, Layer, Results, any_poison, describe
from wsdl.elaborate.operations import note_check
from wsdl.elaborate.result_shapes import warn_of_result
from wsdl.elaborate.signatures import Signature
from wsdl.ir.dims import Dim
from wsdl.ir.graph import Value
from wsdl.ir.types import DType, TensorType
from wsdl.syntax import tree

Outputs = Sequence[tree.Output] | None


def finish(frame: Frame, signature: Signature, outputs: Outputs, what: str, context: Context) -> list[Value] | None:
    """The results of a body as tensors, matched with the declared outputs; `None` after reporting an error."""
    if frame.results is None:
        _report_no_results(frame, context)
        return None
    if any_poison(frame.results) or not _ordered(frame, outputs, what, context):
        return None
    first = frame.results[0]
    if outputs is None and len(frame.results) == 1 and isinstance(first.item, list):  # an array, of undeclared length
        frame.results = [ArgumentValue(None, item, first.span) for item in first.item]
    outputs, results = spread(outputs, frame, what, context)
    if any_poison(results):
        return None
    values: list[Value] = []
    for result in results:
        value = as_tensor(result, frame.dtype, context)
        if value is None:
            applied = f"apply it to a tensor: `{result.span.text}(x)`" if isinstance(result.item, Layer) else None
            context.error(
                "E0233",
                result.span,
                f"a result must be a tensor, not {describe(result.item)}",
                f"a result of {what}",
                help=applied,
                applied=False,
            )
            return None
        for check in frame.checks or ():
            value = context.builder.assume(value, check.left, check.right, check.span, check.relation, check.message)
        values.append(value)
    if outputs is None:
        return values
    if len(values) != len(outputs):
        context.error(
            "E0230",
            results[0].span.to(results[-1].span),
            f"{what} declares {len(outputs)} result{'s' if len(outputs) != 1 else ''}, but this returns {len(values)}",
            f"{len(values)} result{'s' if len(values) != 1 else ''}",
            labels=[Label(outputs[0].span.to(outputs[-1].span), f"{len(outputs)} declared")],
            applied=False,
        )
        return None
    for i, (value, output, result) in enumerate(zip(values, outputs, results, strict=True)):
        name = f"`{output.name.text}`" if output.name else "the result"
        if not signature.match(output.type, value.type, result.span, f"{name} of {what}"):
            return None
        if not output.type.span.source.is_standard:
            warn_of_result(output.type, value.type, signature, result.span, f"{name} of {what}")
        values[i] = assumed(value, signature, result.span, context)
    return values


def assumed(value: Value, signature: Signature, span: Span, context: Context) -> Value:
    """The value, after run-time checks of the relations that the signature could not decide."""
    while signature.unchecked:
        left, right = signature.unchecked.pop()
        note_check(left, right, span, "", context)
        value = context.builder.assume(value, left, right, span)
    return value


def _report_no_results(frame: Frame, context: Context) -> None:
    """Report that no `return` was reached, unless that follows from an error already reported."""
    node = frame.layer.definition.node
    if not frame.layer.module.doubtful:
        context.error(
            "E0211",
            node.name.span,
            f"`{node.name.text}` returns nothing",
            "no `return` was reached",
            help="the `return` is in an `if` whose condition is false, or in a `for` without iterations",
        )


def as_tensor(argument: ArgumentValue, dtype: DType, context: Context) -> Value | None:
    """A tensor, or a number as a scalar tensor."""
    item = argument.item
    if isinstance(item, Value):
        return item
    if isinstance(item, bool):
        return context.builder.constant(item, TensorType.of("bool"), argument.span)
    if isinstance(item, Dim):
        return context.builder.size(item, "i64", argument.span)
    if isinstance(item, int | float):
        return context.builder.constant(item, TensorType.of(dtype if isinstance(item, float) else "i64"), argument.span)
    return None


# -- names -------------------------------------------------------------------------------------------------------------


def declared_names(outputs: Outputs) -> list[tree.Name] | None:
    """The names of declared outputs, if all of them have one."""
    names = [output.name for output in outputs or () if output.name is not None]
    return names if outputs and len(names) == len(outputs) else None


def result_names(outputs: Outputs, frame: Frame) -> list[tree.Name]:
    """The names of the results of a body: as declared, otherwise as returned; none where they have none."""
    return declared_names(outputs) or [result.name for result in frame.results or () if result.name is not None]


def applied(outputs: Outputs, frame: Frame, values: Sequence[Value]) -> Item:
    """What an application is: the result, or the results, by their names where they have some."""
    items = grouped(outputs, frame, values)
    if len(items) == 1:
        return items[0]
    names = result_names(outputs, frame) or frame.passed_on
    return Results.of(names, items) if names else tuple(items)


def _ordered(frame: Frame, outputs: Outputs, what: str, context: Context) -> bool:
    """Bring results that are returned by name into the declared order. `False` after reporting an error."""
    if outputs is None or (len(outputs) == 1 and frame.results and frame.results[0].name is None):
        return True
    results, declared = frame.results or [], declared_names(outputs)
    if declared is None or all(result.name is None for result in results):
        _warn_of_exchange(frame, declared or [], what, context)
        return True
    names = [name.text for name in declared]

    def wording() -> Wording:
        listed = ", ".join(f"`{name}`" for name in names)
        label = Label(outputs[0].span.to(outputs[-1].span), "declared here")
        return Wording(what, f"it declares {listed}", "result", "declares", _CODES, labels=[label])

    span = results[0].span.to(results[-1].span)
    bound, complete = match(Callee(names, names, wording), results, span, context)
    for result in results:
        if result.name is not None and result.name.text in names:
            context.references.add(result.name.span, declared[names.index(result.name.text)].span)
    frame.results = [bound[name] for name in names] if complete else results
    return complete


_CODES = ("E0246", "E0246", "E0246")


def _warn_of_exchange(frame: Frame, declared: Sequence[tree.Name], what: str, context: Context) -> None:
    """W0404 for results that are returned in another order than they are declared in."""
    results, names = frame.results or [], [name.text for name in declared]
    written = [name.text for name in frame.passed_on or ()] or [result.span.text for result in results]
    pair = exchanged(written, names)
    if pair is None:
        return
    by_name = ", ".join(f"{name}={text}" for name, text in zip(names, written, strict=True))
    meant = "" if frame.passed_on else f"; if it is meant, write `return {by_name}`"
    context.error(
        "W0404",
        results[0].span.to(results[-1].span),
        f"{what} returns `{pair[0]}` as `{pair[1]}`",
        f"returned as {', '.join(f'`{name}`' for name in names)}",
        labels=[Label(declared[0].span.to(declared[-1].span), "declared in this order")],
        help=f"results without names are those declared, in order{meant}",
        severity="warning",
        applied=False,
    )


def exchanged(written: Sequence[str], names: Sequence[str]) -> tuple[str, str] | None:
    """The first name that is written where another result is, although it is itself the name of a result, which is not
    at its own place; and the name of the result at that place."""
    if len(written) == len(names):
        for text, name in zip(written, names, strict=True):
            if text != name and text in names and written[names.index(text)] != text:
                return text, name
    return None
