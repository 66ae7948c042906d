"""Which applications of layers are alike: their bodies append the same nodes, apart from names and values.

What a body does depends on its block, on the configuration, on the types of the inputs, on the default dtype, and on
whether it has run before. Where one of these can't be compared, there is no key.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import NamedTuple

from wsdl.elaborate.bound_names import names_of
from wsdl.elaborate.graph_builder import GraphBuilder
from wsdl.elaborate.items import Frame, Item, Layer, Partial, Recipe
from wsdl.elaborate.scopes import Definition
from wsdl.ir.dims import Dim
from wsdl.ir.graph import Module, Value
from wsdl.ir.types import DType
from wsdl.ops._define import Operation


class Key(NamedTuple):
    """Of an application. `layer` is what its layer is compared by, `again` and `training` are as in `Mode`."""

    layer: Hashable
    inputs: Hashable
    dtype: DType
    again: bool
    training: bool

    def next(self, size: int) -> Key:
        """That of the next application of its layer, which has this size by now."""
        return self._replace(layer=((self.layer, self.inputs, self.dtype), size))


class _Incomparable(Exception):
    """A part of an application that is equal to nothing else."""


def key_of(
    layer: Layer, inputs: Iterable[Item], dtype: DType, again: bool, training: bool, builder: GraphBuilder
) -> Key | None:
    """Equal for applications that are alike; `None` where that can't be said."""
    try:
        who = _alike(layer, layer) if is_new(layer) else _as_it_is(layer)
        return Key(who, _types(inputs, builder), dtype, again, training)
    except _Incomparable:
        return None


def is_new(layer: Layer) -> bool:
    """Whether the body of a layer has not run yet."""
    module = layer.module
    return not (module.uses or module.is_trained or module.slots)


def _as_it_is(layer: Layer) -> Hashable:
    """A key of a layer whose body has run: that of its first application, unless more was created in it since."""
    return layer.alike if layer.alike is not None and layer.alike[1] == size_of(layer.module) else layer


def size_of(module: Module) -> int:
    """The number of layers and slots in a layer, which only grows."""
    return sum(1 + len(inner.slots) for inner in module.modules())


def _alike(item: Item, root: Layer) -> Hashable:
    """A key of a layer, or of a part of its configuration."""
    if isinstance(item, Layer):
        if item is not root and not _is_inside(item, root):
            return item
        if not is_new(item):
            raise _Incomparable
        own = item.module.path[len(root.module.path) :]
        written = "" if item is root or item.call_span.source.is_standard else item.call_span.text
        configuration = item.configuration.items()
        return own, item.definition, written, tuple((name, _alike(value, root)) for name, value in configuration)
    if item is None or isinstance(item, bool | int | float | str):
        return type(item), item
    if isinstance(item, Dim):
        return Dim, item.terms
    if isinstance(item, list):
        return tuple(_alike(part, root) for part in item)
    if isinstance(item, Operation | Definition):
        return item
    if isinstance(item, Partial):
        arguments = ((a.name and a.name.text, _alike(a.item, root)) for a in item.arguments)
        return item.operation, tuple(arguments)
    if isinstance(item, Recipe):
        return item.call, item.definition, item.frame.dtype, _names(item, root)
    raise _Incomparable


def _names(recipe: Recipe, root: Layer) -> Hashable:
    """The names that the arguments of a recipe read, with their values."""
    frame: Frame = recipe.frame
    read = {name.text for argument in recipe.call.arguments for name in names_of(argument.value)}
    return tuple((name, _alike(frame.names[name], root)) for name in sorted(read & frame.names.keys()))


def configured_inside(layer: Layer) -> Iterator[Layer]:
    """The layers in the configuration of a layer that are its own."""
    yield from _layers_in([*layer.configuration.values()], layer)


def _layers_in(items: Iterable[Item], root: Layer) -> Iterator[Layer]:
    for item in items:
        if isinstance(item, list):
            yield from _layers_in(item, root)
        elif isinstance(item, Layer) and _is_inside(item, root):
            yield item
            yield from _layers_in(item.configuration.values(), root)


def is_lasting(layer: Layer) -> bool:
    """Whether the same key may occur in another elaboration: nothing of a user's file is in it."""
    return layer.block.span.source.is_standard and all(map(_lasts, layer.configuration.values()))


def _lasts(item: Item) -> bool:
    if isinstance(item, list):
        return all(map(_lasts, item))
    if isinstance(item, Recipe):
        return item.call.span.source.is_standard and all(map(_lasts, item.frame.names.values()))
    return not isinstance(item, Layer | Partial | Definition | Value)


def _is_inside(layer: Layer, root: Layer) -> bool:
    path, outer = layer.module.path, root.module.path
    return path.startswith(outer) and path[len(outer) : len(outer) + 1] in (".", "[")


def _types(inputs: Iterable[Item], builder: GraphBuilder) -> Hashable:
    """The types of inputs, and which of them are the same."""
    seen: dict[Value, int] = {}
    return tuple(_type(item, seen, builder) for item in inputs)


def _type(item: Item, seen: dict[Value, int], builder: GraphBuilder) -> Hashable:
    if item is None:
        return None
    if isinstance(item, list):
        return tuple(_type(part, seen, builder) for part in item)
    assert isinstance(item, Value)
    producer = builder.origins.producers.get(item)
    if (producer is not None and producer.op == "constant") or item in builder.slots:
        raise _Incomparable  # its number or its slot may be asked for
    return item.type.key, seen.setdefault(item, len(seen))
