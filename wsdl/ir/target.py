"""The target of a compilation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from wsdl.ir.types import TensorType

Loops: TypeAlias = Literal["auto", "loop", "unroll"]
Half: TypeAlias = Literal["f16", "bf16"]
Precision: TypeAlias = Literal["f32"] | Half

Materialize: TypeAlias = Literal["none", "auto", "all"]

PRECISIONS: tuple[Precision, ...] = ("f32", *get_args(Half))
OPSETS = range(18, 26)  # versions of ONNX's operators that can be written


@dataclass(frozen=True)
class Target:
    """`loops` says how repeated layers are compiled, `opset` is the version of ONNX's operators. What is f32 is stored
    as `dtype`; inputs and outputs are too unless `keep_io`. `materialize` says of which formulas the values are
    written in place of what they are computed from: none, all, those with which a file doesn't get larger, or those of
    some slots, by their paths."""

    loops: Loops = "auto"
    opset: int = 21
    dtype: Precision = "f32"
    keep_io: bool = True
    materialize: Materialize | frozenset[str] = "none"

    def io(self, type: TensorType) -> TensorType:
        """The type in the file of an input or an output declared as `type`."""
        return type if self.keep_io or type.dtype != "f32" else type.with_dtype(self.dtype)

    def stored(self, type: TensorType) -> TensorType:
        """The type in which a tensor declared as `type` is stored."""
        return type.with_dtype(self.dtype) if type.dtype == "f32" else type


DEFAULT = Target()
