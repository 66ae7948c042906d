"""The compiled files of all examples, byte for byte: a refactoring changes none of them.

None of them has a node or an initializer that nothing reads.

`bytes/<example>.txt` has a digest of each model: the inference model for two targets, the training step, and what a
trainer runs. Weights aren't part of it; their initial values have tests of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from onnx import GraphProto, ModelProto

from tests.golden import Golden
from tests.stages import storage_of
from wsdl import compiler
from wsdl.ir.inventory import Sizes
from wsdl.ir.stages import Storage
from wsdl.ir.summary import Summary
from wsdl.ir.target import Target
from wsdl.onnx.training import emit_step, training_models
from wsdl.syntax.read import read

HERE = Path(__file__).parent
FOLDER = HERE.parents[1] / "examples"
PARTS = (".", "training", "browser", "transformers", "vision")
EXAMPLES = sorted(path for part in PARTS for path in (FOLDER / part).glob("*.wsd"))
TARGETS = {
    "by default": Target(),
    "unrolled, in f16, of opset 18": Target(loops="unroll", dtype="f16", opset=18),
}

NO_LAYERS = Summary((), Sizes(0, 0, 0, 0), (0, 0), (0, 0))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.relative_to(FOLDER).as_posix())
def test_the_bytes_of_every_compiled_model_are_as_before(
    path: Path, golden: Golden, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)  # a compiled file names its source, as the command line does
    lines = []
    for name, proto in models(path.name):
        assert unread(proto.graph) == [], name
        lines.append(f"{sha256(proto.SerializeToString(deterministic=True)).hexdigest()[:16]}  {name}\n")
    golden(HERE / "bytes" / path.relative_to(FOLDER).with_suffix(".txt"), "".join(lines))


def unread(graph: GraphProto) -> list[str]:
    """The initializers and nodes, in bodies too, of which nothing reads anything."""
    read: set[str] = set()
    graphs = [graph]
    for part in graphs:
        read |= {name for node in part.node for name in node.input} | {output.name for output in part.output}
        graphs += [a.g for node in part.node for a in node.attribute if a.HasField("g")]
    nodes = [node.op_type for part in graphs for node in part.node if read.isdisjoint(node.output)]
    return nodes + [tensor.name for part in graphs for tensor in part.initializer if tensor.name not in read]


def models(path: str) -> Iterator[tuple[str, ModelProto]]:
    """Each model that is compiled from a source, with a name for it."""
    source = read(path)
    assert source is not None
    storage = storage_of(source)
    for what, target in TARGETS.items():
        for name, proto in compiler.emit(
            compiler.lower(storage, target), compiler.provenance(storage, source), target
        ).items():
            yield f"{name} {what}", proto
    for model in storage.trainings:
        yield from training_models_of(storage, model)


def training_models_of(storage: Storage, model: str) -> Iterator[tuple[str, ModelProto]]:
    """The training step of a model in one, and what a trainer runs for batches in one part and in several."""
    step = compiler.train_steps(storage)[model]
    yield f"{model} training step", emit_step(step)
    evaluation = compiler.evaluation(storage, model)
    for parts in ("one part", "several parts"):
        is_whole = parts == "one part"
        split = compiler.split_step(storage, model, parts="none" if is_whole else "several", piecewise=is_whole)
        trainer = training_models(split, evaluation, {}, NO_LAYERS)
        yield f"{model} gradients of {parts}", trainer.gradients
        if trainer.sums is not None:
            yield f"{model} sums of {parts}", trainer.sums
        yield f"{model} update after {parts}", trainer.update
        for i, proto in enumerate(trainer.rounds):
            yield f"{model} round {i + 1} of {parts}", proto
        for i, proto in enumerate(trainer.pieces):
            yield f"{model} piece {i + 1} after {parts}", proto
    for i, proto in enumerate(trainer.evaluation.protos):
        yield f"{model} evaluation {i + 1}", proto
