"""Removes what only differentiation needs: nothing differentiates a compiled model.

    model m(%x: f32[n]) -> (y: %b) {
        %a = stop_gradient(%x): f32[n]
        %b = tanh(%a): f32[n]
    }

becomes

    model m(%x: f32[n]) -> (y: %b) {
        %b = tanh(%x): f32[n]
    }
"""

from __future__ import annotations

from wsdl.ir.graph import Lowered
from wsdl.ir.rewriter import Rewriter
from wsdl.ops import OPERATIONS


def drop_stop_gradients(program: Lowered) -> Lowered:
    """Read the operands of operations that only a training has in the place of their results."""
    for model in program.models.values():
        stops = [n for n in model.graph.walk() if n.op in OPERATIONS and OPERATIONS[n.op].training == "only"]
        if not stops:
            continue
        with Rewriter(model.graph) as rewriter:
            for node in stops:
                rewriter.replace_node(node, [], [rewriter.current(node.inputs[0])])
    return program
