"""Loaded values that a program can't represent exactly, and the errors about those that are too far off."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, isfinite

from wsdl.diagnostics import Diagnostic, Label
from wsdl.diagnostics.figures import listed
from wsdl.ir.stages import FormulaReading, Storage
from wsdl.ir.weight_files import Fill
from wsdl.weights.lost import Loss, lines_of, percent
from wsdl.weights.source import WeightsError


@dataclass(frozen=True)
class Missed:
    """The difference of a fitted fill, as a share of its norm; `is_met` if that is only rounding. `not_linear` are the
    tensors that could not be fitted."""

    fill: Fill
    share: float
    norm: float
    is_met: bool
    not_linear: frozenset[str]

    @property
    def is_far(self) -> bool:
        return not self.is_met and self.share > (self.fill.fit or 0.0)


def losses_of(missed: Iterable[Missed]) -> dict[str, Loss]:
    """The difference of each slot: of several fills of one slot the largest."""
    losses: dict[str, Loss] = {}
    for m in missed:
        if not m.is_met and (m.fill.slot not in losses or m.share > losses[m.fill.slot].share):
            losses[m.fill.slot] = Loss(m.share, m.norm)
    return losses


def require_near(storage: Storage, missed: Sequence[Missed]) -> None:
    """Raises `WeightsError`, which lists the worst slots, if some lose more than allowed."""
    far = sorted((m for m in missed if m.is_far), key=lambda m: -m.share)
    if not far:
        return
    unlinear = next((m for m in far if m.not_linear), None)
    if unlinear is not None:
        raise WeightsError([_not_linear(storage, unlinear)])
    worst, first = far[0], far[0].fill
    parameters = "1 parameter" if len(missed) == 1 else f"{len(far)} of {len(missed)} parameters"
    if first.fit is None:
        message = (
            f"{parameters} can't hold exactly what is loaded: the nearest values lose up to {percent(worst.share)}"
        )
    else:
        lose = "loses more of its" if len(far) == 1 else "lose more of their"
        message = f"{parameters} {lose} norm than `fit {first.fit:g}` allows"
    raise WeightsError([
        Diagnostic(
            "E0515",
            message,
            first.span,
            file=None if first.span else first.file,
            details=tuple(lines_of((m.fill.slot, m.share) for m in far)),
            help=_offer(first, _rounded_up(worst.share)),
        )
    ])  # fmt: skip


def _not_linear(storage: Storage, missed: Missed) -> Diagnostic:
    fill, [name, *_] = missed.fill, sorted(missed.not_linear)
    reading = storage.readings[fill.slot]
    labels = [Label(reading.formula.span, "this formula")] if isinstance(reading, FormulaReading) else []
    type = storage.stored[name].type
    reason = f"its formula is not linear in `{name}`" if type.is_float else f"`{name}`, {type}, holds integers"
    return Diagnostic(
        "E0516",
        f"`{fill.slot}` can't be fitted, as {reason}",
        fill.span,
        file=None if fill.span else fill.file,
        labels=tuple(labels),
        help="load the tensors that the formula reads, under their own names",
    )


def _offer(fill: Fill, share: float) -> str:
    """How to allow the nearest values."""
    if fill.span is not None:
        return f"`fit {share:g}` after the target of the `load` takes the nearest values"
    return f"`--fit {share:g}`, in Python `wsdl.compile(…, fit={share:g})`, takes the nearest values"


def _rounded_up(share: float) -> float:
    """A share rounded up to two decimals."""
    return ceil(share * 100) / 100


@dataclass(frozen=True)
class Difference:
    """Two fills of one stored tensor that differ, by at most `distance`; the nearest values lose a `share` of a norm,
    `None` for tensors that aren't floats."""

    fill: Fill
    other: Fill
    distance: float
    share: float | None

    @property
    def tensors(self) -> str:
        return f"`{self.fill.tensor}` and `{self.other.tensor}`"


def require_equal(differences: Sequence[Difference]) -> None:
    """Raises `WeightsError` if there are differences. The share that it offers is enough for all."""
    if not differences:
        return
    first, *others = sorted(differences, key=lambda d: -(d.share or 0.0))
    message = f"{first.tensors} fill one stored tensor, `{first.fill.stored}`, and differ by {first.distance:.3g}"
    lines = [f"so do {d.tensors}, by {d.distance:.3g}" for d in others]
    help = "load one of them only, or take their parameters out of the share group"
    shares = [d.share for d in differences if d.share is not None]
    if len(shares) == len(differences) and all(map(isfinite, shares)):
        help += f"; {_offer(first.fill, _rounded_up(max(shares)))}"
    span, file = first.fill.span, None if first.fill.span else first.fill.file
    raise WeightsError([Diagnostic("E0504", message, span, file=file, details=tuple(listed(lines)), help=help)])
