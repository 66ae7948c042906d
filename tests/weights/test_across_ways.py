"""Weights of one program in another that shares otherwise: exactly where that is possible, or fitted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wsdl
from tests.golden import Golden
from tests.npz import save_npz
from tests.stages import storage_of
from wsdl.diagnostics import CompileError
from wsdl.diagnostics.render import render
from wsdl.diagnostics.span import Source
from wsdl.ir.target import Precision
from wsdl.weights.open_source import open_source
from wsdl.weights.safetensors import save_safetensors
from wsdl.weights.weights import save_weights

HERE = Path(__file__).parent
MODEL = """
model m(x: f32[n, 8]) -> (y: f32[n, 8]) {
    layer blocks[3] = Dense(8)
    SHARE
    for i in 0..3 {
        x = tanh(blocks[i](x))
    }
    return x
}
"""
WAYS = {
    "plain": "share { blocks[*] }",
    "transposed": "share { blocks[0].weight, blocks[1].weight.T }",
    "formula": "param half: [8, 8]\nparam blocks[1].weight = half + half.T",
    "chain": "param blocks[i].weight = 0.5 * blocks[i - 1].weight for i in 1..3",
    "Delta": "share as Delta(rank=2) { blocks[*] }",
    "Mix": "share body as Mix(bank=2) { blocks[*] }",
    "Basis": "share body as Basis(rank=4) { blocks[*] }",
    "Scaled": "share as Scaled() { blocks[*] }",
    "WeightNorm": "share as WeightNorm() { blocks[1] }",
    "Soft": "share body as Soft(strength=0.1) { blocks[*] }",
    "Delta, transposed": "share as Delta(rank=2) { blocks[0].weight, blocks[1].weight.T }",
    "Symmetric": "share as Symmetric() { blocks[*].weight }",
}
QUANTIZED = """param codes: i8[8, 8] = zeros
    param scale: [8, 1] = ones
    param blocks[1].weight = scale * cast(codes, f32)"""
X = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)


def program(folder: Path, share: str = "", load: str = "") -> Path:
    path = folder / "m.wsd"
    path.write_text(f"{MODEL.replace('SHARE', share)}\n{load}", "utf-8")
    return path


def trained(folder: Path, share: str, name: str = "trained.safetensors") -> tuple[Path, dict[str, Any], Any]:
    """The weights of a program, far from their initial values: the file, what it stores, the outputs."""
    compiled = wsdl.compile(program(folder, share))
    random = np.random.default_rng(1)
    values = {n: (a + 0.3 * random.normal(size=a.shape)).astype(np.float32) for n, a in sorted(compiled.stored.items())}
    save_weights(folder / name, storage_of(Source("m.wsd", MODEL.replace("SHARE", share))), values)
    return folder / name, values, compiled.session(weights=values)(x=X)["y"]


def said(error: CompileError, folder: Path) -> str:
    return render(error.diagnostics).replace(f"{folder}/", "")


def test_records_of_long_chains_are_short(tmp_path: Path) -> None:
    """What a formula reads of another one is named in its text, not written out again."""

    def size(length: int) -> int:
        text = MODEL.replace("SHARE", WAYS["chain"]).replace("..3", f"..{length}").replace("[3]", f"[{length}]")
        compiled = wsdl.compile(Source("m.wsd", text))
        return len(compiled.protos["m"].SerializeToString())

    assert size(400) < 2.5 * size(200)


@pytest.mark.parametrize("way", WAYS)
def test_a_checkpoint_of_the_same_program_is_taken_as_it_is(way: str, tmp_path: Path) -> None:
    file, values, _ = trained(tmp_path, WAYS[way])
    for again in (
        wsdl.compile(program(tmp_path, WAYS[way]), weights=file, seed=7),
        wsdl.compile(program(tmp_path, WAYS[way], f'load "{file.name}" into m'), seed=7),
    ):
        for name, array in values.items():
            np.testing.assert_array_equal(again.stored[name], array)
        assert not again.diagnostics
        assert not again.lost


@pytest.mark.parametrize("way", WAYS)
def test_a_program_that_shares_nothing_takes_all_weights(way: str, tmp_path: Path) -> None:
    """By checkpoint, compiled file, and `load`; and what it then has goes back."""
    file, values, y = trained(tmp_path, WAYS[way])
    wsdl.compile(program(tmp_path, WAYS[way]), weights=values).save(tmp_path / "out")
    for free in (
        wsdl.compile(program(tmp_path), weights=file),
        wsdl.compile(program(tmp_path), weights=tmp_path / "out" / "m.onnx"),
        wsdl.compile(program(tmp_path, load=f'load "{file.name}" into m')),
    ):
        np.testing.assert_allclose(free.session()(x=X)["y"], y, atol=1e-6)
        assert not free.diagnostics
    save_npz(tmp_path / "free.npz", free.stored)
    for back in (
        wsdl.compile(program(tmp_path, WAYS[way]), weights=tmp_path / "free.npz", seed=7),
        wsdl.compile(program(tmp_path, WAYS[way], 'load "free.npz" into m'), seed=7),
    ):
        np.testing.assert_allclose(back.session()(x=X)["y"], y, atol=1e-5)
        assert not back.lost


@pytest.mark.parametrize("way", ["Delta", "Scaled", "WeightNorm", "Mix", "Soft"])
def test_plainly_shared_weights_fill_a_way_exactly(way: str, tmp_path: Path) -> None:
    file, values, y = trained(tmp_path, WAYS["plain"])
    compiled = wsdl.compile(program(tmp_path, WAYS[way]), weights=file)
    np.testing.assert_allclose(compiled.session()(x=X)["y"], y, atol=1e-6)
    if way == "Delta":  # is plain sharing at its start, to the bit
        np.testing.assert_array_equal(compiled.stored["m.blocks.0.weight"], values["m.blocks.0.weight"])
        assert not compiled.stored["m.blocks.1.weight.up"].any()
    if way == "Soft":  # all own weights, and what they are drawn to, as a plain group would store it
        for name in ("m.body.weight", "m.blocks.0.weight.own", "m.blocks.2.weight.own"):
            np.testing.assert_array_equal(compiled.stored[name], values["m.blocks.0.weight"])


# -- fitted ------------------------------------------------------------------------------------------------------------


def test_what_members_are_drawn_to_is_their_mean(tmp_path: Path) -> None:
    file, values, _ = trained(tmp_path, "")
    compiled = wsdl.compile(program(tmp_path, WAYS["Soft"]), weights=file)
    weights = [values[f"m.blocks.{i}.weight"] for i in range(3)]
    np.testing.assert_allclose(compiled.stored["m.body.weight"], np.mean(weights, 0), atol=1e-7)


def test_a_transposed_member_counts_as_the_others_do(tmp_path: Path) -> None:
    file, values, y = trained(tmp_path, "share { blocks[0].weight, blocks[1].weight.T }")
    compiled = wsdl.compile(program(tmp_path, WAYS["Delta, transposed"]), weights=file)
    np.testing.assert_array_equal(compiled.stored["m.blocks.0.weight"], values["m.blocks.0.weight"])
    np.testing.assert_allclose(compiled.session()(x=X)["y"], y, atol=1e-6)


def test_members_that_differ_become_their_mean(tmp_path: Path) -> None:
    file, values, _ = trained(tmp_path, "")
    load = f'load "{file.name}" into m fit 3'
    by_load = wsdl.compile(program(tmp_path, WAYS["plain"], load))
    by_option = wsdl.compile(program(tmp_path, WAYS["plain"]), weights=file, fit=3)
    weights = np.stack([values[f"m.blocks.{i}.weight"] for i in range(3)])
    for compiled in (by_load, by_option):
        np.testing.assert_allclose(compiled.stored["m.blocks.0.weight"], weights.mean(0), atol=1e-7)
        away = np.linalg.norm(weights - weights.mean(0), axis=(1, 2)) / np.linalg.norm(weights, axis=(1, 2))
        for i in range(3):
            assert compiled.lost[f"m.blocks[{i}].weight"] == pytest.approx(away[i], rel=1e-5)
    assert [d.code for d in by_load.diagnostics] == ["N0503"]


@pytest.mark.parametrize("dtype", ["f16", "bf16"])
def test_rounding_is_no_loss(dtype: Precision, tmp_path: Path) -> None:
    """What a way holds exactly in f32 it holds in 16 bits as well as these can."""
    file, _, y = trained(tmp_path, WAYS["Delta"])
    save_npz(tmp_path / "free.npz", wsdl.compile(program(tmp_path), weights=file).stored)
    compiled = wsdl.compile(program(tmp_path, WAYS["Delta"]), weights=tmp_path / "free.npz", dtype=dtype)
    np.testing.assert_allclose(compiled.session()(x=X)["y"], y, atol=0.05)


def test_a_file_of_half_precision_is_met_up_to_its_rounding(tmp_path: Path) -> None:
    file, _, y = trained(tmp_path, WAYS["Delta"])
    free = wsdl.compile(program(tmp_path), weights=file).stored
    save_npz(tmp_path / "half.npz", {name: array.astype(np.float16) for name, array in free.items()})
    compiled = wsdl.compile(program(tmp_path, WAYS["Delta"]), weights=tmp_path / "half.npz")
    np.testing.assert_allclose(compiled.session()(x=X)["y"], y, atol=1e-2)
    assert not compiled.lost


def test_parts_of_parameters_are_fitted(tmp_path: Path) -> None:
    share = "param half: [8, 8]\nparam blocks[1].weight = half + half.T"
    whole = np.random.default_rng(2).normal(size=(8, 8)).astype(np.float32)
    whole += whole.T
    np.savez(tmp_path / "parts.npz", top=whole[:3], rest=whole[3:].T)
    table = '{\n    "top" -> weight[0:3]\n    "rest" -> weight[3:8].T\n}'
    load = f'load "parts.npz" into m.blocks[1] {table}'
    with pytest.raises(CompileError) as error:
        wsdl.compile(program(tmp_path, share, load))
    assert [d.code for d in error.value.diagnostics] == ["E0503"]  # the bias
    np.savez(tmp_path / "parts.npz", top=whole[:3], rest=whole[3:].T, bias=np.zeros(8, np.float32))
    load = load.replace("\n}", '\n    "bias" -> bias\n}')
    half = wsdl.compile(program(tmp_path, share, load)).stored["m.half"]
    np.testing.assert_allclose(half + half.T, whole, atol=1e-5)


def test_quantized_weights_fill_floats(tmp_path: Path) -> None:
    """Codes are loaded under their own names; a compiled file of them is a source of floats, fitted or as they are."""
    random = np.random.default_rng(3)
    codes = random.integers(-127, 128, size=(8, 8)).astype(np.int8)
    scale = random.random(size=(8, 1)).astype(np.float32) / 64
    weights = wsdl.compile(program(tmp_path)).stored
    weights = {n: a for n, a in weights.items() if n != "m.blocks.1.weight"} | {"m.codes": codes, "m.scale": scale}
    compiled = wsdl.compile(program(tmp_path, QUANTIZED), weights=weights)
    np.testing.assert_array_equal(compiled.stored["m.codes"], codes)
    compiled.save(tmp_path / "out")
    free = wsdl.compile(program(tmp_path), weights=tmp_path / "out" / "m.onnx")
    np.testing.assert_allclose(free.stored["m.blocks.1.weight"], scale * codes, rtol=1e-6)
    delta = wsdl.compile(program(tmp_path, WAYS["Delta"]), weights=tmp_path / "out" / "m.onnx", fit=3)
    assert all(0.01 < delta.lost[f"m.blocks[{i}].weight"] < 1 for i in range(3))


def test_states_of_a_group_become_their_mean(tmp_path: Path) -> None:
    """They are shared as they are by `share`, and each layer's own behind a way of sharing."""
    text = "model m(x: f32[n, 4]) -> (y: f32[n, 4]) {\n    layer norms[2] = BatchNorm(4)\n    SHARE\n"
    text += "    return norms[1](norms[0](x))\n}\n"
    names = [f"norms.{i}.{part}" for i in range(2) for part in ("weight", "bias", "running_mean", "running_var")]
    random = np.random.default_rng(4)
    weights = {f"m.{name}": random.random(4).astype(np.float32) for name in names}
    path = tmp_path / "m.wsd"

    def stored(share: str) -> wsdl.Program:
        path.write_text(text.replace("SHARE", share), "utf-8")
        return wsdl.compile(path, weights=weights, fit=3)

    plain, delta = stored("share { norms[*] }"), stored("share as Delta(rank=1) { norms[*] }")
    for part in ("running_mean", "running_var"):
        both = [weights[f"m.norms.{i}.{part}"] for i in range(2)]
        np.testing.assert_allclose(plain.stored[f"m.norms.0.{part}"], np.mean(both, 0), rtol=1e-6)
        assert f"m.norms[1].{part}" in plain.lost
        for i in range(2):
            np.testing.assert_array_equal(delta.stored[f"m.norms.{i}.{part}"], both[i])


