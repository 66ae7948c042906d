"""Types of tensors: a dtype and a shape of dimensions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from typing import Any, Literal, get_args

from wsdl.ir.dims import Dim, Terms, product, same

DType = Literal["f16", "bf16", "f32", "f64", "i8", "i16", "i32", "i64", "u8", "bool"]
DTYPES: tuple[DType, ...] = get_args(DType)
FLOATS: frozenset[DType] = frozenset(("f16", "bf16", "f32", "f64"))
INTEGERS: frozenset[DType] = frozenset(("i8", "i16", "i32", "i64", "u8"))
BYTES: dict[DType, int] = {
    "f16": 2, "bf16": 2, "f32": 4, "f64": 8, "i8": 1, "i16": 2, "i32": 4, "i64": 8, "u8": 1, "bool": 1,
}  # fmt: skip
RANGE: dict[DType, tuple[float, float]] = {  # the smallest and the largest number, of f32 as they are often written
    "f16": (-65504.0, 65504.0),
    "bf16": (-3.3895313892515355e38, 3.3895313892515355e38),
    "f32": (-3.4028235e38, 3.4028235e38),
    "f64": (-1.7976931348623157e308, 1.7976931348623157e308),
    "i8": (-(2**7), 2**7 - 1),
    "i16": (-(2**15), 2**15 - 1),
    "i32": (-(2**31), 2**31 - 1),
    "i64": (-(2**63), 2**63 - 1),
    "u8": (0, 2**8 - 1),
}


def holds(dtype: DType, number: float) -> bool:
    """Whether a number is in the range of a dtype; floats hold infinity and NaN."""
    if isinstance(number, float) and not isfinite(number):
        return dtype in FLOATS
    low, high = RANGE.get(dtype, (number, number))
    return low <= number <= high


@dataclass(frozen=True, eq=False)
class TensorType:
    """`f32[n, t, 128]`. Compare with `same_type`, print with `str`."""

    dtype: DType
    shape: tuple[Dim, ...]

    @staticmethod
    def of(dtype: DType, shape: Iterable[Dim | int] = ()) -> TensorType:
        return TensorType(dtype, tuple(Dim.of(d) for d in shape))

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def elements(self) -> Dim:
        return product(self.shape)

    @cached_property
    def sizes(self) -> tuple[int, ...] | None:
        """The shape as integers, or `None` where a dimension is known at run time only."""
        sizes = []
        for dim in self.shape:
            size = dim.constant
            if size is None:
                return None
            sizes.append(size)
        return tuple(sizes)

    @property
    def is_float(self) -> bool:
        return self.dtype in FLOATS

    @property
    def is_integer(self) -> bool:
        return self.dtype in INTEGERS

    def with_dtype(self, dtype: DType) -> TensorType:
        return TensorType(dtype, self.shape)

    def with_shape(self, shape: Iterable[Dim | int]) -> TensorType:
        return TensorType.of(self.dtype, shape)

    def with_dim(self, axis: int, dim: Dim | int) -> TensorType:
        """With the size along one axis (0 <= axis < rank) replaced."""
        return self.with_shape((*self.shape[:axis], dim, *self.shape[axis + 1 :]))

    def as_json(self) -> dict[str, Any]:
        """`dtype` and `shape`; a dynamic dimension as it is written."""
        return {"dtype": self.dtype, "shape": [str(d) if d.constant is None else d.constant for d in self.shape]}

    @property
    def key(self) -> tuple[DType, tuple[Terms, ...]]:
        """Equal for two types that are written alike, and hashable."""
        return self.dtype, tuple(d.terms for d in self.shape)

    def __str__(self) -> str:
        return f"{self.dtype}{shape_text(self.shape)}"


def shape_text(shape: Sequence[Dim | int]) -> str:
    """`[n, 28, 28]`."""
    return f"[{', '.join(map(str, shape))}]"


def same_shape(a: Sequence[Dim], b: Sequence[Dim]) -> bool:
    """Certainly the same shape."""
    return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))


def same_type(a: TensorType, b: TensorType) -> bool:
    """The same dtype and certainly the same shape."""
    return a.dtype == b.dtype and same_shape(a.shape, b.shape)
