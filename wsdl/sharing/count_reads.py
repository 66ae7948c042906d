"""Counts how often each slot of a model is read: what `used` and `without sharing` mean everywhere.

    model m(x: f32[n, 8], y: f32[n, 8]) -> (z: f32[n, 8]) {
        layer f = Dense(8)                                   # f.weight and f.bias are read twice
        return f(x) + f(y)
    }

A slot is read once for each *use site*: an application of the layer in whose body it stands, or the body that names it
from outside (`embed.weight`); a step of a `for` in such a body is a site of its own. How often the formula of a site
writes the name doesn't count (`w / sqrt(sum(w ** 2))` reads `w` once), and neither does what no result needs. What is
computed from weights alone counts where the data meets it, so that `x @ (w * mask)` in a `for` reads `w` at each step,
as long as it stays in the body that it was made in. The steps of a `scan` are one site: they are one body.

If the steps of a `for` take different parts of a parameter (`x + time[i]`), it is read once in all of them, unless they
read more elements together than it has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import TypeAlias

from wsdl.ir.graph import Application, Model, Node, Reads, Repetition, Value, walk
from wsdl.ir.stages import Checked
from wsdl.ir.views import View
from wsdl.sharing.fold_views import moved

FEW = 16  # bits that are found one by one

Steps: TypeAlias = tuple[Repetition, ...]
UseSite: TypeAlias = "tuple[Application | None, Steps]"


def count_reads(program: Checked) -> Checked:
    """With `reads` and `applied` of each model."""
    return replace(program, models={name: _counted(model) for name, model in program.models.items()})


def _counted(model: Model) -> Model:
    needed = model.graph.needed()
    innermost = dict.fromkeys(node.application for node in walk(needed))  # in the order of the graph
    applications = dict.fromkeys(around for application in innermost for around in _around(application))
    applied = dict(Counter(application.path for application in applications))
    return replace(model, reads=_Counting(model).reads(needed), applied=applied)


@dataclass(eq=False)
class _Part:
    """What a value has of a slot, and the sites where it meets data, as a set of bits."""

    slot: str
    view: View
    sites: int = 0


@dataclass
class _Counting:
    """`from_weights` has the values that are computed from weights alone, with the sites where data meets them; `parts`
    those of them that are a slot or a view of one; `formulas` the nodes that compute the others."""

    model: Model
    data: set[Value] = field(default_factory=set)
    from_weights: dict[Value, int] = field(default_factory=dict)
    parts: dict[Value, _Part] = field(default_factory=dict)
    formulas: list[Node] = field(default_factory=list)
    sites: dict[UseSite, int] = field(default_factory=dict)  # and the number of its bit

    def reads(self, needed: Sequence[Node]) -> dict[str, Reads]:
        """How often each slot is read by the `needed` nodes of the model's graph."""
        graph = self.model.graph
        self.data.update(graph.inputs)
        producers = {value: node for node in graph.nodes for value in node.results}
        self._go_through(needed)
        for value in graph.outputs:
            if value in self.from_weights:  # computed from weights alone
                self._meets_data(value, producers[value])
        self._back_to_the_slots()
        parts: dict[str, list[_Part]] = {}
        for part in self.parts.values():
            if part.sites:
                parts.setdefault(part.slot, []).append(part)
        return {slot: self._counted(slot, of_slot) for slot, of_slot in parts.items()}

    # -- where weights meet data ---------------------------------------------------------------------------------------

    def _go_through(self, nodes: Iterable[Node]) -> None:
        for node in nodes:
            if node.op == "parameter":
                slot = str(node.attributes["slot"])
                self._add_part(node.result, _Part(slot, View.identity(node.result.type.sizes or ())))
                continue
            reads = node.reads()
            source = self.parts.get(reads[0]) if reads else None
            view = moved(source.view, node) if source is not None else None
            if source is not None and view is not None:
                self._add_part(node.result, _Part(source.slot, view))
            elif any(value in self.data for value in reads):
                self._runs_on_data(node)
            elif any(value in self.from_weights for value in reads):
                self.formulas.append(node)
                self.from_weights.update(dict.fromkeys(node.results, 0))

    def _add_part(self, value: Value, part: _Part) -> None:
        self.parts[value] = part
        self.from_weights[value] = 0

    def _runs_on_data(self, node: Node) -> None:
        self.data.update(node.results)
        # A derivative with respect to a weight doesn't read it.
        for value in node.inputs[:1] if node.op == "gradient" else node.inputs:
            self._meets_data(value, node)
        if node.body is not None:
            self.data.update(node.body.inputs)
            self._go_through(node.body.needed())
            for value in node.body.outputs:
                self._meets_data(value, node)

    def _meets_data(self, value: Value, at: Node) -> None:
        if value in self.from_weights:
            self.from_weights[value] |= self._bit(at)

    def _bit(self, node: Node) -> int:
        return 1 << self.sites.setdefault((node.application, node.steps), len(self.sites))

    # -- back to the slots ---------------------------------------------------------------------------------------------

    def _back_to_the_slots(self) -> None:
        """What meets a formula's result meets what the formula is made of; where the result leaves the body that the
        formula stands in, it is read there, once."""
        for node in self.formulas:
            self._bit(node)
        inside = self._inside()
        for node in reversed(self.formulas):
            met = 0
            for value in node.results:
                met |= self.from_weights[value]
            within = inside.get(node.application, 0) if node.application is not None else met
            if met & ~within:
                met = met & within | self._bit(node)
            for value in node.reads():
                if value in self.from_weights:
                    self.from_weights[value] |= met
        for value, part in self.parts.items():
            part.sites = self.from_weights[value]

    def _inside(self) -> dict[Application | None, int]:
        """The sites inside each application, as bits."""
        inside: dict[Application | None, int] = {}
        for (application, _), number in self.sites.items():
            for around in _around(application):
                inside[around] = inside.get(around, 0) | 1 << number
        return inside

    # -- counting ------------------------------------------------------------------------------------------------------

    def _counted(self, slot: str, parts: list[_Part]) -> Reads:
        size = prod(parts[0].view.source)
        naming = self.model.naming.get(slot, set())
        bodies: dict[Application | None, Application | None] = {}
        steps: dict[Application | None, set[int]] = {}  # by body that names the slot
        elements: dict[Application | None, int] = {}  # which these steps read together
        for part in parts:
            at: dict[Application | None, set[int]] = {}
            for number in _bits(part.sites):
                application = self.applications[number]
                if application not in bodies:
                    bodies[application] = _named(application, naming)
                at.setdefault(bodies[application], set()).add(self.steps[number])
            for body, of_part in at.items():
                steps.setdefault(body, set()).update(of_part)
                elements[body] = elements.get(body, 0) + len(of_part) * prod(part.view.shape)
        times = total = 0
        for body, read in elements.items():
            together = min(read, len(steps[body]) * size)
            times += len(steps[body]) if together > size else 1
            total += max(size, together)
        return Reads(times, total)

    @cached_property
    def applications(self) -> list[Application | None]:
        """By the number of a site."""
        return [application for application, _ in self.sites]

    @cached_property
    def steps(self) -> list[int]:
        """By the number of a site: a number for the steps in which it stands."""
        known: dict[Steps, int] = {}
        return [known.setdefault(steps, len(known)) for _, steps in self.sites]


def _around(application: Application | None) -> Iterator[Application]:
    """The application and those around it."""
    while application is not None:
        yield application
        application = application.inside


def _named(application: Application | None, naming: set[Application | None]) -> Application | None:
    """The innermost body around a site that names the slot."""
    around = next((a for a in _around(application) if a in naming), None)
    return around if around is not None or None in naming else application


def _bits(sites: int) -> list[int]:
    """The numbers of the bits that are set."""
    if sites.bit_count() > FEW:
        return [number for number, bit in enumerate(reversed(f"{sites:b}")) if bit == "1"]
    numbers = []
    while sites:
        numbers.append(sites.bit_length() - 1)
        sites ^= 1 << numbers[-1]
    return numbers
