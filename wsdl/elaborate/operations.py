"""Calls operations: matches arguments with parameters, applies the shape rule, appends a node."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from math import isfinite

from wsdl.diagnostics import Edit, Label
from wsdl.diagnostics.span import Span
from wsdl.elaborate.arguments import Callee, Wording, collected, match
from wsdl.elaborate.context import Context
from wsdl.elaborate.items import POISON, ArgumentValue, Item, any_poison, describe, one_of_results
from wsdl.elaborate.kinds import Misfit, attribute
from wsdl.elaborate.logits import check_logits
from wsdl.elaborate.randomness import draw, drop
from wsdl.elaborate.report import Remainder
from wsdl.elaborate.statistics import normalize_by_batch
from wsdl.ir.dims import Dim
from wsdl.ir.graph import Attribute, Operand, Value
from wsdl.ir.types import DType, TensorType, holds
from wsdl.ops import OPERATIONS
from wsdl.ops._define import Operation, Parameter
from wsdl.ops._errors import OpError, collecting_assumptions


def call_operation(name: str, arguments: list[ArgumentValue], span: Span, context: Context, sign: str = "") -> Item:
    """The results of an operation: a tensor, or a tuple of several. `sign` is the operator, if it is written as one."""
    operation = OPERATIONS[name]
    last = operation.parameters[-1]
    into_list, single = "list[" in last.annotation, last.kind == "operands"
    collected_arguments = collected(arguments, len(operation.parameters), into_list, single)
    bound, complete = match(callee(operation, collected_arguments), collected_arguments, span, context)
    if not complete or any_poison(arguments):
        return POISON
    if not context.builder.graphs:
        context.error(
            "E0238",
            span,
            f"`{sign or name}` computes a tensor, and there is no body around it",
            "outside of blocks and models",
            help="a constant is computed from numbers, lists and sizes; compute tensors inside a block or model",
        )
        return POISON
    operands, attributes = _converted(operation, bound, sign, context) or ({}, None)
    if attributes is None:
        return POISON
    types = {n: _types_of(o) for n, o in operands.items()}
    try:
        with collecting_assumptions() as assumptions:
            result_types = operation.result_types(**types, **attributes)
        if operation.rules.demand is not None:
            operation.check_numbers(types, _known(operands, context), **attributes)
    except OpError as error:
        _report(operation, error, bound, span, sign, context)
        return POISON
    if "shape" in attributes:  # a size of `-1` is inferred now
        attributes["shape"] = list(result_types[0].shape)
    check_logits(operation, operands, bound, span, context)
    values: list[Operand] = [operands.get(p.name) for p in operation.operands]
    for assumption in assumptions:
        note_check(assumption.left, assumption.right, span, assumption.what, context)
        first = next(i for i, v in enumerate(values) if v)
        operand = values[first]
        checked = operand[0] if isinstance(operand, list) else operand
        assert isinstance(checked, Value)
        checked = context.builder.assume(checked, assumption.left, assumption.right, span)
        values[first] = [checked, *operand[1:]] if isinstance(operand, list) else checked
    context.mode.depends_on_training |= operation.training != "same" and attributes.get("p") != 0
    if context.mode.training and operation.training == "masked":
        [x] = values
        assert isinstance(x, Value)
        results = [drop(x, float(attributes["p"]), attributes["axis"], span, context)]  # type: ignore[arg-type]  # as annotated
    elif operation.is_drawn:
        [seed] = values
        assert not isinstance(seed, list)
        drawn = draw(operation, seed, attributes, span, context)
        if drawn is None:
            return POISON
        results = [drawn]
    elif (expanded := _expanded(operation, values, attributes, span, context)) is not None:
        results = expanded
    elif context.mode.training and operation.training == "by batch":
        results = normalize_by_batch(values, attributes, span, context)
    else:
        results = context.builder.node(name, values, attributes, result_types, span)
        context.program.has_gradients |= operation.expanded_by != ""
    return results[0] if len(results) == 1 else tuple(results)


def _expanded(
    operation: Operation, values: list[Operand], attributes: dict[str, Attribute], span: Span, context: Context
) -> list[Value] | None:
    """The results of the operations that it consists of; `None` where it becomes a node itself."""
    if operation.rules.expand is None:
        return None
    names = [p.name for p in operation.operands]
    with context.builder.build(span) as build:
        return operation.expand(build, **dict(zip(names, values, strict=True)), **attributes)


def note_check(left: Dim, right: Dim, span: Span, why: str, context: Context) -> None:
    """Note that two sizes are compared at run time, once for each pair."""
    pair = (str(left), str(right))
    if pair in context.builder.compared:
        return
    context.builder.compared |= {pair, pair[::-1]}
    what, help = _checked(*((left, right) if left.constant is None else (right, left)))
    message = f"whether {what} is checked at run time"
    context.error("N0401", span, message, why or "required here", help=help, severity="note")


def _checked(size: Dim, other: Dim) -> tuple[str, str | None]:
    """The relation of sizes that is checked at run time, and how to state it in a signature, if that is possible."""
    if other.constant == 0 and (parts := size.remainder):
        whole, divisor = parts
        always = f"if it always does, write `{divisor} * {whole}` in the signature" if whole.name else None
        return f"{divisor} divides `{whole}`", always
    what = f"`{size}` is {other}" if other.constant is not None else f"`{size}` and `{other}` are equal"
    if size.name and other.name:
        return what, "if they are always equal, use one name for both"
    solutions = list(_solved(size - other))
    if not solutions:
        return what, None
    _, name, by = min(solutions)
    return what, f"if that always holds, write `{by}` in place of `{name}` in the signature"


def _solved(difference: Dim) -> Iterator[tuple[bool, str, str]]:
    """The names that are determined by a difference of 0, and their values; first whether that has a subtraction."""
    for name in difference.names():
        for sign in 1, -1:
            by = Dim.symbol(name) - sign * difference
            if name not in by.names() and (by.constant is None or by.constant >= 0):
                yield any(times < 0 for _, times in by.terms), name, str(by)


def signature(operation: Operation) -> str:
    """A signature in messages: `max_pool(x, kernel, stride=none)`."""
    return f"{operation.name}({', '.join(map(parameter_text, operation.parameters))})"


def parameter_text(parameter: Parameter) -> str:
    """A parameter in a signature: `x`, `stride=none`."""
    return parameter.name if parameter.required else f"{parameter.name}={_default(parameter)}"


def _default(parameter: Parameter) -> str:
    """The default of a parameter, in the syntax of the language."""
    value = parameter.default
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return value if parameter.annotation == "DType" else f'"{value}"'
    return str(value).replace("e-0", "e-")


# -- matching arguments with parameters --------------------------------------------------------------------------------


def callee(operation: Operation, arguments: list[ArgumentValue]) -> Callee:
    """An operation, or a view in a path, as a callee."""

    def wording() -> Wording:
        as_one_list = _as_one_list(operation, [given for given in arguments if given.name is None])
        its = f"its signature is `{signature(operation)}`"
        return Wording(f"`{operation.name}`", its, others=_ELSEWHERE, surplus=as_one_list, twice=as_one_list)

    return Callee(*_names(operation), wording)


@cache
def _names(operation: Operation) -> tuple[list[str], list[str]]:
    """The names of all parameters, and of those without a default."""
    return [p.name for p in operation.parameters], [p.name for p in operation.parameters if p.required]


# Arguments with another name in PyTorch.
_ELSEWHERE = {
    "dim": "axis",
    "dims": "axis",
    "keepdim": "keepdims",
    "kernel_size": "kernel",
    "padding": "pad",
    "input": "x",
}


def _as_one_list(operation: Operation, positional: list[ArgumentValue]) -> str | None:
    """The help for several tensors passed to an operation that takes a list of them."""
    tensors = [argument.span.text for argument in positional if isinstance(argument.item, Value)]
    if operation.parameters[0].kind != "operands" or len(tensors) < 2 or any("\n" in text for text in tensors):
        return None
    return f"write the tensors as one list: `{operation.name}([{', '.join(tensors)}], …)`"


def _converted(
    operation: Operation, bound: dict[str, ArgumentValue], sign: str, context: Context
) -> tuple[dict[str, Operand], dict[str, Attribute]] | None:
    """Operands as values, and attributes converted by their annotations."""
    operands: dict[str, Operand] = {}
    attributes: dict[str, Attribute] = {}
    like = _common_dtype(operation, bound, context)
    for parameter in operation.parameters:
        argument = bound.get(parameter.name)
        if argument is None:
            if parameter.kind == "attribute":
                is_dtype = parameter.annotation == "DType"
                attributes[parameter.name] = context.where.dtype if is_dtype else parameter.default
            else:
                operands[parameter.name] = None
            continue
        try:
            if parameter.kind == "attribute":
                is_unbounded = parameter.name in operation.unbounded
                attributes[parameter.name] = attribute(parameter.annotation, is_unbounded).fit(argument.item)
            elif parameter.kind == "operands":
                if not isinstance(argument.item, list | tuple) or not argument.item:
                    raise Misfit(f"must be a list of tensors, not {describe(argument.item)}")
                operands[parameter.name] = [_tensor(i, like, argument.span, context) for i in argument.item]
            elif argument.item is None and not parameter.required:
                operands[parameter.name] = None
            else:
                beside = None if parameter.name in operation.integer_operands else like
                operands[parameter.name] = _tensor(argument.item, beside, argument.span, context)
        except Misfit as misfit:
            what = f"`{argument.span.text}`" if sign else f"`{parameter.name}` of `{operation.name}`"
            help = None if sign else f"its signature is `{signature(operation)}`"
            help = one_of_results(argument.item, argument.span.text) or help
            help = _in_words_of_the_file(misfit.help, operation, bound, context) if misfit.help else help
            context.error("E0225", argument.span, f"{what} {misfit}", help=help)
            return None
    return operands, attributes


def _common_dtype(operation: Operation, bound: dict[str, ArgumentValue], context: Context) -> DType | None:
    """The dtype of number literals: that of the first tensor operand that is neither a condition nor an index; with
    only numbers, a float dtype if one of them is a float."""
    fraction = False
    for parameter in operation.parameters:
        if parameter.kind == "attribute" or parameter.name in operation.integer_operands:
            continue
        item = bound[parameter.name].item if parameter.name in bound else None
        for value in item if isinstance(item, list | tuple) else [item]:
            if isinstance(value, Value) and value.type.dtype != "bool":
                return value.type.dtype
            fraction |= isinstance(value, float)
    return context.where.dtype if fraction else None


def _tensor(item: Item, like: DType | None, span: Span, context: Context) -> Value:
    if isinstance(item, Value):
        return item
    if isinstance(item, Dim):
        return context.builder.size(item, like or "i64", span)
    if isinstance(item, bool):
        return context.builder.constant(item, TensorType.of("bool"), span)
    values, shape = _flattened(item)
    if any(isinstance(n, float) for n in values) and like is not None and like not in ("f16", "bf16", "f32", "f64"):
        what = "a fraction" if all(map(isfinite, values)) else "no integer"
        raise Misfit(f"is {what}, but the other operand is {like}", "convert the tensor: `cast(…, f32)`")
    dtype: DType = like or (context.where.dtype if any(isinstance(n, float) for n in values) else "i64")
    beyond = next((n for n in values if not holds(dtype, n)), None)
    if beyond is not None:
        raise Misfit(f"is too {'small' if beyond < 0 else 'large'} for {dtype}")
    assert isinstance(item, int | float | list)
    return context.builder.constant(item, TensorType.of(dtype, shape), span)  # type: ignore[arg-type]  # numbers only


def _flattened(item: Item) -> tuple[list[int | float], list[int]]:
    """The numbers of a (nested) list, and its shape."""
    if isinstance(item, int | float) and not isinstance(item, bool):
        return [item], []
    if isinstance(item, list) and item:
        parts = [_flattened(i) for i in item]
        if all(shape == parts[0][1] for _, shape in parts):
            return [n for numbers, _ in parts for n in numbers], [len(parts), *parts[0][1]]
    raise Misfit(f"must be a tensor, not {describe(item)}")


def _known(operands: dict[str, Operand], context: Context) -> dict[str, list[int | float]]:
    """The elements of the operands that are constants."""
    made_by = {n: context.builder.origins.producers.get(o) for n, o in operands.items() if isinstance(o, Value)}
    constants = {
        n: node.attributes["value"] for n, node in made_by.items() if node is not None and node.op == "constant"
    }
    return {n: _flattened(value)[0] for n, value in constants.items() if not isinstance(value, bool)}


def _types_of(operand: Operand) -> TensorType | list[TensorType] | None:
    if isinstance(operand, list):
        return [v.type for v in operand]
    return None if operand is None else operand.type


# -- errors of the shape rule ------------------------------------------------------------------------------------------


def _report(
    operation: Operation, error: OpError, bound: dict[str, ArgumentValue], span: Span, sign: str, context: Context
) -> None:
    at = bound.get(error.argument or "")
    blamed = at.span if at else span
    if error.part and blamed.text.startswith('"'):
        start, end = error.part
        blamed = blamed.source.span(blamed.start + 1 + start, blamed.start + 1 + end)
    labels = [
        Label(argument.span, f"is {argument.item.type}" if sign else f"`{name}` is {argument.item.type}")
        for name, argument in bound.items()
        if isinstance(argument.item, Value) and argument is not at and argument.span != span
    ]
    label = f"is {at.item.type}" if at is not None and isinstance(at.item, Value) else ""
    message = _in_words_of_the_file(error.message, operation, bound, context) if sign else error.message
    message = message or error.message
    help = _in_words_of_the_file(error.help, operation, bound, context) if error.help else None
    fix: list[Edit] = []
    if at is not None and help is not None and help.endswith("use `.T`"):
        help, fix = _transposed(at.span)
    if (rest := _rest_behind(blamed, context)) is not None:
        story = f"`{rest.span.text}` is {rest.story}"
        if blamed.source.is_standard:
            blamed, label, labels = rest.divisor, story, []
        else:
            help = help or story
    if blamed.source.is_standard and (results := _of_layers(bound, context)):
        blamed, label = results[-1].span, results[-1].message
        labels = [*results[:-1], *_of_inputs(bound, context)]
    context.error(error.code, blamed, message, label, labels=labels, help=help, fix=fix)


def _of_layers(bound: dict[str, ArgumentValue], context: Context) -> list[Label]:
    """The layers of the user's files that the library has applied to get its operands, each with another width."""
    origins, labels = context.builder.origins, dict[tuple[str, ...], Label]()
    for argument in bound.values():
        for value in argument.item if isinstance(argument.item, list) else [argument.item]:
            result = origins.result_of_layer(value) if isinstance(value, Value) else None
            if result is not None:
                label = Label(origins.handed_over[result], f"results in {result.type}")
                labels.setdefault(tuple(map(str, result.type.shape[1:])), label)
    return list(labels.values())