def test_what_is_said(tmp_path: Path, golden: Golden) -> None:
    """Too much is lost, not linear, several values of one tensor; what was fitted, and that nothing was."""
    free, _, _ = trained(tmp_path, "", "free.safetensors")
    shared, _, _ = trained(tmp_path, WAYS["plain"], "plain.safetensors")
    texts = []
    refused: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("plain", 'load "free.safetensors" into m', {}),
        ("plain", 'load "free.safetensors" into m fit 0.3', {}),
        ("Delta", 'load "free.safetensors" into m', {}),
        ("Delta", "", {"weights": free, "fit": 0.1}),
        ("nonlinear", "", {"weights": free, "fit": 0.5}),
        ("quantized", 'load "free.safetensors" into m fit 0.9', {}),
        ("plain", "", {"fit": 0.5}),
    )
    for share, load, options in refused:
        ways = {**WAYS, "nonlinear": "param a: [8, 8]\nparam blocks[1].weight = sigmoid(a)", "quantized": QUANTIZED}
        with pytest.raises(CompileError) as error:
            wsdl.compile(program(tmp_path, ways[share], load), **options)
        texts.append(said(error.value, tmp_path))
    taken: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("Delta", 'load "free.safetensors" into m fit 2', {}),
        ("Delta", 'load "plain.safetensors" into m fit 0.5', {}),
        ("plain", "", {"weights": shared, "fit": 0.5}),
    )
    for share, load, options in taken:
        compiled = wsdl.compile(program(tmp_path, WAYS[share], load), **options)
        texts.append(render(compiled.diagnostics).replace(f"{tmp_path}/", ""))
    golden(HERE / "fitting.txt", "\n".join(texts))


