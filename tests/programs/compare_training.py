"""The training of a program against the twin: loss, metrics, gradients and one step, on the whole and in parts."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file
from torch import Tensor

import wsdl
from tests.programs.compare import LARGEST, Attempt
from tests.programs.data import arrays, inputs
from tests.programs.description import Train
from tests.programs.draw_training import Step, step
from tests.programs.optimize import updated
from tests.programs.storage import Storage
from tests.programs.tolerance import SAMPLES, SLACK, UNIT, WIDE, Wrong, compare, noise
from tests.programs.twin import Machine
from wsdl.diagnostics import CompileError
from wsdl.diagnostics.run_error import RunError
from wsdl.runtime.trainer import Trainer

Array = NDArray[Any]
CORRECTION = 6e-5  # what Adam's 1 - 0.999 is off by in f32, relative


def run(attempt: Attempt) -> None:
    """Raises `Wrong` (or whatever else should not be raised)."""
    attempt.check()
    with np.errstate(all="ignore"):
        attempt.forward()
        if attempt.program.train is not None:
            _Training(attempt, attempt.program.train).run()


class _Training:
    def __init__(self, attempt: Attempt, train: Train) -> None:
        self.attempt, self.train = attempt, train
        self.program, self.seed, self.counts = attempt.program, attempt.seed, attempt.counts
        self.dims, self.dtype = self.program.sizes[0], attempt.written_in
        self.batch: dict[str, Array] = {
            **inputs(self.program, train.model, self.dims, self.seed),
            **arrays(dict(train.targets), self.dims, self.seed),
        }

    @property
    def by_rows(self) -> set[str]:
        """The inputs and targets that have a row for each row of the batch."""
        given = [*self.program.model(self.train.model).inputs, *self.train.targets]
        return {name for name, type in given if type.shape and str(type.shape[0]) == "n"}

    def run(self) -> None:
        try:
            self._run()
        except RunError as error:
            if "error[E0716]" in str(error):  # of one row there is no largest of `x[1:]`
                self.counts["sizes that a model refuses"] += 1
            elif self.dtype == "f64" and "NOT_IMPLEMENTED" in str(error):
                self.counts["without a kernel for f64"] += 1
            else:
                raise

    def _run(self) -> None:
        twins = _Twins(self.attempt)
        if (
            twins.exact is None
            or twins.machine.largest > LARGEST["f32"]
            or not all(torch.isfinite(g).all() for g in twins.gradients.values())
        ):
            return
        compiled, rows = self.attempt.in_f32, self.dims["n"]
        after = self._step(compiled, twins, 1)
        if self.attempt.configuration.saved:
            self._whole_step(compiled, twins, after)
        if rows > 1 and self._is_cut():
            self._evaluate(compiled, rows)
            if not twins.machine.statistics:  # which are those of a part
                self._step_in_parts(compiled, twins, min(self.attempt.configuration.parts, rows))

    # -- steps ---------------------------------------------------------------------------------------------------------

    def _step(self, compiled: wsdl.Program, twins: _Twins, accumulate: int) -> Mapping[str, Array]:
        what = "a step" if accumulate == 1 else f"a step in {accumulate} parts"
        trainer = compiled.trainer(self.train.model, batch=self.dims["n"], accumulate=accumulate, threads=1)
        done = trainer.make_step(self.batch)
        self.counts[what] += 1
        self._results(what, done.results, twins, _mixed(trainer, done.results))
        found = {name: value.numpy().copy() for name, value in trainer._session._gradients.items()}
        state, machine = trainer.state, twins.machine
        largest = max((float(g.abs().max()) for g in twins.gradients.values() if g.numel()), default=0.0)
        seen = set()
        for name, tensor in compiled.inventory.stored.items():
            storage = machine.storage
            owners = {storage.owner(use.path) for use in tensor.uses if use.path in storage.slots and not use.formula}
            for path in owners & twins.gradients.keys() if name in found else ():
                seen.add(path)
                stored = partial(_as_stored, storage, path, tensor)
                noisy = partial(_through, stored, twins)
                slack = SLACK * UNIT[self.dtype] * largest
                exact = stored(twins.gradients)
                compare(
                    f"{what}: gradient of {name}", found[name], exact, noisy, self.counts, dtype=self.dtype, slack=slack
                )
            for path in owners & machine.statistics.keys() if accumulate == 1 and name in state else ():
                noisy = partial(_statistics, twins, path)
                compare(f"{what}: {name}", state[name], machine.statistics[path], noisy, self.counts, dtype=self.dtype)
        missing = [path for path, g in twins.gradients.items() if path not in seen and bool((g != 0).any())]
        if missing:
            raise Wrong(f"{what}: without a gradient: {missing}")
        self._update(what, compiled, found, state)
        return state

    def _whole_step(self, compiled: wsdl.Program, twins: _Twins, after: Mapping[str, Array]) -> None:
        """The step as one file, by its own account of what is fed with what; `after` is what the trainer came to."""
        with tempfile.TemporaryDirectory(prefix="wsdl-programs-") as folder:
            contract = compiled.save(folder, train=True)["training"][self.train.model]
            path = Path(folder, f"{self.train.model}.train.onnx")
            onnx.checker.check_model(str(path), full_check=True)
            state = load_file(Path(folder, contract["initial"]))
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 4
            session = onnxruntime.InferenceSession(str(path), options)
        names = [output.name for output in session.get_outputs()]
        results = dict(zip(names, session.run(None, {**self.batch, **state}), strict=True))
        found = {"loss": results[contract["loss"]], **{name: results[name] for name in contract["metrics"]}}
        self.counts["steps in one file"] += 1
        self._results("a step in one file", found, twins)
        if self.train.optimizer == "SGD":  # the others make much of gradients that are off by rounding
            for output, name in contract["feeds"].items():
                if name in compiled.stored:
                    new, slack = torch.tensor(after[name]).double(), 1e-4 * (1 + twins.machine.largest)
                    compare(f"a step in one file: {name}", results[output], new, list, self.counts, slack=slack)

    def _update(
        self, what: str, compiled: wsdl.Program, gradients: Mapping[str, Array], state: Mapping[str, Array]
    ) -> None:
        """What the optimizer makes of the gradients, which were compared before."""
        old = {name: torch.tensor(compiled.stored[name]).double() for name in gradients}
        given = {name: torch.tensor(g).double() for name, g in gradients.items()}
        rates = {
            name: rate
            for path, rate in self.train.rates
            for name, tensor in compiled.inventory.stored.items()
            if any(use.path == f"{self.train.model}.{path}" for use in tensor.uses)
        }
        for name, new in updated(self.train, old, given, rates).items():
            moved = float((new - old[name]).abs().max()) if new.numel() else 0.0
            slack = SLACK * UNIT[self.dtype] * (moved + (float(old[name].abs().max()) if new.numel() else 0.0))
            slack += (
                rates.get(name, self.train.settings["lr"]) * CORRECTION
                if self.train.optimizer.startswith("Adam")
                else 0.0
            )
            compare(f"{what}: {name}", state[name], new, list, self.counts, dtype=self.dtype, slack=slack)

    def _results(self, what: str, found: Mapping[str, float], twins: _Twins, left_out: Collection[str] = ()) -> None:
        assert twins.exact is not None
        losses: Callable[[], list[Tensor]] = lambda: [each.loss for each in twins.noisy]  # noqa: E731 - used once, below
        if "loss" not in left_out:
            compare(f"{what}: loss", found["loss"], twins.exact.loss, losses, self.counts, dtype=self.dtype)
        for name in twins.exact.metrics.keys() - left_out:
            compare(
                f"{what}: {name}", found[name], twins.exact.metrics[name], partial(_metrics, twins, name), self.counts
            )

    # -- parts ---------------------------------------------------------------------------------------------------------

    def _is_cut(self) -> bool:
        """Is it the rows of the batch that are cut, and is each input as long as they are, or without them?"""
        given = [*self.program.model(self.train.model).inputs, *self.train.targets]
        leading = [type.shape[0].name for _, type in given if type.shape and type.shape[0].name]
        others = [size for _, type in given for axis, size in enumerate(type.shape) if axis or str(size) != "n"]
        return leading[:1] == ["n"] and not any(size.name == "n" for size in others)

    def _evaluate(self, compiled: wsdl.Program, rows: int) -> None:
        """Loss and metrics of all rows, whole and cut; but for what a warning says that it can't be merged."""
        twins = _Twins(self.attempt, is_training=False)
        if twins.exact is None:
            return
        trainer = compiled.trainer(self.train.model, threads=1)
        for size in (rows, self.attempt.configuration.batch):
            cuts = range(0, rows, size)
            parts = [{n: a[i : i + size] if n in self.by_rows else a for n, a in self.batch.items()} for i in cuts]
            found = trainer.evaluate(parts)
            mixed = _mixed(trainer, found) if size < rows else set()
            self.counts["evaluations"] += 1
            self.counts["results that depend on the batches"] += len(mixed)
            self._results(f"evaluated {size} rows at a time", found, twins, mixed)

    def _step_in_parts(self, compiled: wsdl.Program, twins: _Twins, parts: int) -> None:
        """A step that is computed in parts, or an error that says that its rows are held against each other."""
        try:
            self._step(compiled, twins, parts)
        except CompileError as error:
            if {d.code for d in error.diagnostics} != {"E0823"}:
                raise
            self.counts["steps that can't be in parts"] += 1


