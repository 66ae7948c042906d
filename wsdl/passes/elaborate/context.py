"""What all of an elaboration shares: the graph being built, the way into it, and the way of reporting."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn, TypeAlias

from wsdl import limits
from wsdl.diagnostics import Edit, Label, Problems, Severity
from wsdl.ir.dims import Dim, TooLong
from wsdl.ir.graph import Application, Attribute, Graph, Node, Operand, Program, Repetition, Slot, Value
from wsdl.ir.requests import FreezeRequest, GroupRequest, LimitRequest, LoadRequest
from wsdl.ir.training import SEED, STEP, Optimizer, Schedule
from wsdl.ir.types import DType, TensorType
from wsdl.passes.elaborate.items import Given, Item, Layer
from wsdl.span import Span
from wsdl.syntax import tree

Apply: TypeAlias = "Callable[[Layer, list[Given], Span, Context], Item]"


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
    """A layer applied at a place: a step of the way from a model into a block's body. What the body makes has `dtype`,
    where it says nothing else; `inputs` are where each input is given."""

    layer: Layer
    span: Span
    application: Application | None = None
    dtype: DType = "f32"
    inputs: Mapping[str, Span] = field(default_factory=dict)


@dataclass(frozen=True)
class Rest:
    """A division that didn't come out even, such as `d // heads`, in the layer `path`."""

    span: Span
    divisor: Span
    story: str
    path: str


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
    graphs: list[Graph] = field(default_factory=list)
    steps: list[Repetition] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)
    loops: int = 0
    done: int = 0  # of limits.STEPS
    depth: int = 0  # of layers that are being made inside each other
    parameters: dict[str, Value] = field(default_factory=dict)  # of the model at hand, by the path of the slot
    naming: dict[str, set[Application | None]] = field(default_factory=dict)  # who names them
    constants: dict[int, Item] = field(default_factory=dict)  # by the id of their `let`
    open_constants: dict[int, tree.Let] = field(default_factory=dict)  # those being worked out, outermost first
    origins: dict[str, tree.Input] = field(default_factory=dict)  # run-time dimension -> the input that brought it
    made: dict[Value, tuple[str, Span]] = field(default_factory=dict)  # results of layers and inputs, for stories
    producers: dict[Value, Node] = field(default_factory=dict)
    rests: list[Rest] = field(default_factory=list)
    noted: set[tuple[str, str]] = field(default_factory=set)  # dimensions of the model that the run compares
    updated: dict[str, Value] = field(default_factory=dict)  # states that training changes: path of the slot, new value
    random: list[Value] = field(default_factory=list)  # seed and number of the step, where something is random
    drops: dict[str, int] = field(default_factory=dict)  # how often dropout was applied, by the path of the layer
    numbers: dict[int, Value] = field(default_factory=dict)  # of the steps of scans, by the id of the body
    training: bool = False
    depends_on_training: bool = False  # was something made that is another one at inference?
    again: bool = False
    asked: Asked | None = None

    # -- building ------------------------------------------------------------------------------------------------------

    @property
    def path(self) -> str:
        return self.uses[-1].layer.module.path if self.uses else ""

    @property
    def dtype(self) -> DType:
        """Of what is made without a dtype: that of the block, or f32."""
        return self.uses[-1].dtype if self.uses else "f32"

    @property
    def application(self) -> Application | None:
        return self.uses[-1].application if self.uses else None

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
        self.count(span)
        results = [Value(t) for t in types]
        self._refuse_beyond(results, attributes.get("dim"), span)
        node = Node(op, list(operands), attributes, results, self.path, self.place(span), tuple(self.steps), body)
        node.application = self.application
        self.graphs[-1].nodes.append(node)
        self.producers.update(dict.fromkeys(results, node))
        return results

    def _refuse_beyond(self, results: Sequence[Value], size: Attribute, span: Span) -> None:
        """`TooMuch` where a size has a number in it that the file can't hold: added up, padded or multiplied."""
        sizes = [d for value in results for d in value.type.shape] + ([size] if isinstance(size, Dim) else [])
        for dim in sizes:
            if any(abs(number) >= limits.DIMENSION for _, number in dim.terms):
                self.error("E0405", span, f"a dimension can't be {dim}", "more than any tensor has")
                raise TooMuch

    def count(self, span: Span, more: int = 1) -> None:
        """One more operation, layer or repetition, or several; `TooMuch` where it is one too many."""
        self.done += more
        if self.done > limits.STEPS:
            self.error(
                "E0602",
                span,
                f"the program asks for more than {limits.STEPS:,} operations, layers and repetitions",
                "the one too many",
                help="repeat less, or use `scan`",
            )
            raise TooMuch

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
        self.naming.setdefault(slot.path, set()).add(self.application)
        return self.parameters[slot.path]

    def noise(self) -> list[Value]:
        """The seed and the number of the step: inputs of the graph, once something in it is random."""
        if not self.random:
            self.random = [Value(TensorType.of("i64"), name) for name in (SEED, STEP)]
        return self.random

    def step_of(self, body: Graph) -> Value:
        """The number of the step in the body of a scan."""
        return self.numbers.setdefault(id(body), Value(TensorType.of("i64"), "number"))

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

    def written(self, span: Span) -> str | None:
        """An expression as a user has written it: for an input of a block of the library what is given for it; `None`
        for another one inside the library."""
        for use in reversed(self.uses):
            if not span.source.is_standard:
                break
            if span.text not in use.inputs:
                return None
            span = use.inputs[span.text]
        return None if span.source.is_standard else span.text

    def way(self) -> tuple[Span, ...]:
        """The places in the user's own files that led here, from the model on."""
        return tuple(use.span for use in self.uses if not use.span.source.is_standard)

    def origin(self, value: Value, size: int, near: Span) -> str:
        """Where a dimension of a tensor came from, for messages: ` from `encode` (line 5)`, or nothing."""
        found: Value | None = value
        while found is not None and found not in self.made:
            node = self.producers.get(found)
            inputs = node.inputs if node else []
            found = next((v for v in inputs if any(d.constant == size for d in v.type.shape)), None)
        if found is None:
            return ""
        what, span = self.made[found]
        line = f"line {span.line}" if span.source is near.source else str(span)
        return f" from {what} ({line})"

    def is_reported(self, span: Span) -> bool:
        """Was an error about names reported at this place already?"""
        return self.problems.has("E0201", span) or self.problems.has("E0205", span)

    def doubt(self) -> None:
        """Remember that parts of the layers around may be missing, so that no paths to them are missed."""
        for use in self.uses:
            use.layer.module.doubtful = True
        self.program.doubtful |= not self.uses

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
        applied: bool = True,
        applied_label: str = "",
        severity: Severity = "error",
    ) -> None:
        """Report at the place that a person would change: inside the standard library nothing can be changed, so there
        the application in the user's file takes its place, or the argument that the library handed on.

        `applied` shows where the block around the place is applied, since the mistake may lie there. With
        `applied_label` the application tells the whole story, without the place in the standard library.
        """
        others = list(labels)
        place, block = self._to_blame(span)
        if place is not span:
            if not applied_label and (block or label):
                others.insert(0, Label(span, label or "here, in the standard library"))
            label = applied_label or (f"in `{block}`" if block else "")
        elif applied and len(self.uses) > 1:
            others.append(Label(self.uses[-1].span, f"`{self.uses[-1].layer.name}` is applied here"))
        others = [o for o in others if o.span != place or o.message != label]
        if len(others) > 1 and others[-1].span in (place, *(o.span for o in others[:-1])):
            others.pop()  # the application is shown already
        self.problems.error(code, place, message, label, labels=others, help=help, fix=fix, severity=severity)

    def _to_blame(self, span: Span) -> tuple[Span, str]:
        """The place in the user's files, and the block of the library that it applies (empty for an argument)."""
        if not span.source.is_standard:
            return span, ""
        name = span.text
        for use in reversed(self.uses):
            argument = use.layer.given.get(name)
            if argument is not None and not argument.source.is_standard:
                return argument, ""
            name = argument.text.rpartition("=")[2].strip() if argument is not None else ""  # `p` of `rate=p`
            if not use.span.source.is_standard:
                return use.span, use.layer.name
        return span, ""


