"""Dynamic dimensions from the shapes of inputs, and what is said where they contradict each other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsdl.ir.binding import SizeError, bind_sizes, dim_of_text, size_sources
from wsdl.ir.dims import Dim, same
from wsdl.ir.types import TensorType

N, T, S = (Dim.symbol(name) for name in "nts")


def types(*shapes: list[Dim | int]) -> list[TensorType]:
    return [TensorType.of("f32", shape) for shape in shapes]


def test_names_by_themselves_come_first() -> None:
    sources = size_sources(types([2 * N, T], [N]))
    assert {name: (s.input, s.axis, s.is_exact) for name, s in sources.items()} == {
        "t": (0, 1, True),
        "n": (1, 0, True),
    }


@pytest.mark.parametrize(
    ("shapes", "sizes", "expected"),
    [
        ([[2 * N]], [[6]], {"n": 3}),
        ([[N - 2]], [[0]], {"n": 2}),
        ([[N * T + T, T]], [[8, 2]], {"t": 2, "n": 3}),
        ([[N + T], [T + S], [S]], [[5], [3], [1]], {"s": 1, "t": 2, "n": 3}),
        ([[N // 2]], [[5]], {}),
        ([[N * N]], [[9]], {}),
    ],
)
def test_solved_for(shapes: list[list[Dim | int]], sizes: list[list[int]], expected: dict[str, int]) -> None:
    assert bind_sizes(types(*shapes), sizes) == expected


@pytest.mark.parametrize(
    ("shapes", "sizes", "message"),
    [
        ([[N, 4]], [[3]], "`a` has shape [3], but must be f32[n, 4]"),
        ([[N, 4]], [[3, 5]], "axis 1 of `a` has size 5, but must be 4"),
        ([[N], [N]], [[3], [4]], "axis 0 of `b` has size 4, but must be n, and n is 3 in `a`"),
        ([[N], [2 * N]], [[3], [4]], "axis 0 of `b` has size 4, but must be 2 * n = 6, and n is 3 in `a`"),
        ([[2 * N]], [[3]], "axis 0 of `a` has size 3, which is not 2 * n for any n"),
        ([[N + 4]], [[3]], "axis 0 of `a` has size 3, which is not n + 4 for any n"),
    ],
)
def test_contradictions(shapes: list[list[Dim | int]], sizes: list[list[int]], message: str) -> None:
    with pytest.raises(SizeError) as error:
        bind_sizes(types(*shapes), sizes, "ab"[: len(shapes)])
    assert error.value.message == message


DIMS = st.recursive(
    st.sampled_from([N, T, S]) | st.integers(-9, 9).map(Dim.of),
    lambda inner: st.tuples(inner, inner, st.sampled_from("+-*/%")).map(lambda x: combined(*x)),
    max_leaves=6,
)


def combined(a: Dim, b: Dim, operator: str) -> Dim:
    if operator in "/%" and same(b, 0):
        return a
    return {"+": Dim.__add__, "-": Dim.__sub__, "*": Dim.__mul__, "/": Dim.__floordiv__, "%": Dim.__mod__}[operator](
        a, b
    )


@given(DIMS)
def test_the_text_of_a_dimension_is_read_again(dim: Dim) -> None:
    assert str(dim_of_text(str(dim))) == str(dim)


@pytest.mark.parametrize("text", ["batch size", "unk__1", "n.x", "f(n)", "n ** 2", "1.5", "(" * 500, ""])
def test_other_texts_are_names(text: str) -> None:
    assert dim_of_text(text).name == text
