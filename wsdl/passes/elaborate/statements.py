"""Running the statements of a body."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from wsdl.diagnostics import Label
from wsdl.ir.dims import Dim
from wsdl.ir.graph import Binding, Initializer, Module, Repetition, Slot, Value
from wsdl.ir.initializers import INITIALIZERS
from wsdl.passes.elaborate.context import MOST_REPETITIONS, Context, TooMuch
from wsdl.passes.elaborate.expressions import as_int, evaluate, evaluate_all
from wsdl.passes.elaborate.items import POISON, Frame, Given, Item, Layer, describe, has_poison
from wsdl.passes.elaborate.layers import make_layer
from wsdl.passes.elaborate.optimizers import optimizer_of, rate_of
from wsdl.passes.elaborate.paths import freeze_request, group_request, limit_request, load_request
from wsdl.passes.elaborate.scan import scan
from wsdl.passes.elaborate.signatures import type_of
from wsdl.passes.resolve import Definition
from wsdl.diagnostics.suggest import nearest
from wsdl.syntax import tree


def run(body: Iterable[tree.Statement], frame: Frame, context: Context) -> None:
    """Run statements in order, up to a `return`."""
    for statement in body:
        if frame.results is not None:
            return
        _CASES[type(statement)](statement, frame, context)


def assign(targets: tuple[tree.Name, ...], items: list[Item], frame: Frame, context: Context) -> None:
    """Bind names; a tensor's name is kept for `check --shapes`."""
    for target, item in zip(targets, items, strict=True):
        frame.names[target.text] = item
        if isinstance(item, Value):
            item.name = item.name or target.text
            if not target.span.source.is_standard and not context.again:
                path = frame.layer.module.path
                context.program.bindings.append(Binding(path, target.text, item.type, target.span))


# -- names -------------------------------------------------------------------------------------------------------------


def _let(node: tree.Let, frame: Frame, context: Context) -> None:
    frame.names[node.name.text] = evaluate(node.value, frame, context)


def _assign(node: tree.Assign, frame: Frame, context: Context) -> None:
    item = evaluate(node.value, frame, context)
    if len(node.targets) == 1:
        if isinstance(item, tuple):
            context.error(
                "E0230",
                node.value.span,
                f"this gives {len(item)} results, and one name stands on the left",
                help=f"bind all: `{', '.join(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'][: len(item)])} = …`",
            )
            item = POISON
        assign(node.targets, [item], frame, context)
    elif isinstance(item, tuple | list) and len(item) == len(node.targets):
        assign(node.targets, list(item), frame, context)
    else:
        if not has_poison(item):
            context.error(
                "E0230",
                node.value.span,
                f"{len(node.targets)} names stand on the left, and this gives {_count(item)}",
                labels=[Label(node.targets[0].span.to(node.targets[-1].span), f"{len(node.targets)} names")],
            )
        assign(node.targets, [POISON] * len(node.targets), frame, context)


def _count(item: Item) -> str:
    return f"{len(item)} results" if isinstance(item, tuple | list) else f"one result, {describe(item)}"


# -- layers and parameters ---------------------------------------------------------------------------------------------


def _layer(node: tree.Layer, frame: Frame, context: Context) -> None:
    name = node.name.text
    if name not in frame.layer.declared:  # a body that runs again finds the layers that it made the first time
        frame.layer.declared[name] = declare_layer(node, frame, context)
    frame.names[name] = frame.layer.declared[name]


def declare_layer(node: tree.Layer, frame: Frame, context: Context) -> Item:
    """The layer, or the array of layers, that a declaration makes."""
    name = node.name.text
    if node.count is None and isinstance(node.value, tree.List):  # `layer encode = [Dense(256), Dense(64)]`
        frame.layer.module.children[name] = []
        return [_one_layer(part, f"{name}[{i}]", node, frame, context) for i, part in enumerate(node.value.items)]
    if node.count is None:
        return _one_layer(node.value, name, node, frame, context)
    item = evaluate(node.count, frame, context)
    count = as_int(item)
    if count is None or count < 1:
        if not has_poison(item):
            context.error(
                "E0231",
                node.count.span,
                "the size of an array of layers is a whole number of at least 1, known when compiling",
                f"is {describe(item)}",
            )
        return POISON
    if count > MOST_REPETITIONS:
        context.error("E0602", node.count.span, f"an array of {count:,} layers", f"at most {MOST_REPETITIONS:,} are allowed")
        raise TooMuch
    frame.layer.module.children[name] = []
    return [_one_layer(node.value, f"{name}[{i}]", node, frame, context) for i in range(count)]


