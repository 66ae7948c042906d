"""How an operation is defined: signature, shape rule, NumPy reference and ONNX lowering, side by side.

    @operation(half="widest", mixes={})
    def relu(x: TensorType) -> TensorType:
        "`max(x, 0)`, element by element. ONNX Relu."
        return floating(x)

    @relu.reference
    def _(np: NumPy, x: Array) -> Array:
        return np.maximum(x, 0)

    @relu.lowering
    def _(e: Emitter, x: Ref) -> Ref:
        return e.node("Relu", x)

The decorated function is the signature and the shape rule: parameters annotated `TensorType` are operands,
`list[TensorType]` a list of operands, all others attributes that are known when compiling (`int`, `float`, `bool`,
`str`, `Dim`, `DType`, lists of them, alternatives with `|`, `None` for "may be left out"). It returns the type of the
result (a tuple for several) or raises `OpError`. `reference` and `lowering` get the same parameters behind `np` or the
emitter. In a reference dimensions are numbers, 16-bit floats come as f32, and results are cast to the rule's types.

The arguments of the decorator are traits: what passes ask of an operation. Each has to be given, as no answer that is
taken for granted is right for every operation.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, TypeAlias, overload

from wsdl.ir.dims import Dim, compare
from wsdl.ir.dtypes import dtype_of, numpy_dtype
from wsdl.ir.graph import Value
from wsdl.ir.types import DType, TensorType
from wsdl.ir.views import View, ViewError

NumPy: TypeAlias = Any  # the numpy module, handed in so that checking a program doesn't import it
Array: TypeAlias = Any  # numpy.ndarray
Wanted: TypeAlias = Literal["equal", "different", "at least"]  # of two sizes
Types: TypeAlias = Mapping[str, Any]  # of operands by name: a `TensorType`, or a list of them
Numbers: TypeAlias = "Mapping[str, list[int | float]]"  # the elements of operands that are constants
Attribute: TypeAlias = "bool | int | float | str | Dim | list[Attribute] | None"


HalfRule: TypeAlias = Literal[
    "f16", "f32", "widest", "f32 inside", "shift", "product", "moves", "makes", "as is", "expanded"
]
"""How an operation computes where `--dtype f16` asks for 16 bits (`passes/lower_precision.py`).

