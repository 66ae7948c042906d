"""Views against NumPy: what they read, their inverse, their composition, and when two are the same."""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from wsdl.ir.views import View, ViewError

SHAPE = (4, 6, 2)


def array(shape: tuple[int, ...] = SHAPE) -> Any:
    return np.arange(np.prod(shape)).reshape(shape)


@st.composite
def views(draw: st.DrawFn, source: tuple[int, ...] = SHAPE, slices: bool = True) -> View:
    view = View.identity(source)
    for _ in range(draw(st.integers(0, 4))):
        kind = draw(
            st.sampled_from(["permute", "reshape", "flip", "slice"] if slices else ["permute", "reshape", "flip"])
        )
        rank = len(view.shape)
        try:
            if kind == "permute":
                view = view.permute(draw(st.permutations(range(rank))))
            elif kind == "reshape":
                view = view.reshape(draw(st.sampled_from(factorings(int(np.prod(view.shape))))))
            elif kind == "flip":
                view = view.flip([draw(st.integers(0, rank - 1))])
            else:
                axis = draw(st.integers(0, rank - 1))
                start = draw(st.integers(0, view.shape[axis] - 1))
                stop = draw(st.integers(start + 1, view.shape[axis]))
                bounds: list[tuple[int | None, int | None, int | None]] = [(None, None, None)] * axis
                view = view.slice([*bounds, (start, stop, draw(st.integers(1, 2)))])
        except ViewError:
            assume(any(step.kind == "reshape" for step in view.steps))
    return view


def factorings(size: int) -> list[tuple[int, ...]]:
    pairs = [(a, size // a) for a in range(1, size + 1) if size % a == 0]
    triples = [(a, b, size // a // b) for a, rest in pairs for b in range(1, rest + 1) if rest % b == 0]
    return [(size,), *pairs, *triples]


def offsets(view: View) -> Any:
    """What the layout says is read: offset plus strides, digit by digit."""
    shape, offset, digits = view.layout
    index = np.full((1,), offset)
    for size, stride in digits:
        index = (index[:, None] + stride * np.arange(size)).reshape(-1)
    return index.reshape(shape)


@given(views())
def test_the_layout_says_what_is_read(view: View) -> None:
    np.testing.assert_array_equal(view.of(array()), offsets(view))
    assert view.of(array()).shape == view.shape


@given(views(slices=False))
def test_the_inverse_goes_back(view: View) -> None:
    back = view.inverse()
    assert back is not None
    np.testing.assert_array_equal(back.of(view.of(array())), array())
    try:
        assert view.then(back).is_identity
    except ViewError:  # a reshape that cuts across what another one made
        assume(any(step.kind == "reshape" for step in view.steps))
        return
    assert str(view.then(back)) == ""


@given(views())
def test_what_is_put_is_read(view: View) -> None:
    """Where a reshape makes NumPy copy too; nothing else changes."""
    part = -1 - np.arange(np.prod(view.shape)).reshape(view.shape)
    whole = view.put(array(), part)
    np.testing.assert_array_equal(view.of(whole), part)
    assert (whole >= 0).sum() == array().size - part.size


@given(views())
def test_a_view_that_leaves_elements_out_has_no_inverse(view: View) -> None:
    if np.prod(view.shape) < np.prod(SHAPE):
        assert view.inverse() is None


@given(views(), st.data())
def test_composition(view: View, data: st.DataObject) -> None:
    second = data.draw(views(view.shape))
    try:
        both = view.then(second)
        _ = both.layout
    except ViewError:  # each of them is a view, but the axes of one cut across the other's
        assume(any(step.kind == "reshape" for step in (*view.steps, *second.steps)))
        return
    np.testing.assert_array_equal(both.of(array()), second.of(view.of(array())))


@given(views(), views())
def test_two_views_are_the_same_exactly_when_they_read_the_same(a: View, b: View) -> None:
    same = a.shape == b.shape and bool((a.of(array()) == b.of(array())).all())
    assert a.reads_like(b) == same


def test_text() -> None:
    matrix = View.identity((6, 4))
    assert str(matrix.transposed) == ".T"
    assert str(matrix.transposed.transposed) == ""
    assert str(matrix.slice([(0, 3, None)])) == "[0:3, :]"
    assert str(matrix.slice([(0, 6, 2), (1, 3, None)])) == "[0:6:2, 1:3]"
    assert str(View.identity((2, 3, 4)).permute((2, 0, 1)).flip([1])) == ".permute(2, 0, 1).flip(1)"
    assert matrix.transposed.is_transpose
    assert not View.identity((4, 4)).is_transpose


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: View.identity((2, 3, 4)).transposed, "`.T` needs two axes"),
        (lambda: View.identity((2, 3)).permute((0, 0)), "doesn't name each of the 2 axes once"),
        (lambda: View.identity((2, 3)).reshape((4, 2)), "has 6 elements, which don't fill"),
        (lambda: View.identity((2, 3)).flip([2]), "axis 2 doesn't exist"),
        (lambda: View.identity((2, 3)).slice([(0, 4, None)]), "the slice goes to 4, but the axis has 2"),
        (lambda: View.identity((2, 3)).slice([(0, 1, 1)] * 3), "3 slices"),
        (lambda: View.identity((4, 6)).slice([(0, 3, 1), (0, 4, 1)]).reshape((2, 6)).flip([0]), "cut across"),
    ],
)
def test_mistakes(make: Any, message: str) -> None:
    with pytest.raises(ViewError, match=message.replace(".", r"\.")):
        make()