def _one_layer(call: tree.Expression, name: str, node: tree.Layer, frame: Frame, context: Context) -> Item:
    if isinstance(call, tree.Call):
        function = evaluate(call.function, frame, context)
        if isinstance(function, Definition) and isinstance(function.node, tree.Block):
            path = frame.layer.below(name)
            item = make_layer(function, call, path, node.name.span, frame, context, evaluate)
            if isinstance(item, Layer):
                _attach(frame.layer.module, name, item.module)
            return item
    item = evaluate(call, frame, context)
    if isinstance(item, Layer) or has_poison(item):
        return item
    hint = "write `()` behind it to make a layer of it" if isinstance(item, Definition) else None
    context.error("E0226", call.span, f"a layer is made from a block, not from {describe(item)}", help=hint)
    return POISON


def _attach(parent: Module, name: str, child: Module) -> None:
    array, bracket, _ = name.partition("[")
    if bracket:
        siblings = parent.children[array]
        assert isinstance(siblings, list)
        siblings.append(child)
    else:
        parent.children[name] = child


def _parameter(node: tree.Parameter, frame: Frame, context: Context) -> None:
    name = node.name.text
    type_ = type_of(node.type, frame, context)
    if type_ is None:
        frame.names[name] = POISON
        return
    slots = frame.layer.module.slots
    if type_.sizes is None:
        unknown = sorted(set().union(*(d.names() for d in type_.shape)))
        origins = " and ".join(f"`{n}` comes from {context.origins.get(n, 'the input')}" for n in unknown)
        context.error(
            "E0409",
            node.type.span,
            f"the shape of `{name}` is not known when compiling",
            f"is {type_}",
            help=f"{origins} and is known at run time only; give it a value with `--dim {unknown[0]}=…`",
        )
        frame.names[name] = POISON
        return
    if name not in slots:
        initializer = _initializer(node, type_.rank, frame, context)
        story = _story(node, frame)
        slots[name] = Slot(
            frame.layer.below(name), type_, node.kind, initializer, node.span, context.place(frame.layer.module.span), story
        )
    slot = slots[name]
    if slot.sizes != type_.sizes or slot.type.dtype != type_.dtype:
        first = frame.layer.module.uses[0]
        context.error(
            "E0410",
            context.uses[-1].span,
            f"`{frame.layer.module.path}` has one set of weights, but they don't fit here",
            f"`{name}` would be {type_} here",
            labels=[Label(first, f"`{name}` became {slot.type} where it was first applied")],
            help="apply it to inputs of one size, or make a second layer",
        )
        frame.names[name] = POISON
        return
    frame.names[name] = context.parameter(slot)


def _story(node: tree.Parameter, frame: Frame) -> str:
    values = []
    for dim in node.type.dims:
        if isinstance(dim, tree.Name):
            value = frame.names.get(dim.text)
            number = as_int(value) if value is not None else None
            if number is not None and f"{dim.text} = {number}" not in values:
                values.append(f"{dim.text} = {number}")
    written = f"`{node.name.text}` is [{', '.join(d.span.text for d in node.type.dims)}]"
    return f"{written}: {', '.join(values)}" if values else written


def _initializer(node: tree.Parameter, rank: int, frame: Frame, context: Context) -> Initializer:
    written = node.initializer
    default = Initializer("kaiming_uniform" if rank > 1 and node.kind == "param" else "zeros")
    if written is None:
        return default
    name, arguments = written, ()
    if isinstance(written, tree.Call):
        name, arguments = written.function, written.arguments  # type: ignore[assignment]
    if not isinstance(name, tree.Name) or name.text not in INITIALIZERS:
        near = nearest(name.span.text, INITIALIZERS)
        context.error(
            "E0216",
            name.span,
            f"there is no initializer `{name.span.text}`",
            f"did you mean `{near}`?" if near else "",
            help=f"the initializers are {', '.join(INITIALIZERS)}",
        )
        return default
    numbers = []
    for argument in arguments:
        item = evaluate(argument.value, frame, context)
        if isinstance(item, bool) or not isinstance(item, int | float):
            if not has_poison(item):
                context.error("E0225", argument.span, f"an initializer takes numbers, not {describe(item)}")
            return default
        numbers.append(float(item))
    kind = INITIALIZERS[name.text]
    if not kind.accepts(len(numbers)):
        takes = " or ".join(f"({', '.join(form)})" if form else "no arguments" for form in kind.forms)
        context.error("E0222", written.span, f"the initializer `{name.text}` takes {takes}", f"{len(numbers)} given")
        return default
    return Initializer(name.text, tuple(numbers), explicit=not node.span.source.is_standard)