f16       in f16: it adds up in f32 inside, as products of matrices do
f32       in f32: it leaves the range of f16, or loses digits in it, where its operands don't
widest    in the widest dtype of its operands: it gives numbers of about their size
f32 inside  likewise, and its attributes are f32 in any case, as those of ONNX's operators of normalisation
shift     as `widest`, but with a constant other than 0 in f32: what it is added to may be far smaller
product   in f32, but times or divided by a constant near 1 as `widest`: it gives numbers of another size
moves     as `widest`: it gives elements of its operands, so what f16 doesn't hold is still in its result
makes     it makes floats from none, in f16 where that holds them
as is     it takes its operands as they are, and gives the dtype that is asked for
expanded  as its parts; it never becomes a node
"""


Axes: TypeAlias = "Sequence[int] | slice | str | Callable[..., Sequence[int] | slice]"
"""Axes of an operand: numbers, a range of them, an attribute with them (`None`: all), a rule from the arguments."""

Mixes: TypeAlias = Mapping[str, Axes]
"""Along which axes of its operands an element of the result depends on several elements, or on where they stand:
`{"x": "axis"}` for `cumsum`. Cut along any other axis, the results of the parts are the parts of the result
(`passes/separate.py`). `result` stands for an operation without operands whose result depends on the position."""


TrainingForm: TypeAlias = Literal["same", "only", "masked", "by batch"]
"""What an operation is while training: the `same` as compiled; `only` then there, its operand otherwise; `masked` at
random; or computed `by batch`, whose statistics it keeps."""

Meaning: TypeAlias = Literal["logits", "probabilities", "log probabilities"]  # of numbers for classes


@dataclass(frozen=True)
class Expected:
    """The operand of a loss whose meaning matters, and how a message says it."""

    operand: str
    meaning: Meaning
    says: str


class OpError(Exception):
    """A use of an operation that doesn't fit. `argument` names the parameter at fault, `part` from where to where in it
    if it is a string, `help` says what to do."""

    def __init__(
        self,
        message: str,
        *,
        argument: str | None = None,
        part: tuple[int, int] | None = None,
        help: str | None = None,
        code: str = "E0401",
    ) -> None:
        super().__init__(message)
        self.message, self.argument, self.part, self.help, self.code = message, argument, part, help, code


@dataclass(frozen=True)
class Ref:
    """A tensor of the ONNX graph under construction: its name, and its type where the IR knows it."""

    name: str
    known_type: TensorType | None = None

    @property
    def type(self) -> TensorType:
        assert self.known_type is not None, f"{self.name} is an intermediate tensor"
        return self.known_type

    def typed(self, type: TensorType) -> Ref:
        """The same tensor, where a lowering knows the type of an intermediate one."""
        return replace(self, known_type=type)


class Emitter(Protocol):
    """What a lowering may do. All tensors are `Ref`s; attributes are Python numbers, strings and lists of them."""

    @property
    def results(self) -> list[TensorType]:
        """The types of the results of the operation being lowered."""

    @property
    def opset(self) -> int: ...

    @property
    def block(self) -> int:
        """How many channels the blocked layout of this CPU has together; 0 where nothing may be lowered to it."""

    def node(self, op_type: str, *inputs: Ref | None, domain: str = "", **attributes: Any) -> Ref:
        """Append an ONNX node with one output."""

    def nodes(self, op_type: str, *inputs: Ref | None, outputs: int, **attributes: Any) -> list[Ref]:
        """Append an ONNX node with several outputs."""

    def constant(self, value: Any, dtype: DType) -> Ref:
        """A small constant: a number or nested lists of numbers; equal ones are one initializer."""

    def dims(self, dims: Sequence[Dim]) -> Ref:
        """A shape as an `i64[rank]` tensor, computed at run time where it must be."""

    def reshape(self, x: Ref, shape: Sequence[Dim]) -> Ref:
        """`x` in another shape, with a constant shape (`0`, `-1`) where ONNX can express it. `x` has a known type."""

    def checked(self, x: Ref, wanted: Wanted, left: Dim, right: Dim) -> Ref:
        """`x`, after a check that stops the run where two sizes are not as wanted. `x` has a known type."""

    def assume(self, what: str) -> None:
        """The node appended last stops the run by itself unless `what` holds: its name shall say so."""

    def stopped(self, x: Ref, wrong: Ref, what: str) -> Ref:
        """`x`, of a known type, after a check that stops the run where the bool `wrong` is true anywhere: the model
        needs `what`."""

    def repeated(self, count: Ref, carried: Sequence[Ref], step: Callable[[Ref, list[Ref]], list[Ref]]) -> list[Ref]:
        """`carried`, after `step(i, carried)` for each i from 0 up to but without `count`, an i64 scalar. Types are
        known, and stay."""

    def numbers(self, x: Ref) -> list[int | float | bool] | None:
        """The elements of a constant; `None` where only the run knows them."""

    def parameter(self, x: Ref) -> tuple[Ref, View] | None:
        """The stored tensor that `x` is a view of, where `x` is one: lets a lowering use an operator's own attribute
        (`Gemm.transB`). Using `x` itself materialises the view at run time."""


How: TypeAlias = Literal["sum", "prod", "max", "min", "logsumexp", "mean", "moments"]


class Stacks(Protocol):
    """What a rule of `batch` may ask for: the values of one step of a loop, for all steps at once."""

    @property
    def build(self) -> Any:
        """A `Build` in front of the loop."""

    @property
    def steps(self) -> Dim:
        """How many steps there are."""

    def stack(self, value: Value) -> Value | None:
        """The values of all steps, [steps, *shape]; `None` for one that is the same in all of them."""

    def aligned(self, value: Value, rank: int) -> Value:
        """The stack of a value (or itself), so that it broadcasts to one of values of this rank."""


class Merged(Protocol):
    """What a rule of `merge` or `share` may ask for: what values of one part of the rows are over all parts."""

    def __call__(self, how: How, *parts: Value) -> Value:
        """The `sum`, `prod`, `max`, `min` or `logsumexp` of a value; a `mean` of (mean, count); the variance of
        `moments`, which are (variance, mean, count)."""

    def all(self, how: How, *parts: Value) -> list[Value]:
        """The same, of each of several values."""

    def size(self, dim: Dim, type: TensorType) -> Value | float:
        """A dimension of the whole as a number, a value or a constant, in the dtype of `type`."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of an operation. `kind` is `operand`, `operands` (a list of tensors) or `attribute`."""

    name: str
    kind: str
    annotation: str
    default: Any = inspect.Parameter.empty

    @property
    def required(self) -> bool:
        return self.default is inspect.Parameter.empty


