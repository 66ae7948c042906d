"""The two recursions of elaboration: expressions are evaluated, statements run, each by what its node means.

`meanings.py` says for every kind of node which function that is.
"""

from __future__ import annotations

from collections.abc import Iterable

from wsdl.elaborate.context import Context
from wsdl.elaborate.items import ArgumentValue, Frame, Item
from wsdl.ir.dims import TooLong
from wsdl.syntax import tree


def evaluate(node: tree.Expression, frame: Frame, context: Context) -> Item:
    """What an expression stands for in a frame; poison where that was reported as an error."""
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