# -- what is decided when compiling ------------------------------------------------------------------------------------


def _for(node: tree.For, frame: Frame, context: Context) -> None:
    items = clause_values(node.clause, frame, context)
    loop = context.loops
    context.loops += 1
    outer = frame.path
    for i, item in enumerate(items):
        if frame.results is not None:
            break
        frame.names[node.clause.name.text] = item
        frame.path = (*outer, loop_key(node, i))
        context.steps.append(Repetition(loop, i, len(items), node.clause.span))
        run(node.body, frame, context)
        context.steps.pop()
    frame.path = outer


def loop_key(node: tree.For, step: int) -> int:
    """Tells the steps of the `for`s of one body apart, in the same way each time the body runs."""
    return hash((node.span.start, step))


def clause_values(clause: tree.Clause, frame: Frame, context: Context) -> list[Item]:
    """The values that the name of a `for` goes through; none where that was reported as an error."""
    values = clause.values
    if not isinstance(values, tree.Range):
        item = evaluate(values, frame, context)
        if isinstance(item, list):
            return item
        if not has_poison(item):
            context.error(
                "E0231",
                values.span,
                f"a `for` goes through a range, a list or an array of layers, not {describe(item)}",
                help="write `0..n` for the numbers from 0 up to n - 1",
            )
        return []
    bounds = []
    for part in (values.start, values.stop):
        item = evaluate(part, frame, context)
        number = as_int(item)
        if number is None:
            if not has_poison(item):
                context.error(
                    "E0231",
                    part.span,
                    "the range of a `for` is known when compiling",
                    f"is {describe(item)}",
                    help="to repeat for each step of a run-time length, use `scan`" if isinstance(item, Dim) else None,
                )
            return []
        bounds.append(number)
    if bounds[1] - bounds[0] > MOST_REPETITIONS:
        count = bounds[1] - bounds[0]
        context.error("E0602", values.span, f"a `for` of {count:,} steps", f"at most {MOST_REPETITIONS:,} are allowed")
        raise TooMuch
    return list(range(*bounds))


def _if(node: tree.If, frame: Frame, context: Context) -> None:
    condition = evaluate(node.condition, frame, context)
    if isinstance(condition, bool):
        run(node.then if condition else node.otherwise, frame, context)
        return
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
    for branch in (node.then, node.otherwise):  # what the branches would bind is unknown now
        for statement in branch:
            if isinstance(statement, tree.Assign):
                assign(statement.targets, [POISON] * len(statement.targets), frame, context)


# -- results and requests ----------------------------------------------------------------------------------------------


def _return(node: tree.Return, frame: Frame, context: Context) -> None:
    frame.results = evaluate_all(node.values, frame, context)
    if len(frame.results) == 1 and isinstance(frame.results[0].item, tuple):  # `return f(x)` hands on all of f's results
        span = frame.results[0].span
        frame.results = [type(frame.results[0])(None, item, span) for item in frame.results[0].item]


def _emit(node: tree.Emit, frame: Frame, context: Context) -> None:
    assert frame.emitted is not None, "`emit` stands in a scan, or resolve has reported it"
    frame.emitted.append(evaluate_all(node.values, frame, context))


def _scan(node: tree.Scan, frame: Frame, context: Context) -> None:
    scan(node, frame, context, run, assign)


def _share(node: tree.Share, frame: Frame, context: Context) -> None:
    steps: list[Item] = [None] if node.clause is None else clause_values(node.clause, frame, context)
    for step in steps:
        if node.clause is not None:
            frame.names[node.clause.name.text] = step
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
    tree.Layer: _layer,
    tree.Parameter: _parameter,
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
