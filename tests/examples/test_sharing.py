"""Every example is a file of the size of its weights, holds none of them twice, and is the same file each time."""

import hashlib
import os
import subprocess
import sys
from functools import cache

import pytest

from tests.compiling import Compiled, checked, compiled
from tests.examples.catalogue import EXAMPLES, Example
from wsdl.onnx.proof import prove
from wsdl.span import Source

EACH = pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.name)


def source(example: Example) -> Source:
    return Source(example.path.name, example.path.read_text("utf-8"))


@cache
def result(example: Example) -> Compiled:
    return compiled(source(example), example.model_name)


@EACH
def test_size_of_the_file(example: Example) -> None:
    stored = sum(s.bytes for s in checked(source(example)).stored.values())
    assert len(result(example).proto.SerializeToString()) <= 1.01 * stored + 64 * 1024


@EACH
def test_stored_once(example: Example) -> None:
    proofs = prove(result(example).proto)
    twice = [p for p in proofs.tensors if not p.holds]
    assert not twice
    assert proofs.holds, proofs


@EACH
def test_same_bytes(example: Example) -> None:
    again = compiled(source(example), example.model_name)
    assert again.proto.SerializeToString() == result(example).proto.SerializeToString()


def test_same_bytes_in_another_process() -> None:
    """Where Python's hashes are others."""
    example = next(e for e in EXAMPLES if e.name == "albert_ffn")
    program = (
        "import sys, hashlib; from tests.compiling import compiled; from wsdl.span import Source;"
        "text = open(sys.argv[1], encoding='utf-8').read();"
        "proto = compiled(Source('albert_ffn.wsd', text), 'albert').proto;"
        "print(hashlib.sha256(proto.SerializeToString()).hexdigest())"
    )
    digest = hashlib.sha256(result(example).proto.SerializeToString()).hexdigest()
    for seed in "1", "2":
        done = subprocess.run(
            [sys.executable, "-c", program, str(example.path)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == digest
