"""Looks up paths: from a pattern such as `blocks[*].ffn.up.weight.T` to layers and slots of the program."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

from wsdl.diagnostics import Edit, Label, Problems
from wsdl.diagnostics.span import Span
from wsdl.diagnostics.suggest import nearest
from wsdl.ir.graph import Module, Slot
from wsdl.ir.requests import Part, PathPattern, Select, ViewCall
from wsdl.ir.stages import Checked
from wsdl.ir.views import View, ViewError


@dataclass(frozen=True)
class Match:
    """A layer, or a slot through a view, and its location in the source."""

    thing: Module | Slot
    view: View | None
    span: Span

    @property
    def path(self) -> str:
        return self.thing.path

    def tensors(self) -> list[tuple[Slot, View]]:
        """The slot through its view; all slots of a layer as they are."""
        if isinstance(self.thing, Slot):
            return [(self.thing, self.view or View.identity(self.thing.sizes))]
        return [(slot, View.identity(slot.sizes)) for slot in self.thing.all_slots()]


class NotFound(Exception):
    """A path that doesn't exist, which has been reported."""


@dataclass(frozen=True)
class _Search:
    """The path that is looked up, from where, and names of groups that may have been meant. `many` is the index that
    stands for all layers of an array, as messages recommend it. One that is `tried` need not lead anywhere."""

    pattern: PathPattern
    root: Module
    paths: Paths
    problems: Problems
    groups: Sequence[str]
    many: str
    tried: bool


Thing: TypeAlias = "Module | list[Module] | tuple[Slot, View]"


class Paths:
    """Looks up paths among the layers of a program, and remembers reported missing names, so that one mistake gives one
    message. After other errors, layers may only seem never to be applied."""

    def __init__(self, program: Checked, doubtful: bool = False, parts: Iterable[Slot] = ()) -> None:
        self._program, self._with_errors = program, doubtful
        self._parts: dict[str, dict[str, Slot]] = {}  # by the path of what they lie below, then by name
        self.add_parts(parts)
        self._roots: dict[str, Module] = {}
        self._never_applied: set[Module] = set()  # those that were reported
        self._missing: set[tuple[Module, str]] = set()

    def add_parts(self, parts: Iterable[Slot]) -> None:
        """Let the parts of ways of sharing be found too."""
        for slot in parts:
            owner, _, name = slot.path.rpartition(".")
            self._parts.setdefault(owner, {})[name] = slot

    def part(self, owner: str, name: str) -> Slot | None:
        """The part of a way of sharing of this name, below a parameter or a layer."""
        return self._parts.get(owner, {}).get(name)

    def root(self, base: str) -> Module:
        """The layer at which paths start: the one with the path `base`, or one that holds all of the file's. Raises
        `NotFound` for one that an error kept from being built."""
        if not self._roots:
            self._roots = {module.path: module for module in reversed(list(self._file().modules()))}
        if base not in self._roots:
            raise NotFound
        return self._roots[base]

    def start(self, pattern: PathPattern, base: str, from_file: bool) -> Module:
        """The layer at which one path starts: that with the path `base`, or with `from_file` perhaps the file."""
        root, first = self.root(base), pattern.steps[0]
        if from_file and isinstance(first, Part) and root.named(first.name) is None and first.name not in root.slots:
            top = self.root("")
            of_file = top.named(first.name) is not None or first.name in top.slots
            return top if of_file else root
        return root

    def _file(self) -> Module:
        first = next(self._program.roots(), None)
        if first is None:
            raise NotFound
        top = Module("", "the file", first.span)
        top.doubtful = self._program.doubtful
        top.children.update({root.path: root for root in self._program.roots() if "[" not in root.path})
        top.slots.update(self._program.parameters)
        top.aliases.update(self._program.aliases)
        for root in self._program.roots():
            if "[" in root.path:
                array = top.children.setdefault(root.path.partition("[")[0], [])
                assert isinstance(array, list)
                array.append(root)
        return top

    def find(
        self,
        pattern: PathPattern,
        root: Module,
        problems: Problems | None,
        *,
        whole_arrays: bool = False,
        groups: Sequence[str] = (),
        many: str = "*",
    ) -> list[Match]:
        """All that a path means, in order. Raises `NotFound` after reporting; without `problems` it is only tried.

        With `whole_arrays` an array of layers stands for all of them, as in `except norms`. `groups` are names that may
        have been meant as well.
        """
        tried = problems is None
        search = _Search(pattern, root, self, Problems() if problems is None else problems, groups, many, tried)
        at: list[Thing] = [root]
        for step in pattern.steps:
            if many != "*":  # a line of a `load` table: some of the layers of an array may have what it names
                at = [thing for thing in at if _has(thing, step)] or at
            at = [thing for things in at for thing in _step(things, step, search)]
        matches: list[Match] = []
        for thing in at:
            if isinstance(thing, list) and whole_arrays:
                matches += [Match(module, None, pattern.span) for module in thing]
            elif isinstance(thing, list):
                search.problems.error(
                    "E0310",
                    pattern.span,
                    f"`{pattern.span.text}` is an array of {len(thing)} layers",
                    "which of them?",
                    help=f"write `{pattern.span.text}[*]` for all of them, `{pattern.span.text}[0:2]` for some",
                    fix=[Edit(pattern.span.after(), "[*]")],
                )
                raise NotFound
            elif isinstance(thing, Module):
                matches.append(Match(thing, None, pattern.span))
            else:
                matches.append(Match(thing[0], thing[1], pattern.span))
        return matches

    def step(self, things: Sequence[Thing], step: Part | Select | ViewCall) -> list[Thing]:
        """Where one step of a path leads from several things. Raises `NotFound`; nothing is reported."""
        search = _Search(PathPattern((step,), step.span), self.root(""), self, Problems(), (), "*", tried=True)
        return [following for thing in things for following in _step(thing, step, search)]

    def is_doubtful(self, module: Module) -> bool:
        """May parts of a layer be missing for a reason that was reported?"""
        unused = self._with_errors and not module.uses and module.kind not in ("model", "the file")
        return module.doubtful or unused or module in self._never_applied

    def is_news(self, module: Module, name: str) -> bool:
        """Is it not yet reported that a layer has no part of this name?"""
        is_news = (module, name) not in self._missing and not self.is_doubtful(module)
        self._missing.add((module, name))
        return is_news

    def report_never_applied(self, module: Module, span: Span, root: Module, problems: Problems) -> None:
        """Report a path into a layer that is never applied, once, unless a body could not be run."""
        if not self.is_doubtful(module) and not self.is_doubtful(root):
            problems.error(
                "E0327",
                span,
                f"`{module.path}` is never applied, so its parameters have no shape",
                "no parameters are created",
                labels=[Label(module.span, "declared here")] if not module.span.source.is_standard else [],
                help="apply it to a tensor, or remove this path",
            )
        self._never_applied.add(module)


