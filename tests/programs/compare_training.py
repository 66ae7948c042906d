"""The training of a program against the twin: loss, metrics, gradients and one step, on the whole and in parts."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from functools import cached_property, partial
from hashlib import sha256
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
from tests.programs.draw_updates import written
from tests.programs.optimize import updated
from tests.programs.storage import Storage
from tests.programs.tolerance import SAMPLES, SLACK, UNIT, WIDE, Wrong, compare, noise
from tests.programs.twin import Machine
from tests.programs.write import statements, text_of
from wsdl.diagnostics import CompileError
from wsdl.diagnostics.run_error import RunError
from wsdl.runtime.trainer import Trainer, Trainers

Array = NDArray[Any]
CORRECTION = 6e-5  # what Adam's 1 - 0.999 is off by in f32, relative


def run(attempt: Attempt) -> None:
    """Raises `Wrong` (or whatever else should not be raised)."""
    attempt.check()
    with np.errstate(all="ignore"):
        attempt.forward()
        for train in attempt.program.trains:
            _run_if_it_can(attempt, _Training(attempt, train).run)
        if attempt.program.turns:
            _run_if_it_can(attempt, _Turns(attempt).run)


def _run_if_it_can(attempt: Attempt, run: Callable[[], None]) -> None:
    """Run a comparison, or count why the program can't run."""
    try:
        run()
    except RunError as error:
        if "error[E0716]" in str(error):  # of one row there is no largest of `x[1:]`
            attempt.counts["sizes that a model refuses"] += 1
        elif attempt.written_in == "f64" and "NOT_IMPLEMENTED" in str(error):
            attempt.counts["without a kernel for f64"] += 1
        else:
            raise


