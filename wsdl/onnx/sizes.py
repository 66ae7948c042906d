"""Dynamic dimensions in the ONNX graph: `Shape` of an input, and arithmetic on it; each computed once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from wsdl.ir.binding import SizeSource, size_sources
from wsdl.ir.dims import Atom, Dim, same
from wsdl.ir.types import TensorType
from wsdl.ops._interfaces import Emitter, Ref, Relation


@dataclass(frozen=True)
class Origin:
    """The path and the source position for the names and labels of appended nodes."""

    path: str = ""
    source: str = ""


@dataclass(frozen=True)
class _Measured:
    """A size that some node measures: how to compute it, the level of its scope, and the known sizes made of it."""

    size: Callable[[], Ref]
    level: int
    uses: list[str] = field(default_factory=list)


class ModelEmitter(Emitter, Protocol):
    """An `Emitter` that can append to the model's graph while it is in a body."""

    @property
    def level(self) -> int:
        """How many bodies the innermost scope is in."""

    def in_model_graph(self, origin: Origin | None = None, level: int = 0) -> AbstractContextManager[None]:
        """Nodes appended in this context go into the model's graph, or the body at a `level` around the innermost one,
        where all subgraphs can capture their results."""

    def sizes_unless(self, count: Ref, what: str, rank: int) -> Ref:
        """`rank` zeros, "copy each size", as the shape of a `Reshape`; the run fails if `count` is more than 0."""


