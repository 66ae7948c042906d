"""`wsdl compile`: the folder, the proof as a table and as JSON, and what happens when writing fails."""

from __future__ import annotations

import json
import os
import re
from itertools import count
from pathlib import Path
from typing import NoReturn, get_args

import numpy as np
import onnx
import pytest

from tests.cli.conftest import TIED, Wsdl
from tests.golden import Golden
from tests.npz import save_npz
from wsdl import compile as compiled
from wsdl.api import Materialize, proving
from wsdl.diagnostics import CompileError
from wsdl.fitting.least_squares import LowRank
from wsdl.onnx import folder
from wsdl.onnx.proof import Proof, Proofs
from wsdl.reporting.fits import FitLines

HERE = Path(__file__).parent / "golden"
PACKED = re.compile(r"CPU prepacking .*\n")  # each kind of CPU packs in its own way
ADDED = """\
model m(x: f32[n, 256]) -> (y: f32[n, 256], z: f32[n, 256], s: f32[n, 256]) {
    layer a = Dense(256, bias=false)
    layer b = Dense(256, bias=false)
    y = a(x)
    z = b(x)
    return y, z, x @ (maximum(a.weight, b.weight))
}
"""
LOOP = """\
model m(x: f32[n, 32]) -> (y: f32[n, 32]) {
    layer step = Dense(32)
    for i in 0..9 {
        x = step(x)
    }
    return x
}
"""


@pytest.mark.parametrize("name", ["tied", "two", "loop"])
def test_what_is_printed(wsdl: Wsdl, golden: Golden, name: str) -> None:
    Path("loop.wsd").write_text(LOOP)
    done = wsdl("compile", f"{name}.wsd", "-o", "build")
    assert done.code == 0
    assert max(len(line) for line in done.out.splitlines()) <= 80
    golden(HERE / f"compile_{name}.txt", PACKED.sub("", done.out))
    assert done.err.startswith(f"wrote {Path('build', 'embed' if name == 'two' else 'm')}.onnx (")


def test_a_for_in_another_file_is_told_with_its_file(wsdl: Wsdl) -> None:
    Path("parts").mkdir()
    Path("parts/m.wsd").write_text(
        LOOP.replace("model m(x: f32[n, 32]) -> (y: f32[n, 32])", "block B()(x: [n, d]) -> [n, d]")
    )
    Path("m.wsd").write_text("""from "./parts/m.wsd" import B

model m(x: f32[n, 32]) -> (y: f32[n, 32]) {
    return x |> B() |> Sequential([Dense(8), Dense(32)])
}
""")
    assert wsdl("check", "m.wsd").out == ""
    done = wsdl("compile", "m.wsd", "-o", "build", "--no-proof")
    assert re.search(r"for, parts/m.wsd:3 +one Loop \(9 steps\): ", done.out)
    assert re.search(r"for, std/dense.wsd:\d+ +unrolled \(", done.out)
    files = [loop["file"] for loop in json.loads(Path("build/manifest.json").read_text())["loops"]]
    assert sorted(set(files)) == ["parts/m.wsd", "std/dense.wsd"]


FORMULAS = """\
model m(x: f32[n, 64]) -> (y: f32[n, 64]) {
    layer blocks[3] = Dense(64, bias=false)
    layer last = Dense(64)
    layer hyper = Dense(64 * 64)
    param code: [1, 8] = normal
    param base: [64, 64]
    param low: [3, 64, 4]
    param blocks[i].weight = base + low[i] @ low[i].T for i in 0..3
    param last.weight = hyper(code).reshape(64, 64)
    return x |> blocks[0] |> blocks[1] |> blocks[2] |> last
}

train m() {
    loss mean(y ** 2)
    optimizer SGD(lr=1.0)
}
"""


@pytest.mark.parametrize("materialize", get_args(Materialize))
def test_formulas_and_their_values(wsdl: Wsdl, materialize: str, golden: Golden) -> None:
    Path("m.wsd").write_text(FORMULAS)
    done = wsdl("compile", "m.wsd", "-o", "build", "--materialize", materialize)
    assert done.code == 0
    golden(HERE / f"compile_formulas_{materialize}.txt", PACKED.sub("", done.out))
    trained = wsdl("compile", "m.wsd", "-o", "trained", "--train", "--no-proof", "--materialize", materialize, "--json")
    assert trained.codes == ([] if materialize == "none" else ["E0704"])


