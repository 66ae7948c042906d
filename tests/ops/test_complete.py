"""Every operation is complete: documented, with rows in every table, and for every opset that we write."""

from __future__ import annotations

import subprocess
import sys
from typing import get_args

import pytest

from tests.ops.build import Built, typed
from tests.ops.symbolic import ROWS
from tests.ops.test_cases import CASES
from wsdl.ir.dims import Dim
from wsdl.ops import OPERATIONS, Operation, OpError, collecting_assumptions
from wsdl.ops._traits import HalfRule

every_operation = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=lambda operation: operation.name)
KNOWN_ANNOTATIONS = {
    "TensorType", "TensorType | None", "list[TensorType]",
    "bool", "int", "float", "str", "Dim", "DType", "None",
    "list[int]", "list[float]", "list[Dim]", "list[list[Dim]]", "list[list[float]]",
}  # fmt: skip


@every_operation
def test_is_in_every_table(operation: Operation) -> None:
    assert operation.name in {case.op for case in CASES}, "no row against PyTorch and ONNX Runtime"
    assert operation.name in {row.op for row in ROWS}, "no row with run-time sizes"


@every_operation
def test_is_documented(operation: Operation) -> None:
    first, *_ = operation.doc.splitlines()
    assert first.endswith(".")
    assert "ONNX" in operation.doc


@every_operation
def test_says_how_it_computes_in_16_bits(operation: Operation) -> None:
    """What it says is put to the test in `test_half.py`."""
    assert operation.half in get_args(HalfRule)
    assert (operation.half == "expanded") == operation.is_expanded
    takes_dtype = any(p.name == "dtype" for p in operation.parameters)
    assert (operation.half == "makes") <= takes_dtype, "it is made in the dtype that its argument `dtype` says"


@every_operation
def test_has_known_parameters(operation: Operation) -> None:
    """The elaborator reads the annotations, and takes operands in the order of the signature."""
    for parameter in operation.parameters:
        alternatives = {parameter.annotation, *(a.strip() for a in parameter.annotation.split("|"))}
        assert alternatives & KNOWN_ANNOTATIONS, parameter.annotation
        assert alternatives - {parameter.annotation} <= KNOWN_ANNOTATIONS, parameter.annotation


@pytest.mark.parametrize("opset", [18, 20, 22, 24, 25])
def test_is_valid_in_every_opset(opset: int) -> None:
    """The checker of ONNX runs in `Built`."""
    for row in {row.op: row for row in ROWS}.values():
        Built(row.op, row.types, row.attributes, beside=[typed(t) for t in row.beside], opset=opset)


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu_before_it_was_an_operator(approximate: str) -> None:
    built = Built("gelu", [typed("f32[n]")], {"approximate": approximate}, opset=19)
    assert "Gelu" not in {node.op_type for node in built.proto.graph.node}


def test_unknown_sizes_are_assumed_equal() -> None:
    with collecting_assumptions() as assumptions:
        OPERATIONS["add"].result_types(a=typed("f32[n, 4]"), b=typed("f32[m, 4]"))
    assert [(str(a.left), str(a.right)) for a in assumptions] == [("n", "m")]


def test_the_reference_checks_what_was_assumed() -> None:
    import numpy as np

    x = np.ones((2, 3), np.float32)
    with pytest.raises(OpError):
        OPERATIONS["reshape"].evaluate(np, {"n": 4}, x=x, shape=[Dim.symbol("n")])


def test_checking_imports_no_arrays() -> None:
    code = "import sys, wsdl.ops; sys.exit(any(m in sys.modules for m in ('numpy', 'onnx', 'onnxruntime')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
