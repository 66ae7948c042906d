"""Replaces each `gradient(y, x)` by operations that compute it, from the gradient rules of the operations.

    stored m.w: f32[3]

    model m(%x: f32[n, 3]) -> (dx: %g) {
        %w = parameter {stored="m.w"}: f32[3]
        %y = mul(%x, %w): f32[n, 3]
        %s = sum(%y) {axis=none, keepdims=false}: f32[]
        %g = gradient(%s, %x): f32[n, 3]
    }

becomes

    stored m.w: f32[3]

    model m(%x: f32[n, 3]) -> (dx: %g) {
        %w = parameter {stored="m.w"}: f32[3]
        %0 = constant() {value=1.0, dtype="f32"}: f32[]
        %1 = expand(%0) {shape=[<n>, <3>]}: f32[n, 3]
        %g = mul(%1, %w): f32[n, 3]
    }

It is the first pass over graphs that read stored tensors: before, the reads of a shared tensor aren't known, nor how
frozen layers run. Later passes, and the differentiation of a training's loss, see plain operations.
"""

from __future__ import annotations

from wsdl.ir.graph import Graph, Lowered


def expand_gradients(program: Lowered) -> Lowered:
    """Expand the gradients of every model."""
    for model in program.models.values():
        if has_gradients(model.graph):
            from wsdl.differentiation.expansion import expand

            expand(model.graph)
    return program


def has_gradients(graph: Graph) -> bool:
    """Whether a graph asks for a gradient."""
    return any(node.op == "gradient" for node in graph.walk())
