"""Use and definition of the names in paths: each part of a path refers to a layer, a parameter or a share group."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from wsdl.diagnostics.span import Span
from wsdl.ir.graph import Module, file_path
from wsdl.ir.references import References
from wsdl.ir.requests import FreezeRequest, GroupRequest, Part, PathPattern, Select, ViewCall
from wsdl.ir.stages import Checked
from wsdl.ir.training import RateRequest
from wsdl.sharing.load_patterns import general_path
from wsdl.sharing.paths import NotFound, Paths, Thing


def references(program: Checked) -> References:
    """Those of the program, and those of the paths in `share`, `freeze`, `lr` and `load`, and of formulas, in its
    variants too; and of the losses that a `weight` names.

    A path is followed as far as it exists. Paths in a block that is never applied aren't resolved.
    """
    found = _with_paths(program, program.references)
    for name in program.variants:
        found = _with_paths(program.with_variant(name), found)
    for training in program.trainings.values():
        for name, weight in training.weights.items():
            losses = (loss for loss in training.objective.auxiliary if loss.name == name)
            found.add(weight.span, *(span for loss in losses for span in (loss.span, *loss.others)))
    return found


def _with_paths(program: Checked, known: References) -> References:
    """The references that are known, and those in the paths of a program."""
    follow = _Follow(program, known)
    for group in (*program.groups, *(request.group for request in program.ways)):
        follow.group(group)
    for formula in program.formulas:
        follow.path(formula.target, formula.base, of_groups=False)
    for freeze in program.freezes:
        follow.paths(freeze, from_file=False)
    for load in program.loads:
        things = follow.path(load.target, load.base)
        for mapping in load.mappings:
            follow.steps(general_path(mapping).steps, things)
        for exception in load.exceptions:
            follow.steps(exception.steps, things)
    for copy in program.copies:
        follow.path(copy.source, copy.base)
        follow.path(copy.target, copy.base)
    for training in program.trainings.values():
        for request in training.freezes:
            follow.paths(request, from_file=True)
        for rate in training.rates:
            follow.paths(rate, from_file=True)
    return follow.references


class _Follow:
    """Follows paths, and records the definition of each of their parts."""

    def __init__(self, program: Checked, known: References) -> None:
        self._paths = Paths(program)
        self.references = known.copy()
        self._ways = program.ways
        self._groups: dict[str, list[GroupRequest]] = {}  # by their names in files
        for group in (*program.groups, *(request.group for request in program.ways)):
            if group.name:
                self._groups.setdefault(file_path(group.name), []).append(group)

    def group(self, group: GroupRequest) -> list[Thing]:
        """What its members are; these are no groups."""
        members = [thing for pattern in group.members for thing in self.path(pattern, group.base, of_groups=False)]
        for pattern in group.exceptions:
            for member in members:
                self.steps(pattern.steps, [member])
        for place in (group.span, group.name_span):
            self.references.add_slots(place, _slots(members))
        return members

    def paths(self, request: FreezeRequest | RateRequest, from_file: bool) -> None:
        for pattern in request.paths:
            self.path(pattern, request.base, from_file)

    def path(self, pattern: PathPattern, base: str, from_file: bool = False, of_groups: bool = True) -> list[Thing]:
        """The things that a path selects; none if a part of it does not exist."""
        with suppress(NotFound):
            root = self._paths.start(pattern, base, from_file)
            starts = dict.fromkeys([root, *([self._paths.root("")] if from_file else [])])
            named = next((start for start in starts if self._named([start], pattern.steps[0])), root)
            return self.steps(pattern.steps, [named if of_groups else root], of_groups)
        return []

    def steps(
        self, steps: Iterable[Part | Select | ViewCall], things: Sequence[Thing], of_groups: bool = True
    ) -> list[Thing]:
        at, ways = list(things), self._ways
        for step in steps:
            groups = self._named(at, step) if of_groups else []
            if groups:
                self.references.add(step.span, *(group.name_span for group in groups))
                at = [thing for group in groups for thing in self.group(group)]
                self.references.add_slots(step.span, _slots(at))
                ways = tuple(request for request in ways if request.group in groups)
                continue
            before = at
            try:
                at = self._paths.step(at, step)
            except NotFound:  # what a way of sharing stores is known by its block alone
                if isinstance(step, Part):
                    self.references.add(step.span, *(place for w in ways for place in w.way.places_of(step.name)))
                return []
            if isinstance(step, Part):
                self.references.add(step.span, *_declarations(step.name, before, at))
                self.references.add_slots(step.span, _slots(at))
        return at

    def _named(self, things: Iterable[Thing], step: Part | Select | ViewCall) -> list[GroupRequest]:
        """The groups of these layers with the name of a part of a path."""
        if not isinstance(step, Part):
            return []
        names = [f"{file_path(m.path)}.{step.name}".lstrip(".") for m in things if isinstance(m, Module)]
        return [group for name in names for group in self._groups.get(name, ())]


def _slots(things: Iterable[Thing]) -> Iterator[str]:
    """The paths of the slots of layers, arrays of layers and parameters."""
    for thing in things:
        if isinstance(thing, tuple):
            yield thing[0].path
        else:
            modules = thing if isinstance(thing, list) else [thing]
            yield from (slot.path for module in modules for slot in module.all_slots())


def _declarations(name: str, around: Iterable[Thing], things: Iterable[Thing]) -> Iterator[Span | None]:
    """Where a name in a path is declared that leads from some layers to these things."""
    aliases = [thing.aliases[name].span for thing in around if isinstance(thing, Module) and name in thing.aliases]
    yield from aliases or (place for thing in things for place in _places(thing))


def _places(thing: Thing) -> list[Span | None]:
    """The declarations of a layer, of the layers of an array, or of a parameter."""
    if isinstance(thing, Module):
        return [thing.span]
    if isinstance(thing, list):
        return [module.span for module in thing]
    return [thing[0].name_span]
