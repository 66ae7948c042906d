"""The types that rules of operations work with: arrays, tensors of an ONNX graph, and the interfaces of their
callers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, TypeAlias

from wsdl.ir.dims import Dim
from wsdl.ir.graph import Value
from wsdl.ir.types import DType, TensorType
from wsdl.ir.views import View

NumPy: TypeAlias = Any  # the numpy module, handed in so that checking a program doesn't import it
Array: TypeAlias = Any  # numpy.ndarray
Relation: TypeAlias = Literal["equal", "different", "at least"]  # of two sizes
Types: TypeAlias = Mapping[str, Any]  # of operands by name: a `TensorType`, or a list of them
Numbers: TypeAlias = "Mapping[str, list[int | float]]"  # the elements of operands that are constants


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
        """The number of channels in a block of this CPU's blocked layout; 0 where that layout must not be used."""

    def node(self, op_type: str, *inputs: Ref | None, domain: str = "", **attributes: Any) -> Ref:
        """Append an ONNX node with one output."""

    def nodes(self, op_type: str, *inputs: Ref | None, outputs: int, **attributes: Any) -> list[Ref]:
        """Append an ONNX node with several outputs."""

    def constant(self, value: Any, dtype: DType) -> Ref:
        """A small constant: a number or nested lists of numbers; equal ones are one initializer."""

    def dims(self, dims: Sequence[Dim]) -> Ref:
        """A shape as an `i64[rank]` tensor, computed at run time where it must be."""

    def measured(self, dims: Sequence[Dim], sizes: Ref) -> None:
        """The dimensions that the operation being lowered measures are those in `sizes`, an `i64[count]` tensor."""

    def reshape(self, x: Ref, shape: Sequence[Dim]) -> Ref:
        """`x` in another shape, with a constant shape (`0`, `-1`) where ONNX can express it. `x` has a known type."""

    def checked(self, x: Ref, relation: Relation, left: Dim, right: Dim, message: str = "") -> Ref:
        """`x`, after a check that stops the run unless two sizes have the `relation`. `x` has a known type."""

    def assume(self, what: str) -> None:
        """Name the node appended last so that its failure is explained: it stops the run by itself unless `what`
        holds."""

    def stopped(self, x: Ref, wrong: Ref, what: str) -> Ref:
        """`x`, of a known type, after a check that stops the run where the bool `wrong` is true anywhere: the model
        needs `what`."""

    def repeated(self, count: Ref, carried: Sequence[Ref], step: Callable[[Ref, list[Ref]], list[Ref]]) -> list[Ref]:
        """`carried`, after `step(i, carried)` for each i from 0 up to but without `count`, an i64 scalar. Types are
        known and stay the same."""

    def either(self, condition: Ref, then: Callable[[], Ref], otherwise: Callable[[], Ref]) -> Ref:
        """What one of them appends and returns, as the run decides by a bool scalar; both have the type of the result
        of the operation being lowered."""

    def numbers(self, x: Ref) -> list[int | float | bool] | None:
        """The elements of a constant; `None` where only the run knows them."""

    def parameter(self, x: Ref) -> tuple[Ref, View] | None:
        """The stored tensor that `x` is a view of, where `x` is one: lets a lowering use an operator's own attribute
        (`Gemm.transB`). Using `x` itself materializes the view at run time."""


How: TypeAlias = Literal["sum", "prod", "max", "min", "logsumexp", "mean", "moments"]


class Stacks(Protocol):
    """What a rule of `batch` may ask for: the values of one step of a loop, for all steps at once."""

    @property
    def build(self) -> Any:
        """A `Build` in front of the loop."""

    @property
    def steps(self) -> Dim:
        """The number of steps."""

    def stack(self, value: Value) -> Value | None:
        """The values of all steps, [steps, *shape]; `None` for one that is the same in all of them."""

    def aligned(self, value: Value, rank: int) -> Value:
        """The stack of a value (or itself), so that it broadcasts to one of values of this rank."""


class Merged(Protocol):
    """What a rule of `merge` or `share` may ask for: values of one part of a batch, combined over all parts."""

    def __call__(self, how: How, *parts: Value) -> Value:
        """The `sum`, `prod`, `max`, `min` or `logsumexp` of a value; a `mean` of (mean, count); the variance of
        `moments`, which are (variance, mean, count)."""

    def all(self, how: How, *parts: Value) -> list[Value]:
        """The same, of each of several values."""

    def size(self, dim: Dim, type: TensorType) -> Value | float:
        """A dimension of the whole batch as a number, a value or a constant, in the dtype of `type`."""
