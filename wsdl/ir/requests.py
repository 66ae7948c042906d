"""Requests of a file about its parameters (`share`, `freeze`, `limit`, `load`), before their paths are looked up."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import EllipsisType
from typing import Literal, TypeAlias

from wsdl.diagnostics.span import Span
from wsdl.ir.dims import Dim
from wsdl.ir.graph import Graph

Mode: TypeAlias = Literal["eval", "train"]
PLACEHOLDER = re.compile(r"\{(\w+)(\.\.\.)?\}")  # `{p}`, `{path...}`: on both sides of a `load` table


@dataclass(frozen=True)
class Select:
    """`[3]`, `[*]`, `[0:6]`, `[a:b, c:d]`, `[..., 0]`: picks from an array of layers, or slices a parameter."""

    subscripts: tuple[int | slice | EllipsisType, ...]
    span: Span


@dataclass(frozen=True, eq=False)
class SelectAt:
    """`[i]`, `[i * 64 : (i + 1) * 64]` in a `load` table: a `Select` whose numbers depend on names in the file."""

    subscripts: tuple[int | Dim | slice | EllipsisType, ...]
    span: Span

    def names(self) -> set[str]:
        """The placeholders that it depends on."""
        return {name for bound in self._bounds() if isinstance(bound, Dim) for name in bound.names()}

    def at(self, values: Mapping[str, int]) -> Select:
        """What it selects for values of the placeholders."""

        def number(bound: int | Dim | None) -> int | None:
            return bound.evaluate(values) if isinstance(bound, Dim) else bound

        def evaluated(subscript: int | Dim | slice | EllipsisType) -> int | slice | EllipsisType:
            if isinstance(subscript, slice):
                return slice(*map(number, (subscript.start, subscript.stop, subscript.step)))
            return subscript.evaluate(values) if isinstance(subscript, Dim) else subscript

        return Select(tuple(map(evaluated, self.subscripts)), self.span)

    def _bounds(self) -> Iterator[int | Dim | EllipsisType | None]:
        for each in self.subscripts:
            yield from (each.start, each.stop, each.step) if isinstance(each, slice) else (each,)


@dataclass(frozen=True)
class Part:
    """`.name`."""

    name: str
    span: Span


@dataclass(frozen=True)
class ViewCall:
    """`.T`, `.permute(1, 0)`, `.reshape(2, -1)`, `.flip(0)`."""

    name: str
    arguments: tuple[int, ...]
    span: Span


ViewStep: TypeAlias = Select | SelectAt | ViewCall


@dataclass(frozen=True)
class PathPattern:
    """A path as written in a file, with evaluated indices."""

    steps: tuple[Part | Select | ViewCall, ...]
    span: Span


@dataclass(frozen=True, eq=False)
class GroupRequest:
    """One `share` group. Its paths start below `base`, a layer's path; at the models and layers of the file where that
    is empty."""

    name: str
    members: tuple[PathPattern, ...]
    exceptions: tuple[PathPattern, ...]
    base: str
    span: Span
    name_span: Span | None = None


@dataclass(frozen=True, eq=False)
class FormulaRequest:
    """`param decode.weight = encode.weight.T * gain`.

    `graph` computes the value: its `parameter` nodes read slots, it has no inputs. Its first output is the value, the
    others are the `losses` of blocks in it, by name and place. `span` is that of the expression.
    """

    target: PathPattern
    graph: Graph
    base: str
    span: Span
    losses: tuple[tuple[str, Span], ...] = ()


@dataclass(frozen=True, eq=False)
class FreezeRequest:
    """`freeze encoder eval`. Layers with running statistics normalize by these (`eval`) or by the batch (`train`)."""

    paths: tuple[PathPattern, ...]
    base: str
    mode: Mode | None = None


@dataclass(frozen=True, eq=False)
class LimitRequest:
    """`limit params 100_000` in a model."""

    kind: str
    value: int
    model: str
    span: Span


@dataclass(frozen=True, eq=False)
class CopyRequest:
    """`load online into target`."""

    source: PathPattern
    target: PathPattern
    base: str


@dataclass(frozen=True)
class LoadMapping:
    """`"layer.{i}.qkv"[0:64] -> blocks[i].query.weight.T`: the name in the file, the views of the tensor, and the path
    that it fills. The names in the path may have placeholders too."""

    pattern: str
    views: tuple[ViewStep, ...]
    path: tuple[Part | ViewStep, ...]
    span: Span
    pattern_span: Span
    path_span: Span


@dataclass(frozen=True)
class Fit:
    """`fit 0.2`: the share of the norm of a parameter that may be lost where its values can't be met exactly."""

    share: float
    span: Span


@dataclass(frozen=True)
class At:
    """`at "model"`: the path in a file below which the tensors are."""

    path: str
    span: Span


@dataclass(frozen=True)
class IgnoredNames:
    """`"pooler.*"` of an `ignore`: tensors of the file that nothing is filled with. `*` stands for any text."""

    pattern: str
    span: Span


@dataclass(frozen=True, eq=False)
class LoadRequest:
    """`load "v.pt" at "model" into encoder except norm fit 0.2 { … }`; without `fit` the values have to be met exactly.
    The exceptions are paths below the target."""

    files: tuple[str, ...]
    file_span: Span
    target: PathPattern
    base: str
    mappings: tuple[LoadMapping, ...]
    span: Span
    exceptions: tuple[PathPattern, ...] = ()
    ignored: tuple[IgnoredNames, ...] = ()
    fit: Fit | None = None
    at: At | None = None

    @property
    def file(self) -> str:
        """What is loaded, as text."""
        return " and ".join(self.files) + (f" at `{self.at.path}`" if self.at and self.at.path else "")