class Operation:
    """One operation of the language; made by `@operation`, or by a table of a family (then with name and doc).

    In its doc `examples` are lines of a call with the types of its operands, and the types of the results, such as
    `abs(x: f32[n, t]) -> f32[n, t]`; `text` is all else.
    """

    def __init__(
        self,
        infer: Callable[..., Any],
        name: str = "",
        doc: str = "",
        *,
        half: HalfRule,
        mixes: Mixes,
        f32_operands: Sequence[str] = (),
        elementwise: bool = False,
        steps_along: str = "",
        training: TrainingForm = "same",
        gives: Meaning | None = None,
        expects: Expected | None = None,
        output_axis: int | None = None,
    ) -> None:
        self.name = name or infer.__name__.rstrip("_")
        self.half, self.mixes, self.elementwise, self.steps_along = half, mixes, elementwise, steps_along
        self.training, self.gives, self.expects = training, gives, expects
        self.output_axis = output_axis  # of a convolution: that of its weight with the output channels
        self.f32_operands = f32_operands  # may be f32 where the others have 16 bits
        self.infer = infer
        self.doc = doc or inspect.getdoc(infer) or ""
        self.text, self.examples = _text_and_examples(self.name, self.doc)
        signature = inspect.signature(infer)
        self.parameters = tuple(_parameter(p) for p in signature.parameters.values())
        self.has_several_results = str(signature.return_annotation).startswith("tuple")
        self._reference: Callable[..., Any] | None = None
        self._lowering: Callable[..., Any] | None = None
        self._gradient: Callable[..., Any] | None = None
        self._expansion: Callable[..., Any] | None = None
        self._reduces: Mapping[str, Axes] = {}
        self._merge: Callable[..., Any] | None = None
        self._share: Callable[..., Any] | None = None
        self._apart: Callable[..., Any] | None = None
        self._demand: Callable[..., None] | None = None
        self._batch: Callable[..., Any] | None = None
        self._macs: Callable[..., Dim] | None = None
        self._view: Callable[..., View | None] | None = None
        self.flat = ""

    def reference(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same on NumPy arrays: what tests compare with, and what computes constants."""
        self._reference = function
        return function

    def lowering(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same as ONNX nodes."""
        self._lowering = function
        return function

    def gradient(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """Reverse mode: `rule(g, dy, y, **arguments)` gives the gradient for each operand that has one, by name.

        `g` is a `Build`, `dy` the gradient of the result `y` (lists of both for an operation with several results,
        `None` where a result is not used). A gradient may still have the shape to which its operand was broadcast.
        """
        self._gradient = rule
        return rule

    def expansion(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """In place of the others: `rule(b, **arguments)` appends to a `Build` what the operation is made of, and gives
        the result. It never becomes a node itself; its reference, lowering and gradient are those of its parts."""
        self._expansion = rule
        return rule

    @property
    def is_expanded(self) -> bool:
        return self._expansion is not None

    def expand(self, build: Any, **arguments: Any) -> list[Any]:
        """Append what it is made of; the results."""
        assert self._expansion is not None
        result = self._expansion(build, **arguments)
        return list(result) if isinstance(result, tuple | list) else [result]

    def batch(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """The same for all steps of a loop at once: `rule(stacks, **arguments)` appends it to `stacks.build` (`Stacks`;
        the operands are those of one step) and gives the results with the steps as their first axis, or `None` where
        there is no way. Element by element, and `steps_along` an attribute with axes, go without a rule."""
        self._batch = rule
        return rule

    def batched(self, stacks: Stacks, **arguments: Any) -> list[Value] | None:
        """Append the same for all steps; `None` where there is no way."""
        if self._batch is not None:
            whole = self._batch(stacks, **arguments)
            return list(whole) if isinstance(whole, list | tuple) else whole and [whole]
        values = [v for p in self.parameters if p.kind == "operand" and (v := arguments[p.name]) is not None]
        attributes = {p.name: arguments[p.name] for p in self.parameters if p.kind == "attribute"}
        results: list[Value] | None = None
        if self.elementwise:
            rank = max(v.type.rank for v in values)
            results = stacks.build.all(self.name, *(stacks.aligned(v, rank) for v in values), **attributes)
        elif self.steps_along:
            axes, rank = attributes[self.steps_along], values[0].type.rank
            attributes[self.steps_along] = (
                axes % rank + 1
                if isinstance(axes, int)
                else [a % rank + 1 for a in (range(rank) if axes is None else axes)]
            )
            results = stacks.build.all(self.name, stacks.stack(values[0]), **attributes)
        return results

    def macs(self, rule: Callable[..., Dim]) -> Callable[..., Dim]:
        """How many numbers it multiplies and adds up: `rule(result, **arguments)`, of types. Without a rule none."""
        self._macs = rule
        return rule

    def multiplications(self, result: TensorType, **arguments: Any) -> Dim:
        """The number of its multiply-accumulate operations."""
        return Dim.of(0) if self._macs is None else self._macs(result, **arguments)

    def view(self, rule: Callable[..., View | None]) -> Callable[..., View | None]:
        """The same done to a view: `rule(view, result, **attributes)`, for a `result` of constant sizes. It may raise
        `ViewError`, where no view does it."""
        self._view = rule
        return rule

    def moved(self, view: View, result: TensorType, **attributes: Any) -> View | None:
        """The view that it makes of its operand's; `None` where it does anything else, or no view does it."""
        try:
            after = None if self._view is None else self._view(view, result, **attributes)
        except ViewError:
            return None
        return after if after is not None and after.shape == result.sizes else None

    # -- rows that are computed in parts ---------------------------------------------------------------------------

    def reduces(self, **axes: Axes) -> None:
        """Along which axes, besides those it mixes, what comes of parts can be merged to what comes of all, by `merge`:
        `sum.reduces(x="axis")`."""
        self._reduces = axes

    def merge(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """The result of the whole: `rule(b, merged, y, **arguments)` gives it, where `y` is the result of one part, and
        `merged` (a `Merged`) gives what values of one part are over all of them."""
        self._merge = rule
        return rule

    def share(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """What a part has in the result of the whole: `rule(b, merged, y, **arguments)` gives a value whose gradients,
        added over all parts, are those of that result. Without a rule it is `y`."""
        self._share = rule
        return rule

    def apart(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """The same made of operations that can be merged, where this one is cut along an axis that it mixes:
        `rule(b, **arguments)` gives its result, or `None` where there is no way."""
        self._apart = rule
        return rule

    def mixed_axes(self, arguments: Mapping[str, Any]) -> dict[str, list[list[int]]]:
        """By the name of each operand what `mixes` says, for arguments with types: axes of each tensor of it."""
        return {name: self._axes(name, rule, arguments) for name, rule in self.mixes.items()}

    def reduced_axes(self, arguments: Mapping[str, Any]) -> dict[str, list[list[int]]]:
        """What `reduces` says, likewise."""
        return {name: self._axes(name, rule, arguments) for name, rule in self._reduces.items()}

    def _axes(self, name: str, rule: Axes, arguments: Mapping[str, Any]) -> list[list[int]]:
        given = self.result_types(**arguments) if name == "result" else arguments.get(name)
        types = [] if given is None else list(given) if isinstance(given, list | tuple) else [given]
        return [_axes_by(rule, type.rank, arguments) for type in types]

    def merged(self, build: Any, merged: Merged, y: Any, **arguments: Any) -> Any:
        """Append the result of the whole."""
        assert self._merge is not None
        return self._merge(build, merged, y, **arguments)

    def shared(self, build: Any, merged: Merged, y: Any, **arguments: Any) -> Any:
        """Append what a part has in it."""
        return y if self._share is None else self._share(build, merged, y, **arguments)

    def taken_apart(self, build: Any, **arguments: Any) -> Any:
        """Append the same made of operations that can be merged; `None` where there is no way."""
        return None if self._apart is None else self._apart(build, **arguments)

    def demand(self, rule: Callable[..., None]) -> Callable[..., None]:
        """What it asks of operands that are constants: `rule(types, numbers, **attributes)` raises `OpError`. Both have
        the operands by name; `numbers` the elements of those that are known when compiling."""
        self._demand = rule
        return rule

    def check_numbers(self, types: Types, numbers: Numbers, **attributes: Any) -> None:
        """`OpError` where an operand is a constant that is none for this operation."""
        if self._demand is not None:
            self._demand(types, numbers, **attributes)

    def no_gradient(self, why: str) -> None:
        """Its result doesn't change with its operands but in jumps, or is no float: `why`, in words for the user."""
        self.flat = why

    def differentiate(self, build: Any, dys: list[Any], ys: list[Any], **arguments: Any) -> dict[str, Any]:
        """Append what computes the gradients of the operands; an operand that is missing has none."""
        if self.flat:
            return {}
        assert self._gradient is not None, f"{self.name} has no gradient rule"
        dy, y = (dys, ys) if self.has_several_results else (dys[0], ys[0])
        gradients: dict[str, Any] = self._gradient(build, dy, y, **arguments)
        return gradients

    def result_types(self, **arguments: Any) -> tuple[TensorType, ...]:
        """The types of the results; `OpError` where the arguments don't fit."""
        result = self.infer(**arguments)
        return result if isinstance(result, tuple) else (result,)

    def evaluate(self, np: NumPy, sizes: Mapping[str, int] | None = None, /, **arguments: Any) -> tuple[Array, ...]:
        """The results on arrays, for given run-time sizes; `OpError` where the arguments don't fit."""
        assert self._reference is not None
        arguments = {name: _sized(value, sizes or {}) for name, value in arguments.items()}
        types = self.result_types(**self._mapped(arguments, _type_of))
        with np.errstate(all="ignore"):
            result = self._reference(np, **self._mapped(arguments, lambda a: _widened(np, a)))
        results = list(result) if isinstance(result, tuple | list) else [result]
        arrays = tuple(np.asarray(r).astype(numpy_dtype(t.dtype)) for r, t in zip(results, types, strict=True))
        for array, type in zip(arrays, types, strict=True):
            assert array.shape == type.sizes, f"{self.name}: {type} by the shape rule, but {array.shape} in fact"
        return arrays

    def _mapped(self, arguments: Mapping[str, Any], of_operand: Callable[[Any], Any]) -> dict[str, Any]:
        """The arguments, with each operand replaced."""
        mapped = dict(arguments)
        for parameter in self.parameters:
            value = arguments.get(parameter.name)
            if parameter.kind == "operand" and value is not None:
                mapped[parameter.name] = of_operand(value)
            elif parameter.kind == "operands":
                mapped[parameter.name] = [of_operand(v) for v in value or ()]
        return mapped

    def lower(self, emitter: Emitter, **arguments: Any) -> tuple[Ref, ...]:
        """Append the ONNX nodes; the results."""
        assert self._lowering is not None
        result = self._lowering(emitter, **arguments)
        return tuple(result) if isinstance(result, tuple | list) else (result,)


def _axes_by(rule: Axes, rank: int, arguments: Mapping[str, Any]) -> list[int]:
    if callable(rule):
        rule = rule(**arguments)
    if isinstance(rule, str):
        given = arguments[rule]
        rule = slice(None) if given is None else [given] if isinstance(given, int) else given
    axes = range(rank)[rule] if isinstance(rule, slice) else rule
    return [axis % rank for axis in axes if -rank <= axis < rank]


OPERATIONS: dict[str, Operation] = {}
NAMED: dict[str, Operation] = {}  # those that a program can name


Shape: TypeAlias = "Callable[..., Any]"  # a shape rule


@overload
def operation(infer: Shape, name: str = "", doc: str = "", **traits: Any) -> Operation: ...
@overload
def operation(*, half: HalfRule, mixes: Mixes, **traits: Any) -> Callable[[Shape], Operation]: ...
def operation(
    infer: Shape | None = None, name: str = "", doc: str = "", **traits: Any
) -> Operation | Callable[[Shape], Operation]:
    """Declare an operation by its shape rule, and its traits."""
    if infer is None:
        return lambda infer: operation(infer, **traits)
    made = internal(infer, name, doc, **traits)
    NAMED[made.name] = made
    return made


@overload
def internal(infer: Shape, name: str = "", doc: str = "", **traits: Any) -> Operation: ...
@overload
def internal(*, half: HalfRule, mixes: Mixes, **traits: Any) -> Callable[[Shape], Operation]: ...
def internal(
    infer: Shape | None = None, name: str = "", doc: str = "", **traits: Any
) -> Operation | Callable[[Shape], Operation]:
    """Declare one that only passes and gradient rules append: no program can name it."""
    if infer is None:
        return lambda infer: internal(infer, **traits)
    made = Operation(infer, name, doc, **traits)
    assert made.name not in OPERATIONS, f"two operations are called {made.name}"
    OPERATIONS[made.name] = made
    return made


def _text_and_examples(name: str, doc: str) -> tuple[str, list[str]]:
    lines = [line.strip() for line in doc.splitlines()]
    examples = [line for line in lines if line.startswith(f"{name}(") and ") -> " in line]
    return "\n".join(line for line in lines if line not in examples).strip(), examples


def _parameter(p: inspect.Parameter) -> Parameter:
    annotation = str(p.annotation)
    kind = {"TensorType": "operand", "TensorType | None": "operand", "list[TensorType]": "operands"}.get(annotation)
    return Parameter(p.name, kind or "attribute", annotation, p.default)


# -- arrays ------------------------------------------------------------------------------------------------------------


def _type_of(array: Array) -> TensorType:
    return TensorType.of(dtype_of(array), array.shape)


def _widened(np: NumPy, array: Array) -> Array:
    return array.astype(np.float32) if array.dtype.name in ("float16", "bfloat16") else array


def _sized(value: Any, sizes: Mapping[str, int]) -> Any:
    if isinstance(value, list):
        return [_sized(v, sizes) for v in value]
    return value.evaluate(sizes) if isinstance(value, Dim) else value


# -- what cannot be decided when compiling -----------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Assumption:
    """Two dimensions that have to be equal, where only the run time can tell."""

    left: Dim
    right: Dim
    what: str


_assumptions: list[list[Assumption]] = []


@contextmanager
def collecting_assumptions() -> Iterator[list[Assumption]]:
    """Gathers what the shape rules inside had to assume; the caller has it checked at run time."""
    _assumptions.append([])
    try:
        yield _assumptions[-1]
    finally:
        _assumptions.pop()


def require_equal(left: Dim, right: Dim, what: str, *, argument: str | None = None, help: str | None = None) -> None:
    """Two dimensions must be equal: an `OpError` if they differ, an assumption if that is unknown."""
    answer = compare(left, right)
    if answer == "different":
        raise OpError(f"{what}: {left} and {right}", argument=argument, help=help)
    if answer == "unknown" and _assumptions:
        _assumptions[-1].append(Assumption(left, right, what))
