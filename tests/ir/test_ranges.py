"""Paths with ranges stand for exactly the paths that went in."""

from hypothesis import given
from hypothesis import strategies as st

from wsdl.ir.ranges import compact, expand

indices = st.integers(0, 5)
paths = st.one_of(
    st.sampled_from(["m.head.weight", "m.tok.weight"]),
    indices.map("m.blocks[{}].up".format),
    st.tuples(indices, indices).map(lambda ij: f"m.blocks[{ij[0]}].heads[{ij[1]}].weight"),
)


def test_an_array_is_one_path() -> None:
    assert compact(f"m.blocks[{i}].up" for i in range(12)) == ["m.blocks[0:12].up"]
    assert compact(["m.b[0].x", "m.b[1].x", "m.b[3].x", "m.c"]) == ["m.b[0:2].x", "m.b[3].x", "m.c"]
    assert compact(f"m.b[{i}].h[{j}].w" for i in range(3) for j in range(2)) == ["m.b[0:3].h[0:2].w"]


@given(st.lists(paths, unique=True))
def test_nothing_is_lost_or_added(given_paths: list[str]) -> None:
    assert sorted(p for c in compact(given_paths) for p in expand(c)) == sorted(given_paths)
