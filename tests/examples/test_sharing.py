"""Every example is a file of the size of its weights, holds none of them twice, and is the same file each time."""

import hashlib
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import onnx
import pytest

import wsdl
from references.examples.catalogue import EXAMPLES, Example
from wsdl.onnx.proof import prove

EACH = pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.name)


@cache
def program(example: Example) -> wsdl.Program:
    return wsdl.compile(example.path)


def file(example: Example, folder: Path) -> Path:
    """The compiled file."""
    [path] = program(example).models[example.model_name].save(folder / f"{example.name}.onnx")
    return path


@EACH
def test_size_of_the_file(example: Example, tmp_path: Path) -> None:
    """The weights once, and some text for each node and each tensor (and the bodies of loops)."""
    inventory, path = program(example).inventory, file(example, tmp_path)
    texts = len(onnx.load(path, load_external_data=False).graph.node) + len(inventory.stored)
    assert path.stat().st_size <= 1.001 * inventory.sizes().bytes + 256 * texts + 16 * 1024


@EACH
def test_stored_once(example: Example, tmp_path: Path) -> None:
    proofs = prove(file(example, tmp_path))
    twice = [p for p in proofs.tensors if not p.holds]
    assert not twice
    assert proofs.holds, proofs


@EACH
def test_same_bytes(example: Example, tmp_path: Path) -> None:
    elsewhere = tmp_path / example.path.name
    elsewhere.write_bytes(example.path.read_bytes())
    [path] = wsdl.compile(elsewhere).models[example.model_name].save(tmp_path / "again.onnx")
    assert path.read_bytes() == file(example, tmp_path).read_bytes()


@pytest.mark.parametrize("seed", ["1", "2"])
def test_same_bytes_in_another_process(seed: str, tmp_path: Path) -> None:
    """Where Python's hashes are others."""
    example = next(e for e in EXAMPLES if e.name == "albert_ffn")
    script = "import sys, wsdl; wsdl.compile(sys.argv[1]).models[sys.argv[2]].save(sys.argv[3])"
    there = tmp_path / "there.onnx"
    subprocess.run(
        [sys.executable, "-c", script, str(example.path), example.model_name, str(there)],
        env={**os.environ, "PYTHONHASHSEED": seed},
        check=True,
    )
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (there, file(example, tmp_path))]
    assert digests[0] == digests[1]
