"""What all of an elaboration shares, in parts that each say what they are for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeAlias

from wsdl.diagnostics import Problems
from wsdl.diagnostics.span import Span
from wsdl.elaborate.graph_builder import GraphBuilder
from wsdl.elaborate.items import ArgumentValue, Frame, Item, Layer
from wsdl.elaborate.program_builder import FileRequests, ProgramBuilder
from wsdl.elaborate.report import Budget, Report, TooMuch
from wsdl.elaborate.where import Use, Where
from wsdl.ir.dims import TooLong
from wsdl.ir.requests import FreezeRequest, GroupRequest, LimitRequest, LoadRequest, PathPattern
from wsdl.ir.training import AuxiliaryLoss, LossWeight, Optimizer, Schedule
from wsdl.ir.ways import Part, Seat, WayRequest
from wsdl.syntax import tree

Request: TypeAlias = GroupRequest | WayRequest | FreezeRequest | LimitRequest | LoadRequest


@dataclass(eq=False)
class Meanings:
    """What each kind of node of the tree means: the function that evaluates an expression, or runs a statement."""

    expressions: Mapping[type[tree.Node], Callable[[Any, Frame, Context], Item]]
    statements: Mapping[type[tree.Node], Callable[[Any, Frame, Context], None]]


@dataclass(eq=False)
class Constants:
    """The `let`s of the files: those that are worked out, and those being worked out, outermost first."""

    values: dict[tree.Let, Item] = field(default_factory=dict)
    open: list[tree.Let] = field(default_factory=list)


@dataclass(eq=False)
class Requests:
    """What the body of a `train` has asked for so far."""

    losses: list[ArgumentValue] = field(default_factory=list)
    auxiliary: list[AuxiliaryLoss] = field(default_factory=list)
    weights: dict[str, LossWeight] = field(default_factory=dict)
    metrics: dict[str, ArgumentValue] = field(default_factory=dict)
    metric_places: dict[str, Span] = field(default_factory=dict)
    optimizers: list[tuple[Optimizer | None, Span]] = field(default_factory=list)  # `None` where one is wrong
    freezes: list[FreezeRequest] = field(default_factory=list)
    rates: list[tuple[FreezeRequest, Schedule | float, Span]] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class PendingFormula:
    """A `param PATH = …` as its body came by it: with the names, the graph and the way from the model of that time."""

    node: tree.Formula
    target: PathPattern
    frame: Frame
    builder: GraphBuilder
    uses: tuple[Use, ...]


@dataclass(eq=False)
class Running:
    """The run of a way's body for one seat; `parts` are those of all runs so far, by their paths."""

    layer: Layer
    seat: Seat
    parts: dict[str, Part]


@dataclass(eq=False)
class Mode:
    """How bodies run: as they are while training or as compiled, for the first time or once more.

    What a body says of its layers is known when it runs `again`. `requests` is there while that of a `train` runs,
    `variant` while that of a variant does, `way` while that of a way of sharing does.
    """

    training: bool = False
    again: bool = False
    depends_on_training: bool = False  # was something made that is another one at inference?
    all_ran: bool = False  # have all bodies run, so that what is not applied never will be?
    requests: Requests | None = None
    variant: FileRequests | None = None
    way: Running | None = None


class Context:
    """One elaboration.

    program    what it makes: models, layers, requests
    meanings   what each kind of node of the tree means
    dims       dynamic dimensions that were given a value
    root       the layer that stands for the file, and owns those declared there
    references use and definition of the names that are known only when bodies run
    where      the way from the model to the statement that runs
    report     its findings; `error` reports one
    budget     how much of what a program may ask for was done
    constants  the `let`s of the files
    mode       as while training, or as compiled
    builder    the graph of the model whose body runs
    formulas   those of parameters until they are worked out, then `None`; by statement, layer, and step of its `for`
    """

    def __init__(
        self, program: ProgramBuilder, meanings: Meanings, dims: Mapping[str, int], root: Layer, problems: Problems
    ) -> None:
        self.program, self.meanings, self.dims, self.root = program, meanings, dims, root
        self.references = program.references
        self.where = Where()
        self.report = Report(problems, self.where)
        self.error = self.report.error
        self.budget = Budget(self.report)
        self.constants = Constants()
        self.mode = Mode()
        self.builder = GraphBuilder(self.where, self.report, self.budget, program.origins)
        self.formulas: dict[object, PendingFormula | None] = {}

    def request(self, request: Request | None) -> None:
        """Keep what a body asks of its parameters, for the passes that look up the paths in it."""
        kept = self.mode.variant or self.program
        if self.mode.again:
            if self.mode.requests is not None and isinstance(request, FreezeRequest):
                self.mode.requests.freezes.append(request)
        elif isinstance(request, GroupRequest):
            kept.groups.append(request)
        elif isinstance(request, WayRequest):
            kept.ways.append(request)
        elif isinstance(request, FreezeRequest):
            kept.freezes.append(request)
        elif isinstance(request, LimitRequest):
            kept.limits.append(request)
        elif request is not None:
            kept.loads.append(request)

    def doubt(self) -> None:
        """Remember that parts of the layers around may be missing, so that no paths to them are missed."""
        for use in self.where.uses:
            use.layer.module.doubtful = True
        self.program.doubtful |= not self.where.uses

    def refuse_size(self, error: TooLong, span: Span) -> NoReturn:
        """Say that a size is too long to be worked with, and stop: what comes after would be longer still."""
        [diagnostic] = error.diagnostics
        self.error("E0602", span, diagnostic.message, "in here", help=diagnostic.help)
        raise TooMuch

    def refuse_nesting(self) -> None:
        """Say that blocks or constants are nested more deeply than can be followed."""
        lets, self.constants.open = self.constants.open, []
        self.report.nesting(lets[0].span if lets else self.root.call_span)
