"""The union-find against brute force: every element of every member in its place."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsdl.ir.graph import Initializer, Slot
from wsdl.ir.sharing import Member, Sharing
from wsdl.ir.text import NOWHERE
from wsdl.ir.types import TensorType
from wsdl.ir.views import View


def slot(path: str, *shape: int, kind: Any = "param", dtype: Any = "f32") -> Slot:
    return Slot(path, TensorType.of(dtype, shape), kind, Initializer("zeros"), NOWHERE, NOWHERE)


def whole(of: Slot) -> Member:
    return Member(of, View.identity(of.sizes), NOWHERE)


def seen(of: Slot, view: View) -> Member:
    return Member(of, view, NOWHERE)


def test_a_transpose_is_stored_as_its_first_member() -> None:
    encode, decode = slot("encode", 64, 784), slot("decode", 784, 64)
    sharing = Sharing([encode, decode])
    assert sharing.unite(whole(encode), seen(decode, View.identity((784, 64)).transposed)) is None
    [stored] = sharing.stored()
    assert stored.root is encode
    assert [(s.path, str(v)) for s, v in stored.slots] == [("encode", ""), ("decode", ".T")]


def test_the_widest_member_is_stored() -> None:
    narrow, middle, wide = slot("narrow", 2, 3), slot("middle", 4, 3), slot("wide", 8, 6)
    sharing = Sharing([narrow, middle, wide])
    assert sharing.unite(whole(narrow), seen(middle, View.identity((4, 3)).slice([(0, 2, None)]))) is None
    corner = View.identity((8, 6)).slice([(1, 5, None), (2, 5, None)])
    assert sharing.unite(whole(middle), seen(wide, corner)) is None
    [stored] = sharing.stored()
    assert stored.root is wide
    assert {s.path: str(v) for s, v in stored.slots} == {"narrow": "[1:3, 2:5]", "middle": "[1:5, 2:5]", "wide": ""}


def test_groups_that_overlap_merge_and_keep_the_first_name() -> None:
    a, b, c, d = (slot(name, 4, 4) for name in "abcd")
    sharing = Sharing([a, b, c, d])
    sharing.unite(whole(a), whole(b))
    sharing.name(a, "m.first")
    sharing.unite(whole(c), whole(d))
    sharing.name(c, "m.second")
    assert sharing.unite(whole(b), seen(c, View.identity((4, 4)).transposed)) is None
    [stored] = sharing.stored()
    assert stored.name == "m.first"
    assert {s.path: str(v) for s, v in stored.slots} == {"a": "", "b": "", "c": ".T", "d": ".T"}


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        (whole(slot("a", 2, 3)), whole(slot("b", 3, 2)), "shape"),
        (whole(slot("a", 2, 3)), whole(slot("b", 2, 3, dtype="f16")), "dtype"),
        (whole(slot("a", 2, 3)), whole(slot("b", 2, 3, kind="state")), "kind"),
        (
            seen(slot("a", 2, 3), View.identity((2, 3)).slice([(0, 1, None)])),
            seen(slot("b", 2, 3), View.identity((2, 3)).slice([(0, 1, None)])),
            "overlap",
        ),
    ],
)
def test_contradictions(first: Member, second: Member, reason: str) -> None:
    conflict = Sharing([first.slot, second.slot]).unite(first, second)
    assert conflict is not None
    assert conflict.reason == reason


def test_a_tensor_is_not_its_own_transpose() -> None:
    a, b = slot("a", 4, 4), slot("b", 4, 4)
    sharing = Sharing([a, b])
    assert sharing.unite(whole(a), whole(b)) is None
    assert sharing.unite(whole(a), whole(b)) is None  # said twice, and true
    conflict = sharing.unite(whole(a), seen(b, View.identity((4, 4)).transposed))
    assert conflict is not None
    assert conflict.reason == "itself"


@st.composite
def bijections(draw: st.DrawFn, shape: tuple[int, ...]) -> View:
    view = View.identity(shape)
    for _ in range(draw(st.integers(0, 3))):
        if draw(st.booleans()):
            view = view.permute(draw(st.permutations(range(len(shape)))))
        else:
            view = view.flip([draw(st.integers(0, len(shape) - 1))])
    return view


@given(st.data())
def test_every_slot_reads_what_its_groups_say(data: st.DataObject) -> None:
    """Random groups of cubes: if no contradiction is found, all members of each group are equal tensors."""
    slots = [slot(f"s{i}", 2, 2, 2) for i in range(5)]
    sharing = Sharing(slots)
    accepted: list[tuple[Member, Member]] = []
    for _ in range(data.draw(st.integers(1, 7))):
        pair = [
            seen(slots[data.draw(st.integers(0, 4))], data.draw(bijections((2, 2, 2)))),
            seen(slots[data.draw(st.integers(0, 4))], data.draw(bijections((2, 2, 2)))),
        ]
        if sharing.unite(*pair) is None:
            accepted.append((pair[0], pair[1]))
    stored = {s.root.path: np.random.default_rng(i).normal(size=(2, 2, 2)) for i, s in enumerate(sharing.stored())}

    def value(member: Member) -> Any:
        root, view = sharing.home(member.slot)
        return member.view.of(view.of(stored[root.path]))

    for first, second in accepted:
        np.testing.assert_array_equal(value(first), value(second))
