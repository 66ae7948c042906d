"""Dimensions: normal form, and comparison with three answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsdl.ir.dims import Dim, compare

n, t = Dim.symbol("n"), Dim.symbol("t")

dims = st.recursive(
    st.one_of(st.integers(0, 6).map(Dim.of), st.sampled_from([n, t])),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda p: p[0] + p[1]),
        st.tuples(inner, inner).map(lambda p: p[0] - p[1]),
        st.tuples(inner, inner).map(lambda p: p[0] * p[1]),
        st.tuples(inner, st.integers(1, 5)).map(lambda p: p[0] // p[1]),
        st.tuples(inner, st.integers(1, 5)).map(lambda p: p[0] % p[1]),
    ),
    max_leaves=6,
)
sizes = st.fixed_dictionaries({"n": st.integers(0, 9), "t": st.integers(0, 9)})


@pytest.mark.parametrize(
    ("dim", "text"),
    [
        (2 * t + t, "3 * t"),
        ((4 * t + 3) // 2, "2 * t + 1"),
        (n * t // t, "n"),
        ((n * t + n) * t // (n + n * t), "t"),
        ((t + 1) // 2 + 1, "(t + 1) // 2 + 1"),
        ((t - 1) // 2 + 1, "(t + 1) // 2"),
        (((t - 1) // 2 - 1) // 2 + 1, "(t + 1) // 4"),
        ((n // (t + 1) + 3) // 2, "(n // (t + 1) + 1) // 2 + 1"),
        (8 * (t // 2) * n - t // 2, "8 * n * (t // 2) - t // 2"),
        (0 - t // 2, "-(t // 2)"),
        (n - n, "0"),
        (t % 2, "t % 2"),
        ((2 * t) % 2, "0"),
        (-n + 1, "-n + 1"),
        ((n + t) * (n - t), "n * n - t * t"),
    ],
)
def test_normal_form(dim: Dim, text: str) -> None:
    assert str(dim) == text


@pytest.mark.parametrize(
    ("a", "b", "answer"),
    [
        (n + t, t + n, "equal"),
        (n, t, "unknown"),
        (n, 1, "unknown"),
        (n + 1, 0, "different"),
        (n + 1, n, "different"),
        (2 * n, n, "unknown"),  # both are 0 for an empty batch
        (Dim.of(3), 4, "different"),
        ((t + 1) // 2, (1 + t) // 2, "equal"),
    ],
)
def test_three_answers(a: Dim, b: Dim | int, answer: str) -> None:
    assert compare(a, b) == answer


def test_there_is_no_equality() -> None:
    with pytest.raises(TypeError, match="three answers"):
        assert n == n
    with pytest.raises(TypeError):
        hash(n)


@given(dims, dims, sizes)
def test_answers_hold_for_all_sizes(a: Dim, b: Dim, at: dict[str, int]) -> None:
    answer = compare(a, b)
    left, right = a.evaluate(at), b.evaluate(at)
    if min(left, right) >= 0:
        assert answer == "unknown" or (answer == "equal") == (left == right)


@given(dims, dims, sizes)
def test_arithmetic_is_that_of_numbers(a: Dim, b: Dim, at: dict[str, int]) -> None:
    x, y = a.evaluate(at), b.evaluate(at)
    assert (a + b).evaluate(at) == x + y
    assert (a - b).evaluate(at) == x - y
    assert (a * b).evaluate(at) == x * y
    assert a.substitute({"n": t}).evaluate(at) == a.evaluate({"n": at["t"], "t": at["t"]})
