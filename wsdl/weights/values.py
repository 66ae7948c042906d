"""The values that a program starts with: drawn, loaded, or passed as weights. NumPy is imported on first use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wsdl.diagnostics import Diagnostic, Problems
from wsdl.ir.graph import Stored
from wsdl.ir.stages import Storage
from wsdl.weights.check_memory import check_memory

if TYPE_CHECKING:
    from wsdl.weights.weights import Weights


@dataclass(frozen=True)
class Values:
    """The value of each stored tensor; `drawn` are the names of those with random initial values."""

    values: dict[str, Any]
    drawn: frozenset[str]


def stored_values(
    storage: Storage,
    problems: Problems,
    weights: Weights | None = None,
    *,
    seed: int = 0,
    partial: bool = False,
) -> Values:
    """The values that a program starts with: `weights`, else what its `load`s fill, else initial values.

    Weights are complete, so that the files of the `load`s need not be there, unless they may be `partial`.
    """
    from wsdl.weights.initial_values import completed, initial_value
    from wsdl.weights.loads import open_loads
    from wsdl.weights.weights import given_weights, loaded_weights, not_finite

    stored = storage.stored
    loaded: dict[str, Any] = {}
    if weights is not None and not partial:
        loaded = given_weights(storage, weights)
    if not loaded.keys() >= stored.keys():
        loads = open_loads(storage, problems)
        if problems.errors:
            return Values({}, frozenset())
        partly = {fill.stored for fill in loads.fills if not fill.view.is_whole}
        check_memory([stored[name] for name in partly])
        initial = {name: initial_value(stored[name], seed) for name in partly}
        loaded = {**loaded_weights(storage, loads, initial), **loaded}
    if weights is not None and partial:

        def initial_of(name: str) -> Any:
            return loaded[name] if name in loaded else initial_value(stored[name], seed)

        loaded = {**loaded, **given_weights(storage, weights, initial_value=initial_of)}
    finite = {name for name, s in stored.items() if not _may_be_infinite(s)}
    if not isinstance(weights, Mapping) and (lines := not_finite(loaded, finite)):
        problems.add(_not_finite(lines, None if weights is None else str(weights)))
    check_memory([s for s in stored.values() if s.name not in loaded])
    return Values(completed(stored, loaded, seed), frozenset(stored.keys() - loaded.keys()))


def _may_be_infinite(stored: Stored) -> bool:
    """Where an infinity is meant, such as those of a mask: in a state of the user's, and in what is frozen."""
    return stored.frozen or (stored.root.kind == "state" and not stored.root.span.source.is_standard)


def _not_finite(lines: list[str], file: str | None) -> Diagnostic:
    message = "a weight tensor has values that are not finite"
    if len(lines) > 1:
        message = "weight tensors have values that are not finite"
    help = "was the training that wrote them still sound? `freeze` what is infinite on purpose, such as a mask"
    return Diagnostic("W0703", message, file=file, help=help, severity="warning", details=tuple(lines))
