"""Listings of weight files, read before any values: the tensors of a file, and which stored tensors they fill."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from os import PathLike, fspath
from pathlib import PurePath
from typing import Any

from wsdl.diagnostics import limits
from wsdl.diagnostics.span import Span
from wsdl.ir.types import shape_text
from wsdl.ir.views import View

# What a file says of its tensors: which parameters are views of them, how others are computed, which are inputs of ways
# of sharing, which need not be read, and which are stored for each of these.
SHARING, FORMULAS, INPUTS, WAYS = "wsdl.sharing", "wsdl.formulas", "wsdl.inputs", "wsdl.ways"
PYTORCH = (".pt", ".pth", ".bin", ".ckpt", ".jit")
FORMATS = (".safetensors", *PYTORCH, ".npz", ".onnx")
FORMATS_HELP = "weights come from .safetensors, .pt (also .pth, .bin, .ckpt), .npz and .onnx files"


def unknown_format(path: str) -> tuple[str, str] | None:
    """Why weights can't be read from a file with this name, and a help; `None` if they can."""
    suffix = PurePath(path).suffix.lower()
    if suffix in FORMATS or is_index(path):
        return None
    return (
        f"weights can't be read from a {suffix} file" if suffix else "the name of the file doesn't say what it is",
        FORMATS_HELP,
    )


def is_index(path: str | PathLike[str]) -> bool:
    """Whether a file is the index of weights in several files, by its name: `model.safetensors.index.json`."""
    return fspath(path).lower().endswith(".index.json")


def is_weights(path: str | PathLike[str]) -> bool:
    """Whether a file is one of weights, by its name."""
    return unknown_format(fspath(path)) is None


def are_sizes(value: Any) -> bool:
    """Whether a value is a valid shape of a tensor in a file. (For others even the product could take hours.)"""
    if not isinstance(value, list | tuple) or len(value) > limits.AXES:
        return False
    return all(type(n) is int and 0 <= n < limits.DIMENSION for n in value) and prod(value) < limits.DIMENSION


@dataclass(frozen=True)
class TensorInfo:
    """The type of a tensor in a file. `dtype` is the language's name, or that of the file if the language has none."""

    dtype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.dtype}{shape_text(self.shape)}"


@dataclass
class Listing:
    """The tensors of a file. `aliases` are further names of some, by what the file itself says about sharing.

    Where the file says how parameters were read, these are among the tensors, by their paths in files: `parts` has for
    each that is not stored as it is the tensors that it is made of. `readings` has the texts of how they were read, by
    their paths in programs. `inputs` are those of ways of sharing.
    """

    path: str
    tensors: dict[str, TensorInfo]
    aliases: dict[str, str] = field(default_factory=dict)
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict, kw_only=True)
    readings: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    inputs: frozenset[str] = field(default=frozenset(), kw_only=True)

    @property
    def names(self) -> list[str]:
        """All names, aliases last."""
        return [*self.tensors, *self.aliases]

    def stored_name(self, name: str) -> str:
        """The name under which the file holds a tensor."""
        return self.aliases.get(name, name)

    def info(self, name: str) -> TensorInfo:
        return self.tensors[self.stored_name(name)]


@dataclass(frozen=True)
class Fill:
    """The tensor `tensor` of a file becomes the view `view` of the stored tensor `stored`: asked for at `span`, for the
    slot with the path `slot`, or for the part of it that the view `part` reads. With `seen`, a view of the tensor is
    read in place of all of it. Where a formula computes the slot, nothing is stored for it (`None`), and the view is
    one of the slot.

    `as_stored` says that it is the tensor that the file itself holds under this name, whatever the parameter of the
    name held. `fit` is the share of the norm of the tensor that may be lost where it can't be met exactly; `None` where
    it must.
    """

    stored: str | None
    view: View
    slot: str
    file: str
    tensor: str
    span: Span | None = None
    part: View | None = None
    seen: View | None = None
    fit: float | None = None
    as_stored: bool = False
