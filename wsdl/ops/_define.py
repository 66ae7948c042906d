"""How an operation is defined: a class with its signature, its traits and all its rules.

    class LeakyRelu(Elementwise, name="leaky_relu", half="widest"):
        \"\"\"`x` where it is positive, `slope * x` elsewhere. ONNX LeakyRelu.

            leaky_relu(x: f32[n, t]) -> f32[n, t]
        \"\"\"

        slope: float = 0.01

        def infer(self, x: TensorType) -> TensorType:
            return floating(x)

        def reference(self, np: NumPy, x: Array) -> Array:
            return np.where(x >= 0, x, self.slope * x)

        def lower(self, e: Emitter, x: Ref) -> Ref:
            return e.node("LeakyRelu", x, alpha=float(self.slope))

        def gradient(self, g: Build, dy: Value, y: Value, x: Value) -> Gradients:
            above = g.mask(g("greater", x, 0.0), x.type)
            return {"x": g.mul(dy, g("add", g.mul(above, 1.0 - self.slope), self.slope))}

The fields of the class are attributes, known when compiling (`int`, `float`, `bool`, `str`, `Dim`, `DType`, lists of
them, alternatives with `|`, `None` for "may be left out"). Operands are the parameters of `infer`, which are annotated
`TensorType` or `list[TensorType]`, and every rule gets them: as types, arrays, tensors of the ONNX graph or values. In
the signature those with a default come last, and operands before attributes. Traits (`_traits.py`) are keyword
arguments of the class statement. `Operation.unanswered` lists missing rules and traits, and a test requires that none
is missing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Unpack

from wsdl.ir.dims import Dim
from wsdl.ir.dtypes import dtype_of, numpy_dtype
from wsdl.ir.graph import Value
from wsdl.ir.types import TensorType
from wsdl.ir.views import View, ViewError
from wsdl.ops._interfaces import Array, Emitter, Merged, Numbers, NumPy, Ref, Stacks, Types
from wsdl.ops._rules import integer
from wsdl.ops._traits import Axes, Expected, HalfRule, Meaning, Mixes, TrainingForm, Traits

KINDS = {"TensorType": "operand", "TensorType | None": "operand", "list[TensorType]": "operands"}
REQUIRED = inspect.Parameter.empty


class Rules:
    """Base of all operations; an instance is an operation with the attributes of one use."""

    name: ClassVar[str]
    half: ClassVar[HalfRule]
    mixes: ClassVar[Mixes]
    steps_along: ClassVar[str | None]
    reduces: ClassVar[Mixes] = {}
    f32_operands: ClassVar[Sequence[str]] = ()
    unbounded: ClassVar[Sequence[str]] = ()
    integer_operands: ClassVar[Sequence[str]] = ()
    elementwise: ClassVar[bool] = False
    random: ClassVar[bool] = False
    no_gradient: ClassVar[str] = ""
    expanded_by: ClassVar[str] = ""
    training: ClassVar[TrainingForm] = "same"
    at_inference: ClassVar[str | None] = None
    gives: ClassVar[Meaning | None] = None
    expects: ClassVar[Expected | None] = None
    output_axis: ClassVar[int | None] = None

    def __init_subclass__(
        cls,
        *,
        name: str = "",
        internal: bool = False,
        doc: str = "",
        family: str = "",
        order: Sequence[str] = (),
        **traits: Unpack[Traits],
    ) -> None:
        """A class with a `name` is an operation, one without is a base class. Programs can't call an `internal`
        operation.

        `doc` and `family` (the module) default to those of the class; `order` is the order of the parameters.
        """
        super().__init_subclass__()
        for trait, answer in traits.items():
            assert trait in Traits.__annotations__, f"there is no trait `{trait}`"
            setattr(cls, trait, answer)
        if not name:
            return
        assert name not in OPERATIONS, f"two operations are called {name}"
        cls.name = name
        OPERATIONS[name] = Operation(name, cls, doc or cls.__doc__ or "", family, order)
        if not internal:
            NAMED[name] = OPERATIONS[name]

    infer: ClassVar[Callable[..., Any]]
    """The shape rule: the type of the result from those of the operands (a tuple for several), or `OpError`."""

    reference: ClassVar[Callable[..., Any] | None] = None
    """`reference(np, *operands)`: the same on NumPy arrays, what tests compare with and what computes constants.
    Dimensions are numbers, 16-bit floats come as f32, and results are cast to the types of the shape rule."""

    lower: ClassVar[Callable[..., Any] | None] = None
    """`lower(e, *operands)`: the same as ONNX nodes, appended to an `Emitter`."""

    gradient: ClassVar[Callable[..., Mapping[str, Any]] | None] = None
    """Reverse mode: `gradient(g, dy, y, *operands)` returns the gradients by name of operand; one that is missing has
    none.

    `g` is a `Build`, `dy` the gradient of the result `y` (lists of both for an operation with several results, `None`
    where a result is not used). A gradient may still have the shape to which its operand was broadcast.
    """

    expand: ClassVar[Callable[..., Any] | None] = None
    """In place of these three: `expand(b, *operands)` appends the operations that this one consists of to a `Build`,
    and returns the result. The operation itself never becomes a node; beside these three, only where the result is
    not `None`."""

    drawn: ClassVar[Callable[..., Any] | None] = None
    """Of random operations: `drawn(b, seed, step, place)` appends what this one consists of, as `expand`. Elaboration
    knows the step of the training and the place in the program."""

    demand: ClassVar[Callable[..., None] | None] = None
    """Requirements on constant operands: `demand(types, numbers)` raises `OpError`. Both map operands by name;
    `numbers` has the elements of those that are known when compiling."""

    macs: ClassVar[Callable[..., Dim] | None] = None
    """The number of multiply-accumulates, from types: `macs(result, *operands)`. Every operation whose `lower` writes
    matrix products or convolutions has one, and the tests compare it with the file. Without a rule it is 0."""

    view: ClassVar[Callable[..., View | None] | None] = None
    """The operation applied to a view: `view(view, result)`, for a `result` of constant sizes. May raise
    `ViewError`."""

    merge: ClassVar[Callable[..., Any] | None] = None
    """The result for the whole batch, where its rows are computed in parts: `merge(b, merged, y, *operands)`, where `y`
    is the result for one part, and `merged` (a `Merged`) combines values of one part over all parts."""

    share: ClassVar[Callable[..., Any] | None] = None
    """A part's contribution to the result for the whole batch: `share(b, merged, y, *operands)` returns a value whose
    gradients, added over all parts, are those of that result. Without a rule it is `y`."""

    apart: ClassVar[Callable[..., Any] | None] = None
    """The same result from operations that can be merged, where this one is cut along an axis that it mixes: `apart(b,
    *operands)` returns the result, or `None` where that is impossible."""

    batch: ClassVar[Callable[..., Any]]
    """The same for all steps of a loop at once: `batch(stacks, *operands)` appends it to `stacks.build` (`Stacks`; the
    operands are those of one step) and returns the results with the steps as their first axis, or `None` where that is
    impossible. By default the trait `steps_along` decides."""

    def _along(self, stacks: Stacks, *operands: Value) -> list[Value] | None:
        if self.steps_along is None:
            return None
        [x], axes = operands, getattr(self, self.steps_along)
        rank = x.type.rank
        each = range(rank) if axes is None else axes
        moved = axes % rank + 1 if isinstance(axes, int) else [a % rank + 1 for a in each]
        results: list[Value] = stacks.build.all(self.name, stacks.stack(x), **{**vars(self), self.steps_along: moved})
        return results

    batch = _along


class Elementwise(Rules, elementwise=True, mixes={}):
    """Base of elementwise operations. Operands broadcast."""

    def batch(self, stacks: Stacks, *operands: Value) -> list[Value]:
        rank = max(x.type.rank for x in operands)
        results: list[Value] = stacks.build.all(self.name, *(stacks.aligned(x, rank) for x in operands), **vars(self))
        return results


@dataclass(frozen=True)
class Parameter:
    """One parameter of an operation. `kind` is `operand`, `operands` (a list of tensors) or `attribute`."""

    name: str
    kind: str
    annotation: str
    default: Any = REQUIRED

    @property
    def required(self) -> bool:
        return self.default is REQUIRED


class Operation:
    """One operation of the language: its rules as the compiler calls them, with all arguments by name.

    `examples` are the lines of its docstring that show a call with the types of operands and results, such as `abs(x:
    f32[n, t]) -> f32[n, t]`; `text` is the rest.
    """

    def __init__(self, name: str, rules: type[Rules], doc: str, family: str, order: Sequence[str]) -> None:
        self.name, self.rules, self.family = name, rules, family or rules.__module__
        self._doc, self._order = doc, order
        self.has_several_results = rules.infer.__annotations__["return"].startswith("tuple")
        self.half: HalfRule = getattr(rules, "half", "f32")
        self.elementwise, self.flat = rules.elementwise, rules.no_gradient
        self.f32_operands, self.integer_operands = rules.f32_operands, rules.integer_operands
        self.unbounded = rules.unbounded
        self.training, self.at_inference = rules.training, rules.at_inference
        self.gives, self.expects = rules.gives, rules.expects
        self.output_axis, self.expanded_by = rules.output_axis, rules.expanded_by
        self.is_expanded = rules.expand is not None and rules.lower is None
        self.is_drawn, self.random = rules.drawn is not None, rules.random

    # What a program that doesn't use an operation doesn't need of it.

    @cached_property
    def doc(self) -> str:
        return inspect.cleandoc(self._doc)

    @cached_property
    def text(self) -> str:
        return _text_and_examples(self.name, self.doc)[0]

    @cached_property
    def examples(self) -> list[str]:
        return _text_and_examples(self.name, self.doc)[1]

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        return tuple(_parameters(self.rules, self._order))

    @cached_property
    def operands(self) -> list[Parameter]:
        return [p for p in self.parameters if p.kind != "attribute"]

    @cached_property
    def attributes(self) -> list[Parameter]:
        return [p for p in self.parameters if p.kind == "attribute"]

    def unanswered(self) -> list[str]:
        """The rules and traits that are missing, each with where to add it."""
        rules, missing = self.rules, []
        first = inspect.cleandoc(self.doc).partition("\n")[0]
        if not first.endswith(".") or "ONNX" not in self.doc:
            missing.append("a docstring: what it computes in one sentence, and the ONNX operators that do it")
        if self.name in NAMED and not self.examples:
            missing.append(f"an example in its docstring: `{self.name}(x: f32[n, t]) -> f32[n, t]`")
        if not hasattr(rules, "half"):
            missing.append("`half=` in its first line: how it computes in 16 bits (`HalfRule`)")
        if not hasattr(rules, "mixes"):
            missing.append("`mixes=` in its first line: the axes along which elements depend on others (`Mixes`)")
        if self.is_expanded or self.expanded_by:
            return missing
        if rules.batch is Rules.batch and not hasattr(rules, "steps_along"):
            missing.append("`batch` (or the base `Elementwise`, or `steps_along=None`): all steps of a loop at once")
        if rules.reference is None:
            missing.append("`reference`: the same on NumPy arrays")
        if rules.lower is None:
            missing.append("`lower`: the same as ONNX nodes")
        if rules.gradient is None and not rules.no_gradient:
            missing.append("`gradient`, or why there is none: `no_gradient=` in its first line")
        return missing

    def _use(self, arguments: Mapping[str, Any]) -> tuple[Any, list[Any]]:
        """The rules with the attributes of one call, and its operands in order."""
        rules = object.__new__(self.rules)
        vars(rules).update({p.name: arguments[p.name] for p in self.attributes if p.name in arguments})
        return rules, [arguments.get(p.name) for p in self.operands]

    # -- when compiling ------------------------------------------------------------------------------------------------

    def result_types(self, **arguments: Any) -> tuple[TensorType, ...]:
        """The types of the results; `OpError` where the arguments don't fit."""
        for name in self.integer_operands:
            integer(arguments[name], name)
        rules, operands = self._use(arguments)
        result = rules.infer(*operands)
        return result if isinstance(result, tuple) else (result,)

    def check_numbers(self, types: Types, constants: Numbers, **attributes: Any) -> None:
        """Raises `OpError` where a constant operand is invalid for this operation."""
        if self.rules.demand is not None:
            self._use(attributes)[0].demand(types, constants)

    def expand(self, build: Any, **arguments: Any) -> list[Any] | None:
        """Append the operations that it consists of; returns the results, or `None` where it is a node itself."""
        if self.rules.expand is None:
            return None
        rules, operands = self._use(arguments)
        result = rules.expand(build, *operands)
        return None if result is None else list(result) if isinstance(result, tuple | list) else [result]

    def draw(self, build: Any, seed: Any, step: Any, place: Any, **attributes: Any) -> Any:
        """Append the random numbers of a place in the program; returns the result."""
        rules, _ = self._use(attributes)
        return rules.drawn(build, seed, step, place)

    def lower(self, emitter: Emitter, **arguments: Any) -> tuple[Ref, ...]:
        """Append the ONNX nodes; returns the results."""
        rules, operands = self._use(arguments)
        result = rules.lower(emitter, *operands)
        return tuple(result) if isinstance(result, tuple | list) else (result,)

    def differentiate(self, build: Any, dys: list[Any], ys: list[Any], **arguments: Any) -> dict[str, Any]:
        """Append the computation of the gradients; returns them by name of operand. One that is missing has none."""
        if self.flat:
            return {}
        rules, operands = self._use(arguments)
        dy, y = (dys, ys) if self.has_several_results else (dys[0], ys[0])
        gradients: dict[str, Any] = rules.gradient(build, dy, y, *operands)
        return gradients

    def batched(self, stacks: Stacks, **arguments: Any) -> list[Value] | None:
        """Append the computation for all steps of a loop; returns the results, or `None` where that is impossible."""
        rules, operands = self._use(arguments)
        whole = rules.batch(stacks, *operands)
        return list(whole) if isinstance(whole, list | tuple) else whole and [whole]

    def multiplications(self, result: TensorType, **arguments: Any) -> Dim:
        """The number of its multiply-accumulate operations."""
        rules, operands = self._use(arguments)
        return Dim.of(0) if rules.macs is None else rules.macs(result, *operands)

    def moved(self, view: View, result: TensorType, **attributes: Any) -> View | None:
        """The view that its result is, from the view that its operand is; `None` where the result is no view."""
        rules, _ = self._use(attributes)
        try:
            after = None if rules.view is None else rules.view(view, result)
        except ViewError:
            return None
        return after if after is not None and after.shape == result.sizes else None

    # -- rows that are computed in parts -------------------------------------------------------------------------------

    def mixed_axes(self, arguments: Mapping[str, Any]) -> dict[str, list[list[int]]]:
        """The axes of the trait `mixes` for one call: for each operand by name, the axes of each of its tensors."""
        return {name: self._axes(name, rule, arguments) for name, rule in self.rules.mixes.items()}

    def reduced_axes(self, arguments: Mapping[str, Any]) -> dict[str, list[list[int]]]:
        """The axes of the trait `reduces`, likewise."""
        return {name: self._axes(name, rule, arguments) for name, rule in self.rules.reduces.items()}

    def _axes(self, name: str, rule: Axes, arguments: Mapping[str, Any]) -> list[list[int]]:
        of_operand = self.result_types(**arguments) if name == "result" else arguments.get(name)
        types = [] if of_operand is None else list(of_operand) if isinstance(of_operand, list | tuple) else [of_operand]
        rules, operands = self._use(arguments)
        if callable(rule):
            rule = rule(rules, *operands)
        if isinstance(rule, str):
            axes = getattr(rules, rule)
            rule = slice(None) if axes is None else [axes] if isinstance(axes, int) else axes
        return [_axes_of(type.rank, rule) for type in types]

    def merged(self, build: Any, merged: Merged, y: Any, **arguments: Any) -> Any:
        """Append the result for the whole batch."""
        rules, operands = self._use(arguments)
        return rules.merge(build, merged, y, *operands)

    def shared(self, build: Any, merged: Merged, y: Any, **arguments: Any) -> Any:
        """Append a part's contribution to that result."""
        rules, operands = self._use(arguments)
        return y if rules.share is None else rules.share(build, merged, y, *operands)

    def taken_apart(self, build: Any, **arguments: Any) -> Any:
        """Append the same result from operations that can be merged; `None` where that is impossible."""
        rules, operands = self._use(arguments)
        return None if rules.apart is None else rules.apart(build, *operands)

    # -- the reference -------------------------------------------------------------------------------------------------

    def evaluate(self, np: NumPy, sizes: Mapping[str, int] | None = None, /, **arguments: Any) -> tuple[Array, ...]:
        """The results on arrays, for given dynamic dimensions; `OpError` where the arguments don't fit."""
        arguments = {name: _sized(value, sizes or {}) for name, value in arguments.items()}
        types = self.result_types(**self._mapped(arguments, _type_of))
        rules, operands = self._use(self._mapped(arguments, lambda a: _widened(np, a)))
        with np.errstate(all="ignore"):
            result = rules.reference(np, *operands)
        results = list(result) if isinstance(result, tuple | list) else [result]
        arrays = tuple(np.asarray(r).astype(numpy_dtype(t.dtype)) for r, t in zip(results, types, strict=True))
        for array, type in zip(arrays, types, strict=True):
            assert type.sizes in (array.shape, None), (
                f"{self.name}: {type} by the shape rule, but {array.shape} in fact"
            )
        return arrays

    def _mapped(self, arguments: Mapping[str, Any], of_operand: Callable[[Any], Any]) -> dict[str, Any]:
        """The arguments, with each operand replaced."""
        mapped = dict(arguments)
        for parameter in self.operands:
            value = arguments.get(parameter.name)
            if parameter.kind == "operands":
                mapped[parameter.name] = [of_operand(v) for v in value or ()]
            elif value is not None:
                mapped[parameter.name] = of_operand(value)
        return mapped


