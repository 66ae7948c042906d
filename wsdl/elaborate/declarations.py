"""`layer`, `param` and `state`: created when a body first runs, and looked up when it runs again."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from wsdl.diagnostics import Edit, Label, limits
from wsdl.diagnostics.span import Span
from wsdl.diagnostics.suggest import nearest
from wsdl.elaborate.arguments import Callee, Wording, match
from wsdl.elaborate.arrays import array_size
from wsdl.elaborate.context import Context
from wsdl.elaborate.control import elements_of
from wsdl.elaborate.evaluate import evaluate
from wsdl.elaborate.items import POISON, Frame, Item, Layer, Partial, Recipe, as_int, describe, has_poison
from wsdl.elaborate.journal import Declared, Size, told
from wsdl.elaborate.kinds import FLOAT, Misfit
from wsdl.elaborate.layers import call_with_needed, keep_alias, make_layer, recipe_or_item
from wsdl.elaborate.scopes import Definition
from wsdl.elaborate.signatures import type_of
from wsdl.ir.graph import Initializer, Module, Slot, Value
from wsdl.ir.initializers import INITIALIZERS, InitializerKind
from wsdl.ir.types import TensorType, holds
from wsdl.ops._define import Operation
from wsdl.syntax import tree


def run_layer(node: tree.Layer, frame: Frame, context: Context) -> None:
    name = node.name.text
    if name not in frame.layer.declared:  # created in the first run of the body
        frame.layer.declared[name] = declare_layer(node, frame, context)
        keep_alias(frame.layer.module, name, node.name.span, frame.layer.declared[name])
    frame.names[name] = frame.layer.declared[name]


def declare_in_file(definition: Definition, context: Context) -> None:
    """Create the layer, the array of layers, or the parameter of a declaration at file level."""
    node, name = definition.node, definition.name
    uses, context.where.uses = context.where.uses, []  # it may be needed first in the body of a model
    frame = Frame(context.root, definition.scope, {}, context.where.dtype)
    if isinstance(node, tree.Layer):
        context.root.declared[name] = declare_layer(node, frame, context)
        keep_alias(context.root.module, name, node.name.span, context.root.declared[name])
    elif isinstance(node, tree.Parameter):
        slot = declare_parameter(node, frame, context)
        if slot is not None:
            context.program.parameters[slot.path] = slot
    context.where.uses = uses


def declare_layer(node: tree.Layer, frame: Frame, context: Context) -> Item:
    """The layer, or the array of layers, of a declaration."""
    name = node.name.text
    if node.count is None and isinstance(node.value, tree.List | tree.Comprehension):
        elements = elements_of(node.value, frame, context)
        if elements is None:
            _attach_doubtful(node.name, frame, context)
            return POISON
        frame.layer.module.children[name] = []
        return [_one_layer(part, f"{name}[{i}]", node, frame, context) for i, part in enumerate(elements)]
    if node.count is None and isinstance(node.value, tree.Binary):
        return _joined(node, node.value, frame, context)
    if node.count is None:
        return _one_layer(node.value, name, node, frame, context)
    if isinstance(node.value, tree.List | tree.Comprehension):
        bracket = node.span.source.span(node.name.span.end, _after_bracket(node))
        context.error(
            "E0234",
            node.count.span,
            "an array has either a number or a list of layers, not both",
            f"a list of {len(node.value.items)} layers" if isinstance(node.value, tree.List) else "a list of layers",
            help=f"leave it out: `layer {node.name.text} = [ … ]`",
            fix=[Edit(bracket, "")],
            applied=False,
        )
        _attach_doubtful(node.name, frame, context)
        return POISON
    help = "for shared weights one layer is enough: apply it several times"
    count = array_size(node.count, "layers", frame, context, help)
    if count is None:
        _attach_doubtful(node.name, frame, context)
        return POISON
    frame.layer.module.children[name] = []
    return [_one_layer(node.value, f"{name}[{i}]", node, frame, context) for i in range(count)]


def _joined(node: tree.Layer, value: tree.Binary, frame: Frame, context: Context) -> Item:
    """An array that is computed from lists: `layer blocks = [first] * 2 + [Dense(8)]`. The paths of layers written in
    these have their index in the array, as those in a list that configures a layer."""
    name = node.name.text
    frame.layer.module.children[name] = []
    outer, frame.owner = frame.owner, (frame.layer, f"{name}[]")
    item = evaluate(value, frame, context)
    frame.owner = outer
    if isinstance(item, list) and all(isinstance(i, Layer) or i is POISON for i in item):
        return item
    _attach_doubtful(node.name, frame, context)
    if not has_poison(item):
        _report_no_block(item, value, node, context)
    return POISON


def _after_bracket(node: tree.Layer) -> int:
    """The offset behind the `]` of the number of an array."""
    assert node.count is not None
    return node.span.source.text.index("]", node.count.span.end) + 1


def _one_layer(call: tree.Expression, name: str, node: tree.Layer, frame: Frame, context: Context) -> Item:
    item = recipe_or_item(call, frame, context)
    if isinstance(item, Recipe):
        path = frame.layer.below(name)
        item = make_layer(item.definition, item.call, path, node.name.span, item.frame, context)
        if isinstance(item, Layer):
            _attach(frame.layer.module, name, item.module)
        else:
            _attach_doubtful(node.name, frame, context, name)
        return item
    if isinstance(item, Layer):
        return item
    _attach_doubtful(node.name, frame, context, name)
    if not has_poison(item):
        _report_no_block(item, call, node, context)
    return POISON


def _report_no_block(item: Item, call: tree.Expression, node: tree.Layer, context: Context) -> None:
    """Report a `layer` whose value isn't the call of a block."""
    message, help, fix = f"a layer must be an instance of a block, not {describe(item)}", None, []
    if isinstance(item, Definition) and isinstance(item.node, tree.Block):
        message = f"`{item.name}` is a block; call it to create a layer"
        needed = call_with_needed(item.node)
        help = f"write `{needed}`"
        fix = [Edit(call.span.after(), "()")] if needed.endswith("()") else []
    elif isinstance(item, Operation | Partial):
        help = f"an operation has no weights and needs no layer: use `{call.span.text}` itself"
    elif isinstance(item, Value):
        help = f"the result of an operation has no weights; bind it: `{node.name.text} = {call.span.text}`"
    context.error("E0226", call.span, message, help=help, fix=fix, applied=False)