class RunTimeSizes:
    """Sizes as `i64[1]` tensors, so that a shape is their concatenation."""

    def __init__(self, emitter: ModelEmitter, origin: Origin) -> None:
        self._emitter, self._origin = emitter, origin
        self._inputs: Sequence[Ref] = ()
        self._sources: dict[str, SizeSource] = {}
        self._known: dict[str, Ref] = {}
        self._measured: dict[str, _Measured] = {}

    def measure(self, name: str, size: Callable[[], Ref]) -> None:
        """A size that is known from here on, in this scope and those in it; `size` appends the nodes that compute it,
        as an `i64[1]`. It replaces one of the same name, from another scope."""
        before = self._measured.get(name)
        for key in before.uses if before is not None else ():
            self._known.pop(key, None)
        self._measured[name] = _Measured(size, self._emitter.level)

    def measure_all(self, dims: Sequence[Dim], sizes: Ref) -> None:
        """Several sizes that are known from here on, as an `i64[count]`."""
        for i, dim in enumerate(dims):
            self.measure(str(dim), partial(self._element, sizes, i))
        key = _key(dims)
        self._level(key, *dims)
        self._known[key] = sizes

    def bind(self, inputs: Sequence[Ref]) -> None:
        """The inputs of the model, whose shapes bind the names."""
        self._inputs = inputs
        self._sources = size_sources([ref.type for ref in inputs])

    def vector(self, dims: Sequence[Dim]) -> Ref:
        """A shape as an `i64[rank]` tensor."""
        values = [dim.constant for dim in dims]
        if all(number is not None for number in values):
            return self._emitter.constant(values, "i64")
        if len(dims) == 1:
            return self.size(dims[0])
        key = _key(dims)
        if key not in self._known:
            parts = [self.size(dim) for dim in dims]
            with self._emitter.in_model_graph(self._origin, self._level(key, *dims)):
                self._known[key] = self._emitter.node("Concat", *parts, axis=0)
        return self._known[key]

    def size(self, dim: Dim) -> Ref:
        """One dimension as an `i64[1]` tensor."""
        if dim.constant is not None:
            return self._emitter.constant([dim.constant], "i64")
        key = str(dim)
        if key not in self._known:
            with self._emitter.in_model_graph(self._origin, self._level(key, dim)):
                self._known[key] = self._named(dim.name) if dim.name else self._sum(dim)
        return self._known[key]

    def checked(self, x: Ref, relation: Relation, left: Dim, right: Dim, message: str = "") -> Ref:
        """`x`, after a check that fails the run if two dimensions don't have the relation; each check is emitted
        once. `message` becomes a part of the name of the node that fails."""
        e, sign = self._emitter, {"equal": "==", "different": "!=", "at least": ">="}[relation]
        key = f"{left} {sign} {right} {x.type.rank}"
        if key not in self._known:
            with e.in_model_graph(level=self._level(key, left, right)):
                wrong = e.node("Less" if relation == "at least" else "Equal", self.size(left), self.size(right))
                if relation == "equal":
                    wrong = e.node("Not", wrong)
                count = e.node("Squeeze", e.node("Cast", wrong, to="i64"))
                what = f"{left} {sign} {right}{f': {message}' if message else ''}"
                self._known[key] = e.sizes_unless(count, " ".join(what.replace("'", "`").split()), x.type.rank)
        return e.node("Reshape", x, self._known[key]).typed(x.type)

    def _level(self, key: str, *dims: Dim) -> int:
        """The scope in which dimensions can be computed, for the entry `key` of `_known`."""
        if not self._measured:
            return 0
        measured = [self._measured[n] for dim in dims for n in dim.names() if n in self._measured]
        for each in measured:
            each.uses.append(key)
        return max((each.level for each in measured), default=0)

    def _named(self, name: str) -> Ref:
        e = self._emitter
        if name in self._measured:
            return self._measured[name].size()
        source = self._sources[name]
        size = e.node("Shape", self._inputs[source.input], start=source.axis, end=source.axis + 1)
        if not same(source.rest, 0):
            size = e.node("Sub", size, self.size(source.rest))
        return size if same(source.factor, 1) else e.node("Div", size, self.size(source.factor))

    def _element(self, sizes: Ref, number: int) -> Ref:
        return self._emitter.node("Gather", sizes, self._emitter.constant([number], "i64"))

    def _sum(self, dim: Dim) -> Ref:
        e = self._emitter
        total: Ref | None = None
        for monomial, coefficient in dim.terms:
            factors = [self._atom(atom) for atom in monomial]
            if coefficient != 1 or not factors:
                factors.append(e.constant([coefficient], "i64"))
            term = factors[0]
            for factor in factors[1:]:
                term = e.node("Mul", term, factor)
            total = term if total is None else e.node("Add", total, term)
        assert total is not None
        return total

    def _atom(self, atom: Atom) -> Ref:
        if not atom.operator:
            return self.size(Dim.symbol(atom.text))
        e = self._emitter
        left, right = (self.size(argument) for argument in atom.arguments)
        if atom.arguments[1].constant is None:
            left = self.checked(left.typed(TensorType.of("i64", [1])), "different", atom.arguments[1], Dim.of(0))
        if atom.operator == "%":
            return e.node("Mod", left, right)
        if any(coefficient < 0 for argument in atom.arguments for _, coefficient in argument.terms):
            left = e.node("Sub", left, e.node("Mod", left, right))  # ONNX rounds towards zero, `//` downwards
        return e.node("Div", left, right)


def _key(dims: Sequence[Dim]) -> str:
    """That of a shape in `_known`."""
    return str([str(dim) for dim in dims])


def constant_shape(before: Sequence[Dim], after: Sequence[Dim]) -> list[int] | None:
    """The shape operand of a `Reshape` if it can be constant: `0` copies a size, `-1` is inferred.

    `-1` beside a copied size is not used: ONNX Runtime can't infer it if the copied size is 0.
    """
    values: list[int] = []
    for axis, dim in enumerate(after):
        if dim.constant is not None:
            values.append(dim.constant)
        elif axis < len(before) and same(before[axis], dim):
            values.append(0)
        else:
            values.append(-1)
    if any(dim.constant == 0 for dim in after) or values.count(-1) > 1 or (-1 in values and 0 in values):
        return None
    return values
