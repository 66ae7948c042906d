"""Counts how often each slot of a model is read: what `used` and `without sharing` mean everywhere.

    model m(x: f32[n, 8], y: f32[n, 8]) -> (z: f32[n, 8]) {
        layer f = Dense(8)                                   # f.weight and f.bias are read twice
        return f(x) + f(y)
    }

A slot is read once for each *place*: an application of the layer in whose body it stands, or the body that names it
from outside (`embed.weight`); a step of a `for` in such a body is a place of its own. How often the formula of a place
writes the name doesn't count (`w / sqrt(sum(w ** 2))` reads `w` once), and neither does what no result needs. What is
computed from weights alone counts where the data meets it, so that `x @ (w * mask)` in a `for` reads `w` at each step,
as long as it stays in the body that it was made in. The steps of a `scan` are one place: they are one body.

If the steps of a `for` take different parts of a parameter (`x + time[i]`), it is read once in all of them, unless they
read more elements together than it has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import prod
from typing import TypeAlias

from wsdl.ir.graph import Application, Graph, Model, Node, Program, Reads, Repetition, Value
from wsdl.ir.views import View
from wsdl.passes.fold_views import moved

Steps: TypeAlias = tuple[Repetition, ...]
Place: TypeAlias = "tuple[Application | None, Steps]"


def count_reads(program: Program) -> Program:
    """Fill in `reads` of each model; for graphs over slots, as `elaborate` leaves them."""
    for model in program.models.values():
        model.reads = _Counting(model).reads()
    return program


@dataclass(eq=False)
class _Part:
    """What a value has of a slot, and the places where it meets data, as a set of bits."""

    slot: str
    view: View
    places: int = 0


@dataclass
class _Counting:
    """`made` has the values that are computed from weights alone, with the places where data meets them; `parts` those
    of them that are a slot or a view of one; `formulas` the nodes that compute the others."""

    model: Model
    data: set[Value] = field(default_factory=set)
    made: dict[Value, int] = field(default_factory=dict)
    parts: dict[Value, _Part] = field(default_factory=dict)
    formulas: list[Node] = field(default_factory=list)
    places: dict[Place, int] = field(default_factory=dict)  # and the number of its bit

    def reads(self) -> dict[str, Reads]:
        graph = self.model.graph
        self.data.update(graph.inputs)
        producers = {value: node for node in graph.nodes for value in node.results}
        self._go_through(graph)
        for value in graph.outputs:
            if value in self.made:  # computed from weights alone
                self._meets_data(value, producers[value])
        self._back_to_the_slots()
        parts: dict[str, list[_Part]] = {}
        for part in self.parts.values():
            if part.places:
                parts.setdefault(part.slot, []).append(part)
        return {slot: self._counted(slot, of_slot) for slot, of_slot in parts.items()}

    # -- where weights meet data ---------------------------------------------------------------------------------------

    def _go_through(self, graph: Graph) -> None:
        for node in _needed(graph):
            if node.op == "parameter":
                slot = str(node.attributes["slot"])
                self._add_part(node.result, _Part(slot, View.identity(node.result.type.sizes or ())))
                continue
            reads = node.reads()
            source = self.parts.get(node.inputs[0]) if node.inputs else None
            view = moved(source.view, node) if source is not None else None
            if source is not None and view is not None:
                self._add_part(node.result, _Part(source.slot, view))
            elif any(value in self.data for value in reads):
                self._runs_on_data(node)
            elif any(value in self.made for value in reads):
                self.formulas.append(node)
                self.made.update(dict.fromkeys(node.results, 0))

    def _add_part(self, value: Value, part: _Part) -> None:
        self.parts[value] = part
        self.made[value] = 0

    def _runs_on_data(self, node: Node) -> None:
        self.data.update(node.results)
        for value in node.inputs:
            self._meets_data(value, node)
        if node.body is not None:
            self.data.update(node.body.inputs)
            self._go_through(node.body)
            for value in node.body.outputs:
                self._meets_data(value, node)

    def _meets_data(self, value: Value, at: Node) -> None:
        if value in self.made:
            self.made[value] |= self._bit(at)

    def _bit(self, node: Node) -> int:
        return 1 << self.places.setdefault((node.application, node.steps), len(self.places))

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
                met |= self.made[value]
            within = inside.get(node.application, 0) if node.application is not None else met
            if met & ~within:
                met = met & within | self._bit(node)
            for value in node.reads():
                if value in self.made:
                    self.made[value] |= met
        for value, part in self.parts.items():
            part.places = self.made[value]

    def _inside(self) -> dict[Application | None, int]:
        """The places inside each application, as bits."""
        inside: dict[Application | None, int] = {}
        for (application, _), number in self.places.items():
            for around in _around(application):
                inside[around] = inside.get(around, 0) | 1 << number
        return inside

    # -- counting ------------------------------------------------------------------------------------------------------

    def _counted(self, slot: str, parts: list[_Part]) -> Reads:
        size = prod(parts[0].view.source)
        naming = self.model.naming.get(slot, set())
        places = [*self.places]
        steps: dict[Application | None, dict[Steps, int]] = {}  # by body; elements that each step reads
        for part in parts:
            elements = prod(part.view.shape)
            at = {(_named(places[number][0], naming), places[number][1]) for number in _bits(part.places)}
            for application, step in at:
                of_body = steps.setdefault(application, {})
                of_body[step] = min(size, of_body.get(step, 0) + elements)
        times = elements = 0
        for of_body in steps.values():
            together = sum(of_body.values())
            if len(of_body) == 1 or together <= size:
                times, elements = times + 1, elements + size
            else:
                times, elements = times + len(of_body), elements + together
        return Reads(times, elements)


def _needed(graph: Graph) -> Iterable[Node]:
    """The nodes that a result needs, in their order."""
    needed = set(graph.outputs)
    nodes: list[Node] = []
    for node in reversed(graph.nodes):
        if not needed.isdisjoint(node.results):
            nodes.append(node)
            needed.update(node.reads())
    return reversed(nodes)


def _around(application: Application | None) -> Iterator[Application]:
    """The application and those around it."""
    while application is not None:
        yield application
        application = application.inside


def _named(application: Application | None, naming: set[Application | None]) -> Application | None:
    """The innermost body around a place that names the slot."""
    around = next((a for a in _around(application) if a in naming), None)
    return around if around is not None or None in naming else application


def _bits(places: int) -> Iterator[int]:
    while places:
        yield (places & -places).bit_length() - 1
        places &= places - 1
