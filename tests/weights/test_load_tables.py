"""Tables of `load`: parts on both sides, names and parts of names, indices; what they leave out and fill twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.golden import Golden
from tests.onnx.running import random
from tests.stages import storage_of
from wsdl.diagnostics import Diagnostic, Problems
from wsdl.diagnostics.render import render
from wsdl.diagnostics.span import Source
from wsdl.weights.fill import filled
from wsdl.weights.initial_values import initial_values
from wsdl.weights.loads import open_loads
from wsdl.weights.safetensors import save_safetensors

HERE = Path(__file__).parent
MODEL = """
let d = 4

block Part()(x: [n, d]) -> [n, d] {
    param weight: [d, d] = zeros
    param bias: [d] = zeros
    return x @ weight.T + bias
}
block Attend()(x: [n, d]) -> [n, d] {
    layer query = Part()
    layer key = Part()
    return x |> query |> key
}
model m(x: f32[n, d]) -> (y: f32[n, d]) {
    layer blocks[2] = Attend()
    layer pair = [Part(), Attend()]
    layer tok_emb = Part()
    share tied { tok_emb.bias, pair[0].bias }
    for block in blocks {
        x = block(x)
    }
    param qkv: [3 * d, d] = zeros
    return x @ qkv[0:d] |> pair[0] |> pair[1] |> tok_emb
}
"""
BLOCK = {
    f"{part}.{name}": random(*shape)
    for part in ("query", "key")
    for name, shape in (("weight", (4, 4)), ("bias", (4,)))
}
FUSED = {f"l.{i}.{n}": random(*s) + i for i in range(2) for n, s in (("w", (8, 4)), ("b", (8,)))}


def read(folder: Path, arrays: dict[str, np.ndarray], load: str) -> tuple[dict[str, np.ndarray], list[Diagnostic]]:
    """The values that are loaded, if there is no error, and what is reported."""
    save_safetensors(folder / "w.safetensors", {name: np.ascontiguousarray(array) for name, array in arrays.items()})
    program = storage_of(Source(str(folder / "m.wsd"), f'{MODEL}\nload "w.safetensors" into {load}\n'))
    problems = Problems()
    loads = open_loads(program, problems)
    if problems.errors:
        return {}, list(problems)
    before = initial_values(program)
    return {**before, **filled(program, loads.fills, loads.sources, before.__getitem__).values}, list(problems)


LOADED = {
    "a source in parts": (
        "m.blocks[0]",
        ['"l.0.w"[0:d] -> query.weight', '"l.0.w"[d:] -> key.weight',
         '"l.0.b"[:-d] -> query.bias', '"l.0.b"[-d:] -> key.bias'],
        FUSED,
        {"m.blocks.0.query.weight": FUSED["l.0.w"][:4], "m.blocks.0.key.bias": FUSED["l.0.b"][4:]},
    ),
    "all views of a source": (
        "m.blocks[1]",
        [
            '"l.1.w".T[:, 0:d] -> query.weight',
            '"l.1.w".reshape(2, d, d).permute(1, 0, 2)[:, 1].reshape(d, d) -> key.weight',
            '"l.1.b".flip(0)[::2] -> query.bias.flip(0)',
            '"l.1.b"[1::2] -> key.bias',
        ],
        FUSED,
        {
            "m.blocks.1.query.weight": FUSED["l.1.w"].T[:, :4],
            "m.blocks.1.key.weight": FUSED["l.1.w"].reshape(2, 4, 4).transpose(1, 0, 2)[:, 1],
            "m.blocks.1.query.bias": FUSED["l.1.b"][::-1][::2][::-1],
            "m.blocks.1.key.bias": FUSED["l.1.b"][1::2],
        },
    ),
    "parts of each layer": (
        "m except qkv, pair, tok_emb",
        ['"l.{i}.w"[0:d] -> blocks[1 - i].query.weight', '"l.{i}.w"[d:] -> blocks[1 - i].key.weight',
         '"l.{i}.b"[0:d] -> blocks[i].query.bias', '"l.{i}.b"[d:] -> blocks[i].key.bias'],
        FUSED,
        {"m.blocks.1.query.weight": FUSED["l.0.w"][:4], "m.blocks.1.key.bias": FUSED["l.1.b"][4:]},
    ),
    "bounds by a number in the name": (
        "m except blocks, pair, tok_emb",
        ['"w.{i}"  -> qkv[i * d : (i + 1) * d]'],
        {f"w.{i}": random(4, 4) + i for i in range(3)},
        {"m.qkv": np.concatenate([random(4, 4) + i for i in range(3)])},
    ),
    "a number that only the views have": (
        "m except qkv, pair, tok_emb",
        ['"w"[i * d : (i + 1) * d] -> blocks[i].query.weight', '"w"[i * d : (i + 1) * d].T -> blocks[i].key.weight',
         '"b"[i * d : i * d + d] -> blocks[i].query.bias', '"b"[i * d : i * d + d] -> blocks[i].key.bias'],
        {"w": random(8, 4), "b": random(8)},
        {"m.blocks.1.query.weight": random(8, 4)[4:], "m.blocks.1.key.weight": random(8, 4)[4:].T},
    ),
    "a layer of each row of a stack": (
        "m.blocks[0]",
        ['"w"[0] -> query.weight', '"w"[1].T -> key.weight', '"b"[:, 0] -> query.bias', '"b"[:, 1] -> key.bias'],
        {"w": random(2, 4, 4), "b": random(4, 2)},
        {"m.blocks.0.key.weight": random(2, 4, 4)[1].T, "m.blocks.0.key.bias": random(4, 2)[:, 1]},
    ),
    "a number that counts the rows of a stack, and those of a parameter": (
        "m except blocks, pair, tok_emb",
        ['"w"[i] -> qkv[i]'],
        {"w": random(12, 4)},
        {"m.qkv": random(12, 4)},
    ),
    "several parts of a name": (
        "m except qkv, pair[0], tok_emb",
        ['"net.{path...}" -> {path...}', '"second.{path...}" -> pair[1].{path...}'],
        {
            **{f"net.blocks.{i}.{n}": a + i for i in range(2) for n, a in BLOCK.items()},
            **{f"second.{n}": a for n, a in BLOCK.items()},
        },
        {"m.blocks.1.key.weight": BLOCK["key.weight"] + 1, "m.pair.1.key.bias": BLOCK["key.bias"]},
    ),
    "parts of one part of a name": (
        "m except qkv, blocks, pair[1]",
        ['"Tok_{p}" -> tok_{p}.weight', '"{T}_bias" -> tied', '"pair{i}.{P}" -> pair[i].{P}'],
        {"Tok_emb": random(4, 4), "x_bias": random(4), "pair0.weight": random(4, 4) + 1},
        {"m.tok_emb.weight": random(4, 4), "m.tied": random(4), "m.pair.0.weight": random(4, 4) + 1},
    ),
    "an array": (
        "m.blocks",
        ['"{i}.q.{p}" -> {i}.query.{p}', '"{i}.k.{p}" -> {i}.key.{p}'],
        {f"{i}.{n[0]}.{n.partition('.')[2]}": a + i for i in range(2) for n, a in BLOCK.items()},
        {"m.blocks.1.key.weight": BLOCK["key.weight"] + 1},
    ),
    "a list": (
        "m.pair",
        ['"{i}.{path...}" -> {i}.{path...}'],
        {"0.weight": random(4, 4), "0.bias": random(4), **{f"1.{n}": a for n, a in BLOCK.items()}},
        {"m.pair.0.weight": random(4, 4), "m.pair.1.query.weight": BLOCK["query.weight"]},
    ),
    "a line for one tensor goes before patterns": (
        "m.blocks[0]",
        ['"{path...}" -> {path...}', '"query.weight" -> query.weight.T'],
        BLOCK,
        {"m.blocks.0.query.weight": BLOCK["query.weight"].T, "m.blocks.0.key.weight": BLOCK["key.weight"]},
    ),
    "what keeps its initial values": (
        "m.blocks[0] except key, query.weight[3:]",
        ['"key.weight"[0:3] -> query.weight[0:3]', '"key.bias" -> query.bias'],
        {"key.weight": random(4, 4), "key.bias": random(4)},
        {
            "m.blocks.0.query.weight": np.concatenate([random(4, 4)[:3], np.zeros((1, 4))]),
            "m.blocks.0.key.bias": np.zeros(4),
        },
    ),
    "by name": (
        "m.blocks[0] except key",
        ['ignore "head.*", "*.running"'],
        {**BLOCK, "key.weight": random(9, 9), "head.query.weight": random(2), "a.b.running": random(2)},
        {"m.blocks.0.query.weight": BLOCK["query.weight"], "m.blocks.0.key.bias": np.zeros(4)},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("target", "lines", "arrays", "expected"), LOADED.values(), ids=LOADED)
def test_loaded(
    target: str, lines: list[str], arrays: dict[str, np.ndarray], expected: dict[str, np.ndarray], tmp_path: Path
) -> None:
    values, found = read(tmp_path, arrays, "\n".join([target, "{", *lines, "}"]).replace("\n{", " {", 1))
    assert [d for d in found if d.severity == "error"] == []
    for name, array in expected.items():
        np.testing.assert_array_equal(values[name], array, name)


# -- what is said ------------------------------------------------------------------------------------------------------

FILE = {
    "wte": random(3, 4),
    "tok.bias": random(4),
    **{
        f"h.{i}.attn.{name}": random(*shape)
        for i in range(3)
        for name, shape in (
            ("in_proj", (8, 4)), ("in_proj_bias", (8,)), ("query.weight", (4, 4)), ("query.scale", (4,))
        )
    },
    "steps": np.zeros((4,), np.int64),
    "mlp.up": random(4, 2),
    "p.qkv": random(12, 4),
    "p.tok_emb.weight": random(4, 4),
}  # fmt: skip
MISTAKES = {
    "a name that is misspelled": ("m.tok_emb", ['"wtf" -> weight', '"tok.bias" -> bias']),
    "a prefix that is missing in each line": (
        "m.blocks[0]",
        ['"attn.query.{p}" -> query.{p}', '"attn.in_proj"[d:] -> key.weight', '"attn.in_proj_bias"[d:] -> key.bias'],
    ),
    "one part for several": ("m.blocks[0]", ['"h.0.{p}" -> {p}']),
    "one part for several, of some names": (
        "m except blocks, pair, tok_emb.bias",
        ['"p.{p}" -> {p}', 'ignore "h.*", "wte", "tok.bias", "steps", "mlp.up"'],
    ),
    "a part of a name that the path doesn't have": ("m.blocks[0]", ['"h.0.attn.query.{p}" -> query.b{p}']),
    "shapes of many tensors": ("m", ['"h.{i}.attn.in_proj" -> blocks[i].query.weight']),
    "a shape that is turned": ("m.pair[0]", ['"mlp.up" -> weight[:2]']),
    "a dtype": ("m.tok_emb", ['"steps" -> bias']),
    "a slice beyond the tensor": ("m", ['"h.{i}.attn.in_proj"[d : 3 * d] -> blocks[i].query.weight']),
    "a view that the tensor doesn't have": ("m.tok_emb", ['"tok.bias".T -> bias']),
    "a part that is left out": ("m.tok_emb", ['"wte" -> weight[0:3]', '"tok.bias" -> bias']),
    "a part that is filled twice": (
        "m.tok_emb",
        ['"wte" -> weight[0:3]', '"wte"[2:] -> weight[2:3]', '"tok.bias" -> bias'],
    ),
    "an exception that a line fills": (
        "m.tok_emb except weight, bias[2:]",
        ['"wte" -> weight[0:3]', '"tok.bias" -> bias'],
    ),
    "a pattern whose tensors have lines of their own": ("m.tok_emb", ['"wte" -> weight[0:3]', '"wt{p}" -> weight{p}']),
    "all that is needed ignored": ("m.tok_emb", ['"wte" -> weight[0:3]', '"{p}.bias" -> bias', 'ignore "tok.*"']),
    "more layers in the file": ("m except qkv, pair, tok_emb", ['"h.{i}.attn.query.{p}" -> blocks[i].query.{p}']),
    "names with another beginning": ("m.blocks[0]", []),
    "tensors that are used in part": (
        "m.blocks[0] except query.bias, key.bias",
        [
            '"h.0.attn.in_proj"[d:] -> key.weight',
            '"h.0.attn.query.weight" -> query.weight',
            'ignore "h.[12].*", "*_bias"',
        ],
    ),
    "a number that counts too far": ("m", ['"h.0.attn.in_proj"[8 * i : 8 * i + 4] -> blocks[i].query.weight']),
}


def test_what_is_said(tmp_path: Path, golden: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = ""
    for title, (target, lines) in MISTAKES.items():
        table = "".join(f"    {line}\n" for line in lines)
        _, found = read(Path(), FILE, f"{target} {{\n{table}}}" if lines else target)
        text += f"-- {title}\n\n{render(found)}\n"
    golden(HERE / "golden" / "tables.txt", text)
