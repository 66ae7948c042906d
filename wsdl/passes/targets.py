"""What a path of `freeze`, `lr` and `load` means: layers, parameters and states; or a share group, by its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

from wsdl.diagnostics import Problems
from wsdl.ir.graph import Module, Program, Slot, file_path
from wsdl.ir.requests import GroupRequest, Part, PathPattern, Select, ViewCall
from wsdl.ir.types import shape_text
from wsdl.ir.views import View
from wsdl.passes.paths import NotFound, find, root_of, viewed


@dataclass(frozen=True)
class Target:
    """`tensors` are all that a path means, each with the view that it takes; `layers` those of them that it means
    whole."""

    tensors: list[tuple[Slot, View]]
    layers: list[Module]

    @property
    def slots(self) -> list[Slot]:
        return [slot for slot, _ in self.tensors]


class Targets:
    """Looks paths up in a program; what it takes to do so is gathered once. `group_of` gives the name of what a slot is
    stored as, where a group gives it one."""

    def __init__(self, program: Program, group_of: Callable[[Slot], str | None]) -> None:
        self._program, self._group_of = program, group_of
        self._roots: dict[str, Module] = {}
        self._names: dict[str, tuple[str, ...]] = {}  # by the path of a layer
        self._groups: dict[str, list[GroupRequest]] = {}
        for group in program.groups:
            if group.name:
                self._groups.setdefault(file_path(group.name), []).append(group)

    def of(self, pattern: PathPattern, base: str, problems: Problems, *, from_file: bool = False) -> Target:
        """What a path means below the layer `base`; `from_file` says that it may also begin at layers and groups of the
        file, as in a `train`. An array stands for all of its layers. Raises `NotFound`, which was reported."""
        for start in dict.fromkeys([base, *([""] if from_file else [])]):
            target = self._in_groups(pattern, start, problems)
            if target is not None:
                return target
        root, first = self._root(base), pattern.steps[0]
        if from_file and isinstance(first, Part) and first.name not in root.children and first.name not in root.slots:
            top = self._root("")
            root = top if first.name in top.children and first.name not in self._program.models else root
        tensors: list[tuple[Slot, View]] = []
        layers: list[Module] = []
        for found in find(pattern, root, problems, whole_arrays=True, groups=self._named_below(base)):
            if isinstance(found.thing, Module):
                layers.append(found.thing)
                tensors += [(slot, View.identity(slot.sizes)) for slot in found.thing.all_slots()]
            else:
                tensors.append((found.thing, found.view or View.identity(found.thing.sizes)))
        return Target(tensors, layers)

    def _root(self, base: str) -> Module:
        if base not in self._roots:
            self._roots[base] = root_of(self._program, base)
        return self._roots[base]

    # -- groups --------------------------------------------------------------------------------------------------------

    def _in_groups(self, pattern: PathPattern, base: str, problems: Problems) -> Target | None:
        """The group that a path means by its name, or a part of it; `None` where it means none. In front of the name
        there may be layers, also several (`blocks[*].tied`), and behind it views."""
        last = max(i for i, step in enumerate(pattern.steps) if isinstance(step, Part)) + 1
        for end in dict.fromkeys([len(pattern.steps), last]):
            for start in range(end if self._groups else 0):
                name = _name(pattern.steps[start:end])
                above = self._layers(pattern.steps[:start], base) if name else []
                found = [self._group(f"{file_path(path)}.{name}".lstrip(".")) for path in above]
                if found and all(found):
                    tensors = [tensor for target in found if target for tensor in target.tensors]
                    layers = [layer for target in found if target for layer in target.layers]
                    slot = tensors[0][0]
                    views = [step for step in pattern.steps[end:] if not isinstance(step, Part)]
                    tensors[0] = slot, viewed(slot, views, problems)
                    return Target(tensors, layers)
        return None

    def _layers(self, steps: tuple[Part | Select | ViewCall, ...], base: str) -> list[str]:
        """The paths of the layers that the beginning of a path means; none where it means something else."""
        if not steps:
            return [base]
        with suppress(NotFound):
            found = find(PathPattern(steps, steps[0].span.to(steps[-1].span)), self._root(base), Problems())
            return [f.path for f in found if isinstance(f.thing, Module)]
        return []

    def _group(self, name: str) -> Target | None:
        """The members of the group of this name, or those of a part of it; `None` where there is none."""
        slots = self._members.get(name, [])
        if not slots and name in self._groups:
            raise NotFound  # a group with a mistake, which was reported
        tensors = [(slot, View.identity(slot.sizes)) for slot in slots]
        return Target(tensors, list(self._whole_members(name))) if slots else None

    @cached_property
    def _members(self) -> dict[str, list[Slot]]:
        """The slots of each group by its name, and those of the parts of a group of layers by theirs."""
        members: dict[str, list[Slot]] = {}
        for slot in self._program.slots():
            parts = (self._group_of(slot) or "").split(".")
            names = [".".join(parts[: end + 1]) for end in range(len(parts))]
            first = next((i for i, name in enumerate(names) if name in self._groups), len(names))
            for name in names[first:]:
                members.setdefault(name, []).append(slot)
        return members

    def _whole_members(self, name: str) -> Iterator[Module]:
        """The layers that a group ties as a whole."""
        for group in self._groups.get(name, ()):
            for pattern in () if group.exceptions else group.members:
                with suppress(NotFound):
                    found = find(pattern, self._root(group.base), Problems())
                    yield from (f.thing for f in found if isinstance(f.thing, Module))

    def _named_below(self, base: str) -> tuple[str, ...]:
        """The names of the groups that a layer declares."""
        if base not in self._names:
            found = (g for groups in self._groups.values() for g in groups if g.base == base)
            self._names[base] = tuple(group.name.rpartition(".")[2] for group in found)
        return self._names[base]


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


def refuse_part(pattern: PathPattern, target: Target, verb: str, problems: Problems) -> None:
    """Report a path that takes a part of a tensor, which can't be treated otherwise than the rest."""
    for slot, view in target.tensors:
        if not view.is_whole:
            problems.error(
                "E0332",
                pattern.span,
                f"`{pattern.span.text}` is a part of `{slot.path}`, which can't {verb} by itself",
                f"{shape_text(view.shape)} of {slot.type}",
                help=f"name all of `{slot.path}`, or make the part a parameter of its own and put both together",
            )
            raise NotFound
