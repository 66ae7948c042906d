"""Every operation is complete: documented, with rows in every table, and for every opset that we write."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from tests.ops.build import Built, typed
from tests.ops.symbolic import ROWS
from tests.ops.test_cases import CASES
from tests.together import together
from wsdl.ir.dims import Dim
from wsdl.ops import OPERATIONS, Operation, OpError, collecting_assumptions
from wsdl.ops._traits import HalfRule

ROOT = Path(__file__).parents[2]
every_operation = together(
    "operation", OPERATIONS.values(), by=lambda operation: operation.family, ids=lambda operation: operation.name
)
KNOWN_ANNOTATIONS = {
    "TensorType", "TensorType | None", "list[TensorType]",
    "bool", "int", "float", "str", "Dim", "DType", "None",
    "list[int]", "list[float]", "list[Dim]", "list[list[int]]", "list[list[Dim]]", "list[list[float]]",
}  # fmt: skip


@every_operation
def test_answers_every_question(operation: Operation) -> None:
    """An elementwise operation needs no more: rows of the tables are made of the example in its docstring,
    and one that a pass expands is in no graph that is run."""
    missing = operation.unanswered()
    rows = (("tests/ops/cases/", CASES, "against PyTorch and ONNX Runtime"),
            ("tests/ops/symbolic.py", ROWS, "with dynamic dimensions"))  # fmt: skip
    if not operation.elementwise and not operation.expanded_by:
        without = [(file, what) for file, table, what in rows if operation.name not in {row.op for row in table}]
        missing += [f"a row {what} in {file}" for file, what in without]
    assert not missing, f"{defined_at(operation)}: `{operation.name}` lacks\n  " + "\n  ".join(missing)


def defined_at(operation: Operation) -> str:
    """The file and the line with its name."""
    path = Path(operation.family.replace(".", "/")).with_suffix(".py")
    lines = (ROOT / path).read_text("utf-8").splitlines()
    name = f'"{operation.name}"'
    return f"{path}:{next((number for number, line in enumerate(lines, 1) if name in line), 1)}"


# Where several names of operations may stand together outside of them, and why.
TABLES = {
    "wsdl/pictures/picture.py": "below the operations: nodes that are not drawn",
    "wsdl/ir/views.py": "below the operations: the steps that a view is made of, whose names are those of operations",
    "wsdl/ir/step.py": "ways to merge numbers of parts of a batch, which are called as reductions are",
    "wsdl/ir/text.py": "the text of the steps of a view",
    "wsdl/ir/initializers.py": "initializers that have the names of operations",
    "wsdl/elaborate/declarations.py": "these initializers",
    "wsdl/elaborate/constants.py": "functions of constants that have the names of operations",
    "wsdl/rewrite/batch_steps.py": "sums and differences of multiples of one value, for which it has a rule",
    "wsdl/rewrite/product_plans.py": "sums and differences of matrices, through which it pushes a product",
    "wsdl/elaborate/bound_names.py": "methods of a parameter that are steps of its view",
}


ROOMS = ("ir", "elaborate", "sharing", "rewrite", "differentiation", "training", "onnx", "pictures")


def test_no_table_of_names_of_operations_outside_of_them() -> None:
    """What a pass asks of an operation is a trait or a rule of it. A pass may know a single one by name, for which it
    is made; words that mean something else (initializers, comparisons) don't stand in passes."""
    found = {}
    for path in (path for room in ROOMS for path in (ROOT / "wsdl" / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Dict | ast.Set | ast.List | ast.Tuple):
                continue
            parts = node.keys if isinstance(node, ast.Dict) else node.elts
            strings = {part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)}
            names = strings & OPERATIONS.keys()
            if len(names) > 1:
                found[path.relative_to(ROOT).as_posix()] = f"line {node.lineno}: {sorted(names)}"
    assert {path: names for path, names in found.items() if path not in TABLES} == {}


@every_operation
def test_says_how_it_computes_in_16_bits(operation: Operation) -> None:
    """What it says is put to the test in `test_half.py`."""
    assert operation.half in get_args(HalfRule)
    assert (operation.half == "expanded") == (operation.is_expanded or operation.expanded_by != "")
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
