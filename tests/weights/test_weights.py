"""Loading: by mappings and by name, strict on both sides, shared tensors once; saving and loading again."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path

import numpy as np
import pytest

from tests.onnx.running import random
from tests.stages import storage_of
from wsdl.diagnostics import Diagnostic, Problems
from wsdl.diagnostics.span import Source
from wsdl.ir.stages import Storage
from wsdl.weights.fill import filled
from wsdl.weights.initial_values import initial_values
from wsdl.weights.loads import open_loads
from wsdl.weights.open_source import open_source
from wsdl.weights.safetensors import save_safetensors
from wsdl.weights.source import WeightsError
from wsdl.weights.weights import Weights, save_weights
from wsdl.weights.weights import given_weights as weights_given

MODEL = """
block Linear(units: int)(x: [..., d]) -> [..., units] {
    param weight: [units, d] = normal
    param bias: [units] = zeros
    return x @ weight.T + bias
}
block Layer()(x: [n, d]) -> [n, d] {
    layer up = Linear(6)
    layer down = Linear(4)
    return down(up(x))
}
model m(x: f32[n, 4]) -> (y: f32[n, 4]) {
    layer blocks[3] = Layer()
    layer tok = Linear(4)
    layer head = Linear(4)
    SHARE
    for i in 0..3 {
        x = blocks[i](x)
    }
    return head(tok(x))
}
LOAD
"""
PARTS = {"up.weight": (6, 4), "up.bias": (6,), "down.weight": (4, 6), "down.bias": (4,)}
TIED = "share embedding { tok.weight, head.weight }"
LAYERS = {
    f"h.{i}.{part}.{name}": random(*shape) + i
    for i in range(3)
    for part, name, shape in (
        ("mlp_in", "weight", (6, 4)), ("mlp_in", "bias", (6,)), ("mlp_out", "weight", (4, 6)), ("mlp_out", "bias", (4,))
    )
}  # fmt: skip
REST = {"wte": random(4, 4), "wte_bias": random(4), "lm_head.bias": random(4) + 1}
MAPPINGS = """{
    "h.{i}.mlp_in.{p}" -> blocks[i].up.{p}
    "h.{i}.mlp_out.{p}" -> blocks[i].down.{p}
    "wte" -> tok.weight
    "wte_bias" -> tok.bias
    "lm_head.{p}" -> head.{p}
}"""


def program_of(folder: Path, load: str = "", share: str = "", shape: str = "") -> Storage:
    text = MODEL.replace("SHARE", share).replace("LOAD", load)
    return storage_of(Source(str(folder / "m.wsd"), text))


def loaded(folder: Path, arrays: dict[str, np.ndarray], load: str, share: str = TIED) -> dict[str, np.ndarray]:
    save_safetensors(folder / "w.safetensors", arrays)
    problems = Problems()
    program = program_of(folder, load, share)
    loads = open_loads(program, problems)
    assert not problems.errors, problems.errors
    return filled(program, loads.fills, loads.sources, initial_values(program).__getitem__).values


def problems_of(folder: Path, arrays: dict[str, np.ndarray], load: str, share: str = TIED) -> list[Diagnostic]:
    save_safetensors(folder / "w.safetensors", arrays)
    problems = Problems()
    program = program_of(folder, load, share)
    open_loads(program, problems)
    return list(problems)


def given_weights(program: Storage, weights: Weights, needed: Container[str] | None = None) -> dict[str, np.ndarray]:
    return weights_given(program, weights, initial_values(program).__getitem__, needed=needed).values


# -- mappings ----------------------------------------------------------------------------------------------------------


def test_mappings(tmp_path: Path) -> None:
    values = loaded(tmp_path, {**LAYERS, **REST}, f'load "w.safetensors" into m {MAPPINGS}')
    np.testing.assert_array_equal(values["m.blocks.2.down.weight"], LAYERS["h.2.mlp_out.weight"])
    np.testing.assert_array_equal(values["m.embedding"], REST["wte"])
    assert len(values) == 15


def test_a_transposed_layout(tmp_path: Path) -> None:
    arrays = {"c_fc": random(4, 6), "c_proj": random(4, 6), "b1": random(6), "b2": random(4)}
    mappings = '{ "c_fc" -> up.weight.T\n "c_proj" -> down.weight\n "b1" -> up.bias\n "b2" -> down.bias }'
    values = loaded(tmp_path, arrays, f'load "w.safetensors" into m.blocks[0] {mappings}')
    np.testing.assert_array_equal(values["m.blocks.0.up.weight"], arrays["c_fc"].T)


def test_a_target_through_views(tmp_path: Path) -> None:
    arrays = {"c_fc": random(2, 3, 4), "top": random(3, 6), "row": random(6), "b1": random(6), "b2": random(4)}
    mappings = """{
        "c_fc" -> up.weight.reshape(3, 2, -1).permute(1, 0, 2)
        "top" -> down.weight[0:3]
        "row" -> down.weight[3]
        "b1" -> up.bias.flip(0)
        "b2" -> down.bias
    }"""
    values = loaded(tmp_path, arrays, f'load "w.safetensors" into m.blocks[0] {mappings}')
    up = arrays["c_fc"].transpose(1, 0, 2).reshape(6, 4)
    np.testing.assert_array_equal(values["m.blocks.0.up.weight"], up)
    np.testing.assert_array_equal(values["m.blocks.0.down.weight"], np.vstack([arrays["top"], arrays["row"]]))
    np.testing.assert_array_equal(values["m.blocks.0.up.bias"], arrays["b1"][::-1])
    values = loaded(tmp_path, {"w": arrays["c_fc"].reshape(4, 6)}, 'load "w.safetensors" into m.blocks[0].up.weight.T')
    np.testing.assert_array_equal(values["m.blocks.0.up.weight"], arrays["c_fc"].reshape(4, 6).T)


def test_parts_of_what_numpy_has_to_copy(tmp_path: Path) -> None:
    arrays = {"first": random(8), "second": random(8)}
    mappings = '{ "first" -> weight.T.reshape(2, 8)[0]\n "second" -> weight.T.reshape(2, 8)[1] }'
    values = loaded(
        tmp_path, {**arrays, "b": random(4)}, f'load "w.safetensors" into m.tok {mappings[:-1]}\n"b" -> bias }}'
    )
    np.testing.assert_array_equal(values["m.embedding"], np.concatenate(list(arrays.values())).reshape(4, 4).T)


@pytest.mark.parametrize("down_first", [True, False])
@pytest.mark.parametrize("filled", ["up", "down", "parts"])
def test_a_view_whose_way_back_is_none(tmp_path: Path, down_first: bool, filled: str) -> None:
    """The reshape of the way back cuts across the flips: there are arrays of it, but no view."""
    members = ["blocks[0].up.weight.flip(0, 1).reshape(4, 6).flip(0)", "blocks[0].down.weight"]
    up = random(6, 4)
    down = up[::-1, ::-1].reshape(4, 6)[::-1]
    tables = {
        "up": ({"w": up}, '"w" -> up.weight'),
        "down": ({"w": down}, '"w" -> down.weight'),
        "parts": ({"w": down[0], "v": down[1:]}, '"w" -> down.weight[0]\n "v" -> down.weight[1:4]'),
    }
    arrays, table = tables[filled]
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()} | {"6": random(6), "4": random(4)}
    load = f'load "w.safetensors" into m.blocks[0] {{ {table}\n "6" -> up.bias\n "4" -> down.bias }}'
    values = loaded(tmp_path, arrays, load, f"share w {{ {', '.join(members[::-1] if down_first else members)} }}")
    np.testing.assert_array_equal(values["m.w"], up)


@pytest.mark.parametrize(
    ("parts", "wrong"),
    [
        (["0:3"], ("E0503", "m.tok.weight[3:4] of f32[4, 4]")),
        (["0:2", "-1:"], ("E0503", "m.tok.weight[2:3] of f32[4, 4]")),
        (["0:2", "0:2"], ("E0503", "m.tok.weight[2:4] of f32[4, 4]")),
        (["0:3", "1:4"], ("E0523", "`m.tok.weight[1:3]` is filled twice")),
        (["0:3", "3:4"], None),
    ],
)
def test_parts_fill_a_parameter_exactly(tmp_path: Path, parts: list[str], wrong: tuple[str, str] | None) -> None:
    whole = random(4, 4)
    arrays = {f"w.{i}": whole[slice(*(int(n) if n else None for n in part.split(":")))] for i, part in enumerate(parts)}
    lines = "\n".join(f'"w.{i}" -> tok.weight[{part}]' for i, part in enumerate(parts))
    load = f'load "w.safetensors" into m {MAPPINGS}'.replace('"wte" -> tok.weight', lines)
    arrays["lm_head.weight"] = whole
    load = load.replace('"lm_head.{p}" -> head.{p}', '"lm_head.weight" -> head.weight\n"lm_head.bias" -> head.bias')
    found = [
        (d.code, *(d.details or [d.message]))
        for d in problems_of(tmp_path, {**LAYERS, **REST, **arrays}, load, "")
        if d.code != "N0501"
    ]
    assert found == ([wrong] if wrong else [])


def test_an_array_of_layers_is_a_target(tmp_path: Path) -> None:
    arrays = {f"{i}.{part}": random(*shape) for i in range(3) for part, shape in PARTS.items()}
    values = loaded(tmp_path, arrays, 'load "w.safetensors" into m.blocks')
    assert values.keys() == {f"m.blocks.{name}" for name in arrays}


def test_several_tables_of_one_file(tmp_path: Path) -> None:
    arrays = {**{f"a.{name}": random(*shape) for name, shape in PARTS.items()}, "wte": random(4, 4), "left": random(2)}
    load = """
