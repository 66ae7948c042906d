"""One `Checked` serves many `Storage`s, one `Storage` many targets, and none of them changes on the way."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

import pytest

from tests.stages import storage_of
from wsdl import compiler
from wsdl.diagnostics import Problems
from wsdl.diagnostics.span import Source
from wsdl.ir.graph import Graph, Model, Module
from wsdl.ir.stages import Checked, Storage
from wsdl.ir.target import Target
from wsdl.ir.text import model_to_text
from wsdl.onnx.training import emit_step
from wsdl.weights.metadata import Provenance

SHARED = "share { m.blocks[*] }\nfreeze m.norm\n"
TEXT = """
model m(x: f32[n, 8]) -> (y: f32[n, 8]) {
    layer blocks[6] = Sequential([Dense(8), relu, Dropout(0.1)])
    layer norm = BatchNorm()
    for block in blocks {
        x = block(x)
    }
    return norm(x)
}
train m(wanted: f32[n, 8]) {
    loss mse(y, wanted)
    freeze norm eval
    lr blocks[1] = 0.01
    optimizer SGD(lr=0.1)
}
"""
TARGETS = [Target(), Target(loops="unroll", opset=18), Target(dtype="f16"), Target(dtype="bf16", keep_io=False)]


def graphs(program: Checked) -> Iterator[tuple[str, Graph]]:
    for name, model in program.models.items():
        yield name, model.graph
    for name, training in program.trainings.items():
        yield f"{name} training", training.objective.graph
        yield f"{name} evaluation", training.evaluation.graph


def printed(program: Checked) -> str:
    """All that could be changed by mistake: graphs, layers, slots."""
    module = Module("", "", Source("", "").span(0, 0))
    texts = [model_to_text(Model(n, g, module, output_names=["y"] * len(g.outputs))) for n, g in graphs(program)]
    modules = [module for root in program.roots() for module in root.modules()]
    return "\n".join([*texts, *(f"{m.path} {m.doubtful} {m.uses}" for m in modules), *map(str, program.slots())])


def described(storage: Storage) -> list[object]:
    stored = [(s.name, str(s.type), s.frozen, s.initializer, s.group, s.slots) for s in storage.stored.values()]
    trainings = [
        (t.frozen, t.trained, t.schedules, t.statistics, t.as_at_inference) for t in storage.trainings.values()
    ]
    return [stored, dict(storage.readings), trainings]


def compiled(storage: Storage, target: Target) -> list[str]:
    """Digests of all that is compiled from a storage."""
    storage, source = storage.as_dtype(target.dtype), Source("m.wsd", TEXT)
    protos = [*compiler.emit(compiler.lower(storage, target), Provenance(source.sha256), target).values()]
    if target.dtype == "f32":
        protos += [emit_step(step) for step in compiler.train_steps(storage, target).values()]
    return [sha256(proto.SerializeToString(deterministic=True)).hexdigest() for proto in protos]


def test_one_storage_serves_many_targets() -> None:
    storage = storage_of(TEXT)
    before = printed(storage.checked), described(storage)
    together = [compiled(storage, target) for target in (*TARGETS, *TARGETS)]
    assert together == [compiled(storage_of(TEXT), target) for target in TARGETS] * 2
    assert (printed(storage.checked), described(storage)) == before


def test_one_program_serves_all_its_variants() -> None:
    """The same graphs, with other groups, freezes and learning rates: as if their lines stood in the file."""
    changes = "    freeze blocks[3]\n    lr blocks[2] = 0.02\n"
    variants = (
        f"variant tied {{\n{SHARED}}}\nvariant slow {{\n    limit params 500\n    train m {{\n{changes}    }}\n}}\n"
    )
    written = {"tied": TEXT + SHARED, "slow": TEXT.replace("    optimizer", changes + "    optimizer"), "": TEXT}
    program = compiler.check(Source("m.wsd", TEXT + variants), Problems())
    assert list(program.variants) == ["tied", "slow"]
    before = printed(program)
    for variant, text in (*written.items(), *written.items()):
        problems = Problems()
        storage = compiler.store(compiler.with_variant(program, variant or None, problems), problems)
        assert storage is not None
        assert storage.checked.variant == variant
        expected = storage_of(text)
        for target in TARGETS[:2]:
            assert compiled(storage, target) == compiled(expected, target)
    assert printed(program) == before


@pytest.mark.parametrize(
    "line", ["share { m.spare, m.blocks[0] }", "share { m.missing, m.blocks[0] }", "freeze m.missing", "freeze missing"]
)
def test_what_is_wrong_is_said_each_time(line: str) -> None:
    """No mistake is remembered in the program itself, so that the next storage reports it too."""
    text = TEXT.replace("    layer norm", "    layer spare = Dense(8)\n    layer norm") + line
    program = compiler.check(Source("m.wsd", text), Problems())
    found = []
    for _ in range(2):
        problems = Problems()
        assert compiler.store(program, problems) is None
        found.append([(d.code, d.message) for d in problems])
    assert found[0] == found[1]
    assert found[0]
