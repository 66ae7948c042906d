"""`for` and `if`, which are evaluated when compiling; `return`, `emit` and `until`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from wsdl.diagnostics import Label, limits
from wsdl.elaborate.bound_names import bound_names
from wsdl.elaborate.context import Context
from wsdl.elaborate.evaluate import evaluate, evaluate_all, run
from wsdl.elaborate.items import POISON, ArgumentValue, Frame, Item, Results, as_int, describe, has_poison
from wsdl.elaborate.kinds import ROUNDING
from wsdl.elaborate.report import TooMuch
from wsdl.ir.dims import Dim
from wsdl.ir.graph import Repetition, Value
from wsdl.syntax import tree


def for_(node: tree.For, frame: Frame, context: Context) -> None:
    steps = clause_steps(node.clause, frame, context)
    if steps is None:
        frame.names.update(
            dict.fromkeys(bound_names((node,)), POISON)
        )  # the names that the iterations would bind are unknown
        return
    loop = context.where.loops
    context.where.loops += 1
    outer = frame.path
    for i, step in enumerate(steps):
        if frame.results is not None:
            break
        frame.names.update(step)
        frame.path = (*outer, loop_key(node, i))
        context.budget.count(node.clause.span)
        context.where.steps.append(Repetition(loop, i, len(steps), node.clause.span))
        run(node.body, frame, context)
        context.where.steps.pop()
    frame.path = outer


def loop_key(node: tree.For | tree.Comprehension, step: int) -> int:
    """A key of an iteration of a `for` in a body, the same each time the body runs."""
    return hash((node.span.start, step))


def elements_of(
    node: tree.List | tree.Comprehension, frame: Frame, context: Context
) -> Iterable[tree.Expression] | None:
    """The expressions of a list; those of a comprehension have its names bound while they are iterated over. `None`
    after reporting an error."""
    if isinstance(node, tree.List):
        return node.items
    owner, frame.owner = frame.owner, None
    steps = clause_steps(node.clause, frame, context)
    frame.owner = owner
    return None if steps is None else _in_steps(node, steps, frame, context)


def _in_steps(
    node: tree.Comprehension, steps: list[dict[str, Item]], frame: Frame, context: Context
) -> Iterable[tree.Expression]:
    names, path = frame.names, frame.path
    for i, step in enumerate(steps):
        frame.names, frame.path = {**names, **step}, (*path, loop_key(node, i))
        context.budget.count(node.clause.span)
        yield node.element
    frame.names, frame.path = names, path


def clause_steps(clause: tree.Clause, frame: Frame, context: Context) -> list[dict[str, Item]] | None:
    """What each iteration of a `for` binds; `None` after reporting an error."""
    columns: list[list[Item]] = []
    for values in clause.series:
        column = _series(values, frame, context)
        if column is None:
            return None
        columns.append(column)
    for column, values in zip(columns, clause.series, strict=True):
        if len(column) != len(columns[0]):
            context.error(
                "E0241",
                values.span,
                f"a `for` goes through lists of one length, not of {len(columns[0])} and {len(column)}",
                f"has {len(column)} element{'s' if len(column) != 1 else ''}",
                labels=[Label(clause.series[0].span, f"has {len(columns[0])}")],
                help="select a part, as in `right[0:2]`, or write the missing ones",
            )
            context.mark_incomplete()
            return None
    names = [name.text for name in clause.names]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def statement_steps(node: tree.Share | tree.Formula, frame: Frame, context: Context) -> Iterator[int]:
    """The numbers of the iterations of a statement's `for`, whose names are bound in each; 0 for one without `for`."""
    steps: list[dict[str, Item]] | None = [{}] if node.clause is None else clause_steps(node.clause, frame, context)
    for number, step in enumerate(steps or ()):
        frame.names.update(step)
        context.budget.count((node.clause or node).span)
        yield number


def _series(values: tree.Expression | tree.Range, frame: Frame, context: Context) -> list[Item] | None:
    """The values of one list of a `for`; `None` after reporting an error."""
    if not isinstance(values, tree.Range):
        item = evaluate(values, frame, context)
        if isinstance(item, list | tuple):
            return list(item)
        context.mark_incomplete()
        if not has_poison(item):
            context.error(
                "E0231",
                values.span,
                f"a `for` iterates over a range, a list or an array of layers, not {describe(item)}",
                help="write `0..n` for the numbers from 0 to n - 1",
            )
        return None
    bounds = []
    for part in (values.start, values.stop):
        item = evaluate(part, frame, context)
        number = as_int(item)
        if number is None:
            context.mark_incomplete()
            if not has_poison(item):
                context.error(
                    "E0231",
                    part.span,
                    "the range of a `for` must "
                    + ("consist of integers" if isinstance(item, float) else "be known when compiling"),
                    f"is {describe(item)}",
                    help="to repeat for each step of a dynamic length, use `scan`"
                    if isinstance(item, Dim)
                    else ROUNDING
                    if isinstance(item, float)
                    else None,
                )
            return None
        bounds.append(number)
    if bounds[1] - bounds[0] > limits.REPETITIONS:
        count = bounds[1] - bounds[0]
        context.error(
            "E0602",
            values.span,
            f"a `for` of {count:,} iterations is too long",
            f"at most {limits.REPETITIONS:,} are allowed",
            help="a `for` is unrolled when compiling; `scan` runs along an axis of any length",
        )
        raise TooMuch
    return list(range(*bounds))


def if_(node: tree.If, frame: Frame, context: Context) -> None:
    condition = evaluate(node.condition, frame, context)
    if isinstance(condition, bool):
        run(node.then if condition else node.otherwise, frame, context)
        return
    context.mark_incomplete()
    if not has_poison(condition):
        context.error(
            "E0411",
            node.condition.span,
            "the condition of an `if` must be `true` or `false` when compiling",
            f"is {describe(condition)}",
            help="to choose between values at run time, use `where(condition, a, b)`"
            if isinstance(condition, Value)
            else None,
        )
    frame.names.update(
        dict.fromkeys(bound_names((node,)), POISON)
    )  # the names that the branches would bind are unknown


# -- results and requests ----------------------------------------------------------------------------------------------


def return_(node: tree.Return, frame: Frame, context: Context) -> None:
    frame.results = evaluate_all(node.values, frame, context)
    for result, name in zip(frame.results, node.names, strict=False):
        result.name = name
    first = frame.results[0]
    if len(frame.results) == 1 and isinstance(first.item, tuple) and not node.names:  # `return f(x)`: all results of f
        frame.results = [ArgumentValue(None, item, first.span) for item in first.item]
        frame.passed_on = first.item.declared if isinstance(first.item, Results) else None


def until(node: tree.Until, frame: Frame, context: Context) -> None:
    frame.ends.append(ArgumentValue(None, evaluate(node.value, frame, context), node.value.span))


def emit(node: tree.Emit, frame: Frame, context: Context) -> None:
    emitted = evaluate_all(node.values, frame, context)
    if frame.emitted is not None:  # `None` outside of a scan, which `check_names` has reported
        frame.emitted.append(emitted)
