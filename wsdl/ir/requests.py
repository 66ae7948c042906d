"""Requests of a file about its parameters (`share`, `freeze`, `limit`, `load`), before their paths are looked up."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

from wsdl.diagnostics.span import Span
from wsdl.ir.graph import Graph

Mode: TypeAlias = Literal["eval", "train"]
PLACEHOLDER = re.compile(r"\{(\w+)\}")  # in both sides of a `load` table
INDEX = re.compile(r"\[([^\]]*)\]")  # in its targets


@dataclass(frozen=True)
class Select:
    """`[3]`, `[*]`, `[0:6]`, `[a:b, c:d]`: picks from an array of layers, or slices a parameter."""

    subscripts: tuple[int | slice, ...]
    span: Span


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
    """`"layer.{i}.weight" -> blocks[i].weight.T`: the name in the file and the path as templates, then the views.

    In the path, constants of the program are replaced by numbers; `path_span` is its location.
    """

    pattern: str
    path: str
    views: tuple[Select | ViewCall, ...]
    span: Span
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


@dataclass(frozen=True, eq=False)
class LoadRequest:
    """`load "v.pt" at "model" into encoder fit 0.2 { … }`; without `fit` the values have to be met exactly."""

    files: tuple[str, ...]
    file_span: Span
    target: PathPattern
    base: str
    mappings: tuple[LoadMapping, ...]
    span: Span
    fit: Fit | None = None
    at: At | None = None

    @property
    def file(self) -> str:
        """What is loaded, as text."""
        return " and ".join(self.files) + (f" at `{self.at.path}`" if self.at and self.at.path else "")