def _step(thing: Thing, step: Part | Select | ViewCall, search: _Search) -> Iterator[Thing]:
    if isinstance(thing, tuple):
        slot, view = thing
        part = search.paths.part(slot.path, step.name) if isinstance(step, Part) and view.is_identity else None
        if part is not None:
            yield part, View.identity(part.sizes)
        else:
            yield slot, _viewed(slot, view, step, search.problems)
    elif isinstance(step, Part):
        yield from _part(thing, step, search)
    elif isinstance(step, Select) and isinstance(thing, list):
        yield from _selected(thing, step, search)
    else:
        what = "a view" if isinstance(step, ViewCall) else "an index"
        kind = "an array of layers" if isinstance(thing, list) else "one layer"
        if not isinstance(thing, list) and search.paths.is_doubtful(thing):
            raise NotFound
        search.problems.error(
            "E0319",
            step.span,
            f"{what} can't be applied to {kind}",
            f"`{thing.path}` is a {thing.kind}" if isinstance(thing, Module) else "",
            help="views belong to parameters, such as `decode.weight.T`; indices to arrays of layers and to parameters",
        )
        raise NotFound


def _part(thing: Module | list[Module], step: Part, search: _Search) -> Iterator[Thing]:
    if isinstance(thing, list):
        if not thing:
            raise NotFound  # none could be made, which was reported
        steps = search.pattern.steps
        name = next((before.name for before, at in pairwise(steps) if at is step and isinstance(before, Part)), "")
        all_of_them = "all of them" if search.many == "*" else f"each `{{{search.many}}}` in the names of the file"
        search.problems.error(
            "E0310",
            step.span,
            f"`{name}` is an array of {len(thing)} layers",
            f"which of them has `{step.name}`?",
            help=f"write `{name}[{search.many}].{step.name}` for {all_of_them}, `{name}[0].{step.name}` for one",
        )
        raise NotFound
    if step.name in thing.slots:
        slot = thing.slots[step.name]
        yield slot, View.identity(slot.sizes)
    elif (named := thing.named(step.name)) is not None:
        yield named
    elif (part := search.paths.part(thing.path, step.name)) is not None:
        yield part, View.identity(part.sizes)
    else:
        _missing(thing, step, search)
        raise NotFound


def _has(thing: Thing, step: Part | Select | ViewCall) -> bool:
    """Whether a layer has a parameter or layer of this name; true for anything but names of parts of layers."""
    if not isinstance(thing, Module) or not isinstance(step, Part):
        return True
    return step.name in thing.slots or thing.named(step.name) is not None


