"""Running the statements of a body."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from wsdl import limits
from wsdl.diagnostics import Label
from wsdl.ir.dims import Dim, TooLong
from wsdl.ir.graph import Binding, Repetition, Value
from wsdl.passes.elaborate.context import Context, TooMuch, report_size
from wsdl.passes.elaborate.declarations import run_layer, run_parameter
from wsdl.passes.elaborate.expressions import as_int, constant_of, evaluate, evaluate_all
from wsdl.passes.elaborate.items import POISON, Frame, Given, Item, describe, has_poison
from wsdl.passes.elaborate.optimizers import optimizer_of, rate_of
from wsdl.passes.elaborate.paths import freeze_request, group_request, limit_request, load_request
from wsdl.passes.elaborate.scan import scan
from wsdl.passes.names import bound_names
from wsdl.syntax import tree


def run(body: Iterable[tree.Statement], frame: Frame, context: Context) -> None:
    """Run statements in order, up to a `return`."""
    for statement in body:
        if frame.results is not None:
            return
        try:
            _CASES[type(statement)](statement, frame, context)
        except TooLong as error:
            report_size(error, statement.span, context)


def assign(targets: tuple[tree.Name, ...], items: list[Item], frame: Frame, context: Context) -> None:
    """Bind names; a tensor's name is kept for `check --shapes`."""
    for target, item in zip(targets, items, strict=True):
        frame.names[target.text] = item
        if isinstance(item, Value):
            item.name = item.name or target.text
            if not target.span.source.is_standard and not context.again:
                path = frame.layer.module.path
                frame.layer.module.tensors.setdefault(target.text, target.span)
                context.program.bindings.append(Binding(path, target.text, item.type, target.span))


# -- names -------------------------------------------------------------------------------------------------------------


def _let(node: tree.Let, frame: Frame, context: Context) -> None:
    frame.names[node.name.text] = constant_of(node, evaluate(node.value, frame, context), context)


def _assign(node: tree.Assign, frame: Frame, context: Context) -> None:
    """All values are found before any name is bound, so that `a, b = b, a` changes them over."""
    count = len(node.targets)
    if len(node.values) > 1 or count == 1:
        items = [_single(value, node, frame, context) for value in node.values]
    else:
        item = evaluate(node.values[0], frame, context)
        items = list(item) if isinstance(item, tuple | list) else [item]
    if len(items) != count:
        if not has_poison(items):
            context.error(
                "E0230",
                node.values[0].span.to(node.values[-1].span),
                f"{_names(count)} on the left, and this gives {_results(items)}",
                f"{len(items)} result{'s' if len(items) != 1 else ''}",
                labels=[
                    Label(node.targets[0].span.to(node.targets[-1].span), f"{count} name{'s' if count > 1 else ''}")
                ],
                help=_of_recurrent(items, context),
                applied=False,
            )
        items = [POISON] * count
    assign(node.targets, items, frame, context)


def _of_recurrent(items: list[Item], context: Context) -> str | None:
    """What to write for the last state that PyTorch's recurrent layers also give."""
    made_by = context.producers.get(items[0]) if len(items) == 1 and isinstance(items[0], Value) else None
    if made_by is None or made_by.op != "scan":
        return None
    return "it gives the state after each step; `states[:, -1]` is the last, and a `scan` over a cell has them all"


def _single(value: tree.Expression, node: tree.Assign, frame: Frame, context: Context) -> Item:
    """What one value is, for one name."""
    item = evaluate(value, frame, context)
    if not isinstance(item, tuple):
        return item
    names = f"`{', '.join([node.targets[0].text, *'abcdefgh'][: len(item)])} = …`"
    context.error(
        "E0230",
        value.span,
        f"this gives {len(item)} results, and one name stands on the left"
        if len(node.values) == 1
        else f"this gives {len(item)} results, and stands for one",
        f"{len(item)} results",
        help=f"bind each: {names}" if len(node.values) == 1 else "bind them in a line of their own",
        applied=False,
    )
    return POISON


def _names(count: int) -> str:
    return "one name stands" if count == 1 else f"{count} names stand"


def _results(items: list[Item]) -> str:
    return f"{len(items)} results" if len(items) != 1 else f"one result, {describe(items[0])}"


# -- what is decided when compiling ------------------------------------------------------------------------------------


def _for(node: tree.For, frame: Frame, context: Context) -> None:
    items = clause_values(node.clause, frame, context)
    if items is None:
        frame.names.update(dict.fromkeys(bound_names((node,)), POISON))  # what the steps would bind is unknown now
        return
    loop = context.loops
    context.loops += 1
    outer = frame.path
    for i, item in enumerate(items):
        if frame.results is not None:
            break
        frame.names[node.clause.name.text] = item
        frame.path = (*outer, loop_key(node, i))
        context.count(node.clause.span)
        context.steps.append(Repetition(loop, i, len(items), node.clause.span))
        run(node.body, frame, context)
        context.steps.pop()
    frame.path = outer


def loop_key(node: tree.For, step: int) -> int:
    """Tells the steps of the `for`s of one body apart, in the same way each time the body runs."""
    return hash((node.span.start, step))


