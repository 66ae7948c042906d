"""Random share groups over the slots of a program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

from tests.programs.data import evaluated
from tests.programs.description import Description, Group, Layer, Slot, View

IDENTITY: tuple[View, ...] = ()


def groups(program: Description, random: Random, seed: int) -> Description:
    """The program with some of its parameters tied. Each slot is in one group, or is the first of another."""
    if random.random() < 0.3:
        return program
    everything = evaluated(program, seed).storage.slots.values()
    slots = [slot for slot in everything if not slot.is_state and slot.shape]
    if random.random() < 0.2 and any(slot.is_state for slot in everything):
        return program
    free, found, leads = list(slots), [], set[Slot]()
    states = [slot.path for slot in everything if slot.is_state]
    whole = _whole_layers(program, slots, states, random)
    found += whole
    tied = {slot for group in whole for slot, _ in group.members}
    free = [slot for slot in free if slot not in tied]
    for number in range(random.choice([0, 1, 2, 3]) if whole else random.choice([1, 1, 2, 3])):
        if not free:
            break
        again = [slot for slot in slots if slot in leads]
        owner = random.choice(again if again and random.random() < 0.3 else free)
        group = _group(owner, [slot for slot in free if slot is not owner], random)
        if group is None:
            continue
        used = {slot for slot, _ in group.members}
        free = [slot for slot in free if slot not in used]
        leads.add(owner)
        name = f"tied{number}" if random.random() < 0.3 else ""
        found.append(replace(group, name=name, text=", ".join(slot.path + _text(view) for slot, view in group.members)))
    return replace(program, groups=tuple(found))


def _whole_layers(program: Description, slots: Sequence[Slot], states: Sequence[str], random: Random) -> list[Group]:
    """All layers of one array as one: a group for each of their slots, the first of which has the text."""
    arrays = [
        (f"{m.name}.{s.name}", s.count) for m in program.models for s in m.body if isinstance(s, Layer) and s.count
    ]
    if not arrays or random.random() < 0.5:
        return []
    path, count = random.choice(arrays)
    rows = [[slot for slot in slots if slot.path.startswith(f"{path}[{i}].")] for i in range(count)]
    if any(state.startswith(path) for state in states) or not all(len(row) == len(rows[0]) and row for row in rows):
        return []
    found = [
        Group(tuple((slot, IDENTITY) for slot in column), f"{path}[*]" if i == 0 else "")
        for i, column in enumerate(zip(*rows, strict=True))
    ]
    alike = [{slot.path.removeprefix(path).split("]", 1)[1] for slot, _ in group.members} for group in found]
    return found if all(len(paths) == 1 for paths in alike) else []


def _text(view: Sequence[View]) -> str:
    return "".join(step.text for step in view)


def _group(owner: Slot, others: Sequence[Slot], random: Random) -> Group | None:
    """A slot and what can be tied to it, or to a part of it."""
    fitting: list[tuple[Slot, tuple[View, ...], tuple[View, ...]]] = []
    for other in random.sample(list(others), len(others)):
        pair = _pair(owner.shape, other.shape, random)
        if pair is not None:
            fitting.append((other, *pair))
    if not fitting:
        return None
    first = fitting[0][1]
    members = [(owner, first)]
    for other, view, own in fitting[: random.choice([1, 1, 2, 3])]:
        if [step.text for step in view] == [step.text for step in first]:
            members.append((other, own))
    return Group(tuple(members), "")


def _pair(
    owner: tuple[int, ...], other: tuple[int, ...], random: Random
) -> tuple[tuple[View, ...], tuple[View, ...]] | None:
    """Views of the two that are equal: of the owner, and of the other one."""
    if owner == other:
        if random.random() < 0.25:
            axis = random.randrange(len(owner))
            return IDENTITY, (_flip(axis),)
        return IDENTITY, IDENTITY
    if owner == other[::-1] and len(owner) == 2:
        return random.choice([(IDENTITY, (_transpose(),)), ((_transpose(),), IDENTITY)])
    count = _count(owner)
    if count == _count(other):
        if random.random() < 0.5 or len(owner) < 2:
            return IDENTITY, (_reshape(other, owner),)
        return (_transpose() if len(owner) == 2 else _permute(len(owner)), _reshape(owner[::-1], other)), IDENTITY
    if len(owner) == len(other) and all(a >= b for a, b in zip(owner, other, strict=True)):
        return (_slice(owner, other, random),), IDENTITY
    if len(owner) == 2 and len(other) == 2 and all(a >= b for a, b in zip(owner, other[::-1], strict=True)):
        return (_slice(owner, other[::-1], random),), (_transpose(),)
    return None


def _count(shape: Sequence[int]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def _transpose() -> View:
    return View(".T", lambda x: x.T, lambda x: x.T)


def _permute(rank: int) -> View:
    axes = list(range(rank))[::-1]
    return View(f".permute({', '.join(map(str, axes))})", lambda x: x.permute(axes), lambda x: x.permute(axes))


def _flip(axis: int) -> View:
    return View(f".flip({axis})", lambda x: x.flip(axis), lambda x: x.flip(axis))


def _reshape(before: tuple[int, ...], after: tuple[int, ...]) -> View:
    there: Callable[..., object] = lambda x: x.reshape(after)  # noqa: E731 - used once, below  # the pair beside one another
    back: Callable[..., object] = lambda x: x.reshape(before)  # noqa: E731 - used once, below
    return View(f".reshape({', '.join(map(str, after))})", there, back)  # type: ignore[arg-type]  # of tensors


def _slice(large: tuple[int, ...], small: tuple[int, ...], random: Random) -> View:
    starts = [random.randrange(a - b + 1) for a, b in zip(large, small, strict=True)]
    cut = tuple(slice(start, start + size) for start, size in zip(starts, small, strict=True))
    return View(f"[{', '.join(f'{c.start}:{c.stop}' for c in cut)}]", lambda x: x[cut], None)