def test_the_manifest_says_what_was_lost(tmp_path: Path) -> None:
    file, _, _ = trained(tmp_path, "")
    compiled = wsdl.compile(program(tmp_path, WAYS["Delta"]), weights=file, fit=3)
    manifest = compiled.save(tmp_path / "out")
    assert {f["parameter"].replace("s.", "s[").replace(".w", "].w").replace(".b", "].b") for f in manifest["fitted"]}
    assert len(manifest["fitted"]) == len(compiled.lost) == 6
    assert "fitted" not in wsdl.compile(program(tmp_path)).save(tmp_path / "out")


# -- files that say what isn't so --------------------------------------------------------------------------------------


def formula(node: str, type: str = "f32[8, 8]") -> str:
    return json.dumps({"m.blocks[1].weight": f"model slot() -> (y: %0) {{\n    %0 = {node}: {type}\n}}\n"})


@pytest.mark.parametrize(
    "formulas",
    [
        "[]",
        "{",
        '{"m.blocks[1].weight": 3}',
        formula("nothing()"),
        formula('zeros() {shape=[<9>, <9>], dtype="f32"}'),
        formula('zeros() {shape=[<99999999999>], dtype="f32"}', "f32[99999999999]"),
        formula('parameter() {stored="m.nowhere"}'),
    ],
)
def test_formulas_that_are_none(formulas: str, tmp_path: Path) -> None:
    file, _, _ = trained(tmp_path, WAYS["formula"])
    source = open_source(file)
    arrays = {name: np.array(source.read(name)) for name in source.tensors}
    assert json.loads(source.metadata["wsdl.formulas"]).keys() == {"m.blocks[1].weight"}
    save_safetensors(file, arrays, {**source.metadata, "wsdl.formulas": formulas})
    with pytest.raises(CompileError) as error:
        wsdl.compile(program(tmp_path, WAYS["formula"]), weights=file)
    [diagnostic] = error.value.diagnostics
    assert (diagnostic.code, diagnostic.message) == ("E0501", "the metadata about formulas is invalid")


def test_what_is_offered_is_enough_for_all_that_differ(tmp_path: Path) -> None:
    share = "share { embedding, out }\nshare { first, second }"
    text = "model m(x: f32[n, 2]) -> (y: f32[n, 2]) {\n" + "".join(
        f"    param {name}: [2, 2]\n" for name in ("embedding", "out", "first", "second")
    )
    path = tmp_path / "m.wsd"
    path.write_text(text + f"    {share}\n    return x @ embedding @ out @ first @ second\n}}\n", "utf-8")
    one = np.ones((2, 2), np.float32)
    weights = {"m.embedding": one, "m.out": 1.1 * one, "m.first": one, "m.second": 3 * one}
    with pytest.raises(CompileError) as error:
        wsdl.compile(path, weights=weights)
    [diagnostic] = error.value.diagnostics
    assert "m.second" in diagnostic.message
    assert diagnostic.details == ("so do `m.out` and `m.embedding`, by 0.1",)
    assert diagnostic.help is not None
    assert "fit=1)" in diagnostic.help
    assert wsdl.compile(path, weights=weights, fit=1).lost
