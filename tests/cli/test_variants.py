"""`--variant` of every command: what a variant stores and trains, and what is recorded of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from safetensors import safe_open

import wsdl as api
from tests.cli.conftest import Wsdl
from wsdl.diagnostics import CompileError

PROGRAM = """\
model m(x: f32[n, 8]) -> (y: f32[n, 8]) {
    layer blocks[2] = Dense(8)
    return x |> blocks[0] |> relu |> blocks[1]
}

train m(wanted: f32[n, 8]) {
    loss mse(y, wanted)
    optimizer SGD(lr=0.1)
}

variant tied { share { m.blocks[*] } }
variant loaded { load "w.npz" into m.blocks[0] }

variant small {
    limit params 100
    train m {
        freeze blocks[0]
    }
}
"""
SOUND = PROGRAM.replace("limit params 100", "limit params 200")
TIED = ("--variant", "tied")


@pytest.fixture(autouse=True)
def files(wsdl: Wsdl) -> None:
    Path("m.wsd").write_text(SOUND)
    Path("over.wsd").write_text(PROGRAM)
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(size=(16, 8)).astype("f4") for name in ("x", "wanted")}
    np.savez("data.npz", x=arrays["x"], wanted=arrays["wanted"])
    np.savez("w.npz", weight=np.eye(8, dtype="f4"), bias=np.ones(8, "f4"))


def test_check_checks_all_and_says_which(wsdl: Wsdl) -> None:
    assert wsdl("check", "m.wsd").code == 0
    found = wsdl("check", "over.wsd", "--json")
    assert [(d["code"], d["variants"]) for d in found.json["diagnostics"]] == [("E0601", ["small"])]
    for form in ("full", "concise", "github", "sarif"):
        assert "the variant `small`" in wsdl("check", "over.wsd", "--output-format", form).out
    for variant, code in (("tied", 0), ("base", 0), ("small", 1)):
        assert wsdl("check", "over.wsd", "--variant", variant).code == code


def test_a_file_that_is_missing_is_said_of_its_variant(wsdl: Wsdl) -> None:
    Path("w.npz").unlink()
    [found] = wsdl("check", "m.wsd", "--json").json["diagnostics"]
    assert (found["code"], found["variants"]) == ("N0502", ["loaded"])
    assert wsdl("compile", "m.wsd", *TIED, "-o", "build", "--no-proof").code == 0
    assert wsdl("compile", "m.wsd", "--variant", "loaded", "-o", "build").code != 0


def test_a_compiled_file_says_its_variant(wsdl: Wsdl) -> None:
    assert "\nvariant          tied\n" in wsdl("compile", "m.wsd", *TIED, "--train", "-o", "tied").out
    assert wsdl("compile", "m.wsd", "-o", "base").code == 0
    assert json.loads(Path("tied/manifest.json").read_text())["variant"] == "tied"
    assert "variant" not in json.loads(Path("base/manifest.json").read_text())
    for file in ("tied/m.onnx", "tied/m.train.onnx"):
        assert {p.key: p.value for p in onnx.load(file).metadata_props}["wsdl.variant"] == "tied"
    assert "wsdl.variant" not in {p.key for p in onnx.load("base/m.onnx").metadata_props}
    listed = wsdl("inspect", "m.wsd", *TIED, "--json").json
    assert listed["variant"] == "tied"
    assert [t["name"] for t in listed["stored"]] == ["m.blocks.0.weight", "m.blocks.0.bias"]
    assert wsdl("inspect", "tied/m.onnx").out == wsdl("inspect", "m.wsd", *TIED).out
    assert wsdl("graph", "m.wsd", *TIED).out != wsdl("graph", "m.wsd").out


def test_run_train_and_eval_take_it(wsdl: Wsdl) -> None:
    data = ("--data", "data.npz")
    done = wsdl("train", "m.wsd", *data, *TIED, "--epochs", "2", "--eval", "data.npz", "-o", "run")
    assert done.err.startswith("m (variant tied): 72 parameters (144 without sharing), 2 steps")
    assert "m (variant tied)" in Path("run/curve.svg").read_text()
    assert "next: wsdl compile m.wsd --variant tied --weights run/best.safetensors -o build" in done.err
    with safe_open("run/last.safetensors", "np") as checkpoint:
        assert sorted(n for n in checkpoint.keys() if n.startswith("m.")) == ["m.blocks.0.bias", "m.blocks.0.weight"]  # noqa: SIM118 - a file of safetensors is no dict
        assert checkpoint.metadata()["wsdl.variant"] == "tied"
    assert wsdl("inspect", "run/last.safetensors", "--json").json["variant"] == "tied"
    weights = ("--weights", "run/best.safetensors")
    evaluated = wsdl("eval", "m.wsd", *data, *TIED, *weights, "--json").json["eval"]
    assert f"loss {evaluated['loss']:.4g}"[:9] in done.out
    assert wsdl("run", "m.wsd", "--input", "data.npz", *TIED, *weights, "-o", "y.npz").code == 0
    session = api.compile("m.wsd", variant="tied", weights="run/best.safetensors").session()
    assert np.array_equal(np.load("y.npz")["y"], session(x=np.load("data.npz")["x"])["y"])


@pytest.mark.parametrize(
    ("begun", "resumed", "said"),
    [
        (TIED, (), "of the variant `tied`, not of the program without a variant"),
        ((), TIED, "of the program without a variant, not of the variant `tied`"),
        (TIED, ("--variant", "small"), "of the variant `tied`, not of the variant `small`"),
        (TIED, TIED, ""),
        (("--variant", "base"), (), ""),
    ],
)
def test_a_training_resumes_as_the_variant_it_was(
    wsdl: Wsdl, begun: tuple[str, ...], resumed: tuple[str, ...], said: str
) -> None:
    train = ("train", "m.wsd", "--data", "data.npz", "-o", "run", "--epochs")
    assert wsdl(*train, "1", *begun).code == 0
    done = wsdl(*train, "1", *resumed, "--resume")
    assert (done.code != 0) == bool(said)
    assert said in done.err
    assert ("E0721" in done.err) == bool(said)


@pytest.mark.parametrize(
    ("arguments", "code", "help"),
    [
        (("check", "m.wsd", "--variant", "teid"), "E0710", "did you mean `tied`?"),
        (("inspect", "m.wsd", "--variant", "x"), "E0710", "the variants are `tied`, `loaded`, `small`"),
        (("graph", "two.wsd", "--variant", "x"), "E0710", "the file declares none"),
        (("run", "m.onnx", "--input", "data.npz", "--variant", "x"), "E0704", ""),
        (("inspect", "w.npz", "--variant", "x"), "E0704", "leave out `--variant`"),
    ],
)
def test_what_is_no_variant(wsdl: Wsdl, arguments: tuple[str, ...], code: str, help: str) -> None:
    Path("m.onnx").touch()
    done = wsdl(*arguments)
    assert done.code != 0
    assert f"error[{code}]" in done.out + done.err
    assert help in done.out + done.err


def test_those_of_imported_files_are_not_seen(wsdl: Wsdl) -> None:
    Path("parts.wsd").write_text(f"block Same()(x: [n, d]) -> [n, d] {{\n    return x\n}}\n{SOUND}")
    Path("top.wsd").write_text(
        'from "./parts.wsd" import Same\nmodel top(x: f32[n, 8]) -> (y: f32[n, 8]) {\n    return Same()(x)\n}\n'
    )
    assert wsdl("check", "top.wsd").code == 0
    assert "the file declares none" in wsdl("check", "top.wsd", *TIED).out


def test_in_python() -> None:
    program = api.compile("m.wsd", variant="tied")
    assert (program.variant, program.variants) == ("tied", ["tied", "loaded", "small"])
    assert list(program.stored) == ["m.blocks.0.weight", "m.blocks.0.bias"]
    assert api.compile("m.wsd").variant is api.compile("m.wsd", variant="base").variant is None
    assert np.array_equal(api.compile("m.wsd", variant="loaded").stored["m.blocks.0.weight"], np.eye(8))
    before = dict((small := api.compile("m.wsd", variant="small")).stored)
    trainer = small.trainer()
    trainer.step(dict(np.load("data.npz")))
    changed = {name for name, value in trainer.weights.items() if not np.array_equal(value, before[name])}
    assert changed == {"m.blocks.1.weight", "m.blocks.1.bias"}
    assert [(d.code, d.variants) for d in api.check("over.wsd")] == [("E0601", ("small",))]
    assert api.check("over.wsd", variant="tied") == []
    for unknown in (lambda: api.compile("m.wsd", variant="teid"), lambda: api.compile("m.wsd", variant=3)):  # type: ignore[arg-type] # which is the mistake
        with pytest.raises(CompileError, match="variant"):
            unknown()


FILE_LEVEL = """\
layer hyper = Dense(64)
param code: [1, 8]
param bank: [16, 8]
param kept: [8, 8]
load "code.npz" into code
freeze hyper
share { kept, m.blocks[1].weight }
""" + PROGRAM.replace("    optimizer", "    lr code = 0.01\n    optimizer").partition("variant")[0]
FILE_LEVEL += """\
variant made { param m.blocks[0].weight = hyper(code).reshape(8, 8) }
variant doubled { param m.blocks[0].weight = kept * 2 }
variant banked { share { bank[0:8], m.blocks[0].weight } }
"""


def test_what_only_other_variants_use_is_not_stored(wsdl: Wsdl) -> None:
    Path("file.wsd").write_text(FILE_LEVEL)
    np.savez("code.npz", code=np.ones((1, 8), "f4"))
    assert wsdl("check", "file.wsd").code == 0
    stored = {
        name: set(api.compile("file.wsd", variant=name).inventory.stored)
        for name in ("base", "made", "doubled", "banked")
    }
    biases = {"m.blocks.0.bias", "m.blocks.1.bias"}
    assert stored == {
        "base": {"kept", "m.blocks.0.weight", *biases},
        "made": {"kept", "hyper.weight", "hyper.bias", "code", *biases},
        "doubled": {"kept", *biases},
        "banked": {"kept", "bank", *biases},
    }
    for variant in ("base", "doubled"):
        assert wsdl("graph", "file.wsd", "--variant", variant, "-o", "g.svg").code == 0
        assert wsdl("compile", "file.wsd", "--variant", variant, "--train", "-o", variant).code == 0
    Path("code.npz").unlink()  # only needed where `code` is stored
    assert wsdl("compile", "file.wsd", "--no-proof", "-o", "base").code == 0
    assert wsdl("compile", "file.wsd", "--variant", "made", "--no-proof", "-o", "made").code != 0
