"""A compiled program: its models, its stored tensors, and the files written from it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from wsdl import compiler
from wsdl.api.selection import Selection
from wsdl.diagnostics import CompileError, Diagnostic
from wsdl.diagnostics.span import Source
from wsdl.ir.graph import Lowered, file_path
from wsdl.ir.inventory import Inventory
from wsdl.ir.stages import Storage
from wsdl.ir.summary import summary
from wsdl.ir.target import Materialize, Target
from wsdl.ir.types import TensorType
from wsdl.options import (
    COUNT,
    FLAG,
    NAME,
    ON_NAN,
    PATH,
    SEED,
    WEIGHTS,
    WORKERS,
    ForEach,
    Option,
    Optional,
    takes,
)
from wsdl.weights.values import Values

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import ModelProto

    from wsdl.api.costs import RunCosts
    from wsdl.distributed import Communicator
    from wsdl.ir.training import Turns
    from wsdl.ir.training_graphs import Parts, TrainStep
    from wsdl.onnx.training import TrainingModels
    from wsdl.runtime.evaluator import Evaluator
    from wsdl.runtime.portable import PortableModel
    from wsdl.runtime.session import Session
    from wsdl.runtime.trainer import OnNaN, Trainer, Trainers
    from wsdl.runtime.training_state import Settings
    from wsdl.weights.weights import Weights

    Array = NDArray[Any]

# The arguments that `trainer` and `trainers` share.
_OF_TRAINERS: dict[str, Option] = {
    "seed": SEED,
    "weights": Optional(WEIGHTS),
    "partial": FLAG,
    "device": NAME,
    "threads": Optional(COUNT),
    "on_nan": ON_NAN,
    "workers": Optional(WORKERS),
}


class Program:
    """A compiled program. `stored` has the value of each stored tensor by name, `drawn` the names of those with random
    initial values, `lost` for each parameter that was fitted the share of its norm that it lost, by path, `diagnostics`
    the warnings and notes; `variant` is the name of the variant, if it is one."""

    def __init__(
        self,
        source: Source,
        target: Target,
        storage: Storage,
        numbers: Values,
        seed: int,
        diagnostics: list[Diagnostic],
    ) -> None:
        self.source = source
        self.target = target
        self.seed = seed
        self.diagnostics = diagnostics
        self.inventory: Inventory = compiler.inventory(storage, target)
        self.stored: Mapping[str, Array] = MappingProxyType(numbers.values)
        self.drawn = numbers.drawn
        self.variant = storage.checked.variant or None
        self.lost: Mapping[str, float] = MappingProxyType(dict(numbers.lost))
        self._storage = storage
        self._numbers = numbers
        self._selection = Selection.of(storage, source.path, target.dtype)
        self._trained: dict[tuple[object, ...], TrainingModels] = {}

    def materialized(self, materialize: Materialize | frozenset[str]) -> Program:
        """The same program with the values of other formulas written: of none, all, those with which the files don't
        get larger (`"auto"`), or of the parameters with these paths."""
        target = replace(self.target, materialize=materialize)
        return Program(self.source, target, self._storage, self._numbers, self.seed, list(self.diagnostics))

    @takes(name=Optional(NAME), rows=COUNT)
    def run_costs(self, name: str | None = None, *, rows: int = 32) -> RunCosts | None:
        """Measure what a run of a model takes with its formulas computed, and over their values: processor time with
        one thread, each dynamic dimension having the size `rows`. `None` where it has no formulas. Raises `RunError`
        where the model can't run with such sizes."""
        from wsdl.api.costs import run_costs

        model = self._selection.model(name)
        return run_costs(self.inventory, model, rows, lambda m: self.materialized(m).models[model].session(threads=1))

    def __repr__(self) -> str:
        variant = f" {self.variant}" if self.variant else ""
        return f"<wsdl.Program {self.source.path}{variant}: {', '.join(self.models)}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        """What a notebook shows: signatures, the picture, layers and what they share."""
        from wsdl.api.display import program_as_html

        return {"text/plain": repr(self), "text/html": program_as_html(self._storage, self.inventory)}

    @property
    def variants(self) -> list[str]:
        """The names of all variants that the file declares."""
        return list(self._storage.checked.variants)

    @cached_property
    def models(self) -> Mapping[str, Model]:
        """The models by name, in the order of the file."""
        return {name: Model(name, self) for name in self._storage.models}

    @takes(name=Optional(NAME), weights=Optional(WEIGHTS), partial=FLAG, device=NAME, threads=Optional(COUNT))
    def session(
        self,
        name: str | None = None,
        *,
        weights: Weights | None = None,
        partial: bool = False,
        device: str = "cpu",
        threads: int | None = None,
    ) -> Session:
        """A session that runs a model: `session(ids=ids)["logits"]`. `name` may be omitted if there is one model.
        `weights` replaces the stored values in this session: all of them, or with `partial=True` those provided.
        `threads` is the number of CPU threads, by default that of the cores."""
        return self.models[self._selection.model(name)].session(
            weights=weights, partial=partial, device=device, threads=threads
        )

    def portable(self, name: str | None = None) -> AbstractContextManager[PortableModel]:
        """A model as it is sent to other processes; with more than 1 GiB of weights a file, which is temporary."""
        return self.models[self._selection.model(name)].portable()

    @takes(name=Optional(NAME), **_OF_TRAINERS, batch=COUNT, accumulate=COUNT, hold=COUNT)
    def trainer(
        self,
        name: str | None = None,
        *,
        batch: int = 64,
        accumulate: int = 1,
        hold: int = 1,
        seed: int = 0,
        weights: Weights | None = None,
        partial: bool = False,
        device: str = "cpu",
        threads: int | None = None,
        on_nan: OnNaN = "stop",
        workers: Communicator | None = None,
    ) -> Trainer:
        """A trainer for a `train` declaration: `loss = trainer.step(batch)`. `name` is that of the training; it may be
        omitted if there is only one.

        `batch` is the batch size, computed in `accumulate` parts; `fit` takes `hold` steps on each batch. `seed` is for
        shuffling and random numbers. A loss or a gradient that is not finite raises `RunError`; with `on_nan="skip"`
        its batch is skipped. With the communicator of one of several `workers`, each batch is that worker's rows of it,
        and all make the same step.
        """
        from wsdl.runtime.trainer import Trainer
        from wsdl.runtime.training_state import TrainingState, settings_of

        training = self._selection.training(name)
        values = self._values_with(weights, partial, self._storage.trainings[training].model)
        settings = settings_of([training], seed, batch=batch, accumulate=accumulate, hold=hold)
        size = 1 if workers is None else workers.size
        models = {training: self._training_models(self._storage, training, values, settings[training], device, size)}
        held = TrainingState(models, self._origin(), settings, device=device, threads=threads, workers=workers)
        return Trainer(held, training, on_nan=on_nan)

    @takes(**_OF_TRAINERS, batch=ForEach(COUNT), accumulate=ForEach(COUNT), hold=ForEach(COUNT))
    def trainers(
        self,
        *names: str,
        batch: int | Mapping[str, int] = 64,
        accumulate: int | Mapping[str, int] = 1,
        hold: int | Mapping[str, int] = 1,
        seed: int = 0,
        weights: Weights | None = None,
        partial: bool = False,
        device: str = "cpu",
        threads: int | None = None,
        on_nan: OnNaN = "stop",
        workers: Communicator | None = None,
    ) -> Trainers:
        """Trainers of several trainings, by name, which have one state: `trainers["critic"].step(batch)`. Without names
        they are those of `turns` or `mix`. The other arguments are those of `trainer`; `batch`, `accumulate` and `hold`
        may be numbers for some of the trainings, by their names: `batch={"critic": 32}`."""
        from wsdl.runtime.trainer import Trainers
        from wsdl.runtime.training_state import TrainingState, settings_of

        turns, chosen = self.turns, self._selection.several_trainings(names)
        storage, values = self._storage.together(chosen), self._values_with(weights, partial, None)
        settings = settings_of(chosen, seed, batch=batch, accumulate=accumulate, hold=hold)
        size = 1 if workers is None else workers.size
        models = {name: self._training_models(storage, name, values, settings[name], device, size) for name in chosen}
        held = TrainingState(models, self._origin(), settings, device=device, threads=threads, workers=workers)
        is_said = turns is not None and turns.counts.keys() == set(chosen)
        return Trainers(held, turns if is_said else None, on_nan=on_nan)

    def _training_models(
        self, storage: Storage, name: str, values: Mapping[str, Array], settings: Settings, device: str, workers: int
    ) -> TrainingModels:
        """The models of a training, compiled once for all trainers that compute alike."""
        parts: Parts = "several" if settings.accumulate > 1 else "one" if workers > 1 else "none"
        key = (name, storage.trainings[name].scope, tuple(storage.trainings), parts, device)
        if key not in self._trained:
            self._trained[key] = self._compiled_training(storage, name, parts, device)
        models = self._trained[key]
        return replace(models, values=values, evaluation=replace(models.evaluation, values=values))

    def _compiled_training(self, storage: Storage, name: str, parts: Parts, device: str) -> TrainingModels:
        from wsdl.onnx.training import training_models
        from wsdl.runtime.channel_block import channel_block

        on_cpu = device == "cpu"
        training = storage.trainings[name]
        models = () if training.scope else (training.model,)
        return training_models(
            compiler.split_step(storage, name, self.target, parts=parts, piecewise=on_cpu),
            compiler.evaluation(storage, name, self.target),
            self.stored,
            summary(storage, self.inventory, models),
            opset=self.target.opset,
            block=channel_block() if on_cpu else 0,
        )

    def _origin(self) -> dict[str, str]:
        """The header of checkpoints."""
        from wsdl.runtime.checkpoint import SOURCE, source_text
        from wsdl.weights.weights import header

        return {**header(self._storage), SOURCE: source_text(self._storage.checked.sources)}

    @property
    def turns(self) -> Turns | None:
        """How the trainings of the program take turns, by its `turns` or `mix`."""
        return self._storage.checked.turns

    @takes(name=Optional(NAME), device=NAME, threads=Optional(COUNT))
    def evaluator(self, name: str | None = None, *, device: str = "cpu", threads: int | None = None) -> Evaluator:
        """An evaluator of the loss and the metrics of a model's `train` declaration."""
        from wsdl.onnx.training import evaluation_model
        from wsdl.runtime.evaluator import Evaluator

        evaluation = compiler.evaluation(self._storage, self._selection.training(name), self.target)
        model = evaluation_model(evaluation, self.stored, opset=self.target.opset)
        return Evaluator(model, device=device, threads=threads)

    @takes(folder=PATH, model=Optional(NAME), proof=FLAG, train=FLAG)
    def save(
        self,
        folder: str | os.PathLike[str],
        *,
        model: str | None = None,
        proof: bool = False,
        train: bool = False,
    ) -> dict[str, Any]:
        """Write a compiled folder: `<model>.onnx` for each model (or only `model`), one data file if models share
        weights or are larger than 1 GiB, and `manifest.json`. Returns the manifest.

        The files are written atomically. With `proof`, ONNX Runtime then optimizes each model, and the manifest gets
        the number of copies of each stored tensor before and after; more than one copy adds an error to `diagnostics`.
        With `train`, the step of each training is written too: `<training>.train.onnx`, and its initial state,
        `<training>.train.safetensors`. Those that take turns have one, `turns.train.safetensors`.

        Raises `CompileError` if a model would not be valid ONNX, or with `proof` if ONNX Runtime can't load it.
        """
        from wsdl.api.proving import load_steps, prove_models
        from wsdl.atomic import write_files
        from wsdl.onnx.folder import manifest_writer, model_path, training_writers, writers
        from wsdl.onnx.manifest import manifest, with_proof
        from wsdl.onnx.training import contract

        names = list(self.models) if model is None else [self._selection.model(model)]
        paths = {name: model_path(name, folder) for name in names}
        stem = re.sub(r"[^\w .-]", "", Path(self.source.path).stem).strip(" .") or "weights"  # `<text>` → `text`
        data = f"{stem}.data" if len(names) > 1 else f"{names[0]}.onnx.data"
        values = self.values()
        files = writers({paths[n]: self.protos[n] for n in names}, values, Path(folder, data))
        seed, opset = self.seed, self.target.opset
        provenance = compiler.provenance(self._storage, self.source)
        steps = self._steps(names) if train else {}
        saved = self.written_inventory.of_models(names)
        if steps and any(tensor.written_out for tensor in saved.computed):
            raise self._not_trainable()
        files |= training_writers(steps.values(), folder, values, seed, opset=opset, provenance=provenance)
        written = manifest(self.source, saved, [p.name for p in files], self._lowered.loops, seed=seed, opset=opset)
        if self.lost:
            written["fitted"] = [{"parameter": file_path(slot), "lost": share} for slot, share in self.lost.items()]
        if steps:
            written["training"] = {name: contract(step) for name, step in steps.items()}
            if self.turns is not None and self.turns.counts.keys() <= steps.keys():
                written["turns"] = {"kind": self.turns.kind, "counts": self.turns.counts}
        write_files({**manifest_writer(folder, written), **files})
        if proof:
            proofs, findings = prove_models(self._lowered, paths, {t.name for t in saved.shared()})
            findings += load_steps(model_path(f"{name}.train", folder) for name in steps)
            self.diagnostics += findings
            written = with_proof(written, proofs)
            write_files(manifest_writer(folder, written))
        return written

    def _steps(self, names: list[str]) -> dict[str, TrainStep]:
        chosen = [name for name, training in self._storage.trainings.items() if training.model in names]
        if self.turns is not None and any(name in self.turns.counts for name in chosen):
            chosen += self.turns.counts
        steps = {name: step for name, step in self._train_steps.items() if name in chosen}
        if not steps:
            raise self._selection.untrained(names)
        return steps

    @cached_property
    def _train_steps(self) -> Mapping[str, TrainStep]:
        return compiler.train_steps(self._storage, self.target) if self._selection.trainings else {}

    def _not_trainable(self) -> CompileError:
        message = "a training changes what formulas are computed from, which `materialize` leaves out of the models"
        help = "write the training step without it; when it is done, compile with `materialize` and the new weights"
        return CompileError([Diagnostic("E0704", message, file=self.source.path, help=help)])

    # -- for the models ------------------------------------------------------------------------------------------------

    @cached_property
    def protos(self) -> Mapping[str, ModelProto]:
        """The ONNX model of each model, without the values of its stored tensors."""
        return compiler.emit(self._lowered, compiler.provenance(self._storage, self.source), self.target)

    @cached_property
    def written_inventory(self) -> Inventory:
        """What the compiled files hold: `inventory`, with the values of formulas that are written out in place of what
        they are computed from."""
        return compiler.inventory(self._storage, self.target, written=True)

    @cached_property
    def _lowered(self) -> Lowered:
        return compiler.lower(self._storage, self.target)

    def values(
        self, weights: Weights | None = None, *, partial: bool = False, model: str | None = None
    ) -> Mapping[str, Array]:
        """The value of every initializer: stored tensors, and tensors computed from them when compiling. `weights` must
        have all stored tensors, or all that `model` reads."""
        from wsdl.weights.initial_values import WithDerived

        return WithDerived(self._lowered, self._values_with(weights, partial, model))

    def _values_with(self, weights: Weights | None, partial: bool, model: str | None) -> dict[str, Array]:
        """The stored tensors, with their values replaced by `weights`."""
        from wsdl.weights.weights import given_weights

        if weights is None:
            return dict(self.stored)
        needed = None if model is None else self.inventory.models[model].reads
        given = given_weights(self._storage, weights, self.stored.__getitem__, needed=needed, partial=partial)
        return {**self.stored, **given.values}