def test_constants_that_the_runtime_computes_are_named(wsdl: Wsdl) -> None:
    text = """\
model m(x: f32[n, 1024]) {
    mask = tril(ones([1024, 1024]))
    return softmax(x.reshape(n, 1024, 1) + mask, axis=-1)
}
"""
    Path("m.wsd").write_text(text)
    [(name, bytes)] = wsdl("compile", "m.wsd", "-o", "build", "--json").json["proof_totals"]["m"]["constants"].items()
    assert bytes == 4 * 1024**2
    told = f"constants        4.2 MB computed by ONNX Runtime when it loads the file, most of it `{name}`\n"
    assert told in wsdl("compile", "m.wsd", "-o", "build").out


def test_runs_are_measured_both_ways(wsdl: Wsdl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsdl.api.costs.SECONDS", 0)
    Path("m.wsd").write_text(FORMULAS)
    Path("plain.wsd").write_text(LOOP)
    costs = wsdl("compile", "m.wsd", "-o", "build", "--no-proof", "--measure", "--json").json["run_costs"]["m"]
    alone = costs["written_out_alone_ms"]
    assert (costs["rows"], alone.keys()) == (32, {"m.blocks[0:3].weight", "m.last.weight"})
    assert min(costs["computed_ms"], costs["written_out_ms"], *alone.values()) > 0
    table = wsdl("compile", "m.wsd", "-o", "build", "--no-proof", "--measure").out
    assert re.search(r"m, values written out of +run with 32 rows\n.*\nnone +[\d.]+ ms\nm\.blocks", table)
    assert wsdl("compile", "plain.wsd", "-o", "build", "--no-proof", "--measure", "--json").json["run_costs"] == {}


def test_a_copy_that_the_optimizer_makes_is_told(wsdl: Wsdl, monkeypatch: pytest.MonkeyPatch, golden: Golden) -> None:
    def copied(model: object) -> Proofs:
        tensors = [Proof("m.encode.weight", 4096, 1.0, 2.0, 2.5), Proof("m.encode.bias", 64, None, None, None)]
        return Proofs(tensors, 4416, 4416, 8512, 10560, 0)

    monkeypatch.setattr(proving, "prove", copied)
    done = wsdl("compile", "tied.wsd", "-o", "build")
    assert done.code == 1
    golden(HERE / "compile_copied.txt", done.out + done.err)
    answer = wsdl("compile", "tied.wsd", "-o", "build", "--json")
    assert (answer.code, answer.codes, answer.json["proof_totals"]["m"]["holds"]) == (1, ["E0522"], False)


def test_copies_at_the_default_level_are_a_warning(wsdl: Wsdl, monkeypatch: pytest.MonkeyPatch, golden: Golden) -> None:
    tensors = [Proof("m.encode.weight", 4096, 1.0, 1.0, 2.0), Proof("m.decode.bias", 256, 1.0, 1.0, 1.33)]
    monkeypatch.setattr(proving, "prove", lambda _: Proofs(tensors, 4416, 4416, 4416, 8512, 0))
    done = wsdl("compile", "tied.wsd", "-o", "build")
    assert done.code == 0
    golden(HERE / "compile_copied_by_default.txt", done.out + done.err)


def test_bytes_that_are_no_copy_of_one_tensor_are_told(
    wsdl: Wsdl, monkeypatch: pytest.MonkeyPatch, golden: Golden
) -> None:
    """The larger of two weights, which the guards would keep from being folded."""
    monkeypatch.setattr("wsdl.onnx.emit.guard_sharing", lambda *_: None)
    Path("added.wsd").write_text(ADDED)
    done = wsdl("compile", "added.wsd", "-o", "build")
    assert done.code == 1
    golden(HERE / "compile_added.txt", PACKED.sub("", done.out) + done.err)


def test_constants_that_the_runtime_computes_are_no_copies(wsdl: Wsdl) -> None:
    text = "    return x @ one_hot(arange(600), 600)\n"
    Path("hot.wsd").write_text(f"model m(x: f32[n, 600]) -> (y: f32[n, 600]) {{\n{text}}}\n")
    done = wsdl("compile", "hot.wsd", "-o", "build")
    assert (done.code, done.out.splitlines()[:2]) == (
        0,
        ["parameters       0, none of them shared", "size             0 B"],
    )
    assert wsdl("compile", "hot.wsd", "-o", "build", "--json").json["proof_totals"]["m"]["holds"]


@pytest.mark.parametrize("arguments", [["--no-proof"], ["--train"], []])
def test_what_is_no_valid_onnx_is_not_written(
    wsdl: Wsdl, monkeypatch: pytest.MonkeyPatch, golden: Golden, arguments: list[str]
) -> None:
    def damaged(proto: onnx.ModelProto) -> None:
        for node in proto.graph.node:
            if node.op_type == "Relu":
                node.input.append("nowhere")

    monkeypatch.setattr("wsdl.onnx.emit.fuse_bias", damaged)
    Path("m.wsd").write_text(TIED + "\ntrain m() {\n    loss mse(y, x)\n    optimizer SGD(lr=0.1)\n}\n")
    done = wsdl("compile", "m.wsd", "-o", "build", *arguments)
    assert (done.code, Path("build").exists()) == (1, False)
    golden(HERE / "compile_invalid.txt", done.out + done.err)
    program = compiled(Path("m.wsd"))
    for save in (program.save, program.models["m"].save):
        with pytest.raises(CompileError, match="not be a valid ONNX"):
            save("m.onnx")


@pytest.mark.parametrize(
    ("says", "code", "codes"),
    [
        ("[ONNXRuntimeError] : 9 : NOT_IMPLEMENTED : Could not find an implementation for Add(14)", 0, ["W0702"]),
        ("[ONNXRuntimeError] : 2 : Unsupported model IR version: 11, max supported IR version: 10", 0, ["W0702"]),
        ("[ONNXRuntimeError] : 10 : INVALID_GRAPH : This is an invalid model. Error: two types", 1, ["E0521"]),
    ],
)  # fmt: skip
def test_what_the_runtime_refuses_is_an_error_unless_it_is_known_why(
    wsdl: Wsdl, monkeypatch: pytest.MonkeyPatch, says: str, code: int, codes: list[str]
) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise RuntimeError(says)

    Path("m.wsd").write_text(TIED + "\ntrain m() {\n    loss mse(y, x)\n    optimizer SGD(lr=0.1)\n}\n")
    monkeypatch.setattr("onnxruntime.InferenceSession", refuse)
    for arguments, times in (([], 1), (["--train"], 2 if code == 0 else 1)):
        done = wsdl("compile", "m.wsd", "-o", "build", "--json", *arguments)
        assert (done.code, done.codes) == (code, codes * times)
    assert wsdl("compile", "m.wsd", "-o", "build", "--no-proof").code == 0


def test_one_small_model_is_one_file(wsdl: Wsdl) -> None:
    answer = wsdl("compile", "tied.wsd", "-o", "build/deep", "--json").json
    assert sorted(os.listdir("build/deep")) == ["m.onnx", "manifest.json"]
    assert answer["files"] == [str(Path("build/deep/m.onnx"))]
    assert answer["proof"][0] == {
        "model": "m", "stored": "m.encode.weight", "bytes": 4096,
        "copies_in_file": 1, "copies_after_optimization": 1, "copies_at_full_level": 1,
    }  # fmt: skip
    assert answer["proof_totals"]["m"]["holds"]
    assert (answer["models"]["m"]["parameters"], answer["models"]["m"]["parameters_without_sharing"]) == (1104, 2128)
    slots = [
        {"path": "m.encode.weight", "view": "", "used": 1},
        {"path": "m.decode.weight", "view": ".T", "used": 1},
    ]
    assert answer["stored"][0]["slots"] == slots


def test_several_models_point_into_one_data_file(wsdl: Wsdl) -> None:
    answer = wsdl("compile", "two.wsd", "-o", "build", "--json").json
    assert [Path(file).name for file in answer["files"]] == ["embed.onnx", "classify.onnx", "two.data"]
    data = Path("build/two.data")
    assert data.stat().st_mode & 0o777 == 0o644
    assert data.stat().st_size < 2762 * 4 + 256  # each tensor once, and room to align them
    for name in ("embed", "classify"):
        onnx.checker.check_model(f"build/{name}.onnx", full_check=True)


def test_a_large_model_has_a_data_file_of_its_own(wsdl: Wsdl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "INLINE", 1000)
    answer = wsdl("compile", "tied.wsd", "-o", "build", "--json").json
    assert [Path(file).name for file in answer["files"]] == ["m.onnx", "m.onnx.data"]
    np.savez("x.npz", x=np.ones((2, 64), np.float32))
    assert wsdl("run", "build/m.onnx", "--input", "x.npz").code == 0


def test_the_manifest_holds_what_json_says(wsdl: Wsdl) -> None:
    answer = wsdl("compile", "two.wsd", "-o", "build", "--json").json
    manifest = json.loads(Path("build/manifest.json").read_text())
    assert manifest == {k: v for k, v in answer.items() if k != "diagnostics"} | {"files": manifest["files"]}
    assert str(Path.cwd()) not in Path("build/manifest.json").read_text()


def test_the_same_source_and_seed_give_the_same_bytes(wsdl: Wsdl) -> None:
    wsdl("compile", "two.wsd", "-o", "a")
    wsdl("compile", Path("two.wsd").absolute(), "-o", "b", "--no-proof")
    wsdl("compile", "two.wsd", "-o", "c", "--seed", "1", "--no-proof")
    for name in ("embed.onnx", "classify.onnx", "two.data"):
        assert Path("a", name).read_bytes() == Path("b", name).read_bytes()
    assert Path("a/two.data").read_bytes() != Path("c/two.data").read_bytes()
    assert "proof" not in json.loads(Path("b/manifest.json").read_text())


def test_one_of_the_models(wsdl: Wsdl) -> None:
    answer = wsdl("compile", "two.wsd", "-o", "build", "--model", "embed", "--json").json
    assert sorted(os.listdir("build")) == ["embed.onnx", "manifest.json"]
    assert [tensor["name"] for tensor in answer["stored"]] == ["encoder.weight", "encoder.bias"]


def test_options(wsdl: Wsdl) -> None:
    Path("loop.wsd").write_text(LOOP)
    wsdl("compile", "loop.wsd", "-o", "build", "--opset", "18", "--dim", "n=3", "--loops", "unroll", "--no-proof")
    proto = onnx.load("build/m.onnx")
    assert proto.opset_import[0].version == 18
    assert proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 3
    assert "Loop" not in {node.op_type for node in proto.graph.node}
    assert "Loop" in {node.op_type for node in onnx.load(_compiled(wsdl, "loop.wsd")).graph.node}


def _compiled(wsdl: Wsdl, file: str) -> str:
    assert wsdl("compile", file, "-o", "out", "--no-proof").code == 0
    return "out/m.onnx"


def test_weights(wsdl: Wsdl) -> None:
    values = {"m.decode.weight": np.ones((64, 16), np.float32), "m.encode.bias": np.zeros(16, np.float32),
              "m.decode.bias": np.zeros(64, np.float32)}  # fmt: skip
    save_npz("w.npz", values)
    assert wsdl("compile", "tied.wsd", "-o", "build", "--weights", "w.npz").code == 0
    found = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in onnx.load("build/m.onnx").graph.initializer}
    assert np.array_equal(found["m.encode.weight"], np.ones((16, 64), np.float32))
    save_npz("few.npz", {"m.encode.bias": np.ones(16, np.float32)})
    done = wsdl("compile", "tied.wsd", "-o", "build", "--weights", "few.npz", "--json")
    assert (done.code, done.codes) == (1, ["E0511"])
    assert wsdl("compile", "tied.wsd", "-o", "build", "--weights", "few.npz", "--partial").code == 0
    found = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in onnx.load("build/m.onnx").graph.initializer}
    assert np.array_equal(found["m.encode.bias"], np.ones(16, np.float32))
    assert found["m.encode.weight"].std() > 0
    assert wsdl("compile", "tied.wsd", "-o", "build", "--weights", "none.npz").code == 2


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["wrong.wsd", "-o", "build"], "E0"),
        (["nowhere.wsd", "-o", "build"], "E0701"),
        (["tied.wsd"], "E0704"),
        (["tied.wsd", "-o", "build", "--opset", "9"], "E0704"),
        (["tied.wsd", "-o", "build", "--loops", "rol"], "E0704"),
        (["two.wsd", "-o", "build", "--model", "embd"], "E0705"),
        (["tied.wsd", "-o", "build", "--dim", "nn=2"], "E0706"),
        (["tied.wsd", "-o", "two.wsd"], "E0703"),
        (["tied.wsd", "-o", "two.wsd/build"], "E0703"),
        (["blocks.wsd", "-o", "build"], "E0219"),
    ],
)
def test_what_is_refused(wsdl: Wsdl, arguments: list[str], code: str) -> None:
    Path("blocks.wsd").write_text("block B()(x: [n, d]) -> [n, d] {\n    return x\n}\n")
    done = wsdl("compile", *arguments, "--json")
    assert all(found.startswith(code) for found in done.codes)
    assert done.code == (2 if code.startswith("E07") else 1)
    assert not Path("build").exists()


