"""The mechanism of sharing: a union-find with views unites slots into stored tensors.

Every slot has a *home*: a root slot, and the view of the root that the slot reads. Uniting `a.weight` with `b.weight.T`
declares that two views are the same tensor; one root becomes a view of the other, and the larger one stays. An untied
slot is its own root.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from wsdl.diagnostics.span import Span
from wsdl.ir.graph import Initializer, Slot, Stored
from wsdl.ir.views import View, ViewError

# -- the union-find ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Member:
    """A slot in a group, its view in the group, and its location in the source."""

    slot: Slot
    view: View
    span: Span


@dataclass(frozen=True)
class Conflict:
    """Two members that can't be one tensor. `reason` is `shape`, `dtype`, `kind`, `itself`, `overlap` or
    `entangled` (views whose composition is no view)."""

    reason: str
    first: Member
    second: Member


@dataclass
class Sharing:
    """The homes of all slots; grows by `unite`, ends in `stored`."""

    slots: list[Slot]
    _homes: dict[str, tuple[Slot, View]] = field(default_factory=dict)
    _readers: dict[str, list[Slot]] = field(default_factory=dict)  # root path -> the slots at home there
    _names: dict[str, str] = field(default_factory=dict)  # root path -> name of its group

    def home(self, slot: Slot) -> tuple[Slot, View]:
        """The root that the slot reads, and the view through which it does."""
        root, view = self._homes.get(slot.path, (slot, View.identity(slot.sizes)))
        if root is slot or root.path not in self._homes:
            return root, view
        above, above_view = self.home(root)
        self._homes[slot.path] = (above, above_view.then(view))
        return self._homes[slot.path]

    def unite(self, first: Member, second: Member) -> Conflict | None:
        """Unite two members into one tensor; returns the conflict if that is impossible."""
        if first.slot.kind != second.slot.kind:
            return Conflict("kind", first, second)
        if first.slot.type.dtype != second.slot.type.dtype:
            return Conflict("dtype", first, second)
        if first.view.shape != second.view.shape:
            return Conflict("shape", first, second)
        root1, home1 = self.home(first.slot)
        root2, home2 = self.home(second.slot)
        seen1, seen2 = home1.then(first.view), home2.then(second.view)  # must be the same tensor
        if root1 is root2:
            try:
                return None if seen1.reads_like(seen2) else Conflict("itself", first, second)
            except ViewError:
                return Conflict("entangled", first, second)
        reason = "overlap"
        for root, seen, onto, on in (root2, seen2, root1, seen1), (root1, seen1, root2, seen2):
            if (back := seen.inverse()) is None:
                continue
            try:
                self._move(root, onto, on.then(back))
                return None
            except ViewError:
                reason = "entangled"
        return Conflict(reason, first, second)

    def _move(self, root: Slot, onto: Slot, view: View) -> None:
        """Make a root a view of another one. Raises `ViewError` if a slot that reads it would have no view."""
        readers = self._readers.get(root.path, [root])
        for slot in readers:
            _ = view.then(self.home(slot)[1]).layout
        self._readers.setdefault(onto.path, [onto]).extend(readers)
        self._homes[root.path] = (onto, view)
        if root.path in self._names:
            self._names.setdefault(onto.path, self._names.pop(root.path))

    def name(self, slot: Slot, name: str) -> None:
        """Set the group's name for the stored tensor of a slot; the first name stays."""
        self._names.setdefault(self.home(slot)[0].path, name)

    def named(self, slot: Slot) -> str | None:
        return self._names.get(self.home(slot)[0].path)

    def families(self) -> Iterator[tuple[Slot, list[tuple[Slot, View]]]]:
        """Each root with the slots that read it, itself first, in the order of declaration."""
        families: dict[str, tuple[Slot, list[tuple[Slot, View]]]] = {}
        for slot in self.slots:
            root, view = self.home(slot)
            families.setdefault(root.path, (root, []))[1].append((slot, view))
        yield from families.values()

    def stored(self, frozen: Collection[str] = ()) -> list[Stored]:
        """What is stored, in the order of declaration; `frozen` are the paths of slots that are not to change."""
        result = []
        for root, slots in self.families():
            group = self._names.get(root.path, "")
            initializer = explicit_initializer(slot for slot, _ in slots) or root.initializer
            is_frozen = any(slot.path in frozen for slot, _ in slots)
            name = group or root.file_path
            result.append(Stored(name, root.type, root, tuple(slots), initializer, is_frozen, group))
        return result


def explicit_initializer(slots: Iterable[Slot]) -> Initializer | None:
    """The initializer that the user's file gives to one of these slots, if any."""
    return next((slot.initializer for slot in slots if slot.initializer.explicit), None)