def _mixed(trainer: Trainer, results: Mapping[str, float]) -> set[str]:
    """The results of which a warning says that they depend on how the rows are cut."""
    warned = " ".join(d.message for d in trainer.findings if d.code == "W0801")
    return {name for name in results if f"`{name}`" in warned}


class _Twins:
    """The objective in the twin, exactly (`None` where it isn't a finite number) and with noise."""

    def __init__(self, attempt: Attempt, **settings: Any) -> None:
        self._attempt, self._settings = attempt, settings
        self.exact = self._step()

    def _step(self, **more: Any) -> Step | None:
        found = step(self._attempt.program, self._attempt.seed, **self._settings, **more)
        return found if found is not None and bool(torch.isfinite(found.loss)) else None

    @property
    def machine(self) -> Machine:
        assert self.exact is not None
        return self.exact.machine

    @cached_property
    def gradients(self) -> dict[str, Tensor]:
        """By the slots that own something that the loss depends on."""
        assert self.exact is not None
        return _gradients(self.exact)

    @cached_property
    def noisy(self) -> list[Step]:
        steps = (self._step(**noise(self._attempt.written_in, i)) for i in range(SAMPLES + WIDE))
        return [each for each in steps if each is not None]

    @cached_property
    def noisy_gradients(self) -> list[dict[str, Tensor]]:
        return [_gradients(each) for each in self.noisy]