def _of_inputs(bound: dict[str, ArgumentValue], context: Context) -> list[Label]:
    """The tensors of the user's files that the library was applied to."""
    places = ((context.where.argument(argument.span), argument.item) for argument in bound.values())
    return [Label(place, f"is {item.type}") for place, item in places if place and isinstance(item, Value)]


def _transposed(written: Span) -> tuple[str, list[Edit]]:
    """The help and the fix that transpose the second matrix of a product."""
    if written.text.endswith(".T"):
        sign = written.source.span(written.end - 2, written.end)
        return f"the shapes match without `.T`: write `{written.text[:-2]}`", [Edit(sign, "")]
    fix = [Edit(written.after(), ".T")] if re.fullmatch(r"[\w.]+", written.text) else []
    return "the shapes match transposed: use `.T`", fix


def _rest_behind(span: Span, context: Context) -> Remainder | None:
    """A division with a remainder, inside the span of an error, or in the same block of the library."""
    near = [r for r in context.report.remainders if r.span.source is span.source and r.path == context.where.path]
    inside = [r for r in near if span.start <= r.span.start and r.span.end <= span.end]
    return next(iter([*inside, *(near if span.source.is_standard else [])]), None)


def _in_words_of_the_file(
    text: str, operation: Operation, bound: dict[str, ArgumentValue], context: Context
) -> str | None:
    """A message of an operation, with the names of its parameters replaced by the user's expressions; `None` if one of
    them is only in the library."""
    operands = {p.name for p in operation.parameters if p.kind == "operand" and p.name in bound}
    written = {name: context.where.written(bound[name].span) for name in operands if len(bound[name].span.text) <= 24}
    named = {name for code in re.findall(r"`([^`]*)`", text) for name in re.findall(r"\b[a-z]\w*\b", code)}
    if any(written[name] is None for name in named & written.keys()):
        return None

    def renamed(code: re.Match[str]) -> str:
        return re.sub(r"\b[a-z]\w*\b", lambda name: written.get(name[0]) or name[0], code[0])

    return re.sub(r"`[^`]*`", renamed, text)