def _missing(module: Module, step: Part, search: _Search) -> None:
    if search.tried or not search.paths.is_news(module, step.name):
        return  # what is missing may be what a reported mistake took away
    layers = ((name, module.named(name)) for name in dict.fromkeys((*module.children, *module.aliases)))
    offered = [*module.slots, *(name for name, child in layers if child is not None and _may_own(child))]
    if not module.uses and module.path and module.kind != "model":
        search.paths.report_never_applied(module, step.span, search.root, search.problems)
        return
    if step.name in module.tensors:
        search.problems.error(
            "E0317",
            step.span,
            f"`{step.name}` is a tensor, not a parameter or layer",
            "computed when the model runs, not stored",
            labels=[Label(module.tensors[step.name], f"`{step.name}` is bound here")],
            help=f"name the layer that owns the weights, or declare them: `param {step.name}: […]`",
        )
        return
    near = nearest(step.name, [*offered, *(search.groups if module is search.root else ())])
    model = f"the model `{module.path}`"
    kind = model if module.kind == "model" else f"`{module.path}` ({module.kind})" if module.path else "the file"
    has = f"it has {', '.join(f'`{o}`' for o in offered)}" if offered else "it has none"
    is_shown = module.path and module.kind != "model" and not module.span.source.is_standard
    search.problems.error(
        "E0317",
        step.span,
        f"{kind} has no parameter or layer `{step.name}`",
        "not there",
        labels=[Label(module.span, f"`{module.path}` is declared here")] if is_shown else [],
        help=None if near and len(offered) == 1 else has,
        near=near,
    )


def _may_own(child: Module | list[Module]) -> bool:
    """Has it parameters, or may it have some once it is applied? A dropout has none."""
    modules = child if isinstance(child, list) else [child]
    return any(not module.uses or any(module.all_slots()) for module in modules)


def _selected(array: list[Module], step: Select, search: _Search) -> Iterator[Module]:
    subscript = step.subscripts[0]
    if len(step.subscripts) != 1 or subscript is ...:
        label = "`...` stands for axes" if len(step.subscripts) == 1 else f"{len(step.subscripts)} are given"
        message, help = "an array of layers has one index", "write `[2]`, `[0:6]` or `[*]`"
        search.problems.error("E0319", step.span, message, label, help=help)
        raise NotFound
    if isinstance(subscript, int):
        if not -len(array) <= subscript < len(array):
            label = f"{_name_of(array)} has {len(array)}, counted from 0"
            search.problems.error("E0316", step.span, f"there is no layer {subscript}", label)
            raise NotFound
        yield array[subscript]
        return
    bounds = [b for b in (subscript.start, subscript.stop) if b is not None]
    chosen = array[subscript]
    if not chosen or any(abs(b) > len(array) for b in bounds):
        search.problems.error(
            "E0316",
            step.span,
            "this slice goes beyond the array" if chosen else "this slice selects no layer",
            f"{_name_of(array)} has {len(array)}, counted from 0",
        )
        raise NotFound
    yield from dict.fromkeys(chosen)  # one layer may be in it several times


def _name_of(array: list[Module]) -> str:
    own = (module.path.rpartition("[")[0] for module in array if module.path.endswith("]"))
    return next((f"`{name}`" for name in own), "the array")


def viewed(slot: Slot, steps: Iterable[Select | ViewCall], problems: Problems) -> View:
    """A slot through views as they are written. Raises `NotFound` after reporting."""
    view = View.identity(slot.sizes)
    for step in steps:
        view = _viewed(slot, view, step, problems)
    return view


def through(view: View, step: Select | ViewCall) -> View:
    """A view, and the next one as it is written. Raises `ViewError`."""
    if isinstance(step, Select):
        return view.select(step.subscripts)
    if step.name == "T":
        return view.transposed
    if step.name == "reshape":
        return view.reshape(step.arguments)
    return view.permute(step.arguments) if step.name == "permute" else view.flip(step.arguments)


def about_an_index(one: Sequence[int], other: Sequence[int]) -> str | None:
    """The help for two shapes that differ by axes of size 1."""
    if [size for size in one if size != 1] != [size for size in other if size != 1]:
        return None
    return "they differ by an axis of size 1: an index drops its axis, `w[0]`, and a slice keeps it, `w[0:1]`"


def _viewed(slot: Slot, view: View, step: Part | Select | ViewCall, problems: Problems) -> View:
    if not isinstance(step, Part):
        try:
            return through(view, step)
        except ViewError as error:
            story = [Label(slot.layer_span, slot.story)] if slot.story else []
            problems.error("E0315", step.span, str(error), f"of `{slot.path}`, {slot.type}", labels=story)
            raise NotFound from None
    problems.error(
        "E0317",
        step.span,
        f"`{slot.path}` is a parameter and has no parts",
        "not there",
        help="a parameter can be followed by views: `.T`, `.permute(…)`, `.reshape(…)`, `.flip(…)`, `[a:b, c:d]`",
    )
    raise NotFound
