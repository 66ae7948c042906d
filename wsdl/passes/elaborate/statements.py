"""Running the statements of a body."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from wsdl.diagnostics import Edit, Label
from wsdl.diagnostics.suggest import nearest
from wsdl.ir.dims import Dim
from wsdl.ir.graph import Binding, Initializer, Module, Repetition, Slot, Value
from wsdl.ir.initializers import INITIALIZERS
from wsdl.ir.types import TensorType
from wsdl.ops._define import Operation
from wsdl.passes.elaborate.context import MOST_REPETITIONS, Context, TooMuch
from wsdl.passes.elaborate.expressions import as_int, constant_of, evaluate, evaluate_all
from wsdl.passes.elaborate.items import POISON, Frame, Given, Item, Layer, describe, has_poison
from wsdl.passes.elaborate.layers import call_with_needed, make_layer
from wsdl.passes.elaborate.optimizers import optimizer_of, rate_of
from wsdl.passes.elaborate.paths import freeze_request, group_request, limit_request, load_request
from wsdl.passes.elaborate.scan import scan
from wsdl.passes.elaborate.signatures import type_of
from wsdl.passes.names import bound_names
from wsdl.passes.scopes import Definition
from wsdl.span import Span
from wsdl.syntax import tree

MOST_ELEMENTS = 2**40  # of a parameter


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
    frame.names[node.name.text] = constant_of(node, evaluate(node.value, frame, context), context)


def _assign(node: tree.Assign, frame: Frame, context: Context) -> None:
    item = evaluate(node.value, frame, context)
    if len(node.targets) == 1:
        if isinstance(item, tuple):
            context.error(
                "E0230",
                node.value.span,
                f"this gives {len(item)} results, and one name stands on the left",
                f"{len(item)} results",
                help=f"bind each: `{', '.join([node.targets[0].text, *'abcdefgh'][: len(item)])} = …`",
                applied=False,
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
                "one result" if not isinstance(item, tuple | list) else f"{len(item)} results",
                labels=[Label(node.targets[0].span.to(node.targets[-1].span), f"{len(node.targets)} names")],
                applied=False,
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
                "E0234",
                node.count.span,
                "the size of an array of layers is a whole number of at least 1, known when compiling",
                f"is {describe(item)}",
            )
        _attach_doubtful(node.name, frame, context)
        return POISON
    if count > MOST_REPETITIONS:
        context.error(
            "E0602",
            node.count.span,
            f"an array of {count:,} layers is too long",
            f"at most {MOST_REPETITIONS:,} are allowed",
            help="weights that are all the same need one layer, which is applied as often as you like",
        )
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
            else:
                _attach_doubtful(node.name, frame, context, name)
            return item
    item = evaluate(call, frame, context)
    if isinstance(item, Layer):
        return item
    _attach_doubtful(node.name, frame, context, name)
    if not has_poison(item):
        _report_no_block(item, call, node, context)
    return POISON


def _report_no_block(item: Item, call: tree.Expression, node: tree.Layer, context: Context) -> None:
    """What is to be a layer isn't made from a block."""
    message, help, fix = f"a layer is made from a block, not from {describe(item)}", None, []
    if isinstance(item, Definition) and isinstance(item.node, tree.Block):
        message = f"`{item.name}` is a block; a layer is made by calling it"
        needed = call_with_needed(item.node)
        help = f"write `{needed}`"
        fix = [Edit(call.span.after(), "()")] if needed.endswith("()") else []
    elif isinstance(item, Value):
        help = f"the result of an operation has no weights; bind it: `{node.name.text} = {call.span.text}`"
    elif isinstance(item, Operation):
        help = f"an operation has no weights and needs no layer: use `{item.name}` itself"
    context.error("E0226", call.span, message, help=help, fix=fix, applied=False)


def _attach_doubtful(name: tree.Name, frame: Frame, context: Context, place: str = "") -> None:
    """Keep the place of a layer that could not be made, so that paths to it are not reported as wrong, too."""
    place = place or name.text
    _attach(frame.layer.module, place, Module(frame.layer.below(place), "", name.span, doubtful=True))


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
        frame.layer.module.doubtful = True
        frame.names[name] = POISON
        return
    slots = frame.layer.module.slots
    if type_.sizes is None:
        frame.layer.module.doubtful = True
        _report_run_time_shape(node, type_, context)
        frame.names[name] = POISON
        return
    elements = type_.elements.constant
    if elements is not None and elements > MOST_ELEMENTS:
        frame.layer.module.doubtful = True
        context.error(
            "E0602",
            node.type.span,
            f"a parameter of {elements:,} elements",
            f"`{name}` would be {type_}",
            help=f"at most {MOST_ELEMENTS:,} are allowed",
            applied_label=f"`{name}` of `{frame.layer.name}` would be {type_}",
        )
        frame.names[name] = POISON
        return
    if name not in slots:
        initializer = _initializer(node, type_.rank, frame, context)
        made = _made_by_user(context)
        story = _story(node, made, frame, context)
        slots[name] = Slot(frame.layer.below(name), type_, node.kind, initializer, node.span, made, story)
    slot = slots[name]
    if slot.sizes != type_.sizes or slot.type.dtype != type_.dtype:
        _report_refit(slot, type_, frame, context)
        frame.names[name] = POISON
        return
    frame.names[name] = context.parameter(slot)


