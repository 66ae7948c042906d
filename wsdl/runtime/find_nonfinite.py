"""Finds the origin of a loss or gradient that is not finite, by running the step once more with all tensors as
outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsdl.diagnostics.run_error import RunError, fail
from wsdl.ir.step import FINITE, NORM, PART_SHARE, PART_START, Gradient, Sum
from wsdl.onnx.expose import Computed, exposed
from wsdl.onnx.folder import loadable
from wsdl.onnx.training import TrainingModels
from wsdl.runtime.exchange import Exchange
from wsdl.runtime.loading import load
from wsdl.runtime.tally import Sizes

Array = NDArray[Any]
HELP = "a smaller learning rate, `clip_norm=1.0` or a `warmup` often helps; `--on-nan skip` skips such batches"
HELP_WITH_GRADIENTS = (
    "the derivative of a root, a logarithm or a quotient is infinite at 0: `sqrt(x + 1e-8)` avoids it; "
    "`--on-nan skip` skips such batches"
)


def nonfinite_step(
    models: TrainingModels,
    state: Mapping[str, Array],
    parts: Sequence[Mapping[str, Array]],
    wholes: Mapping[str, Array],
    loss: float,
    exchange: Exchange,
) -> RunError:
    """The error for a step whose loss or gradients are not finite, with the first tensor that wasn't.

    `state` is the state before the step, `parts` the batch, or those of one of several workers, `wholes` the values
    merged over the whole batch. On a worker that found nothing, while another one did, it is E0836.
    """
    done = int(state[models.step.counter.name])
    lines, sums = list[str](), list[str]()

    def explain() -> list[float]:
        lines.extend([*_in_the_batch(parts), *_in_the_state(state, done)])
        if not lines:
            in_the_step, own_sums = _in_the_step(models, state, parts, wholes)
            lines.extend(in_the_step)
            sums.append(own_sums)
        return [len(lines)]

    explained = exchange.gathered(1, explain)[:, 0]
    if explained.any() and not lines:
        return exchange.stopped(explained)
    message, help = f"the loss of step {done + 1} is {loss:g}", HELP
    if isfinite(loss):
        message, help = f"{message}, but its gradients are not finite", HELP_WITH_GRADIENTS
    return fail("E0830", message, details=(lines or sums)[:5], help=help)


def _in_the_batch(parts: Sequence[Mapping[str, Array]]) -> Iterator[str]:
    for name in parts[0] if parts else ():
        arrays = [part[name] for part in parts]
        bad = sum(int(np.count_nonzero(~np.isfinite(a))) for a in arrays if a.dtype.kind == "f")
        if bad:
            yield f"`{name}` of the batch has {bad} elements that are not finite"


def _in_the_state(state: Mapping[str, Array], done: int) -> Iterator[str]:
    for name, array in state.items():
        bad = int(np.count_nonzero(~np.isfinite(array))) if array.dtype.kind == "f" else 0
        if bad:
            origin = "since the previous step" if done else "since the start"
            yield f"`{name}` has {bad} elements that are not finite: {origin}"


def _in_the_step(
    models: TrainingModels,
    state: Mapping[str, Array],
    parts: Sequence[Mapping[str, Array]],
    wholes: Mapping[str, Array],
) -> tuple[list[str], str]:
    """The first tensor that is not finite on the way to such a result, and its operands; and, if there is none, what
    their sums are."""
    proto, nodes = exposed(models.gradients)
    with loadable(proto, models.values) as model:
        session = load(model, proto.graph.name, reuse_plan=False, rewrite=False)
    phase = models.step.gradients
    sums = [port for port in phase.inputs.values() if isinstance(port, Sum)]
    zeros = {port.name: np.zeros_like(state[port.of.of]) for port in sums}
    input_names = [value.name for value in session.get_inputs()]
    names = [value.name for value in session.get_outputs()]
    results = [port.name for port in phase.outputs]
    gradients = [port.name for port in phase.outputs if isinstance(port, Gradient)]
    largest, passed = ("", 0.0), Sizes(models.evaluation.batch, models.evaluation.evaluation.rows)
    for part in parts:
        of_part = {PART_START.name: np.array(passed.count), PART_SHARE.name: np.array(1, np.float32)}
        passed.add(part)
        feeds: dict[str, Any] = {**zeros, **state, **wholes, **part, **of_part}
        feeds |= dict(zip(names, session.run(None, {name: feeds[name] for name in input_names}), strict=True))
        bad_results = [name for name in results if _is_bad(feeds[name])]
        for node in _leading_to([name for name in bad_results if name not in (NORM.name, FINITE.name)], nodes):
            bad = [name for name in node.outputs if _is_bad(feeds.get(name))]
            if bad:
                location = f" ({node.source})" if node.source else ""
                lines = [f"the first tensor that is not finite is `{bad[0]}`{location}, computed by {node.operator}"]
                return [*lines, *(_described(name, feeds[name]) for name in node.inputs if name in feeds)], ""
        lengths = [(name, float(np.abs(feeds[name]).max(initial=0))) for name in gradients]
        largest = max([largest, *lengths], key=lambda entry: entry[1])
    return [], f"each is finite, but their sum of squares is not: `{largest[0]}` reaches {largest[1]:.4g}"


def _leading_to(results: Sequence[str], nodes: Sequence[Computed]) -> list[Computed]:
    """The nodes that some results depend on, in order."""
    needed, ancestors = set(results), list[Computed]()
    for node in reversed(nodes):
        if needed & set(node.outputs):
            needed |= set(node.inputs)
            ancestors.append(node)
    return ancestors[::-1]


def _is_bad(array: Any) -> bool:
    return isinstance(array, np.ndarray) and array.dtype.kind == "f" and not np.isfinite(array).all()


def _described(name: str, array: Any) -> str:
    array = np.asarray(array)
    if not array.size or array.dtype.kind not in "fiu":
        return f"from `{name}`"
    return f"from `{name}`, whose elements are from {array.min():.4g} to {array.max():.4g}"
