"""Looking paths up: from a pattern such as `blocks[*].ffn.up.weight.T` to layers and slots of the program."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from wsdl.diagnostics import Label, Problems
from wsdl.diagnostics.suggest import nearest
from wsdl.ir.graph import Module, Program, Slot
from wsdl.ir.requests import Part, PathPattern, Select, ViewCall
from wsdl.ir.views import View, ViewError
from wsdl.span import Span


@dataclass(frozen=True)
class Found:
    """A layer, or a slot through a view, and where the file names it."""

    thing: Module | Slot
    view: View | None
    span: Span

    @property
    def path(self) -> str:
        return self.thing.path


class NotFound(Exception):
    """A path that leads nowhere; it has been reported."""


def root_of(program: Program, base: str) -> Module:
    """The layer at which paths start: the one with the path `base`, or one that holds all of the file's."""
    top = Module("", "the file", next(program.roots()).span)
    top.children.update({root.path: root for root in program.roots() if "[" not in root.path})
    for root in program.roots():
        if "[" in root.path:
            array = top.children.setdefault(root.path.partition("[")[0], [])
            assert isinstance(array, list)
            array.append(root)
    return next(m for m in top.modules() if m.path == base)


def find(pattern: PathPattern, root: Module, problems: Problems, *, whole_arrays: bool = False) -> list[Found]:
    """All that a path means, in order. Raises `NotFound` after reporting.

    With `whole_arrays` an array of layers stands for all of them, as in `except norms`.
    """
    at: list[Module | list[Module] | tuple[Slot, View]] = [root]
    for step in pattern.steps:
        at = [found for thing in at for found in _step(thing, step, pattern, problems)]
    found: list[Found] = []
    for thing in at:
        if isinstance(thing, list) and whole_arrays:
            found += [Found(module, None, pattern.span) for module in thing]
        elif isinstance(thing, list):
            problems.error(
                "E0310",
                pattern.span,
                f"this is an array of {len(thing)} layers",
                "which of them?",
                help="write `[*]` behind its name for all, `[0:6]` for some",
            )
            raise NotFound
        elif isinstance(thing, Module):
            found.append(Found(thing, None, pattern.span))
        else:
            found.append(Found(thing[0], thing[1], pattern.span))
    return found


def _step(
    thing: Module | list[Module] | tuple[Slot, View],
    step: Part | Select | ViewCall,
    pattern: PathPattern,
    problems: Problems,
) -> Iterator[Module | list[Module] | tuple[Slot, View]]:
    if isinstance(thing, tuple):
        yield thing[0], _viewed(thing[0], thing[1], step, problems)
    elif isinstance(step, Part):
        yield from _part(thing, step, pattern, problems)
    elif isinstance(step, Select) and isinstance(thing, list):
        yield from _selected(thing, step, problems)
    else:
        what = "a view" if isinstance(step, ViewCall) else "an index"
        kind = "an array of layers" if isinstance(thing, list) else f"a layer ({thing.kind})"
        problems.error(
            "E0319",
            step.span,
            f"{what} doesn't go with {kind}",
            help="views belong to parameters, such as `decode.weight.T`; indices to arrays of layers and to parameters",
        )
        raise NotFound


def _part(
    thing: Module | list[Module], step: Part, pattern: PathPattern, problems: Problems
) -> Iterator[Module | list[Module] | tuple[Slot, View]]:
    if isinstance(thing, list):
        name = thing[0].path.rpartition(".")[2].partition("[")[0]
        problems.error(
            "E0317",
            step.span,
            f"`{name}` is an array of {len(thing)} layers",
            f"which of them has `{step.name}`?",
            help=f"write `{name}[*].{step.name}` for all of them, `{name}[0].{step.name}` for one",
        )
        raise NotFound
    if step.name in thing.slots:
        slot = thing.slots[step.name]
        yield slot, View.identity(slot.sizes)
    elif step.name in thing.children:
        yield thing.children[step.name]
    else:
        _missing(thing, step, problems)
        raise NotFound


def _missing(module: Module, step: Part, problems: Problems) -> None:
    offered = [*module.slots, *module.children]
    near = nearest(step.name, offered)
    kind = f"`{module.path}` ({module.kind})" if module.path else "the file"
    help_ = f"it has {', '.join(f'`{o}`' for o in offered)}" if offered else None
    labels = [Label(module.span, f"`{module.path}` is declared here")] if module.path and module.kind != "model" else []
    if not offered and not module.uses and module.kind != "model":
        help_ = "it is never applied, so its parameters have no shape; apply it, or leave it out"
    problems.error(
        "E0317",
        step.span,
        f"{kind} has no parameter or layer `{step.name}`",
        f"did you mean `{near}`?" if near else "",
        labels=labels,
        help=help_,
    )


def _selected(array: list[Module], step: Select, problems: Problems) -> Iterator[Module]:
    if len(step.subscripts) != 1:
        problems.error("E0319", step.span, "an array of layers has one index", f"{len(step.subscripts)} are given")
        raise NotFound
    subscript = step.subscripts[0]
    if isinstance(subscript, int):
        if not -len(array) <= subscript < len(array):
            problems.error(
                "E0316", step.span, f"there is no layer {subscript}", f"the array has {len(array)}, counted from 0"
            )
            raise NotFound
        yield array[subscript]
        return
    bounds = [b for b in (subscript.start, subscript.stop) if b is not None]
    chosen = array[subscript]
    if not chosen or any(abs(b) > len(array) for b in bounds):
        problems.error(
            "E0316",
            step.span,
            "this slice leaves the array" if chosen else "this slice picks no layer",
            f"the array has {len(array)}, counted from 0",
        )
        raise NotFound
    yield from chosen


def _viewed(slot: Slot, view: View, step: Part | Select | ViewCall, problems: Problems) -> View:
    try:
        if isinstance(step, Select):
            bounds = [slice(s, s + 1 or None) if isinstance(s, int) else s for s in step.subscripts]
            return view.slice([(b.start, b.stop, b.step) for b in bounds])
        if isinstance(step, ViewCall):
            if step.name == "T":
                return view.transposed
            if step.name == "reshape":
                return view.reshape(step.arguments)
            return view.permute(step.arguments) if step.name == "permute" else view.flip(step.arguments)
    except ViewError as error:
        problems.error(
            "E0315", step.span, str(error), f"of `{slot.path}`, {slot.type}", labels=[Label(slot.layer_span, slot.story)]
        )
        raise NotFound from None
    problems.error(
        "E0317",
        step.span,
        f"`{slot.path}` is a parameter and has no parts",
        help="behind a parameter stand views: `.T`, `.permute(…)`, `.reshape(…)`, `.flip(…)`, `[a:b, c:d]`",
    )
    raise NotFound
