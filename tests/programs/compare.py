"""One program through everything, and what comes out against the twin.

What `check` passes has to compile, to pass ONNX's checker, to load, to be proved, and to give what the twin gives: the
outputs of each model here, training in `compare_training`.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor

import wsdl
from tests.programs.data import NUMPY, as_tensors, inputs
from tests.programs.description import Description
from tests.programs.storage import Storage
from tests.programs.tolerance import SAMPLES, WIDE, Wrong, compare, noise
from tests.programs.twin import NOT_COMPUTED, Machine, Twin
from tests.programs.write import text_of
from tests.stages import examined
from wsdl.diagnostics import CompileError, Problems
from wsdl.diagnostics.render import render
from wsdl.diagnostics.run_error import RunError
from wsdl.diagnostics.span import Source
from wsdl.ir.graph import file_path
from wsdl.ir.target import OPSETS, Loops, Precision
from wsdl.syntax.formatter import format_source

Array = NDArray[Any]
Samples: TypeAlias = list[dict[str, dict[str, Tensor]]]
LARGEST = {"f16": 3e4, "f32": 1e15}  # numbers beyond, on the way, overflow somewhere


@dataclass(frozen=True)
class Configuration:
    """How a program is compiled and cut; drawn with the seed, one of them for each program."""

    loops: Loops = "auto"
    opset: int = 21
    dtype: Precision = "f32"
    batch: int = 2
    parts: int = 2
    saved: bool = False  # through files, with the proof
    twice: bool = False  # the same bytes?
    laid_out: bool = False  # is the layout sound?
    all_slots: bool = False  # weights by each slot, not by those alone that own them

    @classmethod
    def drawn(cls, seed: int) -> Configuration:
        random = Random(f"configurations/{seed}")
        dtypes: list[Precision] = ["f32", "f16", "bf16"]
        return cls(
            loops=random.choice(["auto", "unroll", "loop"]),
            opset=random.choice([21, *OPSETS]),
            dtype=random.choices(dtypes, [5, 2, 1])[0],
            batch=random.choice([1, 2]),
            parts=random.choice([2, 3]),
            saved=random.random() < 0.4,
            twice=random.random() < 0.2,
            all_slots=random.random() < 0.3,
            laid_out=random.random() < 0.4,
        )


@dataclass
class Attempt:
    """A program on its way; `counts` says what was compared, so that nothing passes by being left out."""

    program: Description
    seed: int
    configuration: Configuration
    counts: Counter[str] = field(default_factory=Counter)

    @cached_property
    def source(self) -> Source:
        return Source("m.wsd", text_of(self.program))

    @property
    def written_in(self) -> str:
        """The dtype of the source's floats."""
        return self.program.dtype

    def check(self) -> None:
        """The text: checked, laid out, checked again."""
        problems = Problems()
        examined(self.source, problems)
        if problems.errors:
            raise Wrong(f"refused by check:\n{render(problems)}")
        if not self.configuration.laid_out:
            return
        laid_out = format_source(self.source, Problems())
        if laid_out is None or format_source(Source("again.wsd", laid_out), Problems()) != laid_out:
            raise Wrong("the formatter isn't idempotent")
        self.counts["laid out"] += 1
        problems = Problems()
        examined(Source("m.wsd", laid_out), problems)
        if problems.errors:
            raise Wrong(f"refused when laid out:\n{render(problems)}")

    @cached_property
    def in_f32(self) -> wsdl.Program:
        """The program as it is written; models and training are made of one, as by a user."""
        return self._compiled("f32")

    def _compiled(self, dtype: Precision) -> wsdl.Program:
        """The program with the numbers of the twin."""
        o = self.configuration
        try:
            return wsdl.compile(self.source, weights=self.weights, loops=o.loops, opset=o.opset, dtype=dtype)
        except CompileError as error:
            raise Wrong(f"refused by compile ({dtype}):\n{render(error.diagnostics)}") from error

    @cached_property
    def weights(self) -> dict[str, Array]:
        """The numbers of what is stored, by the paths of those that own them or of all slots."""
        storage = Storage(self.program.groups, self.program.formulas, self.seed)
        _evaluated(self.program, Machine(storage), self.program.sizes[0], self.seed)
        found = {}
        for path, slot in storage.slots.items():
            chosen = path not in storage.ties or self.configuration.all_slots
            if chosen and not storage.is_computed(path):
                read = storage.read(path, slot.shape, slot.kind)
                found[file_path(path)] = read.detach().numpy().astype(NUMPY[self.written_in])
        return found

    # -- forward -------------------------------------------------------------------------------------------------------

    def forward(self) -> None:
        """The outputs of all models, in one dtype."""
        dtype = self.configuration.dtype if self.written_in == "f32" else "f32"
        program = self.in_f32 if dtype == "f32" else self._compiled(dtype)
        if self.configuration.twice:
            again = self._compiled(dtype).protos
            if any(again[n].SerializeToString() != program.protos[n].SerializeToString() for n in again):
                raise Wrong("compiled twice, the files differ")
            self.counts["same bytes"] += 1
        with tempfile.TemporaryDirectory(prefix="wsdl-programs-") as folder:
            try:
                if self.configuration.saved:
                    self._save(program, Path(folder), dtype)
                    sessions: Mapping[str, Any] = wsdl.load(folder)
                else:
                    sessions = {name: program.session(name) for name in program.models}
            except RunError as error:
                if self.written_in != "f64" or "NOT_IMPLEMENTED" not in str(error):
                    raise
                self.counts["without a kernel for f64"] += 1
                return
            self._outputs(sessions, dtype if self.written_in == "f32" else self.written_in)

    def _save(self, program: wsdl.Program, folder: Path, dtype: Precision) -> None:
        """Write a program with its proof, and have ONNX's checker look at all files."""
        manifest = program.save(folder, proof=True, train=bool(self.program.trains) and dtype == "f32")
        for path in sorted(folder.glob("*.onnx")):
            onnx.checker.check_model(str(path), full_check=True)
            self.counts["checked files"] += 1
        unproved = [d for d in program.diagnostics if d.code == "W0702"]
        if unproved and self.written_in != "f64":
            raise Wrong(f"not proved:\n{render(unproved)}")
        copies = [line for line in _copies(manifest) if line[1] > 1.01]
        if copies:
            raise Wrong(f"the proof doesn't hold: {copies}")
        self.counts["proofs"] += 1

    def _outputs(self, sessions: Mapping[str, Any], dtype: str) -> None:
        for dims in self.program.sizes:
            exact = self._twin(dims)
            if exact is None:
                continue
            outputs, largest = exact
            samples = self._samples(dims, dtype)
            if largest > LARGEST.get(dtype, LARGEST["f32"]):
                self.counts["too large for the dtype"] += 1
                continue
            for name, session in sessions.items():
                try:
                    found = session(**inputs(self.program, name, dims, self.seed))
                except RunError as error:
                    if "error[E0716]" not in str(error) or min(dims.values()) > 1:
                        raise
                    self.counts["sizes that a model refuses"] += 1  # of nothing there is no part of size n - 1
                    continue
                for output, expected in outputs[name].items():
                    others = partial(_each, samples, name, output)
                    what = f"{name}.{output} at {dict(dims)} in {dtype}"
                    compare(what, found[output], expected, others, self.counts, dtype=dtype)

    def _samples(self, dims: Mapping[str, int], dtype: str) -> Callable[[], Samples]:
        """The outputs with noise, where they are finite numbers; computed when first asked for."""

        @cache
        def samples() -> Samples:
            found = [self._twin(dims, **noise(dtype, i)) for i in range(SAMPLES + WIDE)]
            return [each[0] for each in found if each is not None]

        return samples

    def _twin(self, dims: Mapping[str, int], **machine: Any) -> tuple[dict[str, dict[str, Tensor]], float] | None:
        """The outputs by model, and the largest number on the way; `None` where they aren't finite numbers."""
        ran = Machine(Storage(self.program.groups, self.program.formulas, self.seed), **machine)
        try:
            with torch.set_grad_enabled(self.program.has_gradients), ran.rounding():
                outputs = _evaluated(self.program, ran, dims, self.seed)
        except NOT_COMPUTED:
            return None
        finite = all(torch.isfinite(x).all() for each in outputs.values() for x in each.values())
        return (outputs, ran.largest) if finite else None


def _each(samples: Callable[[], Samples], model: str, output: str) -> list[Tensor]:
    return [sample[model][output] for sample in samples()]


def _evaluated(
    program: Description, machine: Machine, dims: Mapping[str, int], seed: int
) -> dict[str, dict[str, Tensor]]:
    twin = Twin(program, machine)
    return {
        model.name: twin.outputs(model.name, as_tensors(inputs(program, model.name, dims, seed)), dims)
        for model in program.models
    }


def _copies(manifest: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for tensor in manifest["stored"]:
        for key, value in tensor.items():
            if key.startswith("copies") and isinstance(value, int | float):
                yield f"{tensor['name']} {key}", float(value)
