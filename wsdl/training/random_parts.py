"""Random numbers where a batch is computed in parts, or a data set in batches: each row has its own."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from wsdl.ir.binding import rows_dimension
from wsdl.ir.dims import Dim, product, same
from wsdl.ir.graph import Graph, Node, Operand, Value
from wsdl.ir.step import COUNT, PART_START, Merge, Whole
from wsdl.ops import OPERATIONS
from wsdl.ops.build import Build
from wsdl.ops.dropout import halves
from wsdl.training.draft import Draft
from wsdl.training.rows import Rows

APART = 0x2545F4914F6CDD1D  # an odd number with random bits


def tell_parts_apart(draft: Draft) -> None:
    """Let the random numbers of rows depend on the rows of the parts before this one.

    Where the rows are the first axis, they get the numbers, and the masks of dropout, that they have in the whole;
    elsewhere the seed is another one for each part. Numbers without rows are the same in all parts, as what is computed
    from them has to be.
    """
    name = rows_dimension(v.type for v in draft.phase.graph.inputs)
    if name is None or not any(_of_rows(node, name) for node in draft.phase.graph.walk()):
        return
    _Parts(draft, name).tell_apart(draft.phase.graph)


def _of_rows(node: Node, name: str) -> bool:
    return node.op in OPERATIONS and OPERATIONS[node.op].random and Rows(name).are_in(node.result.type)


class _Parts:
    """Parts of the rows along the dynamic dimension `name`."""

    def __init__(self, draft: Draft, name: str) -> None:
        self.draft, self.name = draft, name
        self.start = draft.phase.read(PART_START, COUNT)

    def tell_apart(self, graph: Graph) -> None:
        nodes, graph.nodes = graph.nodes, []
        for node in nodes:
            if _of_rows(node, self.name):
                build = Build.at(node)
                node.operands = self.operands(node, build)
                graph.nodes += build.nodes
            elif node.body is not None:
                self.tell_apart(node.body)
            graph.nodes.append(node)

    def operands(self, node: Node, build: Build) -> list[Operand]:
        """Those of a random node for a part."""
        seed, step, place, *_ = node.operands
        is_mask = node.op == "random_mask"
        counted = _positions_of_a_row(node, self.name, halves(node.result.type.shape)[0] if is_mask else None)
        if counted is None:
            far = build("mul", self.start, build("constant", value=APART, dtype="i64"))
            return [build("add", node.inputs[0], far), step, place]
        positions = build.number_of(counted, COUNT)
        start = build("mul", self.start, positions)
        return [seed, step, place, start, *([build("mul", self.rows, positions)] if is_mask else [])]

    @cached_property
    def rows(self) -> Value:
        """The number of rows of the whole batch."""
        whole = Whole("rows", COUNT)
        self.draft.merges.append(Merge("size", (whole,), Dim.symbol(self.name)))
        self.draft.phase.label(whole)
        return self.draft.phase.read(whole, COUNT)


def _positions_of_a_row(node: Node, name: str, axes: Sequence[Dim] | None = None) -> Dim | None:
    """The number of positions of each row, in the `axes` over which they count (by default all), where they count row
    by row; `None` where they don't."""
    if node.inputs[2].type.rank:
        return None
    first, *others = node.result.type.shape if axes is None else axes
    times = first.substitute({name: Dim.of(1)})
    counted = name not in times.names() and same(first, times * Dim.symbol(name))
    beside = node.result.type.shape[1:]
    return None if any(name in dim.names() for dim in beside) or not counted else times * product(others)