def _gradients(step: Step) -> dict[str, Tensor]:
    """Of the slots that own something that the loss depends on."""
    leaves = {path: leaf for path, leaf in step.machine.storage.leaves.items() if leaf.requires_grad}
    with step.machine.rounding():
        found = torch.autograd.grad(step.loss, list(leaves.values()), allow_unused=True)
    return {path: g for path, g in zip(leaves, found, strict=True) if g is not None}


def _as_stored(storage: Storage, path: str, tensor: Any, of: Mapping[str, Tensor]) -> Tensor:
    """What belongs to an owner as the stored tensor has it, which may be that of another slot as large."""
    for use in tensor.uses:
        if use.path == path and not use.view and not use.formula:
            return of[path]
    for use in (use for use in tensor.uses if not use.formula):
        seen = storage.as_slot(use.path, of[path]) if not use.view and use.path in storage.slots else None
        if seen is not None:
            return seen
    raise Wrong(f"{tensor.name} has no slot that reads it as it is")


def _through(stored: Callable[[Mapping[str, Tensor]], Tensor], twins: _Twins) -> list[Tensor]:
    return [stored(each) for each in twins.noisy_gradients]


def _statistics(twins: _Twins, path: str) -> list[Tensor]:
    return [each.machine.statistics[path] for each in twins.noisy]


def _metrics(twins: _Twins, name: str) -> list[Tensor]:
    return [each.metrics[name] for each in twins.noisy]
