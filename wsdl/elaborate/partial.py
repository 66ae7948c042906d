"""Operations with some of their arguments, where a layer is expected: `activation=leaky_relu(0.1)`.

The input that is missing is the first one. Arguments are checked where they are written, not where the operation is
applied.
"""

from __future__ import annotations

from wsdl.elaborate.arguments import Callee, Wording, collected, match
from wsdl.elaborate.constants import constant, is_constant
from wsdl.elaborate.context import Context
from wsdl.elaborate.evaluate import evaluate
from wsdl.elaborate.items import POISON, ArgumentValue, Frame, Item, Partial, any_poison
from wsdl.elaborate.kinds import Misfit, attribute
from wsdl.elaborate.operations import call_operation, signature
from wsdl.ir.graph import Value
from wsdl.ops._define import Operation
from wsdl.syntax import tree


def partial_or_item(node: tree.Expression, frame: Frame, context: Context) -> Item:
    """The value of an argument of kind `layer`, or of an element of a list that configures a layer. A call of an
    operation without a tensor is a `Partial`; any other call is evaluated, also a function of constants, `max(2, 3)`,
    and an operation without further parameters, `tan(1)`."""
    function = evaluate(node.function, frame, context) if isinstance(node, tree.Call) else None
    if not isinstance(node, tree.Call) or not isinstance(function, Operation):
        return evaluate(node, frame, context)
    arguments = [ArgumentValue(a.name, evaluate(a.value, frame, context), a.value.span) for a in node.arguments]
    if is_constant(function.name, arguments):
        return constant(function.name, arguments, node.span, context)
    first, *others = function.parameters
    applied = any(isinstance(a.item, Value) or (a.name is not None and a.name.text == first.name) for a in arguments)
    if applied or (arguments and not others):
        return call_operation(function.name, arguments, node.span, context)
    return _partial(function, arguments, node, context)


def _partial(operation: Operation, arguments: list[ArgumentValue], node: tree.Call, context: Context) -> Item:
    first, *others = operation.parameters
    if others and "list[" in others[-1].annotation:
        arguments = collected(arguments, len(others), into_list=True, single=False)

    def wording() -> Wording:
        its = f"its signature is `{signature(operation)}`, and `{first.name}` is what it will be applied to"
        return Wording(f"`{operation.name}`", its)

    callee = Callee([p.name for p in others], [p.name for p in others if p.required], wording)
    bound, complete = match(callee, arguments, node.span, context)
    if not complete or any_poison(arguments):
        return POISON
    for parameter in others:
        if parameter.kind != "attribute" or parameter.name not in bound:
            continue
        argument = bound[parameter.name]
        try:
            attribute(parameter.annotation).fit(argument.item)
        except Misfit as misfit:
            message = f"`{parameter.name}` of `{operation.name}` {misfit}"
            context.error("E0225", argument.span, message, help=wording().signature)
            return POISON
    return Partial(operation, arguments)