class _Training:
    def __init__(self, attempt: Attempt, train: Train) -> None:
        self.attempt, self.train = attempt, train
        self.program, self.seed, self.counts = attempt.program, attempt.seed, attempt.counts
        self.dims, self.dtype = self.program.sizes[0], attempt.written_in
        self.batch: dict[str, Array] = {
            **inputs(self.program, train.model, self.dims, self.seed),
            **arrays(dict(train.targets), self.dims, self.seed),
        }
        for carry in train.carries:
            del self.batch[carry.name]

    @property
    def by_rows(self) -> set[str]:
        """The inputs and targets that have a row for each row of the batch."""
        given = [*self.program.model(self.train.model).inputs, *self.train.targets]
        return {name for name, type in given if type.shape and str(type.shape[0]) == "n"}

    def run(self) -> None:
        twins = _Twins(self.attempt, self.train)
        if not twins.are_finite:
            return
        compiled, rows = self.attempt.in_f32, self.dims["n"]
        after = self._first_steps(compiled, twins)
        if self.attempt.configuration.saved:
            self._whole_step(compiled, twins, after)
        if rows > 1 and self._is_cut():
            self._evaluate(compiled, rows)
            if not twins.machine.statistics:  # which are those of a part
                self._step_in_parts(compiled, twins, min(self.attempt.configuration.parts, rows))

    # -- steps ---------------------------------------------------------------------------------------------------------

    def _first_steps(self, compiled: wsdl.Program, twins: _Twins) -> Mapping[str, Array]:
        """The first step, and the second, whose twin begins where the first one ended; the state between them."""
        trainer = self._trainer(compiled)
        self.made("a step", compiled, trainer, twins, 1)
        between = trainer.state
        assert twins.exact is not None
        stored = stored_now(compiled, trainer, twins.machine.storage)
        carried = {c.name: twins.exact.frame.values[c.following].detach() for c in self.train.carries}
        following = _Twins(self.attempt, self.train, stored=stored, carried=carried, step=1)
        if not stored or not following.are_finite:
            return between
        if self.attempt.configuration.saved:
            self._resumed(compiled, trainer)
        else:
            self.made("a second step", compiled, trainer, following, 2)
        return between

    def _trainer(self, compiled: wsdl.Program, accumulate: int = 1) -> Trainer:
        return compiled.trainer(self.train.name, batch=self.dims["n"], accumulate=accumulate, threads=1)

    def _resumed(self, compiled: wsdl.Program, trainer: Trainer) -> None:
        """Two further steps, of which a checkpoint comes before the second one, in two trainers: the same bits?"""
        other = self._trainer(compiled)
        other.restore(trainer.checkpoint())
        for each in (trainer, other):
            each.step(self.batch, again=bool(self.train.carries))
        states = trainer.checkpoint().arrays, other.checkpoint().arrays
        differing = [name for name, array in states[0].items() if array.tobytes() != states[1][name].tobytes()]
        if differing:
            raise Wrong(f"resumed, other bits: {differing}")
        self.counts["resumed"] += 1

    def made(self, what: str, compiled: wsdl.Program, trainer: Trainer, twins: _Twins, number: int) -> None:
        """Make a step and compare it; `number` counts those of this trainer, from 1."""
        before = trainer.state
        done = trainer.make_step(self.batch, again=number > 1 and bool(self.train.carries))
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
            is_whole = trainer.settings.accumulate == 1
            for path in owners & machine.statistics.keys() if is_whole and name in state else ():
                noisy = partial(_statistics, twins, path)
                compare(f"{what}: {name}", state[name], machine.statistics[path], noisy, self.counts, dtype=self.dtype)
        missing = [path for path, g in twins.gradients.items() if path not in seen and bool((g != 0).any())]
        if missing:
            raise Wrong(f"{what}: without a gradient: {missing}")
        if number == 1 or (self.train.optimizer == "SGD" and "momentum" not in self.train.settings):
            self._update(what, compiled, twins, found, before, state, number)

    def _whole_step(self, compiled: wsdl.Program, twins: _Twins, after: Mapping[str, Array]) -> None:
        """The step as one file, by its own account of what is fed with what; `after` is what the trainer came to."""
        if self.program.turns:
            twins = _Twins(self.attempt, self.train, run_seed=seed_of(self.train))
        with tempfile.TemporaryDirectory(prefix="wsdl-programs-") as folder:
            contract = compiled.save(folder, train=True)["training"][self.train.name]
            path = Path(folder, f"{self.train.name}.train.onnx")
            onnx.checker.check_model(str(path), full_check=True)
            state = load_file(Path(folder, contract["initial"]))
            fed = {name: state[name] for name in contract.get("state", state)}
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 4
            session = onnxruntime.InferenceSession(str(path), options)
        names = [output.name for output in session.get_outputs()]
        results = dict(zip(names, session.run(None, {**self.batch, **self._carried(contract), **fed}), strict=True))
        found = {"loss": results[contract["loss"]], **{name: results[name] for name in contract["metrics"]}}
        self.counts["steps in one file"] += 1
        self._results("a step in one file", found, twins)
        if (
            self.train.optimizer == "SGD" and not self.program.turns
        ):  # the others make much of gradients that are off by rounding
            for output, name in contract["feeds"].items():
                if name in compiled.stored:
                    new, slack = torch.tensor(after[name]).double(), 1e-4 * (1 + twins.machine.largest)
                    compare(f"a step in one file: {name}", results[output], new, list, self.counts, slack=slack)

    def _carried(self, contract: Mapping[str, Any]) -> dict[str, Array]:
        """Carried inputs in the first step on a batch, which reads none of them."""
        if "carry" not in contract:
            return {}
        given = inputs(self.program, self.train.model, self.dims, self.seed)
        carried = {name: np.zeros_like(given[name]) for name in contract["carry"].values()}
        return {**carried, contract["first"]: np.array(True)}

    def _update(
        self,
        what: str,
        compiled: wsdl.Program,
        twins: _Twins,
        gradients: Mapping[str, Array],
        before: Mapping[str, Array],
        state: Mapping[str, Array],
        number: int,
    ) -> None:
        """What the optimizer makes of the gradients, which were compared before, and updates of the results."""
        old = {name: torch.tensor(before[name]).double() for name in gradients}
        given = {name: torch.tensor(g).double() for name, g in gradients.items()}
        paths = {
            use.path.removeprefix(f"{self.train.model}."): name
            for name, tensor in compiled.inventory.stored.items()
            for use in tensor.uses
        }
        rates = {paths[path]: rate for path, rate in self.train.rates}
        optimized = updated(self.train, old, given, rates)
        stored = {name: torch.tensor(before.get(name, array)).double() for name, array in compiled.stored.items()}
        after = {path: {**stored, **optimized}[name] for path, name in paths.items()}

        def by_updates(each: Step) -> dict[str, Tensor]:
            return written(self.train, each.machine, each.frame, after, number)

        assert twins.exact is not None
        for path, new in by_updates(twins.exact).items():
            noisy = partial(_written, twins, by_updates, path)
            optimized.pop(paths[path], None)
            slack = SLACK * UNIT[self.dtype] * (1 + float(after[path].abs().max()))
            slack += CORRECTION if self.train.optimizer.startswith("Adam") else 0.0
            compare(
                f"{what}: update of {path}", state[paths[path]], new, noisy, self.counts, dtype=self.dtype, slack=slack
            )
            self.counts["updates"] += 1
        for name, new in optimized.items():
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
        """Is it the rows of the batch that are cut, is each input as long as they are, or without them, and do random
        numbers follow them?"""
        if any("random_" in str(s) for block in self.program.blocks for s in statements(block.body)):
            return False
        if re.search(r"random_\w+\([^]]*, n\b", text_of(self.program)):
            return False
        every = [*self.program.model(self.train.model).inputs, *self.train.targets]
        given = [(name, type) for name, type in every if name in self.batch]
        leading = [type.shape[0].name for _, type in given if type.shape and type.shape[0].name]
        others = [size for _, type in given for axis, size in enumerate(type.shape) if axis or str(size) != "n"]
        return leading[:1] == ["n"] and not any(size.name == "n" for size in others)

    def _evaluate(self, compiled: wsdl.Program, rows: int) -> None:
        """Loss and metrics of all rows, whole and cut; but for what a warning says that it can't be merged."""
        twins = _Twins(self.attempt, self.train, is_training=False)
        if twins.exact is None:
            return
        trainer = self._trainer(compiled)
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
            self.made(f"a step in {parts} parts", compiled, self._trainer(compiled, parts), twins, 1)
        except CompileError as error:
            codes = {diagnostic.code for diagnostic in error.diagnostics}
            if codes <= {"E0823", "E0845"}:
                self.counts["steps that can't be in parts"] += 1
            elif self.dtype == "f16" and "the loss of step 1 is inf" in str(error):  # the mean of a few of its rows
                self.counts["too large for f16 in parts"] += 1
            else:
                raise


