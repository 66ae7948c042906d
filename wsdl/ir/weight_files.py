"""Listings of weight files, read before any values: the tensors of a file, and which stored tensors they fill."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from pathlib import PurePath
from typing import Any

from wsdl.diagnostics import limits
from wsdl.diagnostics.span import Span
from wsdl.ir.types import shape_text
from wsdl.ir.views import View

FORMATS = (".safetensors", ".npz", ".onnx")
_PICKLED = (".pt", ".pth", ".bin", ".ckpt", ".pkl")


def unknown_format(path: str) -> tuple[str, str] | None:
    """Why weights can't be read from a file of this name, and what to do; `None` where they can."""
    suffix = PurePath(path).suffix.lower()
    if suffix in FORMATS:
        return None
    return (
        f"weights can't be read from a {suffix} file" if suffix else "the name of the file doesn't say what it is",
        "weights come from .safetensors, .npz and .onnx files"
        + ("; PyTorch's own files are programs (pickle), so save them as safetensors" if suffix in _PICKLED else ""),
    )


def are_sizes(value: Any) -> bool:
    """Is it a list of sizes that a tensor in a file may have? Of others even the product could take hours."""
    if not isinstance(value, list | tuple) or len(value) > limits.AXES:
        return False
    return all(type(n) is int and 0 <= n < limits.DIMENSION for n in value) and prod(value) < limits.DIMENSION


@dataclass(frozen=True)
class TensorInfo:
    """What a file says of a tensor. `dtype` is the language's name, or the file's own where the language has none."""

    dtype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.dtype}{shape_text(self.shape)}"


@dataclass
class Listing:
    """The tensors of a file. `aliases` are further names of some, by what the file itself says about sharing."""

    path: str
    tensors: dict[str, TensorInfo]
    aliases: dict[str, str] = field(default_factory=dict)

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
    slot with the path `slot`, or for the part of it that the view `part` reads."""

    stored: str
    view: View
    slot: str
    file: str
    tensor: str
    span: Span | None = None
    part: View | None = None