def _attach_doubtful(name: tree.Name, frame: Frame, context: Context, name_in_list: str = "") -> None:
    """Add a placeholder for a layer that could not be created, so that paths to it aren't reported as errors too."""
    name_in_list = name_in_list or name.text
    _attach(frame.layer.module, name_in_list, Module(frame.layer.below(name_in_list), "", name.span, doubtful=True))


def _attach(parent: Module, name: str, child: Module) -> None:
    array, bracket, _ = name.partition("[")
    if bracket:
        siblings = parent.children[array]
        assert isinstance(siblings, list)
        siblings.append(child)
    else:
        parent.children[name] = child


def run_parameter(node: tree.Parameter, frame: Frame, context: Context) -> None:
    word = "shared" if node.shared else "per" if node.extent else "nodecay" if node.nodecay else None
    if word is not None:
        _refuse_word_of_ways(word, node, frame, context)
    slot = None if word is not None else declare_parameter(node, frame, context)
    frame.names[node.name.text] = POISON if slot is None else context.builder.parameter(slot)


def _refuse_word_of_ways(word: str, node: tree.Parameter, frame: Frame, context: Context) -> None:
    context.error(
        "E0341",
        node.span,
        f"`{word}` belongs to ways of sharing, but `{frame.layer.name}` is applied as a layer",
        "only allowed in a way of sharing",
        help=f"write `share as {frame.layer.name}(…) {{ … }}`",
    )
    frame.layer.module.doubtful = True


