"""The two recursions of elaboration: evaluates expressions and runs statements.

`meanings.py` has the function for every kind of node.
"""

from __future__ import annotations

from collections.abc import Iterable

from wsdl.elaborate.context import Context
from wsdl.elaborate.items import ArgumentValue, Frame, Item
from wsdl.ir.dims import TooLong
from wsdl.syntax import tree


def evaluate(node: tree.Expression, frame: Frame, context: Context) -> Item:
    """The value of an expression in a frame; poison after reporting an error."""
    return context.meanings.expressions[type(node)](node, frame, context)


def evaluate_all(nodes: Iterable[tree.Expression], frame: Frame, context: Context) -> list[ArgumentValue]:
    return [ArgumentValue(None, evaluate(n, frame, context), n.span) for n in nodes]


def run(body: Iterable[tree.Statement], frame: Frame, context: Context) -> None:
    """Run statements in order, up to a `return`."""
    statements = context.meanings.statements
    for statement in body:
        if frame.results is not None:
            return
        try:
            statements[type(statement)](statement, frame, context)
        except TooLong as error:
            context.refuse_size(error, statement.span)
