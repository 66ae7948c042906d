"""Weights of ONNX files of others: in constants, branches, loops and functions, sparse, and under lost names."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper
from torch import nn

import wsdl as language
from tests.cli.conftest import Wsdl
from tests.cli.conftest import wsdl as wsdl
from tests.golden import Golden
from tests.onnx.running import random
from tests.weights.test_sources import read_all
from wsdl import api
from wsdl.weights.onnx_tensors import _texts
from wsdl.weights.open_source import open_source
from wsdl.weights.source import WeightsError

HERE = Path(__file__).parent
SHARED, OWN, ONES = random(8, 12), random(12, 8) + 1, np.ones(2, np.float32)

# -- what PyTorch exports ----------------------------------------------------------------------------------------------


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tok = nn.Embedding(20, 8)
        self.body = nn.ModuleList([nn.Linear(8, 8, bias=bias) for bias in (True, False, False)])
        self.attn = nn.MultiheadAttention(8, 2, batch_first=True)
        self.net = nn.Sequential(nn.Linear(8, 16), nn.PReLU(16), nn.Sequential(nn.Linear(16, 8, bias=False)))
        self.conv = nn.Conv1d(8, 4, 3)
        self.head = nn.Linear(8, 20, bias=False)
        self.head.weight = self.tok.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        h = self.tok(ids)
        for layer in self.body:
            h = h + layer(h)
        h, _ = self.attn(h, h, h, need_weights=False)
        h = self.net(h.reshape(-1, 8)).reshape(h.shape)
        logits: torch.Tensor = self.head(h) + self.conv(h.transpose(1, 2)).mean()
        return logits


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, nn.Module]:
    torch.manual_seed(0)
    module, path = Net().eval(), tmp_path_factory.mktemp("exported") / "net.onnx"
    ids = torch.zeros(2, 5, dtype=torch.long)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there is a newer exporter, which needs another package
        torch.onnx.export(module, (ids,), path, dynamo=False, opset_version=17, input_names=["ids"])
    return path, module


def test_all_parameters_have_their_names_of_pytorch(exported: tuple[Path, nn.Module]) -> None:
    """The linear layers are `onnx::MatMul_…` in the file, transposed."""
    path, module = exported
    source = open_source(path)
    assert any(name.startswith("onnx::MatMul") for name in source.tensors)
    for name, tensor in module.state_dict().items():
        if name != "head.weight":  # the exporter keeps one name of each tied parameter
            np.testing.assert_array_equal(source.read(name).reshape(tensor.shape), tensor, err_msg=name)


def test_what_inspect_says(exported: tuple[Path, nn.Module], wsdl: Wsdl, golden: Golden) -> None:
    golden(HERE / "golden" / "exported.txt", wsdl("inspect", str(exported[0])).out)


def test_a_program_loads_them(exported: tuple[Path, nn.Module], monkeypatch: pytest.MonkeyPatch) -> None:
    path, module = exported
    monkeypatch.chdir(path.parent)
    Path("body.wsd").write_text(
        "model m(x: f32[n, 8]) -> (y: f32[n, 8]) {\n    layer body[3] = Dense(8, bias=false)\n"
        "    for i in 0..3 {\n        x = x |> body[i]\n    }\n    return x\n}\n\n"
        'load "net.onnx" into m {\n    "body.{i}.weight" -> body[i].weight\n}\n',
        encoding="utf-8",
    )
    stored = language.compile("body.wsd").stored
    for i in range(3):
        np.testing.assert_array_equal(stored[f"m.body.{i}.weight"], module.state_dict()[f"body.{i}.weight"])


@pytest.mark.parametrize(
    ("node", "scopes", "name"),
    [
        ("/encoder/layer.0/query/MatMul", "", "encoder.layer.0.query.weight"),
        ("/net/net.0/net.0.1/MatMul_2", "", "net.0.1.weight_2"),
        ("node_linear", "['', 'body.0', 'linear']", "body.0.weight"),
        ("node_linear_4", "['', 'net', 'net.0', 'linear_4']", "net.0.weight"),
        ("node_matmul", "['', 'matmul']", None),
        ("MatMul_12", "", None),
        ("", "", None),
        ("/" + "a" * 20_000 + "/MatMul", "'" * 20_000, None),
    ],
)
@pytest.mark.parametrize("lost", ["onnx::MatMul_12", "val_0", "1582"])
def test_names_by_nodes(node: str, scopes: str, name: str | None, lost: str, tmp_path: Path) -> None:
    """Of both exporters of PyTorch; the newer one has the scopes in the metadata of nodes."""
    product = helper.make_node("MatMul", ["x", lost], ["y"], name=node)
    if scopes:
        product.metadata_props.add(key="pkg.torch.onnx.name_scopes", value=scopes)
    graph = helper.make_graph([product], "g", [], [], [numpy_helper.from_array(SHARED, lost)])
    (tmp_path / "m.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    source = open_source(tmp_path / "m.onnx")
    assert source.names == [lost, *([] if name is None else [name])]
    if name is not None:
        np.testing.assert_array_equal(source.read(name), SHARED.T)


def test_lost_names_are_told_by_those_that_they_had(
    exported: tuple[Path, nn.Module], wsdl: Wsdl, golden: Golden
) -> None:
    path = str(exported[0])
    Path("m.wsd").write_text(
        "model m(x: f32[n, 8]) -> (y: f32[n, 8]) {\n    layer body = Dense(8)\n    return body(x)\n}\n"
    )
    text = wsdl("compile", "m.wsd", "--weights", path, "-o", "out").err
    Path("m.wsd").write_text(
        Path("m.wsd").read_text() + '\nload "net.onnx" into m {\n    "body.0.{p}" -> body.{p}\n}\n'
    )
    Path("net.onnx").write_bytes(Path(path).read_bytes())
    done = wsdl("check", "m.wsd")
    text += done.out + done.err
    golden(HERE / "golden" / "lost_names.txt", text.replace(path, "net.onnx"))


# -- wherever weights are ----------------------------------------------------------------------------------------------


def value(name: str, shape: list[int | str] | None, dtype: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def constant(name: str, array: np.ndarray) -> NodeProto:
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(array, name))


def branch(name: str, array: np.ndarray) -> onnx.GraphProto:
    """A product with a weight that both branches call `w`."""
    node = helper.make_node("MatMul", ["x", "w"], [f"{name}_y"], name=f"{name}_product")
    return helper.make_graph([node], name, [], [value(f"{name}_y", None)], [numpy_helper.from_array(array, "w")])


def sparse(values: np.ndarray, indices: object, dims: list[int]) -> onnx.SparseTensorProto:
    return helper.make_sparse_tensor(
        numpy_helper.from_array(values, "sparse.weight"), numpy_helper.from_array(np.array(indices)), dims
    )


SPARSE = sparse(np.array([1, 2, 3], np.float32), [[0, 0], [2, 1], [9, 3]], [10, 4])


def scattered(sparse_weight: onnx.SparseTensorProto = SPARSE) -> ModelProto:
    """A model with a weight in each place where there can be one."""
    choose = helper.make_node(
        "If", ["flag"], ["chosen"], name="choose",
        then_branch=branch("then", SHARED), else_branch=branch("else", SHARED + 1),
    )  # fmt: skip
    body = helper.make_graph(
        [
            constant("inside", SHARED),
            helper.make_node("MatMul", ["state", "inside"], ["wide"], name="up"),
            helper.make_node("MatMul", ["wide", "outside"], ["next"], name="down"),
            helper.make_node("Identity", ["going"], ["go"]),
        ],
        "body",
        [value("i", [], TensorProto.INT64), value("going", [], TensorProto.BOOL), value("state", None)],
        [value("go", [], TensorProto.BOOL), value("next", None)],
    )
    nodes = [
        constant("table", np.ascontiguousarray(SHARED.T)),
        constant("shape", np.array([1, 2, 3])),
        helper.make_node("Constant", [], ["few"], value_floats=[1.0, 2.0]),
        helper.make_node("MatMul", ["x", "table_2"], ["looked_up"], name="look_up"),
        choose,
        helper.make_node("Loop", ["", "flag", "x"], ["looped"], name="repeat", body=body),
        helper.make_node("Project", ["x"], ["projected"], name="project", domain="own"),
        helper.make_node("MatMul", ["x", "sparse.weight"], ["y"], name="sparse_product"),
    ]
    nodes.insert(1, helper.make_node("Identity", ["table"], ["table_2"]))
    graph = helper.make_graph(
        nodes,
        "scattered",
        [value("x", ["n", 8]), value("flag", [], TensorProto.BOOL)],
        [value("y", None)],
        [numpy_helper.from_array(OWN, "outside")],
        sparse_initializer=[sparse_weight],
    )
    function = helper.make_function(
        "own", "Project", ["x"], ["y"], [constant("w", OWN), helper.make_node("MatMul", ["x", "w"], ["y"])],
        [helper.make_opsetid("", 21)],
    )  # fmt: skip
    return helper.make_model(graph, functions=[function], opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def test_weights_are_found_wherever_they_are(tmp_path: Path) -> None:
    onnx.save(scattered(), tmp_path / "m.onnx")
    source = open_source(tmp_path / "m.onnx")
    full = np.zeros((10, 4), np.float32)
    full[[0, 2, 9], [0, 1, 3]] = [1, 2, 3]
    expected = {
        "outside": OWN, "sparse.weight": full, "table": SHARED.T, "table_2": SHARED.T, "few": np.array([1, 2]),
        "w": SHARED + 1, "choose.then_branch/w": SHARED, "inside": SHARED, "Project/w": OWN,
    }  # fmt: skip
    assert {*source.names} == {*expected}
    for name, array in expected.items():
        np.testing.assert_array_equal(source.read(name), array)
    onnx.save(scattered(sparse(ONES, [0, 39], [10, 4])), tmp_path / "m.onnx")
    assert open_source(tmp_path / "m.onnx").read("sparse.weight")[9, 3] == 1


def test_what_is_stored_twice_is_said(wsdl: Wsdl, golden: Golden) -> None:
    onnx.save(scattered(), "m.onnx")
    done = wsdl("inspect", "m.onnx")
    golden(HERE / "golden" / "scattered.txt", done.out)
    assert wsdl("inspect", "m.onnx", "--json").json["copies"] == [
        {"tensors": ["outside", "Project/w"], "bytes": 384},
        {"tensors": ["table", "choose.then_branch/w.T", "inside.T"], "bytes": 384},
    ]


@pytest.mark.parametrize("suffix", [".npz", ".pt", ".safetensors"])
def test_copies_in_files_of_weights(suffix: str, tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    arrays = {
        "a": SHARED, "b": np.ascontiguousarray(SHARED.T), "c": SHARED.copy(), "zeros": np.zeros((8, 12), np.float32),
        "more_zeros": np.zeros((8, 12), np.float32), "alike": np.where(SHARED[7, 11] == SHARED, 0, SHARED),
        "flat": SHARED.reshape(-1), "half": SHARED.astype(np.float16), "flags": SHARED > 0,
        "nan": np.full((8, 12), np.nan, np.float32),
    }  # fmt: skip
    path = str(tmp_path / f"w{suffix}")
    if suffix == ".npz":
        texts = {"text": np.full(100, "a"), "same_text": np.full(100, "a")}
        np.savez(path, allow_pickle=False, **arrays, **texts)
    elif suffix == ".pt":
        torch.save({name: torch.from_numpy(array.copy()) for name, array in arrays.items()}, path)
    else:
        save_file(arrays, path)
    assert [copies.names for copies in api.inspect(path).copies] == [("a", "b.T", "c")]


def test_copies_in_16_bits(tmp_path: Path) -> None:
    weight = torch.randn(8, 12).bfloat16()
    torch.save({"a": weight, "b": weight.T.clone(), "c": weight + 1}, tmp_path / "w.pt")
    assert [copies.names for copies in api.inspect(tmp_path / "w.pt").copies] == [("a", "b.T")]


# -- what lies ---------------------------------------------------------------------------------------------------------


def _in_branch(change: Callable[[TensorProto], object]) -> ModelProto:
    model = scattered()
    choose = next(node for node in model.graph.node if node.name == "choose")
    change(choose.attribute[0].g.initializer[0])
    return model


def _external(location: str) -> Callable[[TensorProto], object]:
    def change(tensor: TensorProto) -> None:
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)

    return change


def _nested(levels: int) -> ModelProto:
    graph = branch("then", SHARED)
    for level in range(levels):
        node = helper.make_node("If", ["flag"], ["y"], name=f"if{level}")
        node.attribute.append(AttributeProto(name="then_branch", type=AttributeProto.GRAPH, g=graph))
        graph = helper.make_graph([node], "g", [], [])
    return helper.make_model(graph)


LIES = {
    "an index outside of a sparse tensor": scattered(sparse(ONES, [0, 40], [10, 4])),
    "a negative index": scattered(sparse(ONES, [-1, 3], [10, 4])),
    "coordinates outside": scattered(sparse(ONES, [[0, 4], [1, 1]], [10, 4])),
    "coordinates of another rank": scattered(sparse(ONES, [[0, 0, 0], [1, 1, 1]], [10, 4])),
    "more indices than values": scattered(sparse(ONES, [0, 1, 2], [10, 4])),
    "indices with fractions": scattered(sparse(ONES, [0.0, 1.0], [10, 4])),
    "a sparse tensor of a negative size": scattered(sparse(ONES, [0, 1], [-10, 4])),
    "a negative size in a branch": _in_branch(lambda tensor: tensor.dims.__setitem__(0, -8)),
    "less than it says in a branch": _in_branch(lambda tensor: setattr(tensor, "raw_data", b"1")),
    "data of a branch outside": _in_branch(_external("../../etc/passwd")),
    "data of a branch that are not there": _in_branch(_external("nowhere.bin")),
}


def test_lies(tmp_path: Path, golden: Golden) -> None:
    text = ""
    for lie, model in LIES.items():
        (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
        with pytest.raises(WeightsError) as error:
            read_all(open_source(tmp_path / "m.onnx"))
        [diagnostic] = error.value.diagnostics
        assert diagnostic.code == "E0501"
        text += f"{lie}\n    {diagnostic.message}\n"
    golden(HERE / "golden" / "onnx_lies.txt", text)


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    """Each text of a file, in turn."""
    model = scattered()
    model.metadata_props.add(key="wrote", value="somebody")
    content = model.SerializeToString()
    texts = {text for text in _texts(model) if text and isinstance(text, str)}
    assert len(texts) > 20
    for text in texts:
        (tmp_path / "m.onnx").write_bytes(content.replace(text.encode(), b"\x80" + text.encode()[1:]))
        with pytest.raises(WeightsError, match="not valid UTF-8"):
            open_source(tmp_path / "m.onnx")


def test_branches_in_branches(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(_nested(20).SerializeToString())
    assert open_source(tmp_path / "m.onnx").names == ["w"]