def declare_parameter(node: tree.Parameter, frame: Frame, context: Context) -> Slot | None:
    """The slot of a declaration; `None` after reporting an error."""
    name = node.name.text
    type_ = type_of(node.type, frame, context)
    if type_ is None:
        frame.layer.module.doubtful = True
        return None
    slots = frame.layer.module.slots
    if type_.sizes is None:
        if not frame.layer.module.doubtful:
            _report_run_time_shape(node, type_, context)
        frame.layer.module.doubtful = True
        return None
    if refuse_large(node, type_, frame, context):
        frame.layer.module.doubtful = True
        return None
    if name not in slots:
        context.budget.create(node.span, 3)  # also for its path, its initial value and its readers
        made = initializer(node, type_, frame, context)
        call = _call_by_user(context, node)
        written, sizes = f"`{name}` is [{', '.join(d.span.text for d in node.type.dims)}]", _sizes(node, frame)
        story = told(written, sizes, call, context)
        slot = Slot(frame.layer.below(name), type_, node.kind, made, node.span, call, node.name.span, story)
        context.note(Declared(slot, frame.layer.module, written, sizes))
    slot = slots[name]
    if slot.sizes != type_.sizes or slot.type.dtype != type_.dtype:
        _report_refit(slot, type_, frame, context)
        return None
    return slot


def refuse_large(node: tree.Parameter, type_: TensorType, frame: Frame, context: Context) -> bool:
    """Report a parameter that no machine could hold; is it one?"""
    elements, name = type_.elements.constant, node.name.text
    if elements is None or elements <= limits.PARAMETER:
        return False
    context.error(
        "E0602",
        node.type.span,
        f"a parameter of {elements:,} elements",
        f"`{name}` would be {type_}",
        help=f"at most {limits.PARAMETER:,} are allowed",
        applied_label=f"`{name}` of `{frame.layer.name}` would be {type_}",
    )
    return True


def _call_by_user(context: Context, node: tree.Parameter) -> Span:
    """The call in the user's file that creates the current layer, or the layer of the library around it; for a
    parameter of the file its declaration."""
    calls = [use.layer.call_span for use in reversed(context.where.uses)] or [node.span]
    return next((span for span in calls if not span.source.is_standard), calls[0])


def _sizes(node: tree.Parameter, frame: Frame) -> list[Size]:
    """The dimensions in the type of a parameter that are names of integers."""
    sizes: list[Size] = []
    for dim in node.type.dims:
        number = as_int(frame.names[dim.text]) if isinstance(dim, tree.Name) and dim.text in frame.names else None
        if isinstance(dim, tree.Name) and number is not None:
            sizes.append(Size(dim.text, number, frame.sources.get(dim.text)))
    return sizes


def _report_run_time_shape(node: tree.Parameter, type_: TensorType, context: Context) -> None:
    unknown = sorted(set().union(*(d.names() for d in type_.shape)))
    brought: dict[Span, list[str]] = {}
    for name in unknown:
        if name in context.builder.sizes:
            brought.setdefault(context.builder.sizes[name].span, []).append(name)
    context.error(
        "E0409",
        node.type.span,
        f"the shape of `{node.name.text}` is not known when compiling",
        f"`{node.name.text}` would be {type_}",
        labels=[Label(span, f"introduces {_listed(names)}, known at run time only") for span, names in brought.items()],
        help=f"fix {_listed(unknown)}, {', '.join(f'`--dim {n}=…`' for n in unknown)}, "
        "or write a number in the signature",
        applied_label=f"`{node.name.text}` of `{context.where.uses[-1].layer.name}` would be {type_}",
    )


def _listed(names: Sequence[str]) -> str:
    *most, last = [f"`{name}`" for name in names]
    return f"{', '.join(most)} and {last}" if most else last


def _report_refit(slot: Slot, type_: TensorType, frame: Frame, context: Context) -> None:
    """Report a layer that is applied to inputs of two sizes, at the applications that differ."""
    name = slot.path.rpartition(".")[2]
    now, first = context.where.way(), frame.layer.module.ways[0]
    here, there = next(((a, b) for a, b in zip(now, first, strict=False) if a != b), (now[-1], first[-1]))
    inner = "" if frame.layer.module.path.count(".") < 2 else f" of `{frame.layer.module.path}`"
    context.error(
        "E0410",
        here,
        f"`{frame.layer.module.path}` has one set of weights, but they don't fit here",
        f"`{name}` would be {type_} here",
        labels=[Label(there, f"`{name}`{inner} became {slot.type} here")] if there != here else (),
        help="apply it to inputs of one size, or declare a second layer",
        applied=False,
    )


