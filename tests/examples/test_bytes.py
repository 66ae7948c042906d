"""The compiled files of all examples, byte for byte: a refactoring changes none of them.

`bytes/<example>.txt` has a digest of each model: the inference model for two targets, the training step, and what a
trainer runs. Weights aren't part of it; their initial values have tests of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from onnx import ModelProto

from tests.golden import Golden
from wsdl import compiler
from wsdl.compiler import Options
from wsdl.diagnostics import Problems
from wsdl.onnx.training import emit_step, evaluation_model, training_models
from wsdl.span import Source

HERE = Path(__file__).parent
FOLDER = HERE.parents[1] / "examples"
EXAMPLES = sorted(path for part in (".", "training", "browser") for path in (FOLDER / part).glob("*.wsd"))
TARGETS = {
    "by default": Options(),
    "unrolled, in f16, of opset 18": Options(loops="unroll", dtype="f16", opset=18),
}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.relative_to(FOLDER).as_posix())
def test_the_bytes_of_every_compiled_model_are_as_before(path: Path, golden: Golden) -> None:
    lines = [
        f"{sha256(proto.SerializeToString(deterministic=True)).hexdigest()[:16]}  {name}\n"
        for name, proto in models(path)
    ]
    golden(HERE / "bytes" / path.relative_to(FOLDER).with_suffix(".txt"), "".join(lines))


def models(path: Path) -> Iterator[tuple[str, ModelProto]]:
    """Each model that is compiled from a source, with a name for it."""
    source = compiler.read(str(path))
    assert source is not None
    source = replace(source, path=path.name)
    for target, options in TARGETS.items():
        program = compiler.check(source, Problems(), options)
        for name, proto in compiler.emit(compiler.lower(program, options), {}, source, options).items():
            yield f"{name} {target}", proto
    for model in compiler.check(source, Problems()).trainings:
        yield from training_models_of(source, model)


def training_models_of(source: Source, model: str) -> Iterator[tuple[str, ModelProto]]:
    """The training step of a model in one, and what a trainer runs for batches in one part and in several."""
    step = compiler.train_steps(compiler.check(source, Problems()))[model]
    yield f"{model} training step", emit_step(step)
    for parts in ("one part", "several parts"):
        program = compiler.check(source, Problems())
        of_parts = parts == "several parts"
        split = compiler.split_step(program, model, of_parts=of_parts, piecewise=not of_parts)
        evaluation = compiler.evaluation(program, model)
        trainer = training_models(split, evaluation, {}, (0, 0))
        yield f"{model} gradients of {parts}", trainer.first
        yield f"{model} update after {parts}", trainer.second
        for i, proto in enumerate(trainer.rounds):
            yield f"{model} round {i + 1} of {parts}", proto
        for i, proto in enumerate(trainer.pieces):
            yield f"{model} piece {i + 1} after {parts}", proto
    for i, proto in enumerate(evaluation_model(evaluation, {}).protos):
        yield f"{model} evaluation {i + 1}", proto
