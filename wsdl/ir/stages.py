"""The stages of a program before its graphs read stored tensors: `Checked`, then `Storage`. Both are immutable.

    text -> Checked -> Storage -> Program -> ONNX

`Checked` is the meaning of a file: the graphs of its models, in which `parameter` nodes read slots. `Storage` decides
which tensors are stored, and how each slot reads them. One `Checked` can have many `Storage`s, and each of them
programs for many targets (`wsdl.compiler`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias

from wsdl.diagnostics.span import Source, Span
from wsdl.ir.graph import Alias, Binding, Graph, Model, Module, Slot, Stored
from wsdl.ir.origins import Origins
from wsdl.ir.references import References
from wsdl.ir.requests import CopyRequest, FormulaRequest, FreezeRequest, GroupRequest, LimitRequest, LoadRequest
from wsdl.ir.training import Schedule, Training, Turns, Update
from wsdl.ir.types import DType
from wsdl.ir.views import View

if TYPE_CHECKING:
    from wsdl.ir.variants import Variant
    from wsdl.ir.ways import WayRequest

BASE = "base"  # the name of the program without a variant


@dataclass(frozen=True, eq=False)
class Checked:
    """The meaning of a file. The requests are in source order, and their paths are not yet looked up."""

    models: Mapping[str, Model] = field(default_factory=dict)
    trainings: Mapping[str, Training] = field(default_factory=dict)  # by name
    turns: Turns | None = None  # how several trainings take turns
    variants: Mapping[str, Variant] = field(default_factory=dict)
    variant: str = ""  # the one whose requests are among those below; none in the program as it stands
    layers: Mapping[str, Module] = field(default_factory=dict)  # declared at file level: owned by every model
    aliases: Mapping[str, Alias] = field(default_factory=dict)  # other names that the file has for layers
    parameters: Mapping[str, Slot] = field(default_factory=dict)  # declared at file level
    groups: tuple[GroupRequest, ...] = ()
    formulas: tuple[FormulaRequest, ...] = ()
    ways: tuple[WayRequest, ...] = ()
    freezes: tuple[FreezeRequest, ...] = ()
    limits: tuple[LimitRequest, ...] = ()
    loads: tuple[LoadRequest, ...] = ()
    copies: tuple[CopyRequest, ...] = ()
    bindings: tuple[Binding, ...] = ()
    sources: Mapping[str, Source] = field(default_factory=dict)  # by their paths from the folder of the first
    origins: Origins = field(default_factory=Origins)
    references: References = field(default_factory=References)
    has_gradients: bool = False  # whether a graph has a node `gradient`
    doubtful: bool = False  # models or layers of the file may be missing, since an error was reported
    left_out: frozenset[str] = frozenset()  # slots that only other variants use, by path: none is stored

    def with_variant(self, name: str) -> Checked:
        """The program with the requests of one of its variants; the graphs are the same."""
        variant = self.variants[name]
        kinds = {limit.kind for limit in variant.limits}
        trainings = {
            name: training.changed(variant.trainings[name].freezes, variant.trainings[name].rates)
            for name, training in self.trainings.items()
            if name in variant.trainings
        }
        return replace(
            self,
            variant=name,
            groups=(*self.groups, *variant.groups),
            formulas=(*self.formulas, *variant.formulas),
            ways=(*self.ways, *variant.ways),
            freezes=(*self.freezes, *variant.freezes),
            limits=(*(limit for limit in self.limits if limit.kind not in kinds), *variant.limits),
            loads=(*self.loads, *variant.loads),
            copies=(*self.copies, *variant.copies),
            trainings={**self.trainings, **trainings},
        )

    def graphs(self) -> Iterator[Graph]:
        """Those of the models, and those that they are trained and evaluated with."""
        for model in self.models.values():
            yield model.graph
        for training in self.trainings.values():
            yield training.objective.graph
            yield training.evaluation.graph

    def roots(self) -> Iterator[Module]:
        """The layers of the file, then its models."""
        yield from self.layers.values()
        for model in self.models.values():
            yield model.module

    def slots(self) -> Iterator[Slot]:
        """Every slot of the program: those of the file, then those of its layers and models, as they are declared."""
        below = (slot for root in self.roots() for slot in root.all_slots())
        yield from (slot for slot in chain(self.parameters.values(), below) if slot.path not in self.left_out)

    def read(self) -> set[str]:
        """The paths of the slots that its graphs and formulas read."""
        return read_by(chain(self.graphs(), (formula.graph for formula in self.formulas)))


def read_by(graphs: Iterable[Graph]) -> set[str]:
    """The paths of the slots that graphs read."""
    nodes = (node for graph in graphs for node in graph.walk())
    return {str(node.attributes["slot"]) for node in nodes if node.op == "parameter"}


@dataclass(frozen=True)
class ViewReading:
    """The reading of a slot that is a view of a stored tensor."""

    stored: str
    view: View

    @property
    def tensors(self) -> tuple[str, ...]:
        """The names of all stored tensors that the slot changes with."""
        return (self.stored,)

    def __str__(self) -> str:
        """Behind the name of the tensor: `.T`; nothing where it is read as it is."""
        return str(self.view)


@dataclass(frozen=True, eq=False)
class Formula:
    """A tensor that is computed from stored ones, once a run, for all slots that are views of it.

    `graph` has no inputs; its first output is the tensor, the others are the `losses` of blocks in it, by name and
    place. Its `parameter` nodes read slots, which may be computed themselves.
    `tensors` are the stored tensors behind it, `root` is the slot in whose place it stands.
    """

    root: Slot
    graph: Graph
    span: Span
    tensors: tuple[str, ...]
    slots: tuple[tuple[Slot, View], ...]
    losses: tuple[tuple[str, Span], ...] = ()

    @property
    def text(self) -> str:
        """As it is written, on one line."""
        return " ".join(self.span.text.split())


@dataclass(frozen=True, eq=False)
class FormulaReading:
    """The reading of a slot that is a view of the value of a formula."""

    formula: Formula
    view: View

    @property
    def tensors(self) -> tuple[str, ...]:
        return self.formula.tensors

    def __str__(self) -> str:
        return str(self.view)


Reading: TypeAlias = ViewReading | FormulaReading
"""How the value of a slot is computed."""


@dataclass(frozen=True, eq=False)
class SharedAs:
    """A `share as BLOCK` line whose paths were looked up.

    `members` are the paths of the layers or parameters that share, each tensor once, `slots` those of what the block
    computes. `shared` and `own` name the tensors that are stored for it: those of all members, and those of one member
    each.
    """

    request: WayRequest
    members: tuple[str, ...]
    slots: tuple[str, ...]
    shared: tuple[str, ...]
    own: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class ResolvedTraining:
    """A training whose paths were looked up: what it changes in one `Storage`, and how fast.

    `frozen` are the stored tensors that its own `freeze` lines keep, `trained` those that the loss changes. `schedules`
    has the learning rates of tensors that have their own, `statistics` the slots of the states that batches change,
    `updates` what `update` lines write, `updated` the stored tensors of that, frozen ones too. Layers in
    `as_at_inference` normalize by their running statistics and leave dropout out.

    Where several trainings have one state (`Storage.together`), `scope` is the name of this one, and `outside` are the
    stored tensors that only others change.
    """

    written: Training
    frozen: frozenset[str]
    trained: tuple[str, ...] = ()
    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    statistics: tuple[str, ...] = ()
    updates: Sequence[Update] = ()
    updated: tuple[str, ...] = ()
    as_at_inference: frozenset[str] = frozenset()
    scope: str = ""
    outside: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.written.name

    @property
    def model(self) -> str:
        return self.written.model

    def schedule_of(self, stored: str) -> Schedule:
        """The learning rate of a stored tensor."""
        return self.schedules.get(stored, self.written.optimizer.lr)

    def trains(self, stored: Stored) -> bool:
        """Whether a loss may change this tensor."""
        return stored.trainable and stored.name not in self.frozen


@dataclass(frozen=True, eq=False)
class Storage:
    """The stored tensors of a program. `readings` has the reading of each slot by path: the only way from a slot to its
    value."""

    checked: Checked
    stored: Mapping[str, Stored]  # by name, in the order of declaration
    readings: Mapping[str, Reading]
    parts: tuple[Slot, ...] = ()  # of ways of sharing: what formulas alone read
    ways: tuple[SharedAs, ...] = ()
    trainings: Mapping[str, ResolvedTraining] = field(default_factory=dict)  # by name

    @property
    def models(self) -> Mapping[str, Model]:
        return self.checked.models

    def together(self, names: Sequence[str]) -> Storage:
        """The same with these trainings alone, which have one state."""
        changed = {name: self.changed_by(name) for name in names}

        def outside(own: str) -> tuple[str, ...]:
            others = {name for other in names for name in changed[other]} - changed[own]
            return tuple(name for name in self.stored if name in others)

        trainings = {n: replace(self.trainings[n], scope=n, outside=outside(n)) for n in names}
        return replace(self, trainings=trainings)

    def changed_by(self, training: str) -> set[str]:
        """The names of the stored tensors that a training changes."""
        resolved = self.trainings[training]
        return {*resolved.trained, *resolved.updated, *(self.home(path)[0].name for path in resolved.statistics)}

    def tensors_of(self, slot: str) -> tuple[Stored, ...]:
        """The stored tensors that a slot changes with."""
        return tuple(self.stored[name] for name in self.readings[slot].tensors)

    @cached_property
    def readers(self) -> Mapping[str, tuple[Slot, ...]]:
        """The slots that change with each stored tensor, by its name, in the order of declaration."""
        readers: dict[str, list[Slot]] = {name: [] for name in self.stored}
        for slot in self.checked.slots():
            for name in self.readings[slot.path].tensors:
                readers[name].append(slot)
        return {name: tuple(slots) for name, slots in readers.items()}

    def group_of(self, slot: Slot) -> str:
        """The name of the share group of what a slot is a view of; empty where it has none."""
        return "" if self.is_computed(slot.path) else self.home(slot.path)[0].group

    @cached_property
    def formulas(self) -> tuple[Formula, ...]:
        """Each once, in the order of the slots that read them."""
        readings = (self.readings[slot.path] for slot in self.checked.slots())
        return tuple(dict.fromkeys(r.formula for r in readings if isinstance(r, FormulaReading)))

    @cached_property
    def inputs(self) -> Mapping[str, tuple[str, View]]:
        """By the path of a slot that has a way of sharing the input of the way, which is what plain sharing would store
        for it, by name, and the view of that which the slot would be."""
        return {slot.path: (stored.name, view) for stored in self.stored.values() for slot, view in stored.members}

    def is_computed(self, slot: str) -> bool:
        """Whether a slot is computed by a formula, so that it can't be written through."""
        return isinstance(self.readings[slot], FormulaReading)

    def home(self, slot: str) -> tuple[Stored, View]:
        """The tensor of which a slot that is not computed is a view, to write through it."""
        reading = self.readings[slot]
        assert isinstance(reading, ViewReading), f"{slot} is computed"
        return self.stored[reading.stored], reading.view

    def as_dtype(self, dtype: DType) -> Storage:
        """The same with f32 tensors stored in another dtype."""
        return self if dtype == "f32" else replace(self, stored=narrowed(self.stored, dtype))


def narrowed(stored: Mapping[str, Stored], dtype: DType) -> dict[str, Stored]:
    """Stored tensors of which those in f32 have another dtype."""
    return {
        name: replace(s, type=s.type.with_dtype(dtype)) if s.type.dtype == "f32" else s for name, s in stored.items()
    }
