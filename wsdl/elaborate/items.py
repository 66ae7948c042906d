"""The values of expressions while a body runs: constants, dimensions, tensors, layers, operations, blocks."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from wsdl.diagnostics.span import Span
from wsdl.elaborate.scopes import Definition, FileScope
from wsdl.ir.dims import Dim
from wsdl.ir.graph import Module, Value
from wsdl.ir.types import DType
from wsdl.ops._define import Operation
from wsdl.syntax import tree


class Poison:
    """The value of an expression with an error; anything computed from it is poison too, without a second message."""


POISON = Poison()


@dataclass(eq=False)
class Layer:
    """An instance of a block: its configuration, its position in the tree of layers, and the layers created inside
    it."""

    definition: Definition
    configuration: dict[str, Item]
    module: Module
    call_span: Span  # the call of its block
    argument_spans: dict[str, Span] = field(default_factory=dict)  # of its configuration, by name
    element_spans: dict[str, list[Span]] = field(default_factory=dict)  # of those of its lists that are written there
    declared: dict[str, Item] = field(default_factory=dict)
    inline: dict[tuple[tree.Call, tuple[int, ...]], Layer] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)  # the names of its children, including future ones
    counted: dict[str, int] = field(default_factory=dict)  # the last suffix of a duplicate name
    alike: tuple[Hashable, int] | None = None  # equal for layers with the same first application; its size after that

    @property
    def name(self) -> str:
        """The name of its block."""
        return self.definition.name

    @property
    def block(self) -> tree.Block:
        assert isinstance(self.definition.node, tree.Block)
        return self.definition.node

    def below(self, name: str) -> str:
        """The path of something inside it."""
        return f"{self.module.path}.{name}" if self.module.path else name


@dataclass(frozen=True, eq=False)
class Recipe:
    """The value of a configuration of kind `block`: a block and its arguments, of which any number of layers are made.

    The arguments are evaluated for each layer anew, in `frame`, so that layers written in them are its own.
    """

    definition: Definition
    call: tree.Call
    frame: Frame


@dataclass(frozen=True, eq=False)
class Partial:
    """`leaky_relu(0.1)` where a layer is expected: an operation and its arguments after the first one."""

    operation: Operation
    arguments: list[ArgumentValue]

    @property
    def name(self) -> str:
        return self.operation.name


@dataclass(frozen=True, eq=False)
class Frozen:
    """`frozen(judge)`: a layer or a model of which a use takes the weights as constants."""

    of: Layer | Definition


class Results(tuple["Item", ...]):
    """Several results with names: `center, spread = moments(x)`, or `r = moments(x)` and `r.center`."""

    declared: Sequence[tree.Name]  # in the signature of the block or in its `return`

    @classmethod
    def of(cls, declared: Sequence[tree.Name], items: Iterable[Item]) -> Results:
        results = cls(items)
        results.declared = declared
        return results

    @property
    def names(self) -> list[str]:
        return [name.text for name in self.declared]


Item: TypeAlias = (
    "bool | int | float | str | Dim | list[Item] | tuple[Item, ...] | Value | Layer | Recipe | Operation | Partial"
    "| Definition | Frozen | Poison | None"
)  # fmt: skip


@dataclass
class ArgumentValue:
    """An evaluated argument: its name, if it has one, its value, and its span."""

    name: tree.Name | None
    item: Item
    span: Span


class RunTimeCheck(NamedTuple):
    """A `require` about sizes that only the run knows: `left` is equal to, different from, or at least `right`."""

    relation: str
    left: Dim
    right: Dim
    message: str
    span: Span


@dataclass(eq=False)
class Frame:
    """A run of a body.

    `owner` is set while the configuration of a layer is evaluated: a layer written inline there is its child, under
    that name. `path` has the iterations of the `for`s of this body.
    """

    layer: Layer
    scope: FileScope
    names: dict[str, Item]
    dtype: DType
    owner: tuple[Layer, str] | None = None
    path: tuple[int, ...] = ()
    sources: dict[str, Value] = field(default_factory=dict)  # the input that bound a dimension's name
    declared: dict[str, tuple[Value, tree.Type]] = field(default_factory=dict)  # inputs with their declared types
    results: list[ArgumentValue] | None = None
    passed_on: Sequence[tree.Name] | None = None  # the names of the results, where they are those of `return f(x)`
    checks: list[RunTimeCheck] | None = None  # of the results; `None` where the body has no results
    emitted: list[list[ArgumentValue]] | None = None
    ends: list[ArgumentValue] = field(default_factory=list)  # the conditions that end its scan, after each step


def has_poison(item: Item) -> bool:
    if isinstance(item, (list, tuple)):
        return any(map(has_poison, item))
    return item is POISON


def any_poison(arguments: Iterable[ArgumentValue]) -> bool:
    """Is one of the arguments, or a part of it, poison?"""
    for argument in arguments:  # noqa: SIM110  # `any` takes twice as long, and each call of an operation asks
        if has_poison(argument.item):
            return True
    return False


def whole(item: Item) -> Item:
    """Where an integer is required: a float constant with a whole value as an integer, also in lists, and every other
    item as it is. Beyond 2^53 floats are too far apart to stand for an integer."""
    if isinstance(item, list):
        return [whole(i) for i in item]
    return int(item) if isinstance(item, float) and item.is_integer() and abs(item) <= 2**53 else item


def as_dim(item: Item) -> Dim | None:
    """An integer or a dynamic dimension as `Dim`; `None` for anything else."""
    item = whole(item)
    return Dim.of(item) if isinstance(item, int | Dim) and not isinstance(item, bool) else None


def as_int(item: Item) -> int | None:
    """An integer known when compiling, or `None`."""
    item = whole(item)
    if isinstance(item, Dim):
        return item.constant
    return item if isinstance(item, int) and not isinstance(item, bool) else None


def one_of_results(item: Item, text: str) -> str | None:
    """The help where one tensor is required and several results are given."""
    short = text if text.isidentifier() else "r"
    bound = "" if short == text else f"bind them, `r = {text if len(text) <= 40 else '…'}`, and "
    return f"{bound}select one: `{short}.{item.names[0]}`" if isinstance(item, Results) else None


def describe(item: Item) -> str:
    """An item in messages: `a tensor f32[n, 3]`, `the number 3`."""
    if item is None:
        return "`none`"
    if isinstance(item, bool):
        return f"`{str(item).lower()}`"
    if isinstance(item, int | float):
        return f"the number {item}"
    if isinstance(item, Dim):
        return f"the number {item}" if item.constant is not None else f"the dynamic dimension `{item}`"
    if isinstance(item, str):
        return f'the string "{item}"'
    if isinstance(item, list):
        if item and all(isinstance(i, Layer) for i in item):
            return f"an array of {len(item)} layers"
        plain = all(isinstance(i, int | float | str | Dim) for i in item) and len(item) <= 4
        return f"the list [{', '.join(map(_plain, item))}]" if plain else "a list"
    if isinstance(item, Results):
        *most, last = [f"`{name}`" for name in item.names]
        return f"the results {', '.join(most)} and {last}"
    if isinstance(item, tuple):
        return f"{len(item)} results"
    if isinstance(item, Value):
        return f"a tensor {item.type}"
    if isinstance(item, Layer):
        return f"a layer ({item.name})"
    if isinstance(item, Frozen):
        return "a frozen layer"
    if isinstance(item, Recipe):
        return f"a block (`{item.call.span.text}`)"
    if isinstance(item, Operation | Partial):
        return f"the operation `{item.name}`"
    if isinstance(item, Definition):
        return f"the {'block' if isinstance(item.node, tree.Block) else 'model'} `{item.name}`"
    return "an invalid value"


def _plain(item: Item) -> str:
    if isinstance(item, bool):
        return str(item).lower()
    return f'"{item}"' if isinstance(item, str) else str(item)
