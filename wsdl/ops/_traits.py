"""Traits: what passes need to know of an operation without calling it, given in the first line of its class."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypedDict

HalfRule: TypeAlias = Literal[
    "f16", "f32", "widest", "f32 inside", "shift", "product", "moves", "makes", "as is", "expanded"
]
"""How an operation computes where `--dtype f16` asks for 16 bits (`rewrite/lower_precision.py`).

f16       in f16: it adds up in f32 inside, as products of matrices do
f32       in f32: it leaves the range of f16, or loses digits in it, where its operands don't
widest    in the widest dtype of its operands: it gives numbers of about their size
f32 inside  likewise, and its attributes are f32 in any case, as those of ONNX's operators of normalization
shift     as `widest`, but with a constant other than 0 in f32: what it is added to may be far smaller
product   in f32, but times or divided by a constant near 1 as `widest`: it gives numbers of another size
moves     as `widest`: it gives elements of its operands, so what f16 doesn't hold is still in its result
makes     it creates floats without reading any, in f16 where that holds them
as is     it takes its operands as they are, and returns the dtype that is asked for
expanded  as its parts, which take its place before
"""


Axes: TypeAlias = "Sequence[int] | slice | str | Callable[..., Sequence[int] | slice]"
"""Axes of an operand: numbers, a range of them, an attribute with them (`None`: all), or a rule:
`rule(operation, *operands)` has the attributes and the types of the operands."""

Mixes: TypeAlias = Mapping[str, Axes]
"""Along which axes of its operands an element of the result depends on several elements, or on where they stand:
`{"x": "axis"}` for `cumsum`. Cut along any other axis, the results of the parts are the parts of the result
(`training/separate.py`). `result` stands for an operation without operands whose result depends on the position."""


TrainingForm: TypeAlias = Literal["same", "only", "masked", "by batch"]
"""What an operation is in training steps: the `same` as in compiled models; there `only`, its operand otherwise;
`masked` at random; or normalized `by batch`, with running statistics."""

Meaning: TypeAlias = Literal["logits", "probabilities", "log probabilities"]  # of values for classes


@dataclass(frozen=True)
class Expected:
    """The operand of a loss that has to be logits or probabilities, and how messages say it."""

    operand: str
    meaning: Meaning
    says: str


class Traits(TypedDict, total=False):
    """All traits. Those without a default are required; `tests/ops/test_complete.py` reports missing ones."""

    half: HalfRule
    mixes: Mixes
    reduces: Mixes  # other axes along which results of parts can be merged into the result of the whole, by `merge`
    f32_operands: Sequence[str]  # may be f32 where the others have 16 bits
    unbounded: Sequence[str]  # attributes that may be infinite or NaN: elements and limits of elements
    integer_operands: Sequence[str]  # hold integers, whatever the others hold: indices, labels
    elementwise: bool  # an element of the result depends on one of each operand
    steps_along: str | None  # the attribute with axes, of an operation on one operand that takes all steps of a loop
    # at once where these axes are moved by one; `None` for one that stays in its loop
    random: bool  # it returns random numbers; its operands are `seed`, `step` and `place`
    no_gradient: str  # why there is none, in words for the user: the result changes in jumps only, or is no float
    expanded_by: str  # the pass over whole graphs that puts the operations that it consists of in its place
    training: TrainingForm
    at_inference: str  # of one that only training steps have: what a compiled model has in its place, an operation or
    # "its operand"; its states, last among results and operands, then stay as they are
    gives: Meaning
    expects: Expected
    output_axis: int  # of a convolution: that of its weight with the output channels
