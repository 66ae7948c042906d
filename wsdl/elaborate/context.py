"""The state of an elaboration, in parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeAlias

from wsdl.diagnostics import Problems
from wsdl.diagnostics.span import Span
from wsdl.elaborate.alike import Key
from wsdl.elaborate.graph_builder import GraphBuilder
from wsdl.elaborate.items import ArgumentValue, Frame, Item, Layer
from wsdl.elaborate.journal import Event
from wsdl.elaborate.program_builder import FileRequests, ProgramBuilder
from wsdl.elaborate.records import Memory, Record
from wsdl.elaborate.report import Budget, Report, TooMuch
from wsdl.elaborate.scopes import Definition
from wsdl.elaborate.where import Use, Where
from wsdl.ir.dims import TooLong
from wsdl.ir.graph import Graph
from wsdl.ir.requests import CopyRequest, FreezeRequest, GroupRequest, LimitRequest, LoadRequest, PathPattern
from wsdl.ir.training import AuxiliaryLoss, Carry, LossWeight, Optimizer, Schedule
from wsdl.ir.ways import Part, WayMember, WayRequest
from wsdl.syntax import tree

Request: TypeAlias = GroupRequest | WayRequest | FreezeRequest | LimitRequest | LoadRequest | CopyRequest


@dataclass(eq=False)
class Meanings:
    """The function for each kind of node, which evaluates an expression or runs a statement."""

    expressions: Mapping[type[tree.Node], Callable[[Any, Frame, Context], Item]]
    statements: Mapping[type[tree.Node], Callable[[Any, Frame, Context], None]]


@dataclass(eq=False)
class Constants:
    """The `let`s of the files: the values so far, and those being evaluated, outermost first."""

    values: dict[tree.Let, Item] = field(default_factory=dict)
    open: list[tree.Let] = field(default_factory=list)


@dataclass(eq=False)
class Requests:
    """The requests of the body of a `train` so far."""

    losses: list[ArgumentValue] = field(default_factory=list)
    auxiliary: list[AuxiliaryLoss] = field(default_factory=list)
    weights: dict[str, LossWeight] = field(default_factory=dict)
    metrics: dict[str, ArgumentValue] = field(default_factory=dict)
    metric_places: dict[str, Span] = field(default_factory=dict)
    optimizers: list[tuple[Optimizer | None, Span]] = field(default_factory=list)  # `None` for an invalid one
    freezes: list[FreezeRequest] = field(default_factory=list)
    rates: list[tuple[FreezeRequest, Schedule | float, Span]] = field(default_factory=list)
    carries: dict[str, Carry] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class PendingFormula:
    """A `param PATH = …` to evaluate later, with the names, the graph and the applications at its statement."""

    node: tree.Formula
    target: PathPattern
    frame: Frame
    builder: GraphBuilder
    uses: tuple[Use, ...]


@dataclass(eq=False)
class Running:
    """A run of a way's body for one member; `parts` are those of all runs so far, by path."""

    layer: Layer
    member: WayMember
    parts: dict[str, Part]


@dataclass(eq=False)
class Mode:
    """How bodies run: as in training or as in the compiled model, for the first time or again.

    When a body runs `again`, its requests about layers are already recorded. `requests` is set while the body of a
    `train` runs, `variant` for that of a variant, `way` for that of a way of sharing. `trained` is the name of a
    training that has another one than its model.
    """

    training: bool = False
    again: bool = False
    trained: str = ""
    depends_on_training: bool = False  # whether a node was appended that differs at inference
    all_ran: bool = False  # have all bodies run, so that what is not applied never will be?
    requests: Requests | None = None
    variant: FileRequests | None = None
    way: Running | None = None


class Context:
    """One elaboration.

    program    the result so far: models, layers, requests
    meanings   the function for each kind of node
    dims       fixed dynamic dimensions
    root       the layer of the file, which owns the layers declared there
    references use and definition of the names that are known only when bodies run
    where      the applications from the model to the current statement
    report     its diagnostics; `error` reports one
    budget     counts operations and layers against the limits
    constants  the `let`s of the files
    mode       as in training, or as compiled
    builder    the graph of the current model
    formulas   pending formulas, `None` once evaluated; by statement, layer, and iteration of its `for`
    groups     the `share`s that were recorded, in the same way
    of_imported the layers and parameters of imported files that the program has, by name
    models     the layers of the models, once all their bodies have run
    records    applications of layers, to repeat for those that are alike
    memory     those of earlier elaborations
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
        self.groups: set[object] = set()
        self.of_imported: dict[str, Definition] = {}
        self.models: Mapping[str, Layer] = {}
        self.records: dict[Key, Record] = {}
        self.memory: Memory | None = None

    def note(self, event: Event) -> None:
        """Let an event happen, and note it in the journal of the graph."""
        event.happen(self)
        self.builder.journal.append(event)

    def forget(self, graph: Graph) -> None:
        """Repeat nothing of a graph whose nodes are about to change."""
        changed = set(graph.graphs())
        self.records = {key: record for key, record in self.records.items() if record.graph not in changed}

    def request(self, request: Request | None) -> None:
        """Record a request about parameters, for the passes that look up its paths."""
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
        elif isinstance(request, CopyRequest):
            kept.copies.append(request)
        elif request is not None:
            kept.loads.append(request)

    def mark_incomplete(self) -> None:
        """Mark the enclosing layers as incomplete, so that paths into them aren't reported as unknown."""
        for use in self.where.uses:
            use.layer.module.doubtful = True
        self.program.doubtful |= not self.where.uses

    def refuse_size(self, error: TooLong, span: Span) -> NoReturn:
        """Report that a dimension is too long to compute with, and stop elaboration."""
        [diagnostic] = error.diagnostics
        self.error("E0602", span, diagnostic.message, "in here", help=diagnostic.help)
        raise TooMuch

    def refuse_nesting(self) -> None:
        """Report that blocks or constants are nested too deeply, and stop elaboration."""
        lets, self.constants.open = self.constants.open, []
        self.report.nesting(lets[0].span if lets else self.root.call_span)
