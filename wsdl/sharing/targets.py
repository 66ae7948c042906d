"""The targets of paths in `share`, `freeze`, `lr` and `load`.

A path selects layers, parameters and states, each through a view, or a share group by its name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

from wsdl.diagnostics import Label, Problems
from wsdl.diagnostics.suggest import nearest
from wsdl.ir.graph import Module, Slot, file_path
from wsdl.ir.requests import GroupRequest, Part, PathPattern, Select, ViewCall
from wsdl.ir.stages import Checked
from wsdl.ir.types import shape_text
from wsdl.ir.views import View
from wsdl.sharing.paths import Match, NotFound, Paths, viewed


@dataclass(frozen=True)
class Target:
    """What a path means: `matches` are the layers and the parameters that it names, in order, or `groups` the names of
    share groups, as in files. `tensors` are all slots of these, each with the view that the path takes of it; `layers`
    those layers that it means whole."""

    tensors: list[tuple[Slot, View]]
    layers: list[Module]
    matches: Sequence[Match] = ()
    groups: Sequence[str] = ()

    @property
    def slots(self) -> list[Slot]:
        return [slot for slot, _ in self.tensors]


class Targets:
    """Looks paths up in a program; what it takes to do so is gathered once.

    `group_of` gives the name of what a slot is stored as, where a group gives it one. While `share` finds that out,
    groups have no names yet. `parts` are those of ways of sharing.
    """

    def __init__(
        self,
        program: Checked,
        group_of: Callable[[Slot], str | None] | None = None,
        paths: Paths | None = None,
        parts: Sequence[Slot] = (),
    ) -> None:
        self._program, self._group_of, self._parts = program, group_of, parts
        self.paths = paths if paths is not None else Paths(program)
        self.paths.add_parts(parts)
        self._names: dict[str, tuple[str, ...]] = {}  # by the path of a layer
        self._groups: dict[str, list[GroupRequest]] = {}
        groups = (*program.groups, *(request.group for request in program.ways))
        for group in groups if group_of is not None else ():
            if group.name:
                self._groups.setdefault(file_path(group.name), []).append(group)

    def of(
        self,
        pattern: PathPattern,
        base: str,
        problems: Problems | None,
        *,
        from_file: bool = False,
        whole_arrays: bool = True,
        many: str = "*",
    ) -> Target:
        """What a path means below the layer `base`; `from_file` says that it may also begin at layers and groups of the
        file, as in a `train`. An array stands for all of its layers, unless `whole_arrays` is off; `many` is the index
        that messages recommend for that. Raises `NotFound` after reporting; without `problems` nothing is reported."""
        for start in dict.fromkeys([base, *([""] if from_file else [])]):
            target = self._in_groups(pattern, start, Problems() if problems is None else problems)
            if target is not None:
                return target
        root = self.paths.start(pattern, base, from_file)
        groups = self._named_below(base)
        matches = self.paths.find(pattern, root, problems, whole_arrays=whole_arrays, groups=groups, many=many)
        return Target(
            [(s, view) for match in matches for s, view in match.tensors() if s.path not in self._program.left_out],
            [match.thing for match in matches if isinstance(match.thing, Module)],
            matches,
        )

    # -- groups --------------------------------------------------------------------------------------------------------

    def _in_groups(self, pattern: PathPattern, base: str, problems: Problems) -> Target | None:
        """The group that a path means by its name, or a part of it; `None` where it means none. In front of the name
        there may be layers, also several (`blocks[*].tied`), and behind it views."""
        last = max(i for i, step in enumerate(pattern.steps) if isinstance(step, Part)) + 1
        for end in dict.fromkeys([len(pattern.steps), last]):
            for start in range(end if self._groups else 0):
                name = _name(pattern.steps[start:end])
                above = self._layers(pattern.steps[:start], base) if name in self._endings else []
                names = [f"{file_path(path)}.{name}".lstrip(".") for path in above]
                members = [self._slots_of(name) for name in names]
                if members and all(members):
                    tensors = [(slot, View.identity(slot.sizes)) for slots in members for slot in slots]
                    slot = tensors[0][0]
                    views = [step for step in pattern.steps[end:] if not isinstance(step, Part)]
                    if views and self._name_of(slot) != names[0]:
                        _refuse_view(pattern, names[0], views[0], problems)
                    tensors[0] = slot, viewed(slot, views, problems)
                    return Target(tensors, [layer for n in names for layer in self._whole_members(n)], groups=names)
        self._report_part(pattern, base, problems)
        return None

    def _report_part(self, pattern: PathPattern, base: str, problems: Problems) -> None:
        """Report a path that goes beyond the name of a group, to a part that the group doesn't have."""
        names = [step.name for step in pattern.steps if isinstance(step, Part)]
        group = f"{file_path(base)}.{names[0]}".lstrip(".") if names else ""
        if group not in self._groups or len(names) < 2 or not isinstance(pattern.steps[1], Part):
            return
        below = {name[len(group) + 1 :] for name in self._members if name.startswith(f"{group}.")}
        near = nearest(".".join(names[1:]), sorted(below))
        problems.error(
            "E0317",
            pattern.steps[1].span,
            f"the group `{group}` has no part `{'.'.join(names[1:])}`",
            f"did you mean `{near}`?" if near else "not there",
            labels=[Label(self._groups[group][0].span, f"the group `{names[0]}`")],
            help=None if near else f"it has {', '.join(f'`{name}`' for name in sorted(below))}" if below else None,
        )
        raise NotFound

    def _layers(self, steps: tuple[Part | Select | ViewCall, ...], base: str) -> list[str]:
        """The paths of the layers that the beginning of a path means; none where it means something else."""
        if not steps:
            return [base]
        with suppress(NotFound):
            matches = self.paths.find(PathPattern(steps, steps[0].span.to(steps[-1].span)), self.paths.root(base), None)
            return [f.path for f in matches if isinstance(f.thing, Module)]
        return []

    def _slots_of(self, name: str) -> list[Slot]:
        """The members of the group of this name, or those of a part of it; none where there is no such group."""
        slots = self._members.get(name, [])
        if not slots and name in self._groups:
            raise NotFound  # a group with a mistake, which was reported
        return slots

    @cached_property
    def _endings(self) -> set[str]:
        """With what the name of a group, or of a part of one, may end: most paths need no further look."""
        names = (name.split(".") for name in {*self._groups, *self._members})
        return {".".join(parts[start:]) for parts in names for start in range(len(parts))}

    def _name_of(self, slot: Slot) -> str:
        return (self._group_of(slot) if self._group_of is not None else None) or ""

    @cached_property
    def _members(self) -> dict[str, list[Slot]]:
        """The slots of each group by its name, and those of the parts of a group of layers by theirs. What a way of
        sharing stores for all members is a part of its group, also without the path below the layers."""
        members: dict[str, list[Slot]] = {}
        for slot, path in self._named_slots():
            parts = path.split(".")
            names = [".".join(parts[: end + 1]) for end in range(len(parts))]
            first = next((i for i, name in enumerate(names) if name in self._groups), len(names))
            in_all_families = [f"{names[first]}.{parts[-1]}"] if first + 2 < len(names) and slot in self._parts else []
            for name in (*names[first:], *in_all_families):
                members.setdefault(name, []).append(slot)
        return members

    def _named_slots(self) -> Iterator[tuple[Slot, str]]:
        """Slots with the name that they have in a group, or that a part would have in one."""
        yield from ((slot, name) for slot in self._program.slots() if (name := self._name_of(slot)))
        yield from ((slot, slot.file_path) for slot in self._parts)

    def _whole_members(self, name: str) -> Iterator[Module]:
        """The layers that a group ties as a whole."""
        for group in self._groups.get(name, ()):
            for pattern in () if group.exceptions else group.members:
                with suppress(NotFound):
                    matches = self.paths.find(pattern, self.paths.root(group.base), None)
                    yield from (f.thing for f in matches if isinstance(f.thing, Module))

    def _named_below(self, base: str) -> tuple[str, ...]:
        """The names of the groups that a layer declares."""
        if base not in self._names:
            at_base = (g for groups in self._groups.values() for g in groups if g.base == base)
            self._names[base] = tuple(group.name.rpartition(".")[2] for group in at_base)
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


def _refuse_view(pattern: PathPattern, group: str, view: Select | ViewCall, problems: Problems) -> None:
    name = pattern.span.text[: view.span.start - pattern.span.start].rstrip(".")
    problems.error(
        "E0319",
        view.span,
        "a view can't be applied to a group of layers",
        f"`{group}` is a group of layers",
        help=f"name one parameter of the group, such as `{name}.weight`",
    )
    raise NotFound


def refuse_part(pattern: PathPattern, target: Target, verb: str, problems: Problems) -> None:
    """Report a path that takes a part of a tensor, which can't be treated otherwise than the rest."""
    for slot, view in target.tensors:
        if not view.is_whole:
            problems.error(
                "E0332",
                pattern.span,
                f"`{pattern.span.text}` is a part of `{slot.path}`, which can't {verb} by itself",
                f"{shape_text(view.shape)} of {slot.type}",
                help=f"name all of `{slot.path}`, or declare the part as a separate parameter and concatenate both",
            )
            raise NotFound