def report_size(error: TooLong, span: Span, context: Context) -> NoReturn:
    """Say that a size is too long to be worked with, and stop: what comes after would be longer still."""
    [said] = error.diagnostics
    context.error("E0602", span, said.message, "in here", help=said.help)
    raise TooMuch


def report_nesting(context: Context) -> None:
    """Say what is nested more deeply than can be followed: often a block inside itself."""
    blocks = [use.layer.definition.node for use in context.uses]
    again = next((use for use in reversed(context.uses) if blocks.count(use.layer.definition.node) > 1), None)
    if again is not None:
        own = not again.layer.block.span.source.is_standard
        context.problems.error(
            "E0218",
            context.place(again.span),
            f"`{again.layer.name}` is made of itself without end",
            "applied inside its own body",
            labels=[Label(again.layer.block.name.span, "the block")] if own else (),
            help="let an `if` end it, or repeat with `for`",
        )
        return
    lets = list(context.open_constants.values())
    span = context.place(context.uses[-1].span) if context.uses else lets[0].span if lets else context.root.made
    context.open_constants.clear()
    context.problems.error(
        "E0602",
        span,
        f"the program is nested too deeply: more than {limits.NESTING} blocks or constants inside each other",
        "this far down",
        help="repeat with `for` instead of nesting",
    )