load "w.safetensors" into m.blocks[0] {
    "a.up.{p}" -> up.{p}
    "a.down.{p}" -> down.{p}
}
load "w.safetensors" into m.tok {
    "wte" -> weight
    "a.down.bias" -> bias
}"""
    [note] = problems_of(tmp_path, arrays, load, "")
    assert (note.code, note.details) == ("N0501", ("left: f32[2]",))


def test_one_mistake_in_a_table_is_one_error(tmp_path: Path) -> None:
    mappings = MAPPINGS.replace('"h.', '"layer.').replace('"wte', '"model.wte')
    [error] = problems_of(tmp_path, {**LAYERS, **REST}, f'load "w.safetensors" into m {mappings}')
    assert error.code == "E0506"
    assert error.details == (
        "nor like 3 more patterns of this table:",
        "`layer.{i}.mlp_out.{p}` (is it `h.0.mlp_out.weight`?)",
        "`model.wte` (is it `wte`?)",
        "`model.wte_bias` (is it `wte_bias`?)",
    )
    assert error.help == "the most similar name is `h.0.mlp_in.weight`"


def test_indices_may_be_computed(tmp_path: Path) -> None:
    arrays = {name.replace("h.", "last."): a for name, a in LAYERS.items() if name.startswith("h.0")}
    mappings = '{ "last.{i}.mlp_in.{p}" -> blocks[2 - i].up.{p}\n "last.{i}.mlp_out.{p}" -> blocks[2 - i].down.{p} }'
    found = problems_of(tmp_path, arrays, f'load "w.safetensors" into m {mappings}')
    [missing] = [d for d in found if d.severity == "error"]
    assert not any("blocks[2]" in line for line in missing.details)


def test_a_named_group(tmp_path: Path) -> None:
    values = loaded(tmp_path, {"anything": REST["wte"]}, 'load "w.safetensors" into m.embedding')
    np.testing.assert_array_equal(values["m.embedding"], REST["wte"])
    turned = loaded(tmp_path, {"anything": REST["wte"]}, 'load "w.safetensors" into m.embedding.T')
    np.testing.assert_array_equal(turned["m.embedding"], REST["wte"].T)


def test_a_part_of_a_named_group_of_layers(tmp_path: Path) -> None:
    share = "    share body { blocks[*] }\n"
    values = loaded(
        tmp_path, {"anything": LAYERS["h.0.mlp_in.bias"]}, 'load "w.safetensors" into m.body.up.bias', share
    )
    assert list(values) == ["m.body.up.bias"]


def test_without_mappings_names_are_paths_below_the_target(tmp_path: Path) -> None:
    arrays = {"up.weight": random(6, 4), "up.bias": random(6), "down.weight": random(4, 6), "down.bias": random(4)}
    values = loaded(tmp_path, arrays, 'load "w.safetensors" into m.blocks[1]')
    assert sorted(values) == [f"m.blocks.1.{name}" for name in sorted(arrays)]


@pytest.mark.parametrize(
    ("mappings", "arrays", "code", "message"),
    [
        ('{ "h.{i}.mlp_inn.{p}" -> blocks[i].up.{p} }', {}, "E0506", "has a name like `h.{i}.mlp_inn.{p}`"),
        ('{ "h.{i}.mlp_in.{p}" -> blocks[i].{p} }', {}, "E0507", "there is no parameter `m.blocks[0].weight`"),
        (MAPPINGS, {"wte": random(4, 5)}, "E0508", "`wte` is f32[4, 5], but `m.tok.weight` needs [4, 4]"),
        (MAPPINGS, {"wte": np.ones((4, 4), np.int32)}, "E0510", "`wte` is i32[4, 4]"),
        ('{ "wte" -> tok.weight[0:3] }', {"wte": random(2, 4)}, "E0508", "`m.tok.weight[0:3, :]` needs [3, 4]"),
    ],
)
def test_mappings_that_do_not_fit(
    tmp_path: Path, mappings: str, arrays: dict[str, np.ndarray], code: str, message: str
) -> None:
    found = problems_of(tmp_path, {**LAYERS, **REST, **arrays}, f'load "w.safetensors" into m {mappings}')
    assert found[0].code == code
    assert message in found[0].message
    assert found[0].span is not None


def test_everything_left_over_is_listed(tmp_path: Path) -> None:
    arrays = {**LAYERS, **REST, "pooler.weight": random(2)}
    arrays["renamed_bias"] = arrays.pop("wte_bias")
    mappings = MAPPINGS.replace('"wte_bias" -> tok.bias\n', "")
    missing, unused = sorted(
        problems_of(tmp_path, arrays, f'load "w.safetensors" into m {mappings}'), key=lambda d: d.code
    )
    assert (missing.code, missing.details) == ("E0503", ("m.tok.bias: f32[4]",))
    assert (unused.code, unused.severity) == ("N0501", "note")
    assert unused.details == ("pooler.weight: f32[2]", "renamed_bias: f32[4]")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    program = program_of(tmp_path, 'load "nothing.npz" into m')
    problems = Problems()
    open_loads(program, problems)
    assert [(d.code, d.message) for d in problems] == [
        ("E0501", "nothing.npz: the file can't be read: no such file or directory")
    ]


def test_two_sources_of_a_shared_tensor_must_agree(tmp_path: Path) -> None:
    arrays = {**LAYERS, **REST, "lm_head.weight": REST["wte"]}
    load = f'load "w.safetensors" into m {MAPPINGS}'
    np.testing.assert_array_equal(loaded(tmp_path, arrays, load)["m.embedding"], REST["wte"])
    with pytest.raises(WeightsError) as error:
        loaded(tmp_path, {**arrays, "lm_head.weight": REST["wte"] + 1}, load)
    [diagnostic] = error.value.diagnostics
    assert diagnostic.code == "E0504"
    assert "differ by 1" in diagnostic.message


# -- files and mappings ------------------------------------------------------------------------------------------------


def test_saved_and_loaded_again(tmp_path: Path) -> None:
    program = program_of(tmp_path, share=TIED)
    values = initial_values(program)
    path = tmp_path / "w.safetensors"
    extra = {"optimizer/m.embedding.first": random(4, 4), "step": np.array(7)}  # as in the state of a training
    save_weights(path, program, values, extra=extra, metadata={"step": "7"})
    again = given_weights(program, path)
    assert again.keys() == values.keys()
    for name, array in values.items():
        np.testing.assert_array_equal(again[name], array)
    assert open_source(path).metadata["step"] == "7"


@pytest.mark.parametrize("names", [["m.tok.weight"], ["tok.weight", "head.weight"], ["m.embedding"], ["embedding"]])
def test_any_name_of_a_member_will_do(tmp_path: Path, names: list[str]) -> None:
    program = program_of(tmp_path, share=TIED)
    values = initial_values(program)
    given = {name: array for name, array in values.items() if name != "m.embedding"}
    given |= dict.fromkeys(names, values["m.embedding"])
    np.testing.assert_array_equal(given_weights(program, given)["m.embedding"], values["m.embedding"])


def test_a_member_with_a_view_is_turned_back(tmp_path: Path) -> None:
    program = program_of(tmp_path, share="share { tok.weight, head.weight.T }")
    given = {"head.weight": random(4, 4)}
    np.testing.assert_array_equal(given_weights(program, given, needed=())["m.tok.weight"], random(4, 4).T)


def test_weights_that_do_not_fit(tmp_path: Path) -> None:
    program = program_of(tmp_path, share=TIED)
    values = initial_values(program)
    values["m.embeding"] = values.pop("m.embedding")
    values["m.head.bias"] = random(5)
    with pytest.raises(WeightsError) as error:
        given_weights(program, values)
    by_code = {d.code: d for d in error.value.diagnostics}
    assert by_code["E0508"].message == "`m.head.bias` is f32[5], but the shape [4] is required"
    assert by_code["E0512"].details == ("m.embeding (is it `m.embedding`?)",)
    assert "m.embedding: f32[4, 4]" in by_code["E0511"].details