@dataclass(frozen=True)
class Model:
    """One model of a program, which compiles to one ONNX file."""

    name: str
    program: Program = field(repr=False)

    @takes(weights=Optional(WEIGHTS), partial=FLAG, device=NAME, threads=Optional(COUNT))
    def session(
        self,
        *,
        weights: Weights | None = None,
        partial: bool = False,
        device: str = "cpu",
        threads: int | None = None,
    ) -> Session:
        """A session that runs the model; the arguments are those of `Program.session`."""
        from wsdl.onnx.folder import loadable
        from wsdl.onnx.index_reads import index_reads
        from wsdl.runtime.session import Session

        with loadable(self._proto, self.program.values(weights, partial=partial, model=self.name)) as model:
            return Session(model, device=device, threads=threads, indices=lambda: index_reads(self._proto))

    @contextmanager
    def portable(self) -> Iterator[PortableModel]:
        """The model as `Program.portable` gives it."""
        from wsdl.onnx.folder import loadable
        from wsdl.onnx.index_reads import index_reads
        from wsdl.runtime.portable import PortableModel

        with loadable(self._proto, self.program.values(model=self.name)) as model:
            yield PortableModel(model, self.program.source.path, tuple(index_reads(self._proto)))

    @takes(path=PATH)
    def save(self, path: str | os.PathLike[str]) -> list[Path]:
        """Write the model as one ONNX file, with a data file beside it if it is larger than 1 GiB; returns the paths.
        Existing files are replaced atomically."""
        from wsdl.atomic import write_files
        from wsdl.onnx.folder import writers

        target = Path(path)
        files = writers({target: self._proto}, self.program.values(), target.with_name(f"{target.name}.data"))
        write_files(files)
        return list(files)

    @property
    def _proto(self) -> ModelProto:
        return self.program.protos[self.name]

    @property
    def inputs(self) -> dict[str, TensorType]:
        """The types of its inputs by name."""
        return dict(self.program.inventory.models[self.name].inputs)

    @property
    def outputs(self) -> dict[str, TensorType]:
        """The types of its outputs by name."""
        return dict(self.program.inventory.models[self.name].outputs)
