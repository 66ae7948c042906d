"""What a path of `freeze`, `lr` and `load` means: layers, parameters and states; or a share group, by its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

from wsdl.diagnostics import Problems
from wsdl.ir.graph import Module, Program, Slot, file_path
from wsdl.ir.requests import Part, PathPattern, Select, ViewCall
from wsdl.ir.types import shape_text
from wsdl.ir.views import View
from wsdl.passes.paths import NotFound, find, root_of, viewed

GroupOf: TypeAlias = Callable[[Slot], str | None]  # the name of what a slot is stored as, where a group gives it one


@dataclass(frozen=True)
class Target:
    """`tensors` are all that a path means, each with the view that it takes; `layers` those of them that it means
    whole."""

    tensors: list[tuple[Slot, View]]
    layers: list[Module]

    @property
    def slots(self) -> list[Slot]:
        return [slot for slot, _ in self.tensors]


def target_of_path(
    pattern: PathPattern,
    base: str,
    program: Program,
    problems: Problems,
    group_of: GroupOf,
    *,
    from_file: bool = False,
) -> Target:
    """What a path means below the layer `base`; `from_file` says that it may also begin at layers and groups of the
    file, as in a `train`. An array stands for all of its layers. Raises `NotFound`, which was reported."""
    for start in dict.fromkeys([base, *([""] if from_file else [])]):
        target = _groups(pattern, start, program, problems, group_of)
        if target is not None:
            return target
    root, first = root_of(program, base), pattern.steps[0]
    if from_file and isinstance(first, Part) and first.name not in root.children and first.name not in root.slots:
        top = root_of(program, "")
        root = top if first.name in top.children and first.name not in program.models else root
    groups = tuple(g.name.rpartition(".")[2] for g in program.groups if g.name and g.base == base)
    tensors: list[tuple[Slot, View]] = []
    layers: list[Module] = []
    for found in find(pattern, root, problems, whole_arrays=True, groups=groups):
        if isinstance(found.thing, Module):
            layers.append(found.thing)
            tensors += [(slot, View.identity(slot.sizes)) for slot in found.thing.all_slots()]
        else:
            tensors.append((found.thing, found.view or View.identity(found.thing.sizes)))
    return Target(tensors, layers)


# -- groups ------------------------------------------------------------------------------------------------------------


def _groups(pattern: PathPattern, base: str, program: Program, problems: Problems, group_of: GroupOf) -> Target | None:
    """The group that a path means by its name, or a part of it; `None` where it means none. In front of the name there
    may be layers, also several (`blocks[*].tied`), and behind it views."""
    last = max(i for i, step in enumerate(pattern.steps) if isinstance(step, Part)) + 1
    for end in dict.fromkeys([len(pattern.steps), last]):
        for start in range(end if program.group_names else 0):
            name = _name(pattern.steps[start:end])
            above = _layers(pattern.steps[:start], base, program) if name else []
            found = [_group(f"{file_path(path)}.{name}".lstrip("."), program, group_of) for path in above]
            if found and all(found):
                tensors = [tensor for target in found if target for tensor in target.tensors]
                layers = [layer for target in found if target for layer in target.layers]
                slot = tensors[0][0]
                views = [step for step in pattern.steps[end:] if not isinstance(step, Part)]
                tensors[0] = slot, viewed(slot, views, problems)
                return Target(tensors, layers)
    return None


def _name(steps: tuple[Part | Select | ViewCall, ...]) -> str:
    """A path as names are written into files, `blocks.3.up`; empty for one that picks several or takes a view."""
    parts: list[str] = []
    for step in steps:
        if isinstance(step, Part):
            parts.append(step.name)
        elif parts and isinstance(step, Select) and len(step.subscripts) == 1 and isinstance(step.subscripts[0], int):
            parts.append(str(step.subscripts[0]))
        else:
            return ""
    return ".".join(parts)


def _layers(steps: tuple[Part | Select | ViewCall, ...], base: str, program: Program) -> list[str]:
    """The paths of the layers that the beginning of a path means; none where it means something else."""
    if not steps:
        return [base]
    with suppress(NotFound):
        found = find(PathPattern(steps, steps[0].span.to(steps[-1].span)), root_of(program, base), Problems())
        return [f.path for f in found if isinstance(f.thing, Module)]
    return []


def _group(name: str, program: Program, group_of: GroupOf) -> Target | None:
    """The members of the group of this name, or those of a part of it; `None` where there is none."""
    parts, names = name.split("."), program.group_names
    if not any(".".join(parts[:end]) in names for end in range(1, len(parts) + 1)):
        return None
    slots = [slot for slot in program.slots() if f"{group_of(slot) or ''}.".startswith(f"{name}.")]
    if not slots and name in names:
        raise NotFound  # a group with a mistake, which was reported
    tensors = [(slot, View.identity(slot.sizes)) for slot in slots]
    return Target(tensors, list(_whole_members(name, program))) if slots else None


def _whole_members(name: str, program: Program) -> Iterator[Module]:
    """The layers that a group ties as a whole."""
    for group in program.groups:
        for pattern in group.members if file_path(group.name) == name and not group.exceptions else ():
            with suppress(NotFound):
                found = find(pattern, root_of(program, group.base), Problems())
                yield from (f.thing for f in found if isinstance(f.thing, Module))


def refuse_part(pattern: PathPattern, target: Target, verb: str, problems: Problems) -> None:
    """Report a path that takes a part of a tensor, which can't be treated otherwise than the rest."""
    for slot, view in target.tensors:
        if view.inverse() is None:
            problems.error(
                "E0332",
                pattern.span,
                f"`{pattern.span.text}` is a part of `{slot.path}`, which can't {verb} by itself",
                f"{shape_text(view.shape)} of {slot.type}",
                help=f"name all of `{slot.path}`, or make the part a parameter of its own and put both together",
            )
            raise NotFound
