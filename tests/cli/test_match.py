"""`wsdl match`: what is printed and written, and what is refused. (What is proposed: `tests/matching/`.)"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import wsdl as package
from tests.cli.conftest import Wsdl
from tests.golden import Golden
from tests.npz import save_npz
from wsdl.weights.safetensors import save_safetensors

GOLDEN = Path(__file__).parent / "golden"
PROGRAM = """\
model net(x: f32[n, t, 8]) -> (y: f32[n, 3]) {
    layer blocks[2] = EncoderLayer(2, width=16)
    layer out = Dense(3)
    for block in blocks {
        x = block(x)
    }
    return mean(x, axis=1) |> out
}
"""
SHAPES = {
    **{
        f"model.layers.{i}.{name}": shape
        for i in range(2)
        for name, shape in {
            "self_attn.in_proj_weight": (24, 8),
            "self_attn.in_proj_bias": (24,),
            "self_attn.out_proj.weight": (8, 8),
            "self_attn.out_proj.bias": (8,),
            "linear1.weight": (16, 8),
            "linear1.bias": (16,),
            "linear2.weight": (8, 16),
            "linear2.bias": (8,),
            "norm1.weight": (8,),
            "norm1.bias": (8,),
            "norm2.weight": (8,),
            "norm2.bias": (8,),
        }.items()
    },
    "model.norm.weight": (8,),
    "model.position_ids": (1, 5),
    "final.weight": (3, 8),
}
ARRAYS = {name: np.random.default_rng(i).random(shape, np.float32) for i, (name, shape) in enumerate(SHAPES.items())}


@pytest.fixture(autouse=True)
def _files(wsdl: Wsdl) -> None:
    Path("net.wsd").write_text(PROGRAM)
    Path("weights").mkdir()
    save_npz("weights/net.npz", ARRAYS)


def test_what_is_printed(wsdl: Wsdl, golden: Golden) -> None:
    done = wsdl("match", "net.wsd", "weights/net.npz")
    assert (done.code, done.err) == (0, "")
    golden(GOLDEN / "match.txt", done.out)


def test_the_json(wsdl: Wsdl) -> None:
    answer = wsdl("match", "net.wsd", "weights/net.npz", "--json").json
    assert answer["counts"] == {"certain": 32, "likely": 1, "guess": 0}
    [load] = answer["loads"]
    assert (answer["file"], load["target"], load["except"]) == ('"weights/net.npz"', "net", ["out.bias"])
    assert load["lines"][0] == {
        "line": '"model.layers.{i}.self_attn.in_proj_weight"[0:8] -> blocks[i].attn.query.weight',
        "sure": "certain",
        "tensors": [
            {"name": f"model.layers.{i}.self_attn.in_proj_weight", "parameter": f"net.blocks[{i}].attn.query.weight"}
            for i in (0, 1)
        ],
    }
    assert answer["left"] == [{"path": "net.out.bias", "type": "f32[3]", "near": ""}]
    assert answer["unused"] == [{"name": "model.norm.weight", "type": "f32[8]", "is": ""}]
    assert answer["text"] == package.match("net.wsd", "weights/net.npz").text


def test_what_is_written_loads(wsdl: Wsdl) -> None:
    done = wsdl("match", "net.wsd", "weights/net.npz", "--write")
    assert (done.code, done.err) == (0, "added to net.wsd\n")
    assert wsdl("fmt", "--check", "net.wsd").code == 0
    assert {d.code for d in package.check("net.wsd")} == {"N0501"}
    stored = package.compile("net.wsd").stored
    np.testing.assert_array_equal(
        stored["net.blocks.1.attn.key.bias"], ARRAYS["model.layers.1.self_attn.in_proj_bias"][8:16]
    )
    again = wsdl("match", "net.wsd", "weights/net.npz", "--write", "--json")
    assert (again.code, again.codes) == (1, ["E0537"])


def test_a_part_of_a_file_into_a_part_of_a_program(wsdl: Wsdl) -> None:
    done = wsdl("match", "net.wsd", "weights/net.npz", "--at", "model.layers.1", "--into", "net.blocks[0]")
    assert done.out.startswith('load "weights/net.npz" at "model.layers.1" into net.blocks[0] {\n')
    assert "# fills 16 of 16 parameters: 16 certain\n" in done.out


def test_several_files(wsdl: Wsdl) -> None:
    names = sorted(ARRAYS)
    for i, part in enumerate((names[:9], names[9:])):
        save_safetensors(f"part{i}.safetensors", {name: ARRAYS[name] for name in part})
    done = wsdl("match", "net.wsd", "part0.safetensors", "part1.safetensors")
    assert done.out.startswith('load ["part0.safetensors", "part1.safetensors"] into net except out.bias {\n')


def test_what_a_file_has_twice_is_said(wsdl: Wsdl) -> None:
    arrays = {"embed_tokens.weight": ARRAYS["final.weight"], "lm_head.weight": ARRAYS["final.weight"]}
    Path("one.wsd").write_text("model m(ids: i64[n]) -> (y: f32[n, 8]) {\n    return ids |> Embedding(3, 8)\n}\n")
    save_npz("two.npz", arrays)
    assert (
        "#     lm_head.weight: f32[3, 8] (equal to `embed_tokens.weight`)\n" in wsdl("match", "one.wsd", "two.npz").out
    )


@pytest.mark.parametrize(
    ("arguments", "code", "exit_code", "text"),
    [
        (["net.wsd", "weights/nte.npz"], "E0701", 2, "did you mean `weights/net.npz`?"),
        (["net.wsd", "weights"], "E0701", 2, "this is not a file"),
        (["net.wsd", "net.wsd"], "E0501", 2, "weights come from"),
        (["weights/net.npz", "net.wsd"], "E0708", 2, "isn't a program"),
        (["wrong.wsd", "weights/net.npz"], "E0201", 1, "relu"),
        (["net.wsd", "weights/net.npz", "--into", "net.block"], "E0536", 1, "did you mean `net.blocks`?"),
        (["net.wsd", "weights/net.npz", "--at", "modle"], "E0530", 1, "did you mean `model`?"),
        (["tied.wsd", "weights/net.npz"], "E0535", 1, "m.encode.weight: f32[16, 64]"),
        (["empty.wsd", "weights/net.npz"], "E0535", 1, "has no parameters"),
        (["net.wsd"], "E0704", 2, "CHECKPOINT"),
    ],
)
def test_what_is_refused(wsdl: Wsdl, arguments: list[str], code: str, exit_code: int, text: str) -> None:
    Path("empty.wsd").write_text("model m(x: f32[n]) -> (y: f32[n]) {\n    return x\n}\n")
    done = wsdl("match", *arguments)
    assert (done.code, done.out) == (exit_code, "")
    assert done.err.startswith(f"error[{code}]: ")
    assert text in done.err
    assert wsdl("match", *arguments, "--json").codes == [code]