def clause_values(clause: tree.Clause, frame: Frame, context: Context) -> list[Item] | None:
    """The values that the name of a `for` goes through; `None` where that was reported as an error."""
    values = clause.values
    if not isinstance(values, tree.Range):
        item = evaluate(values, frame, context)
        if isinstance(item, list):
            return item
        context.doubt()
        if not has_poison(item):
            context.error(
                "E0231",
                values.span,
                f"a `for` goes through a range, a list or an array of layers, not {describe(item)}",
                help="write `0..n` for the numbers from 0 up to n - 1",
            )
        return None
    bounds = []
    for part in (values.start, values.stop):
        item = evaluate(part, frame, context)
        number = as_int(item)
        if number is None:
            context.doubt()
            if not has_poison(item):
                context.error(
                    "E0231",
                    part.span,
                    "the range of a `for` is known when compiling",
                    f"is {describe(item)}",
                    help="to repeat for each step of a run-time length, use `scan`" if isinstance(item, Dim) else None,
                )
            return None
        bounds.append(number)
    if bounds[1] - bounds[0] > limits.REPETITIONS:
        count = bounds[1] - bounds[0]
        context.error(
            "E0602",
            values.span,
            f"a `for` of {count:,} steps is too long",
            f"at most {limits.REPETITIONS:,} are allowed",
            help="a `for` is written out when compiling; `scan` runs along an axis of any length",
        )
        raise TooMuch
    return list(range(*bounds))


def _if(node: tree.If, frame: Frame, context: Context) -> None:
    condition = evaluate(node.condition, frame, context)
    if isinstance(condition, bool):
        run(node.then if condition else node.otherwise, frame, context)
        return
    context.doubt()
    if not has_poison(condition):
        context.error(
            "E0411",
            node.condition.span,
            "the condition of an `if` is `true` or `false` when compiling",
            f"is {describe(condition)}",
            help="to choose between values at run time, use `where(condition, a, b)`"
            if isinstance(condition, Value)
            else None,
        )
    frame.names.update(dict.fromkeys(bound_names((node,)), POISON))  # what the branches would bind is unknown now


# -- results and requests ----------------------------------------------------------------------------------------------


def _return(node: tree.Return, frame: Frame, context: Context) -> None:
    frame.results = evaluate_all(node.values, frame, context)
    if len(frame.results) == 1 and isinstance(
        frame.results[0].item, tuple
    ):  # `return f(x)` hands on all of f's results
        span = frame.results[0].span
        frame.results = [type(frame.results[0])(None, item, span) for item in frame.results[0].item]


def _emit(node: tree.Emit, frame: Frame, context: Context) -> None:
    given = evaluate_all(node.values, frame, context)
    if frame.emitted is not None:  # outside of a scan, which resolve has reported
        frame.emitted.append(given)


def _scan(node: tree.Scan, frame: Frame, context: Context) -> None:
    scan(node, frame, context, run, assign)


def _share(node: tree.Share, frame: Frame, context: Context) -> None:
    steps = [None] if node.clause is None else clause_values(node.clause, frame, context)
    for step in steps or ():
        if node.clause is not None:
            frame.names[node.clause.name.text] = step
            context.count(node.clause.span)
        context.request(group_request(node, frame, context, evaluate))


def _freeze(node: tree.Freeze, frame: Frame, context: Context) -> None:
    context.request(freeze_request(node, frame, context, evaluate))


def _loss(node: tree.Loss, frame: Frame, context: Context) -> None:
    assert context.asked is not None, "the parser lets `loss` stand in a `train` only"
    context.asked.losses.append(Given(None, evaluate(node.value, frame, context), node.value.span))


def _metric(node: tree.Metric, frame: Frame, context: Context) -> None:
    assert context.asked is not None
    name, places = node.name.text, context.asked.metric_places
    if name in places:
        context.error(
            "E0807",
            node.name.span,
            f"two metrics are called `{name}`",
            "named again",
            labels=[Label(places[name], "named first")] if places[name] != node.name.span else (),
            help="give one of them another name"
            if places[name] != node.name.span
            else "a metric has one value; add up what the steps of a `for` give, and name the sum",
        )
    places.setdefault(name, node.name.span)
    context.asked.metrics[name] = Given(node.name, evaluate(node.value, frame, context), node.value.span)


def _optimizer(node: tree.Optimizer, frame: Frame, context: Context) -> None:
    assert context.asked is not None
    context.asked.optimizers.append((optimizer_of(node, frame, context, evaluate), node.span))


def _learning_rate(node: tree.LearningRate, frame: Frame, context: Context) -> None:
    assert context.asked is not None
    rate = rate_of(node.value, frame, context, evaluate)
    request = freeze_request(tree.Freeze(node.span, node.paths), frame, context, evaluate)
    if rate is not None and request is not None:
        context.asked.rates.append((request, rate, node.span))


def _limit(node: tree.Limit, frame: Frame, context: Context) -> None:
    context.request(limit_request(node, frame, context, evaluate))


def _load(node: tree.Load, frame: Frame, context: Context) -> None:
    context.request(load_request(node, frame, context, evaluate))


_CASES: dict[type, Callable[..., None]] = {
    tree.Let: _let,
    tree.Assign: _assign,
    tree.Layer: run_layer,
    tree.Parameter: run_parameter,
    tree.For: _for,
    tree.If: _if,
    tree.Scan: _scan,
    tree.Return: _return,
    tree.Emit: _emit,
    tree.Share: _share,
    tree.Freeze: _freeze,
    tree.Limit: _limit,
    tree.Load: _load,
    tree.Loss: _loss,
    tree.Metric: _metric,
    tree.Optimizer: _optimizer,
    tree.LearningRate: _learning_rate,
}