OPERATIONS: dict[str, Operation] = {}
NAMED: dict[str, Operation] = {}  # those that a program can name


def _parameters(rules: type[Rules], order: Sequence[str]) -> list[Parameter]:
    """The parameters: those with a default last, operands before attributes; or in `order`."""
    operands = {name: text for name, text in rules.infer.__annotations__.items() if name != "return"}
    defaults = dict(zip(reversed(operands), reversed(rules.infer.__defaults__ or ()), strict=False))
    parameters = [Parameter(n, KINDS[text], text, defaults.get(n, REQUIRED)) for n, text in operands.items()]
    for base in reversed(rules.__mro__[: rules.__mro__.index(Rules)]):
        for name, annotation in base.__annotations__.items():
            if not annotation.startswith("ClassVar"):
                assert not hasattr(Rules, name), f"`{name}` is a rule or a trait"
                parameters.append(Parameter(name, "attribute", annotation, getattr(rules, name, REQUIRED)))
    if order:
        return sorted(parameters, key=lambda p: order.index(p.name))
    return sorted(parameters, key=lambda p: (not p.required, p.kind == "attribute"))


def _text_and_examples(name: str, doc: str) -> tuple[str, list[str]]:
    lines = [line.strip() for line in doc.splitlines()]
    examples = [line for line in lines if line.startswith(f"{name}(") and ") -> " in line]
    return "\n".join(line for line in lines if line not in examples).strip(), examples


def _axes_of(rank: int, axes: Sequence[int] | slice) -> list[int]:
    axes = range(rank)[axes] if isinstance(axes, slice) else axes
    return [axis % rank for axis in axes if -rank <= axis < rank]


def _type_of(array: Array) -> TensorType:
    return TensorType.of(dtype_of(array), array.shape)


def _widened(np: NumPy, array: Array) -> Array:
    return array.astype(np.float32) if array.dtype.name in ("float16", "bfloat16") else array


def _sized(value: Any, sizes: Mapping[str, int]) -> Any:
    if isinstance(value, list):
        return [_sized(v, sizes) for v in value]
    return value.known(sizes) if isinstance(value, Dim) else value
