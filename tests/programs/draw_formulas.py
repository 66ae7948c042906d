"""Random formulas for the slots of a program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

from torch import Tensor

from tests.programs.data import evaluated
from tests.programs.description import Description, Formula, Slot


def formulas(program: Description, random: Random, seed: int) -> Description:
    """The program with some of its parameters computed from others, and from parameters of the file."""
    if random.random() < 0.4:
        return program
    storage = evaluated(program, seed).storage
    slots = [s for s in storage.slots.values() if not s.is_state and s.shape and s.path not in storage.ties]
    targets = random.sample(slots, min(len(slots), random.choice([1, 1, 2, 3])))
    found: list[Formula] = []
    for target in targets:
        later = targets[len(found) :]
        found.append(_formula(target, [slot for slot in slots if slot not in later], random, len(found)))
    return replace(program, formulas=tuple(found))


def _formula(target: Slot, others: Sequence[Slot], random: Random, number: int) -> Formula:
    """What a slot is computed by; `others` don't need it."""
    own = Slot(f"own{number}", target.shape, "weight")
    alike = [slot for slot in others if slot.shape == target.shape]
    turned = [slot for slot in others if len(slot.shape) == 2 and slot.shape[::-1] == target.shape]
    ways: list[Callable[[], Formula]] = [lambda: _mirrored(target, own, random)]
    if len(target.shape) == 2:
        ways.append(lambda: _low_rank(target, random.choice(alike) if alike else None, number))
    if alike:
        ways.append(lambda: _scaled(target, random.choice(alike), number))
    if turned:
        ways.append(lambda: _turned(target, random.choice(turned), own))
    return random.choice(ways)()


def _mirrored(target: Slot, own: Slot, random: Random) -> Formula:
    axis = random.randrange(len(target.shape))

    def there(x: Tensor) -> Tensor:
        return x * 0.5 + x.flip(axis)

    return Formula(target, f"{own.path} * 0.5 + {own.path}.flip({axis})", (own,), there, (own,))


def _low_rank(target: Slot, base: Slot | None, number: int) -> Formula:
    rows, columns = target.shape
    up, down = Slot(f"up{number}", (rows, 2), "weight"), Slot(f"down{number}", (2, columns), "weight")
    product = f"{up.path} @ {down.path}"
    if base is None:
        return Formula(target, product, (up, down), lambda u, d: u @ d, (up, down))
    return Formula(target, f"{base.path} + {product}", (base, up, down), lambda b, u, d: b + u @ d, (up, down))


def _scaled(target: Slot, other: Slot, number: int) -> Formula:
    gain = Slot(f"gain{number}", (target.shape[-1],), "gain")
    return Formula(target, f"tanh({other.path}) * {gain.path}", (other, gain), lambda x, g: x.tanh() * g, (gain,))


def _turned(target: Slot, other: Slot, own: Slot) -> Formula:
    text = f"{other.path}.T * 0.5 - {own.path}"
    return Formula(target, text, (other, own), lambda x, y: x.T * 0.5 - y, (own,))
