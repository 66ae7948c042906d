"""What a well-formed program is; the tests ask after every pass."""

from __future__ import annotations

from wsdl.ir.graph import Graph, Node, Program


class InvalidProgram(Exception):
    """A pass has left something that is no program: a bug of ours."""


def verify(program: Program) -> None:
    """Raises `InvalidProgram` where a value is read before it is made, made twice, or has no home."""
    for model in program.models.values():
        _verify(program, model.graph, set(), model.name)
    for training in program.trainings.values():
        for objective in (training.objective, training.evaluation):
            _verify(program, objective.graph, set(), f"train {training.model}")


def _verify(program: Program, graph: Graph, known: set[int], where: str) -> None:
    made = set(known) | {id(v) for v in graph.inputs}
    for node in graph.nodes:
        place = f"{where}: `{node.op}` in `{node.path}`"
        for value in node.inputs:
            if id(value) not in made:
                raise InvalidProgram(f"{place} reads `{value.name}` ({value.type}) before it is made")
        if node.op == "parameter":
            _verify_parameter(program, node, place)
        if (node.body is not None) != (node.op in ("scan", "loop")):
            raise InvalidProgram(f"{place} {'has' if node.body else 'lacks'} a body")
        if node.body is not None:
            _verify(program, node.body, made, f"{where} > {node.op}")
        for value in node.results:
            if id(value) in made:
                raise InvalidProgram(f"{place} makes a value that exists already")
            made.add(id(value))
    for value in graph.outputs:
        if id(value) not in made:
            raise InvalidProgram(f"{where}: the output `{value.name}` ({value.type}) is never made")


def _verify_parameter(program: Program, node: Node, place: str) -> None:
    if not program.stored:  # before `share`
        if "slot" not in node.attributes:
            raise InvalidProgram(f"{place} names no slot")
        return
    stored = program.stored.get(str(node.attributes.get("stored")))
    if stored is None or node.view is None:
        raise InvalidProgram(f"{place} reads nothing that is stored: {node.attributes}")
    if node.view.source != stored.sizes or node.view.shape != node.result.type.sizes:
        raise InvalidProgram(f"{place} reads {stored.name} {stored.type} through {node.view} as {node.result.type}")
