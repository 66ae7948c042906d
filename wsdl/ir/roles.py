"""What the trainings of a program do with each stored tensor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from wsdl.ir.stages import ResolvedTraining, Storage, read_by

ROLES = TRAINED, STATISTIC, UPDATED, FROZEN, UNCHANGED = "trained", "statistic", "updated", "frozen", "unchanged"


@dataclass(frozen=True)
class Roles:
    """`of_tensors` has by the name of a stored tensor and that of a training what the training does with it: by the
    optimizer it is `trained`, as a `statistic` it follows the batches, by `update` lines it is `updated`, after the
    optimizer where both are said; otherwise it is `frozen`, or `unchanged` by the loss. `carried` has for each training
    the inputs that it carries from step to step."""

    of_tensors: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    carried: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def says(self, tensor: str) -> str:
        """`trained`; where trainings differ, which of them change it: `trained by critic`."""
        roles = self.of_tensors.get(tensor, {})
        by_role: dict[str, list[str]] = {}
        for training, role in roles.items():
            by_role.setdefault(role, []).append(training)
        if len(by_role) <= 1 and len(roles) in (0, len(self.carried)):
            return "".join(by_role)
        changes = {role: trainings for role, trainings in by_role.items() if role not in (FROZEN, UNCHANGED)}
        return ", ".join(f"{role} by {' and '.join(names)}" for role, names in changes.items()) or " or ".join(by_role)

    def are_worth_saying(self) -> bool:
        """Whether there is more to say than that all is trained, and statistics follow the batches."""
        words = {role for roles in self.of_tensors.values() for role in roles.values()}
        return len(self.carried) > 1 or not words <= {TRAINED, STATISTIC} or any(self.carried.values())

    def is_updated(self, tensor: str) -> bool:
        """Whether an `update` line writes it."""
        return any(UPDATED in role for role in self.of_tensors.get(tensor, {}).values())

    def of_all(self, tensors: Iterable[str]) -> str:
        """What is to be said of several tensors together; nothing where they are trained."""
        said = dict.fromkeys(map(self.says, tensors))
        return " or ".join(role for role in said if role != TRAINED)


def roles(storage: Storage) -> Roles:
    """Those of a program whose trainings are resolved."""
    of_tensors: dict[str, dict[str, str]] = {}
    for name, training in storage.trainings.items():
        changes = {
            TRAINED: {*training.trained},
            STATISTIC: {storage.home(path)[0].name for path in training.statistics},
            UPDATED: {*training.updated},
        }
        for tensor in _met(training, storage):
            kept = FROZEN if storage.stored[tensor].frozen or tensor in training.frozen else UNCHANGED
            changed = [role for role, tensors in changes.items() if tensor in tensors]
            of_tensors.setdefault(tensor, {})[name] = " and ".join(changed) or kept
    carried = {name: tuple(training.written.objective.carried) for name, training in storage.trainings.items()}
    return Roles(of_tensors, carried)


def _met(training: ResolvedTraining, storage: Storage) -> Iterable[str]:
    """The stored tensors that a training reads or writes, in the order of declaration."""
    slots = read_by([training.written.objective.graph])
    met = {name for slot in slots for name in storage.readings[slot].tensors} | {*training.updated}
    return (name for name in storage.stored if name in met)
