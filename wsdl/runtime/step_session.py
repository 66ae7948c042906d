"""A step of training in ONNX Runtime: all that changes stays where it is, on the device, from step to step.

Everything is bound once. What the update may write in place has one buffer, all else has two that take turns, so that a
step that goes wrong has changed nothing until it is committed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsdl.ir.dtypes import numpy_dtype
from wsdl.ir.training import STEP, TOTAL
from wsdl.ir.types import TensorType
from wsdl.onnx.folder import loadable
from wsdl.onnx.training import TrainingModels
from wsdl.passes.gradient_norm import NORM
from wsdl.passes.gradients import PART, SHARE
from wsdl.passes.pieces import SCALAR_OUTPUT as SCALAR
from wsdl.passes.rounds import Round
from wsdl.passes.separate import WHOLE
from wsdl.passes.split_step import RATE, SUM
from wsdl.passes.update import GRADIENT, NEXT
from wsdl.runtime.loading import cores, load, run_failure
from wsdl.runtime.piecewise import Piecewise
from wsdl.runtime.tally import Shapes, Sizes, Tally, results

Array = NDArray[Any]


class StepSession:
    """The two halves of a step, loaded, with the state of the training in them.

    `compute` gives loss and metrics of a batch that comes in one or several parts, and keeps the gradients; `commit`
    then makes the step. `state` is all that is carried from step to step, by name.
    """

    def __init__(
        self, models: TrainingModels, state: Mapping[str, Array], *, device: str = "cpu", threads: int | None = None
    ) -> None:
        def loaded(proto: Any, threads: int | None = threads) -> Any:
            with loadable(proto, models.values) as model:
                return load(model, proto.graph.name, device, threads, reuse_plan=False)

        self.device, self._name = device, models.first.graph.name
        self._memory: dict[int, Array] = {}  # by the id of what the runtime sees of it
        self._first, self._second = loaded(models.first), loaded(models.second)
        self._rounds = [loaded(proto) for proto in models.rounds]
        self._turn = 0
        self._step = step = models.step
        self._batch_types, self._rows = models.evaluation.batch, models.evaluation.evaluation.rows
        self._cells = {name: self._cell(array, name in step.in_place) for name, array in state.items()}
        self._gradients = {s.name: self._buffer(s.type) for s in step.trained}
        self._statistics = [s.name for s in step.statistics]
        self._wholes: dict[str, Array] = {}
        self._sizes: dict[Shapes, dict[str, int]] = {}
        self._total_steps = np.zeros((), np.int64)
        self._results = {name: np.zeros((), numpy_dtype(type.dtype)) for name, type in models.results.items()}
        self._rate = np.zeros((), np.float32)
        self._norm = self.value(np.zeros((), numpy_dtype(models.norm.dtype)))
        inputs = _inputs(self._first)
        self._part, self._share = np.zeros((), np.int64), np.ones((), np.float32)  # of a part in its batch
        of_part = {PART: self._part, SHARE: self._share}
        self._of_part = {name: array for name, array in of_part.items() if name in inputs}
        self._of_whole = [name for name in inputs if name.startswith(WHOLE)]
        self._of_batch = [name for name in inputs if name in self._batch_types]
        outputs = zip(step.second.only.output_names, step.second.only.graph.outputs, strict=True)
        self._scalars = {
            n: self.value(np.zeros((), numpy_dtype(v.type.dtype))) for n, v in outputs if n.startswith(SCALAR)
        }
        self._first_bindings = [self._bind_first(turn) for turn in (0, 1)]
        self._second_bindings = [self._bind_second(turn) for turn in (0, 1)]
        self._threads = threads or cores()
        self._pool = ThreadPoolExecutor(self._threads - 1) if step.pieces and self._threads > 1 else None
        updates = [(loaded(proto, 1), p.tensors) for proto, p in zip(models.pieces, step.pieces, strict=True)]
        self._pieces = [[self._piecewise(*update, turn) for update in updates] for turn in (0, 1)]

    # -- a step --------------------------------------------------------------------------------------------------------

    def compute(self, parts: Sequence[Mapping[str, Array]], shares: Sequence[float] = (1.0,)) -> dict[str, float]:
        """Loss and metrics of a batch. More than one part needs a step that was made for it; `shares` says how many of
        the rows each has, from 0 to 1."""
        if self._step.rest is None:
            [part] = parts
            self._run_first(part)
            return {name: float(array) for name, array in self._results.items()}
        sizes, tally = Sizes(self._batch_types, self._rows, self._sizes), Tally(self._step.last)
        for part in parts:
            sizes.add(part)
        self._wholes = sizes.wholes(self._step.merges)
        for session, own in zip(self._rounds, self._step.rounds, strict=True):
            self._wholes |= self._gone_through(session, own, parts)
        for value in [*self._gradients.values(), *map(self._next, self._statistics)]:
            self._clear(value)
        for number, (part, share) in enumerate(zip(parts, shares, strict=True)):
            self._part[...], self._share[...] = number, share
            outputs = self._run_first(part)
            tally.add({name: outputs[name].numpy() for name in tally.names})
        return results(list(self._results), self._step.rest, {**self._wholes, **tally.wholes()}, sizes)

    def _run_first(self, part: Mapping[str, Array]) -> dict[str, Any]:
        """Compute gradients, which stay where they are bound to; all outputs."""
        binding = self._first_bindings[self._turn]
        self._bind_batch(binding, part)
        self._run(self._first, binding, part)
        return dict(zip(_outputs(self._first), binding.get_outputs(), strict=True))

    def _gone_through(self, session: Any, own: Round, parts: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
        """What comes of a round."""
        tally, names, wanted = Tally(own.merges), _outputs(session), _inputs(session)
        for number, part in enumerate(parts):
            given = {**self._wholes, **part, PART: np.array(number)}
            feeds = {n: self._current(n) if n in self._cells else self.value(given[n]) for n in wanted}
            try:
                outputs = session.run_with_ort_values(names, feeds)
            except Exception as error:  # ONNX Runtime has a dozen classes of them, without a common one
                raise run_failure(error, self._name, part) from error
            tally.add({name: value.numpy() for name, value in zip(names, outputs, strict=True)})
        return tally.wholes()

    @property
    def gradient_norm(self) -> float:
        """The norm of all gradients of what was computed last. Where it is not finite, there is no step to be made."""
        return float(self._norm.numpy())

    def commit(self) -> float:
        """Make the step that was computed; its learning rate."""
        self._run(self._second, self._second_bindings[self._turn], {})
        for pieces in self._pieces[self._turn]:
            pieces.run(self._pool, self._threads)
        self._turn = 1 - self._turn
        return float(self._rate)

    def _run(self, session: Any, binding: Any, arrays: Mapping[str, Array]) -> None:
        try:
            session.run_with_iobinding(binding)
        except Exception as error:  # ONNX Runtime has a dozen classes of them, without a common one
            raise run_failure(error, self._name, arrays) from error

    # -- the state -----------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Array]:
        """A copy of all that is carried, as it is after the last step that was committed."""
        return {name: np.array(self._current(name).numpy()) for name in self._cells}

    def write(self, name: str, array: Array) -> None:
        """Put other numbers in the place of what is carried under a name."""
        for value in self._cells[name]:
            value.update_inplace(np.array(array, value.numpy().dtype, order="C"))

    @property
    def steps(self) -> int:
        """The number of steps that were committed."""
        return int(self._current(STEP).numpy())

    def feeds(self, names: Sequence[str]) -> list[Any]:
        """What is carried as it lies on the device, for another session."""
        return [self._current(name) for name in names]

    def set_total(self, steps: int) -> None:
        """Say how many steps the whole run has, for schedules that want to know."""
        self._total_steps[...] = steps
        if self.device != "cpu":
            self._second_bindings = [self._bind_second(turn) for turn in (0, 1)]

    def _current(self, name: str) -> Any:
        return self._cells[name][self._turn]

    def _next(self, name: str) -> Any:
        """Where the next step will find what is carried, if this one is committed."""
        return self._cells[name][1 - self._turn]

    @property
    def wholes(self) -> dict[str, Array]:
        """What was merged over all parts of the batch that was computed last, for those of its step."""
        return dict(self._wholes)

    # -- buffers -------------------------------------------------------------------------------------------------------

    def _cell(self, array: Array, in_place: bool) -> tuple[Any, Any]:
        value = self._held(np.array(array, order="C"))
        return (value, value if in_place else self._held(np.array(array, order="C")))

    def _buffer(self, type: TensorType) -> Any:
        assert type.sizes is not None
        return self._held(np.zeros(type.sizes, numpy_dtype(type.dtype)))

    def _held(self, array: Array) -> Any:
        value = self.value(array)
        self._memory[id(value)] = array
        return value

    def value(self, array: Array) -> Any:
        """An array on the device. On the CPU this is the memory of the array itself."""
        from onnxruntime import OrtValue

        return OrtValue.ortvalue_from_numpy(array, self.device, 0)

    def _clear(self, value: Any) -> None:
        value.update_inplace(np.zeros_like(value.numpy()))

    # -- bindings ------------------------------------------------------------------------------------------------------

    def _bind_first(self, turn: int) -> Any:
        binding = self._first.io_binding()
        for name in _inputs(self._first):
            if name in self._cells:
                binding.bind_ortvalue_input(name, self._cells[name][turn])
            elif name.startswith(SUM):
                stored = name.removeprefix(SUM)
                binding.bind_ortvalue_input(name, self._gradients.get(stored) or self._cells[stored][1 - turn])
        for output in self._first.get_outputs():
            name = output.name
            if name.startswith(GRADIENT):
                binding.bind_ortvalue_output(name, self._gradients[name.removeprefix(GRADIENT)])
            elif name.startswith(NEXT):
                binding.bind_ortvalue_output(name, self._cells[name.removeprefix(NEXT)][1 - turn])
            elif name == NORM:
                binding.bind_ortvalue_output(name, self._norm)
            elif name in self._results:
                binding.bind_ortvalue_output(name, _on_host(self._results[name]))
            else:
                binding.bind_output(name, "cpu")
        return binding

    def _bind_batch(self, binding: Any, part: Mapping[str, Array]) -> None:
        for name in self._of_batch:
            if self.device == "cpu":
                binding.bind_cpu_input(name, part[name])
            else:
                binding.bind_ortvalue_input(name, self.value(part[name]))
        for name, array in {**self._of_part, **{n: self._wholes[n] for n in self._of_whole}}.items():
            binding.bind_cpu_input(name, array)

    def _bind_second(self, turn: int) -> Any:
        binding = self._second.io_binding()
        for name in _inputs(self._second):
            if name == TOTAL:
                binding.bind_ortvalue_input(name, self.value(self._total_steps))
            elif name == NORM:
                binding.bind_ortvalue_input(name, self._norm)
            elif name.startswith(GRADIENT):
                binding.bind_ortvalue_input(name, self._gradients[name.removeprefix(GRADIENT)])
            else:
                binding.bind_ortvalue_input(name, self._cells[name][turn])
        for output in self._second.get_outputs():
            if output.name == RATE:
                binding.bind_ortvalue_output(RATE, _on_host(self._rate))
            elif output.name in self._scalars:
                binding.bind_ortvalue_output(output.name, self._scalars[output.name])
            else:
                binding.bind_ortvalue_output(output.name, self._cells[output.name.removeprefix(NEXT)][1 - turn])
        return binding

    def _piecewise(self, session: Any, tensors: Sequence[Mapping[str, str]], turn: int) -> Piecewise:
        def arrays(name: str) -> tuple[Array, Array]:
            if name.startswith(GRADIENT):
                gradient = self._memory[id(self._gradients[name.removeprefix(GRADIENT)])]
                return gradient, gradient
            old, new = (self._memory[id(self._cells[name][t])] for t in (turn, 1 - turn))
            return old, new

        pieces = [{kind: arrays(name) for kind, name in names.items()} for names in tensors]
        return Piecewise(session, pieces, self._scalars)


def _outputs(session: Any) -> list[str]:
    return [value.name for value in session.get_outputs()]


def _inputs(session: Any) -> list[str]:
    return [value.name for value in session.get_inputs()]


def _on_host(array: Array) -> Any:
    from onnxruntime import OrtValue

    return OrtValue.ortvalue_from_numpy(array, "cpu", 0)
