"""What the twin stores: a tensor of its own for each slot, or a view of the first member of its share group. A slot
with a formula is computed where it is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

from tests.programs.description import Formula, Group, Slot, View

Given: TypeAlias = Callable[[Tensor], Tensor]


class Storage:
    """The stored tensors (`leaves`) of a program by the path of the slot that owns them, made when first read.

    Numbers follow from the seed and the path alone, and are such that `f32` holds them; or they are `given` for owners.
    """

    def __init__(
        self,
        groups: Sequence[Group] = (),
        formulas: Sequence[Formula] = (),
        seed: int = 0,
        given: Mapping[str, Tensor] = {},
    ) -> None:
        self.seed, self.given = seed, given
        self.slots: dict[str, Slot] = {}
        self.leaves: dict[str, Tensor] = {}
        self.ties: dict[str, tuple[Slot, tuple[View, ...], tuple[View, ...]]] = {}  # to an owner: its view, and mine
        self.formulas = {formula.target.path: formula for formula in formulas}
        for group in groups:
            (owner, view), *others = group.members
            for slot, own in others:
                self.ties[slot.path] = (owner, view, own)

    def owner(self, path: str) -> str:
        """The path of the slot whose tensor this one reads."""
        return self.owner(self.ties[path][0].path) if path in self.ties else path

    def read(self, path: str, shape: Sequence[int], kind: str = "weight", given: Given = lambda x: x) -> Tensor:
        """The tensor of a slot; `given` is what a formula gets of a tensor that it computes with."""
        self.slots.setdefault(path, Slot(path, tuple(shape), kind))
        if path in self.formulas:
            formula = self.formulas[path]
            return formula.there(*(given(self.read(s.path, s.shape, s.kind, given)) for s in formula.sources))
        if path not in self.ties:
            if path not in self.leaves:
                self.leaves[path] = self._drawn(path, tuple(shape), kind)
            return self.leaves[path]
        owner, view, own = self.ties[path]
        return through(self.read(owner.path, owner.shape, owner.kind, given), view, own)

    def is_computed(self, path: str) -> bool:
        """Is a slot computed by a formula, or tied to one that is?"""
        return self.owner(path) in self.formulas

    def as_slot(self, path: str, leaf: Tensor) -> Tensor | None:
        """What belongs to the owner of a slot (such as its gradient), as that slot sees it; `None` through slices."""
        if path not in self.ties:
            return leaf
        owner, view, own = self.ties[path]
        if any(step.back is None for step in view):
            return None
        above = self.as_slot(owner.path, leaf)
        return None if above is None else through(above, view, own)

    def _drawn(self, path: str, shape: tuple[int, ...], kind: str) -> Tensor:
        rng = np.random.default_rng([self.seed, crc32(path.encode())])
        if kind == "weight":
            fan = max(1, int(np.prod(shape[1:])) if len(shape) > 1 else 4)
            numbers = rng.normal(0, fan**-0.5, shape)
        elif kind == "variance":
            numbers = rng.uniform(0.5, 1.5, shape)
        else:
            numbers = rng.normal(1 if kind == "gain" else 0, 0.3, shape)
        leaf = self.given[path] if path in self.given else torch.tensor(numbers.astype(np.float32).astype(np.float64))
        return leaf.detach().clone().requires_grad_(kind in ("weight", "gain"))


def through(tensor: Tensor, view: Sequence[View], own: Sequence[View]) -> Tensor:
    """What a slot reads whose view `own` equals the view `view` of a tensor."""
    for step in view:
        tensor = step.there(tensor)
    for step in reversed(own):
        assert step.back is not None
        tensor = step.back(tensor)
    return tensor
