"""How often each tensor is read, and what would be stored without sharing: programs that were counted by hand."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Wsdl
from tests.stages import storage_of
from tests.std.case import Case, program_of
from tests.std.cases import CASES as CASES_OF_BLOCKS
from tests.together import together
from wsdl.diagnostics.span import Source
from wsdl.pictures.picture import picture

HERE = Path(__file__).parent / "figures"
Figures = Mapping[str, tuple[int, int, int]]

# By program and model, for each tensor that it reads: used, bytes stored, bytes without sharing.
BY_HAND: Mapping[str, Mapping[str, Figures]] = {
    "tied": {"m": {"m.encode.weight": (2, 128, 256), "m.encode.bias": (1, 16, 16), "m.decode.bias": (1, 32, 32)}},
    "members": {
        "first": {"a.weight": (1, 256, 256), "a.bias": (1, 32, 32)},
        "second": {"a.weight": (1, 256, 256), "a.bias": (1, 32, 32)},
    },
    "reuse": {"m": {"m.tower.first.weight": (2, 256, 512), "m.tower.again.weight": (4, 256, 1024)}},
    "repeated": {"m": {"m.step.weight": (12, 256, 3072), "m.step.bias": (12, 32, 384)}},
    "bank": {"m": {"m.bank.bank": (3, 512, 768)}},
    "slices": {"m": {"m.six.weight": (2, 192, 256), "m.six.bias": (1, 24, 24), "m.two.bias": (1, 8, 8)}},
    "scanned": {
        "m": {
            "m.alone.cell.weight": (1, 256, 256),
            "m.alone.cell.bias": (1, 32, 32),
            "m.both.cell.weight": (2, 256, 512),
            "m.both.cell.bias": (2, 32, 64),
        }
    },
    "steps": {"m": {"m.w": (3, 256, 768), "m.scale": (3, 32, 96), "m.time": (1, 96, 96)}},
    "named": {"m": {"m.embed.weight": (2, 512, 1024), "m.w": (1, 256, 256)}},
    "normalized": {
        "m": {
            "m.towers.0.dense.weight": (2, 256, 512),
            "m.towers.0.dense.bias": (2, 32, 64),
            "m.towers.0.norm.weight": (2, 32, 64),
            "m.towers.0.norm.bias": (2, 32, 64),
            "m.towers.0.norm.running_mean": (1, 32, 32),
            "m.towers.0.norm.running_var": (1, 32, 32),
            "m.towers.1.norm.running_mean": (1, 32, 32),
            "m.towers.1.norm.running_var": (1, 32, 32),
        }
    },
    "unused": {"first": {"both.weight": (1, 256, 256)}, "second": {"both.weight": (2, 256, 512)}},
    "windows": {
        "m": {
            "m.taps": (4, 192, 384),
            "m.gru.cell.weight_ih": (1, 768, 768),
            "m.gru.cell.weight_hh": (1, 768, 768),
            "m.gru.cell.bias_ih": (1, 96, 96),
            "m.gru.cell.bias_hh": (1, 96, 96),
        }
    },
}


def in_all(models: Iterable[Figures]) -> dict[str, tuple[int, int, int]]:
    """What several models read in all."""
    figures: dict[str, tuple[int, int, int]] = {}
    for model in models:
        for name, (used, stored, unshared) in model.items():
            before = figures.get(name, (0, 0, 0))
            figures[name] = (used + before[0], stored, unshared + before[2])
    return figures


def told(answer: Mapping[str, Any]) -> dict[str, tuple[int, int, int]]:
    """The same of JSON; what nothing reads is left out."""
    for tensor in answer["stored"]:
        assert tensor["used"] == sum(slot["used"] for slot in tensor["slots"])
    figures = {t["name"]: (t["used"], t["bytes"], t["bytes_without_sharing"]) for t in answer["stored"]}
    return {name: figure for name, figure in figures.items() if figure[0]}


CASES = [*((name, "auto") for name in BY_HAND), *((name, "loop") for name in ("steps", "repeated", "windows"))]


@pytest.mark.parametrize(("name", "loops"), CASES)
def test_all_figures_are_those_counted_by_hand(wsdl: Wsdl, name: str, loops: str) -> None:
    models, program = BY_HAND[name], HERE / f"{name}.wsd"
    compiled = wsdl("compile", program, "-o", "build", "--loops", loops, "--no-proof", "--json").json
    inspected = wsdl("inspect", program, "--json").json
    for answer in (compiled, json.loads(Path("build/manifest.json").read_text()), inspected):
        assert told(answer) == in_all(models.values())
        for model, figures in models.items():
            found = answer["models"][model]
            _, stored, unshared = (sum(column) for column in zip(*figures.values(), strict=True))
            assert (found["bytes"], found["bytes_without_sharing"]) == (stored, unshared)
            assert (found["parameters"], found["parameters_without_sharing"]) == (stored // 4, unshared // 4)
    for model, figures in models.items():
        file = wsdl("inspect", f"build/{model}.onnx", "--json").json
        assert told(file) == figures
        assert file["models"][model] == inspected["models"][model]
    shared = [figure for figure in in_all(models.values()).values() if figure[0] > 1]
    drawn = picture(storage_of(Source(name, program.read_text()))).shared
    assert sum(group.uses * len(group.tensors) for group in drawn) == sum(used for used, _, _ in shared)
    assert sum(group.saved for group in drawn) == sum(unshared - stored for _, stored, unshared in shared)


def test_a_weight_that_is_folded_counts_as_before(wsdl: Wsdl) -> None:
    wsdl("compile", HERE / "convolved.wsd", "-o", "build", "--no-proof")
    file = wsdl("inspect", "build/m.onnx", "--json").json
    assert told(file) == {"m.tower.conv.weight.folded": (3, 576, 1728), "m.tower.conv.bias.folded": (3, 16, 48)}


def test_how_often_a_layer_is_applied(wsdl: Wsdl) -> None:
    for name, line in (
        ("unused", "both is applied 3"),
        ("reuse", "m.tower is applied 2"),
        ("bank", "m.bank.a is applied 2"),
    ):
        lines = [line for line in wsdl("inspect", HERE / f"{name}.wsd").out.splitlines() if "is applied" in line]
        assert lines == [f"{line} times"]
    assert "is applied" not in wsdl("compile", HERE / "unused.wsd", "--model", "first", "-o", "build").out


def test_the_step_of_training_tells_the_same(wsdl: Wsdl) -> None:
    train = "\ntrain m() {\n    loss mse(y, left)\n    optimizer SGD(lr=0.1)\n}\n"
    Path("reuse.wsd").write_text((HERE / "reuse.wsd").read_text() + train)
    wsdl("compile", "reuse.wsd", "-o", "build", "--train", "--no-proof")
    assert told(wsdl("inspect", "build/m.train.onnx", "--json").json) == BY_HAND["reuse"]["m"]


@together("case", CASES_OF_BLOCKS, by=lambda case: case.block, ids=lambda case: case.layer)
def test_a_standard_block_reads_each_of_its_parameters_once(case: Case) -> None:
    program = storage_of(program_of(case)).checked
    [model] = program.models.values()
    assert {path: reads.times for path, reads in model.reads.items()} == {slot.path: 1 for slot in program.slots()}


def test_half_of_the_bytes_in_half_precision(wsdl: Wsdl) -> None:
    answer = wsdl("compile", HERE / "steps.wsd", "-o", "build", "--dtype", "f16", "--no-proof", "--json").json
    assert told(answer) == {"m.w": (3, 128, 384), "m.scale": (3, 16, 48), "m.time": (1, 48, 48)}
