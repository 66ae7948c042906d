"""Gives a layer the layers that the body of another one, which is alike, has created in its first run."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from wsdl.diagnostics.span import Span
from wsdl.elaborate.items import Item, Layer, Recipe
from wsdl.ir.graph import Alias, Module


class Growth:
    """From the tree of layers below `first` to that below `layer`, where so far only those of its configuration are.

    `path` and `span` give the path and the location of a part of `layer` for those of one of `first`; `applied` are the
    paths of the layers that were applied in it; `is_inside` tells which paths are below it.
    """

    def __init__(
        self,
        first: Layer,
        layer: Layer,
        path: Callable[[str], str],
        span: Callable[[Span], Span],
        applied: Collection[str],
        is_inside: Callable[[str], bool],
    ) -> None:
        self._path, self._span, self._applied, self._is_inside = path, span, applied, is_inside
        self._layers: dict[Layer, Layer] = {}
        self._recipes: dict[Recipe, Recipe] = {}
        self._modules = {module.path: module for module in layer.module.modules()}
        self._pair(first, layer)
        self._grow_module(first.module, layer.module)
        self._name_others(first.module, layer.module)
        for old, new in list(self._layers.items()):
            self._grow(old, new)

    def _pair(self, first: Item, layer: Item) -> None:
        """Note which parts of the two configurations correspond."""
        if isinstance(first, Layer) and isinstance(layer, Layer):
            if first is not layer and first not in self._layers:
                self._layers[first] = layer
                for name, item in first.configuration.items():
                    self._pair(item, layer.configuration[name])
        elif isinstance(first, list) and isinstance(layer, list):
            for a, b in zip(first, layer, strict=True):
                self._pair(a, b)
        elif isinstance(first, Recipe) and isinstance(layer, Recipe):
            self._recipes[first] = layer

    # -- the tree of layers --------------------------------------------------------------------------------------------

    def _grow_module(self, old: Module, new: Module) -> None:
        for name, child in old.children.items():
            if isinstance(child, list):
                siblings = new.children.setdefault(name, [])
                assert isinstance(siblings, list)
                siblings += map(self._module, child[len(siblings) :])
                for a, b in zip(child, siblings, strict=True):
                    self._grow_module(a, b)
            else:
                there = new.children.get(name)
                if there is None:
                    there = new.children[name] = self._module(child)
                assert isinstance(there, Module)
                self._grow_module(child, there)

    def _name_others(self, old: Module, new: Module) -> None:
        """Copy the aliases of all layers, which lead to layers inside and outside."""
        for a, b in zip(old.modules(), new.modules(), strict=True):
            for name, alias in a.aliases.items():
                if name not in b.aliases:
                    there = alias.layers
                    layers = [*map(self._aliased, there)] if isinstance(there, list) else self._aliased(there)
                    b.aliases[name] = Alias(self._span(alias.span), layers)

    def _aliased(self, old: Module) -> Module:
        if self._is_inside(old.path):
            return self._modules[self._path(old.path)]
        return old if old.kind else Module(old.path, "", self._span(old.span), uses=[*map(self._span, old.uses)])

    def _module(self, old: Module) -> Module:
        uses = [] if old.path in self._applied else [*old.uses]  # what isn't a layer has its place in a list
        path = self._path(old.path)
        self._modules[path] = new = Module(path, old.kind, self._span(old.span), uses=uses)
        return new

    # -- what later runs look up ---------------------------------------------------------------------------------------

    def _grow(self, old: Layer, new: Layer) -> None:
        new.taken |= old.taken
        new.counted.update(old.counted)
        for key, inner in old.inline.items():
            if key not in new.inline and inner not in self._layers:
                new.inline[key] = self._layer(inner)
        for name, item in old.declared.items():
            if name not in new.declared:
                new.declared[name] = self._item(item)

    def _layer(self, old: Layer) -> Layer:
        if old in self._layers:
            return self._layers[old]
        if not self._is_inside(old.module.path):
            return old
        path = self._path(old.module.path)
        span = self._span(old.call_span)
        new = Layer(old.definition, {}, self._modules[path], span, old.argument_spans, old.element_spans)
        self._layers[old] = new
        new.configuration.update((name, self._item(item)) for name, item in old.configuration.items())
        self._grow(old, new)
        return new

    def _item(self, old: Item) -> Item:
        if isinstance(old, Layer):
            return self._layer(old)
        if isinstance(old, list):
            return [self._item(part) for part in old]
        if isinstance(old, Recipe):
            if old not in self._recipes:
                names = {name: self._item(item) for name, item in old.frame.names.items()}
                frame = replace(old.frame, layer=self._layer(old.frame.layer), names=names)
                self._recipes[old] = Recipe(old.definition, old.call, frame)
            return self._recipes[old]
        return old
