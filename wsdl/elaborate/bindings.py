"""Binds names: `a, b = f(x)` and `let`."""

from __future__ import annotations

from wsdl.diagnostics import Label
from wsdl.elaborate.context import Context
from wsdl.elaborate.evaluate import evaluate
from wsdl.elaborate.items import POISON, Frame, Item, Results, describe, has_poison
from wsdl.elaborate.journal import Bound, Called
from wsdl.elaborate.names import constant_of
from wsdl.elaborate.results import exchanged
from wsdl.ir.graph import Binding, Value
from wsdl.syntax import tree


def assign(targets: tuple[tree.Name, ...], items: list[Item], frame: Frame, context: Context) -> None:
    """Bind names; bindings of tensors are recorded, for editors and `check --shapes`."""
    for target, item in zip(targets, items, strict=True):
        frame.names[target.text] = item
        if isinstance(item, Value):
            _record(target.text, target, item, frame, context)
        elif isinstance(item, Results):
            for name, value in zip(item.names, item, strict=True):
                if isinstance(value, Value):
                    _record(f"{target.text}.{name}", target, value, frame, context)


def _record(name: str, target: tree.Name, value: Value, frame: Frame, context: Context) -> None:
    if value.name:
        context.note(Called(value, name))  # another application may get a value without a name
    value.name = value.name or name
    if not target.span.source.is_standard and not context.mode.again:
        module = frame.layer.module
        context.note(Bound(Binding(module.path, name, value, target.span), module))


# -- names -------------------------------------------------------------------------------------------------------------


def let(node: tree.Let, frame: Frame, context: Context) -> None:
    frame.names[node.name.text] = constant_of(node, evaluate(node.value, frame, context), context)


def run_assignment(node: tree.Assign, frame: Frame, context: Context) -> None:
    """All values are evaluated before any name is bound, so that `a, b = b, a` swaps them."""
    count = len(node.targets)
    if len(node.values) > 1 or count == 1:
        items = [_single(value, node, frame, context) for value in node.values]
    else:
        item = evaluate(node.values[0], frame, context)
        items = list(item) if isinstance(item, tuple | list) else [item]
        if isinstance(item, Results):
            _warn_of_exchange(node, item, context)
    if len(items) != count:
        if not has_poison(items):
            context.error(
                "E0230",
                node.values[0].span.to(node.values[-1].span),
                f"{_names(count)} on the left, but this returns {_results(items)}",
                f"{len(items)} result{'s' if len(items) != 1 else ''}",
                labels=[
                    Label(node.targets[0].span.to(node.targets[-1].span), f"{count} name{'s' if count > 1 else ''}")
                ],
                help=_of_recurrent(items, context),
                applied=False,
            )
        items = [POISON] * count
    assign(node.targets, items, frame, context)


def _warn_of_exchange(node: tree.Assign, results: Results, context: Context) -> None:
    """W0404 for names on the left that are those of the results, in another order."""
    pair = exchanged([target.text for target in node.targets], results.names)
    if pair is not None:
        context.error(
            "W0404",
            node.targets[0].span.to(node.targets[-1].span),
            f"`{pair[0]}` is bound to the result `{pair[1]}`",
            f"the results are {', '.join(f'`{name}`' for name in results.names)}",
            help=f"if it is meant, bind all of them to one name: `r = {node.values[0].span.text}`, then "
            f"`{pair[0]} = r.{pair[1]}`",
            severity="warning",
            applied=False,
        )


def _of_recurrent(items: list[Item], context: Context) -> str | None:
    """The help about the last state, which PyTorch's recurrent layers also return."""
    [result] = items if len(items) == 1 else [None]
    producer = context.builder.origins.producers.get(result) if isinstance(result, Value) else None
    if producer is None or producer.op != "scan":
        return None
    return "it returns the state after each step; created with `last=true` it also returns the last states"


def _single(value: tree.Expression, node: tree.Assign, frame: Frame, context: Context) -> Item:
    """The value for a single name: one result, or several by their names."""
    item = evaluate(value, frame, context)
    if not isinstance(item, tuple) or isinstance(item, Results):
        return item
    names = f"`{', '.join([node.targets[0].text, *'abcdefgh'][: len(item)])} = …`"
    context.error(
        "E0230",
        value.span,
        f"this returns {len(item)} results, but one name is on the left"
        if len(node.values) == 1
        else f"this returns {len(item)} results where one is expected",
        f"{len(item)} results",
        help=f"bind each: {names}" if len(node.values) == 1 else "bind them in a separate statement",
        applied=False,
    )
    return POISON


def _names(count: int) -> str:
    return "one name is" if count == 1 else f"{count} names are"


def _results(items: list[Item]) -> str:
    return f"{len(items)} results" if len(items) != 1 else f"one result, {describe(items[0])}"
