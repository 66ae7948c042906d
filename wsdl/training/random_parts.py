"""Random numbers where a batch is computed in parts, or a data set in batches: each row has its own."""

from __future__ import annotations

from wsdl.ir.binding import rows_dimension
from wsdl.ir.dims import Dim, product, same
from wsdl.ir.graph import Graph, Node, Value
from wsdl.ir.step import COUNT, PART_START
from wsdl.ops import OPERATIONS
from wsdl.ops.build import Build
from wsdl.training.draft import Draft
from wsdl.training.rows import Rows

APART = 0x2545F4914F6CDD1D  # an odd number with random bits


def tell_parts_apart(draft: Draft) -> None:
    """Let the random numbers of rows depend on the rows of the parts before this one.

    Where the rows are the first axis, they get the numbers that they have in the whole; elsewhere, and in the masks of
    dropout, the seed is another one for each part. Numbers without rows are the same in all parts, as what is computed
    from them has to be.
    """
    name = rows_dimension(v.type for v in draft.phase.graph.inputs)
    if name is None or not any(_of_rows(node, name) for node in draft.phase.graph.walk()):
        return
    start = draft.phase.read(PART_START, COUNT)
    _in_graph(draft.phase.graph, name, start)


def _of_rows(node: Node, name: str) -> bool:
    return node.op in OPERATIONS and OPERATIONS[node.op].random and Rows(name).are_in(node.result.type)


def _in_graph(graph: Graph, name: str, start: Value) -> None:
    nodes, graph.nodes = graph.nodes, []
    for node in nodes:
        if _of_rows(node, name):
            build = Build.at(node)
            seed, step, place, *_ = node.operands
            elements = _elements_of_a_row(node, name)
            if elements is None:
                far = build("mul", start, build("constant", value=APART, dtype="i64"))
                node.operands[0] = build("add", node.inputs[0], far)
            else:
                node.operands = [seed, step, place, build("mul", start, build.number_of(elements, COUNT))]
            graph.nodes += build.nodes
        elif node.body is not None:
            _in_graph(node.body, name, start)
        graph.nodes.append(node)


def _elements_of_a_row(node: Node, name: str) -> Dim | None:
    """The number of elements of each row, where positions count row by row; `None` where they don't."""
    if "start" not in {parameter.name for parameter in OPERATIONS[node.op].parameters} or node.inputs[2].type.rank:
        return None
    first, *others = node.result.type.shape
    times = first.substitute({name: Dim.of(1)})
    counted = name not in times.names() and same(first, times * Dim.symbol(name))
    return None if any(name in dim.names() for dim in others) or not counted else times * product(others)
