"""Names behind a dot: parts of layers and tensors, and suggestions for methods of PyTorch."""

from __future__ import annotations

import re
from collections.abc import Sequence

from wsdl.diagnostics import Edit, Label
from wsdl.diagnostics.span import Span
from wsdl.diagnostics.suggest import nearest
from wsdl.elaborate.bound_names import PARTS, VIEWS, bound_names
from wsdl.elaborate.context import Context
from wsdl.elaborate.elsewhere import ELSEWHERE, WRITTEN
from wsdl.elaborate.evaluate import evaluate
from wsdl.elaborate.items import POISON, ArgumentValue, Frame, Item, Layer, Results, describe, has_poison
from wsdl.elaborate.journal import Meant
from wsdl.elaborate.operations import call_operation
from wsdl.elaborate.sizes import simplest
from wsdl.ir.graph import Value
from wsdl.ir.types import DTYPES
from wsdl.ops import NAMED
from wsdl.syntax import tree


def field(node: tree.Field, frame: Frame, context: Context) -> Item:
    return part(evaluate(node.object, frame, context), node, context)


def part(item: Item, node: tree.Field, context: Context) -> Item:
    name = node.name.text
    if has_poison(item):
        return POISON
    if isinstance(item, Value):
        if name == "T":
            return call_operation("transpose", [ArgumentValue(None, item, node.object.span)], node.span, context)
        if name == "dtype":
            return item.type.dtype
        if name == "shape":
            return [simplest(size) for size in item.type.shape]
        if name == "rank":
            return item.type.rank
        report_no_part(node, item, context)
        return POISON
    if isinstance(item, Layer):
        return _part_of(item, node, context)
    if isinstance(item, Results):
        if name in item.names:
            context.references.add(node.name.span, item.declared[item.names.index(name)].span)
            return item[item.names.index(name)]
        near = nearest(name, item.names)
        context.error("E0227", node.name.span, f"{describe(item)} have no part `{name}`", near=near, applied=False)
        return POISON
    context.error("E0227", node.name.span, f"{describe(item)} has no part `{name}`", applied=False)
    return POISON


def is_applied(layer: Layer, span: Span, context: Context) -> bool:
    """Has a layer been applied, so that it has parts? Otherwise reported, unless its body is wrong."""
    if layer.module.uses or not isinstance(layer.definition.node, tree.Block):
        return True
    if not layer.module.doubtful:
        never = context.mode.all_ran
        what = "is never applied, so it has no parts" if never else "has no parts before it is applied"
        context.error(
            "E0236",
            span,
            f"`{layer.module.path}` {what}",
            f"its shapes are not known{'' if never else ' yet'}",
            labels=[Label(layer.module.span, "declared here")],
            help="apply it to a tensor, or to a parameter in a formula"
            if never
            else "use its parameters after its first application",
            applied=False,
        )
    return False


def _part_of(layer: Layer, node: tree.Field, context: Context) -> Item:
    name = node.name.text
    definition = layer.definition.node
    if not node.span.source.is_standard and isinstance(definition, tree.Block | tree.Model):
        context.references.add(node.name.span, bound_names(definition.body).get(name))
    if name in layer.module.slots:
        context.note(Meant(node.name.span, layer.module.slots[name].path))
        return context.builder.parameter(layer.module.slots[name])
    if name in layer.declared:
        return layer.declared[name]
    if not is_applied(layer, node.name.span, context):
        return POISON
    if layer.module.doubtful:
        return POISON
    offered = [*layer.module.slots, *layer.declared]
    near = nearest(name, offered)
    context.error(
        "E0227",
        node.name.span,
        f"`{layer.name}` has no part `{name}`",
        f"it has {', '.join(f'`{o}`' for o in offered)}" if offered else "",
        near=near,
        applied=False,
    )
    return POISON


# -- methods of PyTorch ------------------------------------------------------------------------------------------------

# Methods without an equivalent expression, and what to do instead.
_HELP_BY_NAME = {
    **dict.fromkeys(
        ("contiguous", "clone"), "leave it out: a program doesn't determine the memory layout of a tensor"
    ),
    **dict.fromkeys(("cuda", "cpu", "device"), "leave it out: select the device when running, `--device cuda`"),
    **dict.fromkeys(("add_", "mul_", "copy_", "fill_"), "tensors are immutable: bind the result to a name"),
    **dict.fromkeys(
        ("size", "numel"), "`x.shape` has its sizes, `x.rank` their number"
    ),
    "masked_fill": "write `where(mask, value, x)`",
    "item": "tensors have no values when compiling; a `let` declares a constant",
}  # fmt: skip
_SHORT = 40  # characters of an expression that a help repeats


def report_no_part(field: tree.Field, value: Value, context: Context, call: tree.Call | None = None) -> None:
    """E0227 for an unknown name behind a tensor, in a call or without one."""
    name, x = field.name.text, field.object.span.text
    near = (
        nearest(name, [*VIEWS, *PARTS, *NAMED])
        if name not in _HELP_BY_NAME and name not in ELSEWHERE and name not in WRITTEN
        else None
    )
    label = f"did you mean `{near}`?" if near and name not in NAMED else ""
    help = _HELP_BY_NAME.get(name, "a tensor has `.shape`, `.rank`, `.T`, `.permute(…)`, `.reshape(…)` and `.flip(…)`")
    code = _code(name, x if len(x) <= _SHORT and "\n" not in x else "x", value, call)
    if code:
        label, help = "", f"write `{code}`"
    fix = [Edit((call or field).span, code)] if code and len(x) <= _SHORT and name not in WRITTEN else []
    context.error("E0227", field.name.span, f"a tensor has no part `{name}`", label, help=help, fix=fix, applied=False)


def _code(name: str, x: str, value: Value, call: tree.Call | None) -> str | None:
    """The equivalent of a method, if it is known."""
    arguments = [a.span.text for a in call.arguments] if call else []
    if any("\n" in argument for argument in arguments):
        return None
    if name in ("transpose", "swapaxes") and len(arguments) == 2:
        return _transposed(x, value.type.rank, arguments)
    if name in ("ndim", "dim", "ndimension") and not arguments:
        return f"{x}.rank"
    if name in ("size", "shape"):
        return f"{x}.shape[{arguments[0]}]" if arguments else f"{x}.shape"
    called = ELSEWHERE.get(name, name)
    if called in DTYPES:
        return f"cast({x}, {called})"
    if name in ("to", "type", "astype"):
        [dtype] = arguments if len(arguments) == 1 else [""]
        dtype = ELSEWHERE.get(dtype.rpartition(".")[2].strip('"'), dtype.rpartition(".")[2].strip('"'))
        return f"cast({x}, {dtype})" if dtype in DTYPES else None
    if name == "data":
        return f"stop_gradient({x})"
    if called in VIEWS:
        return f"{x}.{called}({', '.join(arguments)})" if call else None
    if called in NAMED:
        return f"{called}({', '.join([x, *arguments])})"
    return re.sub(r"\bx\b", x, WRITTEN[name]) if name in WRITTEN and x.isidentifier() and not arguments else None


def _transposed(x: str, rank: int, arguments: Sequence[str]) -> str | None:
    """`x.transpose(1, 2)`, which swaps two axes, as a `permute`."""
    try:
        first, second = (range(rank)[int(argument)] for argument in arguments)
    except (ValueError, IndexError):
        return None
    axes = list(range(rank))
    axes[first], axes[second] = second, first
    return f"{x}.permute({', '.join(map(str, axes))})"