def initializer(node: tree.Parameter, type_: TensorType, frame: Frame, context: Context) -> Initializer:
    """The declared initializer of a parameter of this type."""
    written, rank = node.initializer, type_.rank
    default = Initializer("kaiming_uniform" if rank > 1 and node.kind == "param" and type_.is_float else "zeros")
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
            help=None if near else f"the initializers are {', '.join(INITIALIZERS)}",
            near=near,
            applied=False,
        )
        return default
    kind = INITIALIZERS[name.text]
    values: dict[tree.Argument, float] = {}
    for argument in arguments:
        item = evaluate(argument.value, frame, context)
        try:
            values[argument] = FLOAT.fit(item)
        except Misfit as misfit:
            if not has_poison(item):
                context.error("E0225", argument.span, f"an argument of `{name.text}` {misfit}", applied=False)
            return default
    parameters = list(values.values())
    if any(argument.name for argument in arguments):
        bound, complete = match(_callee(name.text, kind), arguments, written.span, context)
        if not complete:
            return default
        numbers_by_name = dict(zip(kind.forms[-1], kind.defaults, strict=False))
        numbers_by_name |= {name: values[argument] for name, argument in bound.items()}
        parameters = [numbers_by_name[name] for name in kind.forms[-1] if name in numbers_by_name]
    if not kind.accepts(len(parameters)):
        forms = [f"`{name.text}({', '.join(form)})`" if form else f"`{name.text}`" for form in kind.forms]
        count = f"{len(parameters) or 'no'} number{'s' if len(parameters) != 1 else ''}"
        message = f"the initializer `{name.text}` doesn't take {count}"
        context.error("E0222", written.span, message, help=f"write {' or '.join(forms)}", applied=False)
        return default
    if kind.rank > rank:
        context.error(
            "E0235",
            written.span,
            f"`{name.text}` requires at least {kind.rank} axes",
            f"`{node.name.text}` has {rank}",
            help="`normal(0.02)`, `zeros` and `ones` work for any tensor",
            applied=False,
        )
        return default
    if (problem := _misfit(name.text, kind.arguments(tuple(parameters)), type_)) is not None:
        message, help = problem
        context.error("E0225", written.span, message, f"`{node.name.text}` is {type_}", help=help, applied=False)
        return default
    return Initializer(name.text, tuple(parameters), explicit=not node.span.source.is_standard)


def _callee(name: str, kind: InitializerKind) -> Callee:
    names = kind.forms[-1]
    takes = f"it takes {' and '.join(f'`{n}`' for n in names)}" if names else f"write `{name}`"
    return Callee(names, (), lambda: Wording(f"the initializer `{name}`", takes))


def _misfit(name: str, arguments: dict[str, float], type_: TensorType) -> tuple[str, str | None] | None:
    """Why an initializer with these arguments can't fill a tensor of this type, and a help; `None` if it can."""
    dtype = type_.dtype
    if not type_.is_float and name not in ("zeros", "ones", "constant"):
        return f"`{name}` draws fractions, which {dtype} can't represent", "use `zeros`, `ones` or `constant(3)`"
    precision = "f32" if dtype == "f64" and name != "constant" else dtype
    if name != "constant" and not all(map(isfinite, arguments.values())):
        return f"`{name}` takes finite numbers", None
    if (beyond := next((n for n in arguments.values() if not holds(precision, n)), None)) is not None:
        return f"{beyond:g} is out of range for {precision}", None
    value = arguments.get("value", 0.0)
    if not type_.is_float and (value != int(value) or (dtype == "bool" and value not in (0, 1))):
        return f"{value:g} isn't a value of {dtype}", "write an integer" if dtype != "bool" else "write 0 or 1"
    if arguments.get("std", 0.0) < 0:
        return "a standard deviation can't be negative", None
    if arguments.get("low", 0.0) > arguments.get("high", 0.0):
        return "the lower bound is above the upper one", "write the lower bound first"
    return None