class _Turns:
    """Trainings that take turns, each step from where the one before it ended."""

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt
        self.trainings = {train.name: _Training(attempt, train) for train in attempt.program.trains}

    def run(self) -> None:
        rows, made = self.attempt.program.sizes[0]["n"], Counter[str]()
        compiled = self.attempt.in_f32
        trainers = compiled.trainers(batch=rows, threads=1)
        for _ in range(4):
            assert trainers.turn is not None
            training, trainer = self.trainings[trainers.turn], trainers[trainers.turn]
            start = _Twins(self.attempt, training.train)
            if not start.are_finite or training.train.carries:
                return
            stored = stored_now(compiled, trainers, start.machine.storage)
            twins = _Twins(
                self.attempt, training.train, stored=stored, step=trainer.steps, run_seed=seed_of(training.train)
            )
            if not stored or not twins.are_finite:
                return
            made[trainers.turn] += 1
            training.made("a turn", compiled, trainer, twins, made[training.train.name])


def seed_of(train: Train) -> int:
    """The seed of one of several trainings of a run with the seed 0."""
    return int.from_bytes(sha256(f"0\0optimizer/{train.name}/seed".encode()).digest()[:8], "little") >> 1


def stored_now(compiled: wsdl.Program, trainer: Trainer | Trainers, storage: Storage) -> dict[str, Tensor]:
    """What is stored by now, by the paths of the owners in the twin; nothing where one is stored as another slot has
    it."""
    found = {}
    for path in storage.leaves:
        for name, tensor in compiled.inventory.stored.items():
            if any(use.path == path and not use.view and not use.formula for use in tensor.uses):
                found[path] = torch.tensor({**compiled.stored, **trainer.state}[name]).double()
    return found if found.keys() == storage.leaves.keys() else {}


def _mixed(trainer: Trainer, results: Mapping[str, float]) -> set[str]:
    """The results of which a warning says that they depend on how the rows are cut."""
    warned = " ".join(d.message for d in trainer.findings if d.code == "W0801")
    return {name for name in results if f"`{name}`" in warned}


class _Twins:
    """The objective in the twin, exactly (`None` where it isn't a finite number) and with noise."""

    def __init__(self, attempt: Attempt, train: Train, **settings: Any) -> None:
        self._attempt, self._train, self._settings = attempt, train, settings
        self.exact = self._step()

    def _step(self, **more: Any) -> Step | None:
        found = step(self._attempt.program, self._train, self._attempt.seed, **self._settings, **more)
        return found if found is not None and bool(torch.isfinite(found.loss)) else None

    @property
    def are_finite(self) -> bool:
        """Are all numbers that are compared finite, and those on the way not too large?"""
        if self.exact is None or self.machine.largest > LARGEST["f32"]:
            return False
        return all(bool(torch.isfinite(g).all()) for g in self.gradients.values())

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


def _written(twins: _Twins, by_updates: Callable[[Step], Mapping[str, Tensor]], path: str) -> list[Tensor]:
    return [by_updates(each)[path] for each in twins.noisy]


def _metrics(twins: _Twins, name: str) -> list[Tensor]:
    return [each.metrics[name] for each in twins.noisy]
