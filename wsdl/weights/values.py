"""The initial values of a program: drawn, loaded, or passed as weights. NumPy is imported on first use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from wsdl.diagnostics import Diagnostic, Problems
from wsdl.ir.graph import Stored
from wsdl.ir.stages import Storage
from wsdl.weights.check_memory import check_memory

if TYPE_CHECKING:
    from wsdl.weights.fill import Filled, Progress
    from wsdl.weights.weights import Weights


@dataclass(frozen=True)
class Values:
    """The value of each stored tensor; `drawn` are the names of those with random initial values, `lost` has for each
    parameter that was fitted the share of its norm that it lost, by path."""

    values: dict[str, Any]
    drawn: frozenset[str]
    lost: Mapping[str, float] = field(default_factory=dict)


def stored_values(
    storage: Storage,
    problems: Problems,
    weights: Weights | None = None,
    *,
    seed: int = 0,
    partial: bool = False,
    fit: float | None = None,
    progress: Progress | None = None,
) -> Values:
    """The initial values of a program: from `weights`, otherwise from its `load`s, otherwise by its initializers.

    Unless `partial`, the weights must be complete, and the files of the `load`s need not exist. `fit` is the share of
    its norm that a parameter may lose where the weights can't be represented exactly; `progress` is called during fits.
    """
    from wsdl.ops.interpreter import evaluate
    from wsdl.weights.fill import Filled, filled, read_before
    from wsdl.weights.initial_values import completed, initial_value
    from wsdl.weights.loads import open_loads
    from wsdl.weights.weights import given_weights, not_finite

    stored = storage.stored
    loaded = Filled()
    progress = progress or (lambda *_: None)

    def so_far(name: str) -> Any:
        if name in loaded.values:
            return loaded.values[name]
        graph = stored[name].initializer.graph
        if graph is None:
            return initial_value(stored[name], seed)
        return evaluate(graph, [], {read: so_far(read) for read in graph.stored()})[0]

    if weights is not None and not partial:
        loaded = given_weights(storage, weights, so_far, fit=fit, progress=progress)
    if not loaded.values.keys() >= stored.keys():
        loads = open_loads(storage, problems)
        if problems.errors:
            return Values({}, frozenset())
        check_memory([stored[name] for name in read_before(storage, loads.fills)])
        loaded = filled(storage, loads.fills, loads.sources, so_far, progress).updated(loaded)
    if weights is not None and partial:
        loaded = loaded.updated(given_weights(storage, weights, so_far, partial=True, fit=fit, progress=progress))
    _report_fitted(loaded, storage, weights, fit, problems)
    values = loaded.values
    finite = {name for name, s in stored.items() if not _may_be_infinite(s)}
    if not isinstance(weights, Mapping) and (lines := not_finite(values, finite)):
        problems.add(_not_finite(lines, None if weights is None else str(weights)))
    check_memory([s for s in stored.values() if s.name not in values])
    drawn = frozenset(stored.keys() - values.keys())
    lost = {slot: loss.share for slot, loss in loaded.lost.items()}
    return Values(completed(stored, values, seed), drawn, lost)


def _report_fitted(
    loaded: Filled, storage: Storage, weights: Weights | None, fit: float | None, problems: Problems
) -> None:
    """Report what was lost, or that `fit` was unnecessary."""
    from wsdl.weights.lost import lines_of, overall, percent

    fit_clause = next((load.fit.span for load in storage.checked.loads if load.fit is not None), None)
    file = None if weights is None or isinstance(weights, Mapping) else str(weights)
    span = fit_clause if weights is None else None
    if loaded.lost:
        worst = sorted(loaded.lost.items(), key=lambda item: -item[1].share)
        count = "1 parameter was" if len(worst) == 1 else f"{len(worst)} parameters were"
        most = f"the worst lost {percent(worst[0][1].share)} of its norm"
        total = f", all together {percent(overall(loaded.lost.values()))}" if len(worst) > 1 else ""
        lines = lines_of((slot, loss.share) for slot, loss in worst)
        message = f"{count} fitted: {most}{total}"
        problems.add(Diagnostic("N0503", message, span, file=file, severity="note", details=tuple(lines)))
    elif fit is not None or (fit_clause is not None and weights is None):
        message = "nothing had to be fitted: all parameters have exactly the loaded values"
        help = f"leave out `{'fit' if fit is None else '--fit'}`, so that a difference is an error"
        problems.add(Diagnostic("N0504", message, span, file=file, severity="note", help=help))


def _may_be_infinite(stored: Stored) -> bool:
    """Whether infinities may be intended, as in a mask: in frozen tensors, and in states that the user declares."""
    return stored.frozen or (stored.root.kind == "state" and not stored.root.span.source.is_standard)


def _not_finite(lines: list[str], file: str | None) -> Diagnostic:
    message = "a weight tensor has values that are not finite"
    if len(lines) > 1:
        message = "weight tensors have values that are not finite"
    help = "check the training that wrote them; `freeze` a tensor that is infinite on purpose, such as a mask"
    return Diagnostic("W0703", message, file=file, help=help, severity="warning", details=tuple(lines))
