"""Each operation and each block of the standard library in 16 bits: is the file valid, does it load, is it near f32?

`of_operations` and `of_blocks` give trials; a trial's `failure` says what is wrong, `None` if nothing is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

import wsdl
from tests.ops.build import NOWHERE, Array, Operand, array_type, evaluated
from tests.ops.case import Case as OperationCase
from tests.ops.case import numbers
from tests.ops.test_cases import CASES as OPERATION_CASES
from tests.std.case import Case as BlockCase
from tests.std.case import draw, program_of
from tests.std.cases import CASES as BLOCK_CASES
from wsdl.ir.dtypes import numpy_dtype
from wsdl.ir.graph import Graph, Initializer, Lowered, Model, Module, Node, Slot, Stored, Value
from wsdl.ir.target import Half, Target
from wsdl.ir.types import TensorType
from wsdl.ir.views import View
from wsdl.onnx.emit import emit, fill
from wsdl.ops import OPERATIONS
from wsdl.ops.build import Build
from wsdl.pipelines.inference import INFERENCE
from wsdl.runtime.session import Session

HALVES: tuple[Half, ...] = ("f16", "bf16")
OPSETS = range(18, 26)
NEAR = {"f16": 4e-3, "bf16": 3e-2}  # of a number, or of the largest one below 1
ANY, PARAMETER, CONSTANT = "activations", "parameter", "constant"


@dataclass(frozen=True)
class Setting:
    half: Half
    keep_io: bool
    opset: int = 21

    @property
    def name(self) -> str:
        return f"{self.half}, {'keep' if self.keep_io else 'no keep'}, opset {self.opset}"


TARGETS = [Setting(half, keep_io) for half in HALVES for keep_io in (True, False)]
ALL_TARGETS = [Setting(t.half, t.keep_io, opset) for t in TARGETS for opset in OPSETS]


# -- operations --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OperationTrial:
    """An operation on what its case gives; the float at `place` is a parameter or a constant, all others come out of
    products, and so in 16 bits."""

    case: OperationCase
    kind: str
    place: int
    target: Setting
    each_node_rounds: bool = False  # by the reference of ONNX, as ONNX Runtime computes in f32 on a CPU where it may

    @property
    def name(self) -> str:
        return f"{self.case.name} with {self.kind} {self.place}, {self.target.name}"

    def failure(self) -> str | None:
        narrow = numpy_dtype(self.target.half)
        operands = [_rounded(operand, narrow) for operand in self.case.arrays]
        program = _Drawn(self).program(operands)
        graph = program.models["m"].graph
        expected = evaluated(self.case.op, operands, self.case.attributes)
        inputs = [a for o in operands for a in (o if isinstance(o, list) else [o]) if a is not None]
        given = {v.name: inputs[int(v.name[1:])] for v in graph.inputs if v.name != "beside"}
        values = {"w": inputs[self.place].astype(narrow)} if self.kind == PARAMETER else {}
        program.target = Target(dtype=self.target.half, keep_io=self.target.keep_io)
        for run in INFERENCE:
            run(program)
        proto = emit(program, program.models["m"], values, opset=self.target.opset)
        return _failure(proto, [given], [expected], self.target, Rounding if self.each_node_rounds else Session)


def _rounded(operand: Operand, narrow: Any) -> Any:
    """As 16 bits hold it, in f32; a product in front makes 0 of -0."""
    if isinstance(operand, list):
        return [_rounded(array, narrow) for array in operand]
    if operand is None or operand.dtype != np.float32:
        return operand
    with np.errstate(over="ignore"):
        return operand.astype(narrow).astype(np.float32) + np.float32(0)


def _is_f32(operand: Operand) -> bool:
    return isinstance(operand, np.ndarray) and operand.dtype == np.float32


class _Drawn:
    """The program of a trial, still in f32."""

    def __init__(self, trial: OperationTrial) -> None:
        self.trial, self.program_, self.graph = trial, Lowered(), Graph()
        self.build, self.stored, self.count = Build(self.graph), list[Stored](), 0

    def program(self, operands: Sequence[Operand]) -> Lowered:
        values = [[self._value(a) for a in o] if isinstance(o, list) else self._value(o) for o in operands]
        if not self.graph.inputs:
            self.graph.inputs.append(Value(TensorType.of("f32", [1]), "beside"))
        self.graph.outputs = [*self.build.all(self.trial.case.op, *values, **self.trial.case.attributes)]
        self.program_.stored = {stored.name: stored for stored in self.stored}
        names = [f"y{i}" for i in range(len(self.graph.outputs))]
        self.program_.models["m"] = Model("m", self.graph, Module("m", "", NOWHERE), output_names=names)
        return self.program_

    def _value(self, array: Array | None) -> Any:
        if array is None:
            return None
        at, type = self.count, array_type(array)
        self.count += 1
        if at == self.trial.place and self.trial.kind == PARAMETER:
            slot = Slot("w", type, "param", Initializer("zeros"), NOWHERE, NOWHERE)
            self.stored = [Stored("w", type, slot, ((slot, View.identity(array.shape)),), slot.initializer)]
            result = Value(type, "w")
            self.graph.nodes.append(Node("parameter", [], {"stored": "w"}, [result], view=View.identity(array.shape)))
            return result
        if at == self.trial.place and self.trial.kind == CONSTANT:
            flat = self.build("constant", value=array.ravel().tolist(), dtype="f32")
            return self.build("reshape", flat, shape=list(array.shape))
        value = Value(type, f"x{at}")
        self.graph.inputs.append(value)
        if array.dtype != np.float32 or not self.trial.target.keep_io:
            return value
        column = self.build("reshape", value, shape=[prod(array.shape), 1])
        product = self.build("matmul", column, self.build("constant", value=[[1.0]], dtype="f32"))
        return self.build("reshape", product, shape=list(array.shape))


def of_operations(targets: Sequence[Setting] = TARGETS, all_cases: bool = True) -> Iterator[OperationTrial]:
    """Trials of every case in f32, or of the first one of each operation."""
    seen: set[str] = set()
    for case in OPERATION_CASES:
        flat = [a for o in case.arrays for a in (o if isinstance(o, list) else [o]) if a is not None]
        floats = [i for i, a in enumerate(flat) if a.dtype == np.float32]
        dtypes = {*(a.dtype.name for a in flat), case.attributes.get("dtype")}
        if dtypes & {"float16", "bfloat16", "float64", "f16", "bf16"} or not case.runs:
            continue
        if case.op in seen and not all_cases:
            continue
        seen.add(case.op)
        for target in targets:
            yield OperationTrial(case, ANY, -1, target)
            for place in floats:
                yield OperationTrial(case, PARAMETER, place, target)
                if flat[place].size:
                    yield OperationTrial(case, CONSTANT, place, target)


RANGE = [sign * 2.0**power * 1.5 for sign in (1, -1) for power in (-13, -8, -3, 0, 2, 6, 9, 12, 14)]  # of f16


def over_the_range() -> Iterator[OperationTrial]:
    """Each elementwise operation on floats once, with numbers from all of the range of f16, each with each."""
    target = Setting("f16", keep_io=False)
    for trial in of_operations([target], all_cases=False):
        arrays = trial.case.arrays
        if trial.kind == ANY and OPERATIONS[trial.case.op].elementwise and all(_is_f32(a) for a in arrays):
            grid = np.meshgrid(*[RANGE] * len(arrays))
            given = [numbers(axis.ravel().tolist()) for axis in grid]
            yield replace(trial, case=replace(trial.case, given=given), each_node_rounds=True)


# -- blocks ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BlockTrial:
    case: BlockCase
    target: Setting

    @property
    def name(self) -> str:
        return f"{self.case.layer}, {self.target.name}"

    def failure(self) -> str | None:
        text, opset = program_of(self.case), self.target.opset
        runs = [{f"input{i}": a for i, a in enumerate(draw(self.case, shapes))} for shapes in self.case.every_run]
        runs = [{n: _rounded(a, numpy_dtype(self.target.half)) for n, a in given.items()} for given in runs]
        whole = wsdl.compile(text, opset=opset)
        weights = {n: _rounded(np.asarray(a), numpy_dtype(self.target.half)) for n, a in whole.stored.items()}
        session = whole.session(weights=weights)
        expected = [[*session.run(given).values()] for given in runs]
        program = wsdl.compile(text, dtype=self.target.half, keep_io=self.target.keep_io, opset=opset)
        proto = onnx.ModelProto()
        proto.CopyFrom(program.protos["m"])
        fill(proto, program.values())
        return _failure(proto, runs, expected, self.target)


def of_blocks(targets: Sequence[Setting] = TARGETS, all_cases: bool = True) -> Iterator[BlockTrial]:
    """Trials of every case of every block, or of the first one of each block."""
    seen: set[str] = set()
    for case in BLOCK_CASES:
        if all_cases or case.block not in seen:
            seen.add(case.block)
            yield from (BlockTrial(case, target) for target in targets)


# -- what is asked of all ----------------------------------------------------------------------------------------------


def _failure(
    proto: onnx.ModelProto,
    runs: Sequence[dict[str, Array]],
    expected: Sequence[Sequence[Array]],
    target: Setting,
    backend: Callable[[bytes], Session | Rounding] = Session,
) -> str | None:
    """What is wrong with a model that should give these results in these runs."""
    try:
        onnx.checker.check_model(proto, full_check=True)
    except Exception as error:
        return f"the checker refuses it: {error}"
    outside = np.dtype(np.float32) if target.keep_io else numpy_dtype(target.half)
    beside = {v.name: np.ones([1], outside) for v in proto.graph.input if v.name == "beside"}
    try:
        session = backend(proto.SerializeToString())
        got = [session.run({**beside, **{n: _given(a, outside) for n, a in given.items()}}) for given in runs]
    except Exception as error:
        return f"it doesn't run: {type(error).__name__} {error}"
    pairs = [p for g, e in zip(got, expected, strict=True) for p in zip(g.values(), e, strict=True)]
    return next((wrong for ours, theirs in pairs if (wrong := _difference(ours, theirs, target))), None)


class Rounding:
    """A session in the reference of ONNX: the result of each node is rounded to its dtype."""

    def __init__(self, model: bytes) -> None:
        self.evaluator = ReferenceEvaluator(onnx.load_from_string(model))

    def run(self, given: dict[str, Array]) -> dict[str, Array]:
        with np.errstate(all="ignore"):
            return dict(zip(self.evaluator.output_names, self.evaluator.run(None, given), strict=True))


def _given(array: Array, outside: Any) -> Array:
    return array.astype(outside) if array.dtype == np.float32 else array


def _difference(ours: Array, theirs: Array, target: Setting) -> str | None:
    if theirs.dtype == np.float32 and not target.keep_io:
        if ours.dtype != numpy_dtype(target.half):
            return f"the result is {ours.dtype}"
        theirs = _rounded(theirs, ours.dtype)
        ours = ours.astype(np.float32)
    if ours.dtype != theirs.dtype or ours.shape != theirs.shape:
        return f"{ours.dtype} {ours.shape}, not {theirs.dtype} {theirs.shape}"
    if ours.dtype not in (np.float32, np.float64):
        different = int((ours != theirs).sum())
        return f"{different} of {ours.size} numbers differ" if different else None
    finite = np.isfinite(theirs)
    if not np.array_equal(ours[~finite], theirs[~finite], equal_nan=True) or not np.isfinite(ours[finite]).all():
        return f"not finite at other places: {ours.ravel()[:8]}, not {theirs.ravel()[:8]}"
    a, b = ours[finite].astype(np.float64), theirs[finite].astype(np.float64)
    near = NEAR[target.half if target.half == "f16" or not target.keep_io else "f16"]
    if ours.dtype == np.float64:  # the last bits of `log` and `cos` are those of the machine
        near = 1e-13
    away = np.abs(a - b) / (np.abs(b) + min(1.0, np.abs(b).max(initial=1e-30)))
    return f"{away.max():.1e} away from {theirs.dtype}" if away.size and away.max() > near else None
