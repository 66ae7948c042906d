"""The state of one or several trainings of a program, which have the same weights."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsdl import options
from wsdl.diagnostics.run_error import fail
from wsdl.diagnostics.suggest import nearest
from wsdl.distributed import Communicator
from wsdl.ir.step import OPTIMIZER, seed_variable
from wsdl.onnx.training import TrainingModels, initial_state
from wsdl.runtime.arrays import check_inputs, type_of
from wsdl.runtime.batches import share
from wsdl.runtime.checkpoint import EVALUATION_SEED, Checkpoint, write_checkpoint
from wsdl.runtime.exchange import Exchange
from wsdl.runtime.fingerprint import fingerprint
from wsdl.runtime.snapshot import Snapshot
from wsdl.runtime.step_session import StepSession
from wsdl.runtime.step_state import StepState

Array = NDArray[Any]
LAST = "last.safetensors"


@dataclass(frozen=True)
class Settings:
    """How a model is trained, apart from its `train` declaration.

    A step takes `batch` rows, computed in `accumulate` parts of equal size, which needs less memory and gives the same
    result except for the statistics of `BatchNorm`. `seed` determines the order of the rows and random numbers. Each
    batch is held for `hold` steps.
    """

    batch: int = 64
    accumulate: int = 1
    seed: int = 0
    hold: int = 1

    def __post_init__(self) -> None:
        options.settle(self, batch=options.COUNT, accumulate=options.COUNT, seed=options.SEED, hold=options.COUNT)


def settings_of(trainings: Sequence[str], seed: int, **counts: int | Mapping[str, int]) -> dict[str, Settings]:
    """The settings of each training, by its name. Each of `counts` is one number for all, or has those of some by their
    names, and the others have the default. Raises `RunError` for a name that is none of these."""
    for option, count in counts.items():
        for name in count if isinstance(count, Mapping) else ():
            if name not in trainings:
                listed = ", ".join(f"`{each}`" for each in trainings)
                message = f"`{option}` is given for `{name}`, which is none of the trainings of this run"
                raise fail("E0704", message, help=f"the trainings are {listed}")

    def of(name: str) -> Settings:
        own = {option: count.get(name) if isinstance(count, Mapping) else count for option, count in counts.items()}
        return Settings(seed=seed, **{option: count for option, count in own.items() if count is not None})

    return {name: of(name) for name in trainings}


class TrainingState:
    """The variables of all `trainings`, on the device, and the sessions that change them.

    `trainings` are the models of each, by its name; all have the same `values`. `settings` are those of each, with one
    seed. `header` describes the program in checkpoints; resuming compares it. `carried` has for each training the
    inputs that its last step carries.
    """

    def __init__(
        self,
        trainings: Mapping[str, TrainingModels],
        header: Mapping[str, str],
        settings: Mapping[str, Settings],
        *,
        device: str = "cpu",
        threads: int | None = None,
        workers: Communicator | None = None,
    ) -> None:
        self.trainings, self.header, self.settings = dict(trainings), dict(header), dict(settings)
        self.device, self.threads, self.exchange = device, threads, Exchange(workers)
        if any(seed_variable() in models.evaluation.variables for models in self.trainings.values()):
            self.header[EVALUATION_SEED] = str(self.seed)
        self.totals: dict[str, int] = {}  # the steps of the whole run, where they are known
        self.carried: dict[str, dict[str, Array] | None] = dict.fromkeys(trainings)
        self.began = 0  # how often it began from another state
        self.begin(self.start(), {})

    @property
    def seed(self) -> int:
        """That of all trainings."""
        return next(iter(self.settings.values())).seed

    @property
    def written_settings(self) -> dict[str, Any]:
        """The settings in checkpoints: each one number for all trainings, or where these differ one for each."""
        each = {name: asdict(settings) for name, settings in self.settings.items()}
        first = next(iter(each.values()))
        alike = {option: all(own[option] == first[option] for own in each.values()) for option in first}
        return {o: first[o] if alike[o] else {name: own[o] for name, own in each.items()} for o in first}

    @property
    def values(self) -> Mapping[str, Array]:
        """The stored tensors as they were before."""
        return next(iter(self.trainings.values())).values

    def begin(self, state: Mapping[str, Array], frozen: Mapping[str, Array]) -> None:
        """Continue from another state, with other values for some frozen tensors."""
        if frozen:
            values = {**self.values, **frozen}
            self.trainings = {
                name: replace(models, values=values, evaluation=replace(models.evaluation, values=values))
                for name, models in self.trainings.items()
            }
        self.began += 1
        if not self.exchange.is_alone:
            program = f"{self.header}{self.written_settings}{fingerprint(self.frozen())}"
            state = self.exchange.begin_alike(state, program)
        self.buffers = StepState(state, [m.step for m in self.trainings.values()], device=self.device)
        self.sessions = {
            name: StepSession(models, self.buffers, number, threads=self.threads, exchange=self.exchange)
            for number, (name, models) in enumerate(self.trainings.items())
        }
        for name, total in self.totals.items():
            self.sessions[name].set_total(total)

    def start(self) -> dict[str, Array]:
        """The variables before the first step."""
        variables = [variable for models in self.trainings.values() for variable in models.step.variables]
        return initial_state(variables, self.values, self.seed)

    def frozen(self) -> dict[str, Array]:
        """The stored tensors that no step changes."""
        changing = {variable.name for models in self.trainings.values() for variable in models.step.variables}
        return {name: array for name, array in self.values.items() if name not in changing}

    def averages(self, trainings: Sequence[str]) -> dict[str, str]:
        """The names of moving averages by those of the tensors; the first of several."""
        steps = [self.trainings[name].step for name in reversed(trainings)]
        return {v.of: v.name for step in steps for v in step.variables if v.role == "average"}

    def carried_name(self, training: str, name: str) -> str:
        """The name of a carried input in checkpoints."""
        own = f"{training}/" if len(self.trainings) > 1 else ""
        return f"{OPTIMIZER}{own}carried/{name}"


class Stateful:
    """What a trainer says of its state, and does with it."""

    def __init__(self, held: TrainingState) -> None:
        self._held = held

    @property
    def exchange(self) -> Exchange:
        """The other workers of this training."""
        return self._held.exchange

    @property
    def header(self) -> Mapping[str, str]:
        """What checkpoints say of the program."""
        return self._held.header

    @property
    def seed(self) -> int:
        """Of the order of the rows, and of random numbers."""
        return self._held.seed

    @property
    def written_settings(self) -> Mapping[str, Any]:
        """The settings as they are written into checkpoints."""
        return self._held.written_settings

    @property
    def state(self) -> Snapshot:
        """The training state: parameters, running statistics, optimizer state, number of steps. Read-only copies;
        `write` changes the state."""
        return Snapshot(self._held.buffers.arrays())

    @property
    def weights(self) -> Snapshot:
        """Every stored tensor by name, as trained so far; with `ema` the moving averages."""
        held = self._held
        state, values, averages = held.buffers.arrays(), held.values, held.averages(list(held.trainings))
        return Snapshot({name: state.get(averages.get(name, name), array) for name, array in values.items()})

    def write(self, arrays: Mapping[str, Any]) -> None:
        """Replace arrays of `state`, or of frozen weights, by name. Raises `RunError` if there is no such name, or if
        an array doesn't fit."""
        held = self._held
        known = {**held.frozen(), **held.start()}
        for name in arrays.keys() - known.keys():
            close = nearest(name, list(known))
            help = f"did you mean `{close}`?" if close else "`trainer.state` and `trainer.weights` have the names"
            raise fail("E0711", f"there is no `{name}` in this training", help=help)
        types = {name: type_of(known[name]) for name in arrays}
        checked = {name: check_inputs({name: types[name]}, {name: arrays[name]})[name] for name in arrays}
        frozen = checked.keys() & held.frozen().keys()
        if frozen:
            held.begin(self.state, {name: np.array(checked[name]) for name in frozen})
        for name in checked.keys() - frozen:
            held.buffers.write(name, checked[name])

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write the checkpoint `last.safetensors` to a folder, from which a training resumes and a model runs."""
        path = Path(folder, LAST)
        write_checkpoint(path, self.checkpoint())
        return path

    def checkpoint(self, progress: Mapping[str, Any] | None = None) -> Checkpoint:
        """A checkpoint of the current state; `progress` is saved with it. Where inputs are carried, several workers
        call this together, since each has the rows of its own."""
        held = self._held
        carried = {
            held.carried_name(training, name): array if held.exchange.is_alone else held.exchange.concatenated(array)
            for training, arrays in held.carried.items()
            for name, array in (arrays or {}).items()
        }
        arrays = {**held.frozen(), **self.state, **carried}
        return Checkpoint(arrays, self.header, held.written_settings, dict(progress or {}))

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continue from a checkpoint bit for bit: its whole state, frozen tensors included, replaces the current
        one."""
        held = self._held
        held.begin(checkpoint.state_for(held.start()), checkpoint.state_for(held.frozen()))
        for training, models in held.trainings.items():
            names = {name: held.carried_name(training, name) for name in models.carried}
            known = {name: checkpoint.arrays[path] for name, path in names.items() if path in checkpoint.arrays}
            worker = held.exchange.rank, held.exchange.size
            own = {name: array[share(len(array), *worker)] for name, array in known.items()}
            held.carried[training] = own if own and len(own) == len(names) else None
