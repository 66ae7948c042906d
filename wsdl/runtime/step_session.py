"""The training step in ONNX Runtime: the state (`StepState`) stays on the device between steps.

All inputs and outputs are bound once for each combination of current buffers: two, and more where several steps have
one state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsdl.diagnostics.run_error import fail
from wsdl.ir.dtypes import numpy_dtype
from wsdl.ir.phase import Phase
from wsdl.ir.step import (
    FINITE,
    FIRST,
    NORM,
    PART_SHARE,
    PART_START,
    RATE,
    TOTAL_STEPS,
    Batch,
    Carried,
    Forward,
    Gradient,
    Next,
    NextCarried,
    Part,
    Port,
    Result,
    Shared,
    Sum,
    Variable,
    Whole,
)
from wsdl.ir.training_graphs import Pieces, Round
from wsdl.onnx.folder import loadable
from wsdl.onnx.training import TrainingModels
from wsdl.runtime.exchange import Exchange, Wire
from wsdl.runtime.loading import cores, load, run_failure
from wsdl.runtime.piecewise import Piecewise
from wsdl.runtime.step_state import StepState
from wsdl.runtime.tally import Shapes, Sizes, Tally, results

Array = NDArray[Any]


class StepSession:
    """The phases of a step, loaded. It is the step of this `number` of the `state`.

    `compute` returns loss and metrics of a batch in one or several parts, and keeps the gradients; `commit` then
    updates the state. By `exchange` the parts of other workers are added.
    """

    def __init__(
        self,
        models: TrainingModels,
        state: StepState,
        number: int = 0,
        *,
        threads: int | None = None,
        exchange: Exchange,
    ) -> None:
        self.state, self._number, self.device, self._exchange = state, number, state.device, exchange

        def loaded(proto: Any, threads: int | None = threads) -> Any:
            with loadable(proto, models.values) as model:
                return load(model, proto.graph.name, self.device, threads, reuse_plan=False)

        self._name = models.gradients.graph.name
        self._step = step = models.step
        self._gradient_session, self._update_session = loaded(models.gradients), loaded(models.update)
        self._sums_session = None if models.sums is None else loaded(models.sums)
        self._rounds = [loaded(proto) for proto in models.rounds]
        self._batch_types, self._rows = models.evaluation.batch, models.evaluation.evaluation.rows
        phases = [step.gradients, step.update, *(own.phase for own in step.rounds)]
        read = [port.name for phase in phases for port in phase.inputs.values() if isinstance(port, Variable)]
        self._groups = state.groups([*(variable.name for variable in step.variables), *read])
        self._added = {
            port: value.type for kind in (Gradient, Next) for port, value in step.gradients.values(kind).items()
        }  # what the parts of a batch add up to
        self._wire = Wire(self._added) if step.rest is not None and not exchange.is_alone else None
        self._gradients = {v.of: self._buffer(v) for v in step.variables if v.role == "parameter"}
        self._apart = [port for port in self._added if not self._is_on_wire(port)]
        self._results = {name: np.zeros((), numpy_dtype(type.dtype)) for name, type in models.results.items()}
        self._rate, self._total_steps = np.zeros((), np.float32), np.zeros((), np.int64)
        self._norm = state.value(np.zeros((), numpy_dtype(models.norm.dtype)))
        self._finite, self._is_finite = np.zeros((), numpy_dtype(models.norm.dtype)), True
        self._shared = {
            port: state.value(np.zeros((), numpy_dtype(value.type.dtype)))
            for port, value in step.update.values(Shared).items()
        }
        self._start, self._share = np.zeros((), np.int64), np.ones((), np.float32)  # of a part within its batch
        self._wholes: dict[str, Array] = {}
        self.rows = 0  # of the batch that was computed last
        self._sizes: dict[Shapes, dict[str, int]] = {}
        ports = step.gradients.inputs.values()
        of_part = {PART_START: self._start, PART_SHARE: self._share}
        self._of_part = {port.name: array for port, array in of_part.items() if port in ports}
        self._of_whole = [port.name for port in ports if isinstance(port, Whole)]
        self._of_batch = [port.name for port in ports if isinstance(port, Batch | Carried) or port == FIRST]
        self.carried: dict[str, Array] = {}  # what carried inputs are in the next update of the last batch
        self._forward: dict[Forward, Any] = {}  # tensors of the last forward pass, on the device
        self._last = [i for i, port in enumerate(step.gradients.outputs) if isinstance(port, Part)]
        self._adds = any(isinstance(port, Sum) for port in ports)
        self._bindings: dict[tuple[int, ...], _Bindings] = {}  # by the current buffers of the groups
        self._threads = threads or cores()
        self._pool = ThreadPoolExecutor(self._threads - 1) if step.pieces and self._threads > 1 else None
        self._pieces = list(zip([loaded(proto, 1) for proto in models.pieces], step.pieces, strict=True))

    # -- a step --------------------------------------------------------------------------------------------------------

    def compute(self, parts_of: Callable[[], Sequence[Mapping[str, Array]]]) -> dict[str, float]:
        """Loss and metrics of a batch, of which `parts_of` returns the parts of this worker. More than one part, or
        worker, needs a step that was compiled for it. Raises `RunError` if the batch has no rows."""
        step = self._step
        if step.rest is None:
            [part] = parts_of()
            sizes = self._no_sizes()
            sizes.add(part)
            self.rows = sizes.count
            self._keep(self._compute_gradients(part))
            return {name: float(array) for name, array in self._results.items()}
        parts, starts = list[Mapping[str, Array]](), list[int]()

        def counted() -> Sizes:
            own = self._no_sizes()
            for part in parts_of():
                parts.append(part)
                starts.append(own.count)
                own.add(part)
            return own

        sizes, before = self._exchange.sizes(self.steps, self._no_sizes(), counted)
        if not sizes.parts:
            raise fail("E0718", "this batch has no rows")
        self.rows, starts = sizes.count, [before + start for start in starts]
        self._wholes = sizes.wholes(step.merges)
        for session, own in zip(self._rounds, step.rounds, strict=True):
            merged = partial(self._gone_through, session, own, parts, starts)
            self._wholes |= self._exchange.merged(own.merges, sizes, merged).wholes()
        tally = self._exchange.merged(step.last, sizes, partial(self._added_up, parts, starts))
        if self._wire is not None:
            self._add_up_over_workers(self._wire)
        self._run(self._sums_session, self._bound.sums, {})
        arrays = results(step.rest, {**self._wholes, **tally.wholes()}, sizes)
        loss_and_metrics, of_updates = arrays[: len(self._results)], arrays[len(self._results) :]
        self._forward |= {p: self.state.value(a) for p, a in zip(step.merged_forward, of_updates, strict=True)}
        return {name: float(array) for name, array in zip(self._results, loss_and_metrics, strict=True)}

    def _no_sizes(self) -> Sizes:
        return Sizes(self._batch_types, self._rows, self._sizes)

    def _added_up(self, parts: Sequence[Mapping[str, Array]], starts: Sequence[int]) -> Tally:
        """Compute the gradients of all parts, added up, and the values that loss and metrics are merged from."""
        tally, carried = Tally(self._step.last), list[dict[str, Array]]()
        if self._adds or not parts:
            for port in self._added:
                self._clear(self._target(port))
        self._is_finite, self._forward, self.carried = True, {}, {}
        for start, part in zip(starts, parts, strict=True):
            own = self._no_sizes()
            own.add(part)
            self._start[...], self._share[...] = start, own.count / self.rows
            outputs = self._compute_gradients(part)
            self._is_finite = self._is_finite and bool(np.isfinite(self._finite))
            tally.add(outputs[i].numpy() for i in self._last)
            self._keep(outputs)
            carried.append(self.carried)
        if carried:
            self.carried = {name: np.concatenate([part[name] for part in carried]) for name in carried[0]}
        return tally

    def _add_up_over_workers(self, wire: Wire) -> None:
        """Replace gradients and new statistics by their sums over all workers."""
        for port in self._apart:
            wire[port][...] = self._target(port).numpy()
        if not self._is_finite:
            wire.flat[:1] = np.nan
        self._exchange.add_up(wire.flat)
        for port in self._apart:
            self._target(port).update_inplace(np.array(wire[port], self._target(port).numpy().dtype))
        latest = {port.of.of: port for port in self._added if isinstance(port, Next)}
        for port in self._step.gradients.values(Forward):
            if port.label in latest:
                self._forward[port] = self.state.value(np.array(self._target(latest[port.label]).numpy()))

    def _keep(self, outputs: Sequence[Any]) -> None:
        """Keep what the update reads of the forward pass, and a copy of what is carried."""
        given = dict(zip(self._step.gradients.outputs, outputs, strict=True))
        self._forward = {port: value for port, value in given.items() if isinstance(port, Forward)}
        carried = {port.of.name: value for port, value in given.items() if isinstance(port, NextCarried)}
        self.carried = {name: np.array(value.numpy()) for name, value in carried.items()}

    def _compute_gradients(self, part: Mapping[str, Array]) -> list[Any]:
        """Compute gradients, which stay in their buffers; returns all outputs."""
        binding = self._bound.gradients
        self._bind_batch(binding, part)
        self._run(self._gradient_session, binding, part)
        return list(binding.get_outputs())

    def _gone_through(
        self, session: Any, own: Round, parts: Sequence[Mapping[str, Array]], starts: Sequence[int]
    ) -> Tally:
        """Run a round over all parts, whose first rows are `starts`; returns the merged values."""
        tally, ports = Tally(own.merges), own.phase.inputs
        for start, part in zip(starts, parts, strict=True):
            arrays = {**self._wholes, **part, PART_START.name: np.array(start)}
            feeds = {
                name: self.state.current(name) if isinstance(port, Variable) else self.state.value(arrays[name])
                for name, port in ports.items()
            }
            try:
                outputs = session.run_with_ort_values(None, feeds)
            except Exception as error:  # ONNX Runtime has a dozen classes of them, without a common one
                raise run_failure(error, self._name, part) from error
            tally.add(value.numpy() for value in outputs)
        return tally

    @property
    def gradient_norm(self) -> float:
        """The norm of all gradients computed last. If it is not finite, the step must not be committed."""
        return float(self._norm.numpy()) if self._is_finite else nan

    def commit(self) -> float:
        """Apply the computed step; returns its learning rate."""
        bound = self._bound
        for name, port in self._step.update.inputs.items():
            if isinstance(port, Forward):
                bound.update.bind_ortvalue_input(name, self._forward[port])
        self._run(self._update_session, bound.update, {})
        for pieces in bound.pieces:
            pieces.run(self._pool, self._threads)
        self.state.commit(self._number)
        return float(self._rate)

    def _run(self, session: Any, binding: Any, arrays: Mapping[str, Array]) -> None:
        try:
            session.run_with_iobinding(binding)
        except Exception as error:  # ONNX Runtime has a dozen classes of them, without a common one
            raise run_failure(error, self._name, arrays) from error

    @property
    def steps(self) -> int:
        """The number of committed steps."""
        return int(self.state.current(self._step.counter.name).numpy())

    def set_total(self, steps: int) -> None:
        """Set the number of steps of the whole run, for schedules that need it."""
        self._total_steps[...] = steps
        if self.device != "cpu":
            self._bindings.clear()

    @property
    def wholes(self) -> dict[str, Array]:
        """The values merged over all parts of the batch that was computed last."""
        return dict(self._wholes)

    # -- buffers -------------------------------------------------------------------------------------------------------

    def _buffer(self, parameter: Variable) -> Any:
        """The buffer of a gradient, where possible on the wire itself."""
        type, port = parameter.type, Gradient(parameter.of)
        assert type.sizes is not None
        if self._wire is not None and port in self._added and self.device == "cpu":
            on_wire = self._wire[port]
            if on_wire.dtype == numpy_dtype(type.dtype):
                return self.state.held(on_wire)
        return self.state.held(np.zeros(type.sizes, numpy_dtype(type.dtype)))

    def _is_on_wire(self, port: Port) -> bool:
        if self._wire is None or not isinstance(port, Gradient):
            return False
        return self.state.memory(self._gradients[port.of]) is self._wire[port]

    def _clear(self, value: Any) -> None:
        value.update_inplace(np.zeros_like(value.numpy()))

    # -- bindings ------------------------------------------------------------------------------------------------------

    @property
    def _bound(self) -> _Bindings:
        """The bindings for the current buffers."""
        turns = self.state.turns(self._groups)
        if turns not in self._bindings:
            self._bindings[turns] = _Bindings(
                self._bind(self._gradient_session, self._step.gradients),
                None if self._step.sums is None else self._bind(self._sums_session, self._step.sums),
                self._bind(self._update_session, self._step.update),
                [self._piecewise(session, pieces) for session, pieces in self._pieces],
            )
        return self._bindings[turns]

    def _bind(self, session: Any, phase: Phase) -> Any:
        """Bind all inputs and outputs of a phase whose buffers stay the same from step to step."""
        binding = session.io_binding()
        for name, port in phase.inputs.items():
            if not isinstance(port, Batch | Carried | Whole | Forward) and port not in (FIRST, PART_START, PART_SHARE):
                binding.bind_ortvalue_input(name, self._source(port))
        for port in phase.outputs:
            if isinstance(port, Part | Forward | NextCarried):
                self._bind_new(binding, port)
            else:
                binding.bind_ortvalue_output(port.name, self._target(port))
        return binding

    def _bind_new(self, binding: Any, port: Port) -> None:
        """Bind an output that the runtime makes anew."""
        binding.bind_output(port.name, self.device if isinstance(port, Forward) else "cpu")

    def _source(self, port: Port) -> Any:
        """The buffer of an input."""
        if isinstance(port, Variable):
            return self.state.current(port.name)
        if isinstance(port, Sum):
            return self._target(Next(port.of) if isinstance(port.of, Variable) else port.of)
        return self.state.value(self._total_steps) if port == TOTAL_STEPS else self._target(port)

    def _target(self, port: Port) -> Any:
        """The buffer of an output, for another phase or for the caller."""
        if isinstance(port, Next):
            return self.state.following(port.of.name)
        if isinstance(port, Gradient):
            return self._gradients[port.of]
        if isinstance(port, Result):
            return _on_host(self._results[port.name])
        if isinstance(port, Shared):
            return self._shared[port]
        if port == NORM:
            return self._norm
        assert port in (FINITE, RATE)
        return _on_host(self._finite if port == FINITE else self._rate)

    def _bind_batch(self, binding: Any, part: Mapping[str, Array]) -> None:
        for port in self._step.gradients.outputs:
            if isinstance(port, Forward | NextCarried):  # whose size may differ from that in the batch before
                self._bind_new(binding, port)
        for name in self._of_batch:
            if self.device == "cpu":
                binding.bind_cpu_input(name, part[name])
            else:
                binding.bind_ortvalue_input(name, self.state.value(part[name]))
        for name, array in {**self._of_part, **{n: self._wholes[n] for n in self._of_whole}}.items():
            binding.bind_cpu_input(name, array)

    def _piecewise(self, session: Any, pieces: Pieces) -> Piecewise:
        def arrays(port: Variable | Gradient) -> tuple[Array, Array]:
            if isinstance(port, Gradient):
                gradient = self.state.memory(self._gradients[port.of])
                return gradient, gradient
            return self.state.memory(self.state.current(port.name)), self.state.memory(self.state.following(port.name))

        tensors = [{piece: arrays(port) for piece, port in ports.items()} for ports in pieces.tensors]
        return Piecewise(session, pieces.phase, tensors, self._shared)


@dataclass(frozen=True, eq=False)
class _Bindings:
    """Everything that a step runs, bound."""

    gradients: Any
    sums: Any
    update: Any
    pieces: list[Piecewise]


def _on_host(array: Array) -> Any:
    from onnxruntime import OrtValue

    return OrtValue.ortvalue_from_numpy(array, "cpu", 0)