def _made_by_user(context: Context) -> Span:
    """Where the user's own file makes the layer whose body runs, or the one around it that the library makes it for."""
    made = [use.layer.made for use in reversed(context.uses)]
    return next((span for span in made if not span.source.is_standard), made[0])


def _story(node: tree.Parameter, made: Span, frame: Frame, context: Context) -> str:
    """How a shape came about: "`weight` is [units, d]: units = 784, d = 64 from `encode` (line 5)"."""
    values: dict[str, str] = {}
    for dim in node.type.dims:
        if isinstance(dim, tree.Name):
            value = frame.names.get(dim.text)
            number = as_int(value) if value is not None else None
            if number is not None:
                source = frame.sources.get(dim.text)
                values[dim.text] = f"{number}{context.origin(source, number, made) if source else ''}"
    written = f"`{node.name.text}` is [{', '.join(d.span.text for d in node.type.dims)}]"
    return f"{written}: {', '.join(f'{n} = {v}' for n, v in values.items())}" if values else written


def _report_run_time_shape(node: tree.Parameter, type_: TensorType, context: Context) -> None:
    unknown = sorted(set().union(*(d.names() for d in type_.shape)))
    brought: dict[Span, list[str]] = {}
    for name in unknown:
        if name in context.origins:
            brought.setdefault(context.origins[name].span, []).append(name)
    context.error(
        "E0409",
        node.type.span,
        f"the shape of `{node.name.text}` is not known when compiling",
        f"`{node.name.text}` would be {type_}",
        labels=[Label(span, f"brings {_listed(names)}, known at run time only") for span, names in brought.items()],
        help=f"give {_listed(unknown)} a value, {', '.join(f'`--dim {n}=…`' for n in unknown)}, "
        "or write a number in the signature",
        applied_label=f"`{node.name.text}` of `{context.uses[-1].layer.name}` would be {type_}",
    )


def _listed(names: Sequence[str]) -> str:
    *most, last = [f"`{name}`" for name in names]
    return f"{', '.join(most)} and {last}" if most else last


def _report_refit(slot: Slot, type_: TensorType, frame: Frame, context: Context) -> None:
    """A layer is applied to inputs of two sizes: show where the two ways to it part."""
    name = slot.path.rpartition(".")[2]
    now, first = context.way(), frame.layer.module.ways[0]
    here, there = next(((a, b) for a, b in zip(now, first, strict=False) if a != b), (now[-1], first[-1]))
    inner = "" if frame.layer.module.path.count(".") < 2 else f" of `{frame.layer.module.path}`"
    context.error(
        "E0410",
        here,
        f"`{frame.layer.module.path}` has one set of weights, but they don't fit here",
        f"`{name}` would be {type_} here",
        labels=[Label(there, f"`{name}`{inner} became {slot.type} here")] if there != here else (),
        help="apply it to inputs of one size, or make a second layer",
        applied=False,
    )


def _initializer(node: tree.Parameter, rank: int, frame: Frame, context: Context) -> Initializer:
    written = node.initializer
    default = Initializer("kaiming_uniform" if rank > 1 and node.kind == "param" else "zeros")
    if written is None:
        return default
    name: tree.Expression = written
    arguments: tuple[tree.Argument, ...] = ()
    if isinstance(written, tree.Call):
        name, arguments = written.function, written.arguments
    if not isinstance(name, tree.Name) or name.text not in INITIALIZERS:
        near = nearest(name.span.text, INITIALIZERS)
        context.error(
            "E0216",
            name.span,
            f"there is no initializer `{name.span.text}`",
            f"did you mean `{near}`?" if near else "",
            help=None if near else f"the initializers are {', '.join(INITIALIZERS)}",
            fix=[Edit(name.span, near)] if near else (),
            applied=False,
        )
        return default
    numbers = []
    for argument in arguments:
        item = evaluate(argument.value, frame, context)
        if isinstance(item, bool) or not isinstance(item, int | float):
            if not has_poison(item):
                message = f"an initializer takes numbers, not {describe(item)}"
                context.error("E0225", argument.span, message, applied=False)
            return default
        numbers.append(float(item))
    kind = INITIALIZERS[name.text]
    if not kind.accepts(len(numbers)):
        forms = [f"`{name.text}({', '.join(form)})`" if form else f"`{name.text}`" for form in kind.forms]
        count = f"{len(numbers) or 'no'} number{'s' if len(numbers) != 1 else ''}"
        message = f"the initializer `{name.text}` can't be given {count}"
        context.error("E0222", written.span, message, help=f"write {' or '.join(forms)}", applied=False)
        return default
    if kind.rank > rank:
        context.error(
            "E0235",
            written.span,
            f"`{name.text}` fills tensors of at least {kind.rank} axes",
            f"`{node.name.text}` has {rank}",
            help="`normal(0.02)`, `zeros` and `ones` fill any tensor",
            applied=False,
        )
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
        context.count(node.clause.span)
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
        context.doubt()
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
            context.doubt()
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
        context.error(
            "E0602",
            values.span,
            f"a `for` of {count:,} steps is too long",
            f"at most {MOST_REPETITIONS:,} are allowed",
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
