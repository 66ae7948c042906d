"""`docs/reference/json.md` has the fields that the commands print with `--json`, each with its type, and no others."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pytest
import torch
from onnx import helper, numpy_helper
from pyarrow import parquet

from tests.cli.conftest import Wsdl
from tests.golden import ROOT
from tests.studies.programs import PROGRAM as STUDIED
from tests.studies.programs import TRAIN, in_files
from wsdl import cli
from wsdl.diagnostics import Diagnostic, Edit
from wsdl.diagnostics.render import as_json
from wsdl.diagnostics.span import Source
from wsdl.studies import compare

PAGE = ROOT / "docs" / "reference" / "json.md"
LOG = "log.jsonl"
COMMON = {*cli.COMMANDS} - {"lsp"}  # which has no `--json`
TYPES = {str: "string", bool: "bool", int: "integer", float: "number", type(None): "null"}

PROGRAM = """\
model m(x: f32[n, 8], z: f32[n, 8]) -> (y: f32[n, 8], next: f32[n, 8]) {
    layer blocks[2] = Dense(8)
    layer a = Dense(8)
    layer b = Dense(8)
    share as Delta(rank=2) { blocks[*] }
    param a.weight = b.weight.T * 2
    for block in blocks {
        x = x |> block
    }
    x = x |> a |> b
    return x, x + z
}
train one of m(t: f32[n, 8]) {
    carry z = zeros([n, 8])
    loss mse(y, t)
    metric distance = mean(abs(y - t))
    optimizer SGD(lr=cosine(0.1))
    z = next
}
train two of m(t: f32[n, 8]) {
    loss mse(y, t)
    optimizer SGD(lr=0.1)
}
turns { one 1, two 1 }
variant alt { freeze m.b }
"""
PLAIN = """\
model p(x: f32[n, 8]) -> (y: f32[n, 8]) {
    layer a = Dense(8)
    layer b = Dense(8)
    return x |> a |> b
}
"""
LARGE = """\
model l(x: f32[300_000]) -> (y: f32[300_000]) {
    return x + sqrt(cast(arange(300_000), f32))
}
"""
SHARED = PLAIN.replace("    return", "    share { a, b }\n    return")
LIBRARY = "block A()(x: [n, d]) -> [n, d] {\n    layer f = Dense(3)\n    return f(x)\n}\n"
USER = """\
from "./library.wsd" import A
model u(x: f32[n, 4]) -> (y: f32[n, 4]) {
    return x |> A()
}
variant v { freeze u.ghost }
"""
ROWS = ("--data", "rows.npz", "--eval", "rows.npz", "--epochs", "1", "--batch", "8")
COMMANDS: list[tuple[str, ...]] = [
    ("check", "nowhere.wsd"),
    ("check", "user.wsd"),
    ("check", "user.wsd", "wrong.wsd", "plain.wsd", "--shapes"),
    ("fmt", "plain.wsd"),
    ("fmt", "-"),
    ("explain",),
    ("explain", "E0312"),
    ("explain", "relu"),
    ("new", "first"),
    ("graph", "plain.wsd"),
    ("graph", "plain.wsd", "-o", "plain.dot"),
    ("compile", "shared.wsd", "-o", "shared", "--no-proof", "--weights", "apart.npz", "--fit", "9"),
    ("compile", "large.wsd", "-o", "large"),
    ("compile", "program.wsd", "-o", "build", "--train", "--no-proof"),
    ("compile", "program.wsd", "-o", "build", "--measure", "--variant", "alt"),
    ("inspect", "build/m.onnx"),
    ("inspect", "program.wsd"),
    ("inspect", "other.onnx"),
    ("inspect", "sets.pt"),
    ("run", "plain.wsd", "--input", "rows.npz"),
    ("run", "plain.wsd", "--input", "nan.npz", "-o", "y.npz"),
    ("run", "plain.wsd", "--input", "rows.parquet", "-o", "results"),
    ("match", "plain.wsd", "some.npz"),
    ("train", "program.wsd", *ROWS, "-o", "run"),
    ("train", "program.wsd", "--model", "one", *ROWS, "-o", "alone"),
    ("eval", "program.wsd", "--model", "one", "--data", "rows.npz", "--weights", "run/last.safetensors"),
    ("study", "sized.wsd", *TRAIN[2:], "--select", "select.npz", "--let", "rate=1e-2,2e-2,1e30", "--seeds", "1",
     "--dim", "t=8", "--jobs", "1", "-o", "study"),
]  # fmt: skip


Fields = dict[tuple[str, ...], set[str]]  # the types at each path, in which `[]` stands for the items of a list


def _write_files(folder: Path) -> None:
    texts = {
        "program": PROGRAM,
        "plain": PLAIN,
        "large": LARGE,
        "library": LIBRARY,
        "user": USER,
        "shared": SHARED,
        "sized": STUDIED.replace("f32[n, 8]", "f32[n, t]"),
    }
    for name, text in texts.items():
        Path(f"{name}.wsd").write_text(text, encoding="utf-8")
    in_files(folder)
    random = np.random.default_rng(0)
    x = random.random((16, 8), np.float32)
    np.savez("rows.npz", x=x, z=x, t=x)
    np.savez("nan.npz", x=np.full((2, 8), np.nan, np.float32))
    parquet.write_table(pa.table({"x": pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), 8)}), "rows.parquet")
    weights = {"a.weight": x[:8], "a.bias": x[0], "b.weight": x[8:], "b.bias": x[1]}
    np.savez("apart.npz", **{f"p.{name}": value for name, value in weights.items()})
    some = {"a.weight": x[:8], "a.bias": x[0], "b.weight": x, "again": x[:8], "position_ids": np.arange(8)}
    np.savez("some.npz", **some)
    torch.save({"model": {"w": torch.ones(3)}, "ema": {"w": torch.ones(3)}}, "sets.pt")
    w = [numpy_helper.from_array(np.arange(64, dtype=np.float32).reshape(8, 8), name) for name in "ab"]
    nodes = [helper.make_node("MatMul", ["x", "a"], ["h"]), helper.make_node("MatMul", ["h", "b"], ["y"])]
    io = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None, 8]) for name in "xy"]
    onnx.save(helper.make_model(helper.make_graph(nodes, "other", io[:1], io[1:], w)), "other.onnx")


def _add(fields: Fields, value: Any, path: tuple[str, ...] = ()) -> None:
    """Add a document, or the part of it at a path."""
    items: Iterable[tuple[str, Any]] = ()
    if isinstance(value, dict):
        fields.setdefault(path, set()).add("object")
        items = value.items()
    elif isinstance(value, list):
        fields.setdefault(path, set()).add("list")
        items = (("[]", item) for item in value)
    else:
        fields.setdefault(path, set()).add(TYPES[type(value)])
    for name, part in items:
        _add(fields, part, (*path, name))


def _documented() -> Iterator[tuple[set[str], Fields]]:
    """The fields of each table, and the commands that its heading names."""
    for section in PAGE.read_text("utf-8").split("\n## ")[1:]:
        heading = section.partition("\n")[0]
        named = re.findall(r"`(?:wsdl )?(\S+?)`", heading)
        commands = COMMON if heading == "Of all commands" else {*named}
        fields: Fields = {}
        for row in re.findall(r"^\| (`.*?) \| (.*?) \|", section, re.MULTILINE):
            prefix = ""
            for name in re.findall(r"`(.*?)`", row[0]):
                field = prefix + name if name.startswith(".") else name
                prefix = field.rpartition(".")[0]
                fields[tuple(re.findall(r"\[\]|[^.\[\]]+", field))] = {*row[1].split(" or ")}
        yield commands, fields


def _is(printed: tuple[str, ...], documented: tuple[str, ...]) -> bool:
    return len(printed) == len(documented) and all(b in (a, "NAME") for a, b in zip(printed, documented, strict=True))


def test_the_page_has_what_is_printed(wsdl: Wsdl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "is_installed", lambda: False)  # a picture takes as long as all else
    _write_files(tmp_path)
    printed: dict[str, Fields] = {name: {} for name in (*COMMON, LOG)}
    for arguments in COMMANDS:
        _add(printed[arguments[0]], wsdl(*arguments, "--json", stdin=PLAIN.encode()).json)
    for folder in ("run", "alone"):
        for line in Path(folder, "log.jsonl").read_text("utf-8").splitlines():
            _add(printed[LOG], json.loads(line))
    one, other = Source("a.wsd", "x"), Source("b.wsd", "y")
    _add(printed["check"], as_json([Diagnostic("E0101", "", one.span(0, 1), fix=(Edit(other.span(0, 1), "z"),))]))
    tables = [*_documented()]
    assert set().union(*(commands for commands, _ in tables)) == {*COMMON, LOG}
    wrong = []
    for command, fields in printed.items():
        known = {path: types for commands, rows in tables if command in commands for path, types in rows.items()}
        inside = {path[:end] for path in known for end in range(len(path))}
        for path, types in fields.items():
            documented = next((known[row] for row in known if _is(path, row)), set())
            if any(_is(path, around) for around in inside):
                documented = documented | {"object", "list"}
            if not types <= documented:
                wrong.append(f"{command} prints {'.'.join(path)}: {', '.join(types - documented)}")
    for commands, rows in tables:
        all_printed = [path for command in commands for path in printed[command]]
        wrong += [
            f"{', '.join(commands)}: nothing printed {'.'.join(row)}"
            for row in rows
            if not any(_is(path, row) for path in all_printed)
        ]
    assert not wrong, "\n".join(wrong)
