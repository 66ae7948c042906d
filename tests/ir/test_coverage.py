"""The elements that views read together, compared with NumPy on random views."""

from __future__ import annotations

import random

import numpy as np

from tests.together import together
from wsdl.ir.coverage import Part, covers, in_both, left_out, overlap
from wsdl.ir.views import View, ViewError


def view(shape: tuple[int, ...], rng: random.Random) -> View:
    """A view of up to four steps."""
    view = View.identity(shape)
    for _ in range(rng.randint(0, 4)):
        sizes = view.shape
        try:
            kind = rng.choice(["permute", "flip", "reshape", "slice"])
            if kind == "permute":
                view = view.permute(rng.sample(range(len(sizes)), len(sizes)))
            elif kind == "flip":
                view = view.flip([rng.randrange(len(sizes))])
            elif kind == "reshape":
                size = int(np.prod(sizes))
                rows = rng.choice([n for n in range(1, size + 1) if size % n == 0])
                view = view.reshape([rows, size // rows])
            else:
                starts = [rng.randrange(n) for n in sizes]
                bounds = [(a, rng.randint(a, n), rng.choice([1, 1, 2])) for a, n in zip(starts, sizes, strict=True)]
                view = view.slice(bounds)
        except (ViewError, ValueError, IndexError):  # not a view, or an empty tensor
            continue
    return view


@together("seed", range(100), by=lambda seed: f"{seed // 10}x")
def test_the_same_elements_as_in_arrays(seed: int) -> None:
    rng = random.Random(seed)
    shape = tuple(rng.choice([1, 2, 3, 4, 6]) for _ in range(rng.randint(1, 3)))
    views = [view(shape, rng) for _ in range(rng.randint(1, 4))]
    index = np.arange(np.prod(shape)).reshape(shape)
    sets = [set(np.asarray(each.of(index)).ravel().tolist()) for each in views]

    def same(part: Part | None, elements: set[int]) -> bool:
        if part is None:
            return not elements
        box = set(np.asarray(View.parse(part.text, shape).of(index)).ravel().tolist())
        return part.count == len(elements) and elements <= box and part.is_exact == (elements == box)

    assert same(left_out(shape, views), set(index.ravel().tolist()).difference(*sets))
    assert same(in_both(views[0], views[-1]), sets[0] & sets[-1])
    assert covers(views[1:], views[0]) == (sets[0] <= set().union(*sets[1:]))
    pairs = [(i, j) for j in range(len(sets)) for i in range(j) if sets[i] & sets[j] and sets[j] not in sets[:j]]
    twice = overlap(views)
    assert (twice[:2] if twice else None) == (pairs[0] if pairs else None)


def test_a_part_is_named_as_a_slice() -> None:
    whole = View.identity((50304, 768))
    assert str(left_out((50304, 768), [whole.slice([(0, 50257, None)])])) == "[50257:50304]"
    assert (
        str(left_out((4, 4), [View.identity((4, 4)).slice([(1, 3, None), (1, 3, None)])])) == "[:] (12 elements of it)"
    )
