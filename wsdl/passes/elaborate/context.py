"""What all of an elaboration shares: the graph being built, the way into it, and the way of reporting."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from wsdl.diagnostics import Edit, Label, Problems
from wsdl.ir.dims import Dim
from wsdl.ir.graph import Attribute, Graph, Node, Operand, Program, Repetition, Slot, Value
from wsdl.ir.requests import FreezeRequest, GroupRequest, LimitRequest, LoadRequest
from wsdl.ir.training import Optimizer, Schedule
from wsdl.ir.types import DType, TensorType
from wsdl.passes.elaborate.items import Given, Item, Layer
from wsdl.span import Span

Apply: TypeAlias = "Callable[[Layer, list[Given], Span, Context], Item]"
MOST_REPETITIONS = 10_000  # of one `for`, and layers of one array
MOST_NODES = 1_000_000
MOST_NESTING = 100  # blocks inside each other


@dataclass
class Asked:
    """What the body of a `train` has asked for so far."""

    losses: list[Given] = field(default_factory=list)
    metrics: dict[str, Given] = field(default_factory=dict)
    metric_places: dict[str, Span] = field(default_factory=dict)
    optimizers: list[tuple[Optimizer | None, Span]] = field(default_factory=list)  # `None` where one is wrong
    freezes: list[FreezeRequest] = field(default_factory=list)
    rates: list[tuple[FreezeRequest, Schedule | float, Span]] = field(default_factory=list)


class TooMuch(Exception):
    """The program asks for more than any device could hold; reported, and then nothing more is built."""


@dataclass(frozen=True)
class Use:
    """A layer applied at a place: a step of the way from a model into a block's body."""

    layer: Layer
    span: Span


@dataclass(eq=False)
class Context:
    """`apply` runs a layer on inputs; it is handed in, since evaluating and applying need each other.

    `training` tells that bodies are run as they are while training, `again` that the body of a model is run once more:
    what it says of its layers is known then. `asked` is there while the body of a `train` is run.
    """

    problems: Problems
    program: Program
    dims: dict[str, int]  # run-time dimensions that were given a value
    apply: Apply
    root: Layer  # stands for the file: owns the layers declared there
    dtype: DType = "f32"
    graphs: list[Graph] = field(default_factory=list)
    steps: list[Repetition] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)
    loops: int = 0
    nodes: int = 0
    parameters: dict[str, Value] = field(default_factory=dict)  # of the model at hand, by the path of the slot
    constants: dict[int, Item] = field(default_factory=dict)  # by the id of their `let`
    open_constants: set[int] = field(default_factory=set)
    training: bool = False
    again: bool = False
    asked: Asked | None = None
    origins: dict[str, str] = field(default_factory=dict)  # run-time dimension -> the input that brought it

    # -- building ------------------------------------------------------------------------------------------------------

    @property
    def path(self) -> str:
        return self.uses[-1].layer.module.path if self.uses else ""

    def node(
        self,
        op: str,
        operands: Sequence[Operand],
        attributes: dict[str, Attribute],
        types: Iterable[TensorType],
        span: Span,
        body: Graph | None = None,
    ) -> list[Value]:
        """Append a node to the graph being built; its results."""
        self.nodes += 1
        if self.nodes > MOST_NODES:
            self.error(
                "E0602",
                span,
                f"the program asks for more than {MOST_NODES:,} operations",
                "the one too many",
                help="repeat less, or use `scan`",
            )
            raise TooMuch
        results = [Value(t) for t in types]
        node = Node(op, list(operands), attributes, results, self.path, self.place(span), tuple(self.steps), body)
        self.graphs[-1].nodes.append(node)
        return results

    def constant(self, value: Attribute, type: TensorType, span: Span) -> Value:
        return self.node("constant", [], {"value": value, "dtype": type.dtype}, [type], span)[0]

    def size(self, dim: Dim, dtype: DType, span: Span) -> Value:
        """A run-time size as a scalar tensor."""
        value = self.node("size", [], {"dim": dim}, [TensorType.of("i64")], span)[0]
        if dtype == "i64":
            return value
        return self.node("cast", [value], {"dtype": dtype}, [TensorType.of(dtype)], span)[0]

    def parameter(self, slot: Slot) -> Value:
        """The value that a slot reads; one node for each slot of a model, ahead of all bodies."""
        if slot.path not in self.parameters:
            value = Value(slot.type, slot.path.rsplit(".", 1)[-1])
            node = Node("parameter", [], {"slot": slot.path}, [value], slot.path.rpartition(".")[0], slot.span)
            self.graphs[0].nodes.append(node)
            self.parameters[slot.path] = value
        return self.parameters[slot.path]

    def request(self, request: GroupRequest | FreezeRequest | LimitRequest | LoadRequest | None) -> None:
        """Keep what a body asks of its parameters, for the passes that look up the paths in it."""
        if self.again:
            if self.asked is not None and isinstance(request, FreezeRequest):
                self.asked.freezes.append(request)
        elif isinstance(request, GroupRequest):
            self.program.groups.append(request)
        elif isinstance(request, FreezeRequest):
            self.program.freezes.append(request)
        elif isinstance(request, LimitRequest):
            self.program.limits.append(request)
        elif request is not None:
            self.program.loads.append(request)

    # -- reporting -----------------------------------------------------------------------------------------------------

    def place(self, span: Span) -> Span:
        """The innermost place in the user's own files that led here."""
        if not span.source.is_standard:
            return span
        return next((use.span for use in reversed(self.uses) if not use.span.source.is_standard), span)

    def error(
        self,
        code: str,
        span: Span,
        message: str,
        label: str = "",
        *,
        labels: Iterable[Label] = (),
        help: str | None = None,
        fix: Iterable[Edit] = (),
        note: bool = False,
    ) -> None:
        """Report at the place that a person would change: inside the standard library nothing can be changed, so there
        the application in the user's file takes its place."""
        others = list(labels)
        place = self.place(span)
        if place != span:
            others.insert(0, Label(span, label or "here, in the standard library"))
            label = f"in `{self._block_at(place)}`"
        elif self.uses and len(self.uses) > 1:
            use = self.uses[-1]
            if not use.span.source.is_standard:
                others.append(Label(use.span, f"`{use.layer.name}` is applied here"))
        self.problems.error(
            code, place, message, label, labels=others, help=help, fix=fix, severity="note" if note else "error"
        )

    def _block_at(self, place: Span) -> str:
        return next(use.layer.name for use in self.uses if use.span == place)