# -- when writing fails ------------------------------------------------------------------------------------------------


def before(wsdl: Wsdl) -> dict[str, bytes]:
    """A folder from an earlier run."""
    assert wsdl("compile", "two.wsd", "-o", "build", "--no-proof").code == 0
    return {path.name: path.read_bytes() for path in Path("build").iterdir()}


@pytest.mark.parametrize(("error", "code"), [(OSError(28, "No space left on device"), 2), (KeyboardInterrupt(), 130)])
def test_nothing_is_half_written(wsdl: Wsdl, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int) -> None:
    earlier = before(wsdl)

    def fail(*_: object) -> NoReturn:
        raise error

    monkeypatch.setattr(folder, "_write_data", fail)
    done = wsdl("compile", "two.wsd", "-o", "build", "--seed", "7")
    assert done.code == code
    assert {path.name: path.read_bytes() for path in Path("build").iterdir()} == earlier
    assert "interrupted" in done.err if code == 130 else "no space left" in done.err


def test_a_folder_in_the_place_of_a_file(wsdl: Wsdl) -> None:
    Path("build/m.onnx").mkdir(parents=True)
    done = wsdl("compile", "tied.wsd", "-o", "build", "--json")
    assert (done.code, done.codes) == (2, ["E0703"])
    assert os.listdir("build") == ["m.onnx"]


def test_a_warning_stands_beside_the_answer(wsdl: Wsdl) -> None:
    Path("warned.wsd").write_text(
        TIED.replace("n, 64", "t, n, 64").replace("    layer encode", "    limit macs 1\n    layer encode", 1)
    )
    done = wsdl("compile", "warned.wsd", "-o", "build", "--no-proof")
    assert done.code == 0
    assert "warning[" in done.err
    assert [d["severity"] for d in wsdl("compile", "warned.wsd", "-o", "build", "--json").json["diagnostics"]] == [
        "warning"
    ]


def write_to_fit() -> None:
    """`m.wsd`, and weights `w.npz` that it can't represent."""
    text = "model m(x: f32[n, 8]) -> (y: f32[n, 8]) {\n    layer a[3] = Dense(8)\n    share as Delta(rank=2) { a[*] }\n"
    Path("m.wsd").write_text(f"{text}    return a[2](a[1](a[0](x)))\n}}\n", encoding="utf-8")
    random = np.random.default_rng(0)
    parts: dict[str, tuple[int, ...]] = {"weight": (8, 8), "bias": (8,)}
    save_npz("w.npz", {f"m.a.{i}.{n}": random.random(s, np.float32) for i in range(3) for n, s in parts.items()})


def test_a_long_fit_shows_its_progress(wsdl: Wsdl, monkeypatch: pytest.MonkeyPatch) -> None:
    write_to_fit()
    arguments = ("compile", "m.wsd", "-o", "out", "--weights", "w.npz", "--fit", "3", "--no-proof")
    monkeypatch.setattr("wsdl.cli.compile.FitLines", lambda write: FitLines(write, clock=lambda: 0.0))
    assert "fitting" not in wsdl(*arguments).err
    clock = count(0)
    monkeypatch.setattr("wsdl.cli.compile.FitLines", lambda write: FitLines(write, clock=lambda: next(clock)))
    lines = [line for line in wsdl(*arguments).err.splitlines() if line.startswith("fitting weights: group")]
    groups, lost = zip(
        *(re.findall(r"group (\d) of 2, ([\d.]+) % lost so far$", line)[0] for line in lines), strict=True
    )
    assert groups == tuple(sorted(groups))
    assert float(lost[groups.count(groups[0]) - 1]) < float(lost[0])
    assert next(clock) in range(2 * len(lines) + 1, 2 * len(lines) + 3)  # a line for two seconds


def test_an_interrupted_fit_leaves_the_files_of_before(wsdl: Wsdl, monkeypatch: pytest.MonkeyPatch) -> None:
    write_to_fit()
    assert wsdl("compile", "m.wsd", "-o", "out", "--no-proof").code == 0
    before = {path.name: path.read_bytes() for path in Path("out").iterdir()}

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt  # as Python does on SIGINT, which a shell has its jobs in the background ignore

    monkeypatch.setattr(LowRank, "of", interrupted)
    done = wsdl("compile", "m.wsd", "-o", "out", "--weights", "w.npz", "--fit", "3")
    assert (done.code, done.err.strip()) == (130, "interrupted")
    assert {path.name: path.read_bytes() for path in Path("out").iterdir()} == before
