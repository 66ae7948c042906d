"""Layers in numbers: configurations of kind `block`, comprehensions, and `for` over lists side by side."""

from __future__ import annotations

import pytest

from tests.stages import examined
from wsdl.diagnostics import Problems
from wsdl.diagnostics.span import Source

BLOCKS = """
block Bank(made: block, size: int = 2)(x: [n, d]) -> [n, d] {
    layer f[size] = made
    for one in f { x = one(x) }
    return x
}
block Outer(made: block = Dense(8, bias=false))(x: [n, d]) -> [n, d] {
    let bias = true
    layer first = made
    return x |> first |> Bank(made)
}
block Optional(made: block | none = none)(x: [n, d]) -> [n, d] {
    if made == none { return x }
    layer f = made
    return f(x)
}
"""


@pytest.mark.parametrize(
    ("body", "slots"),
    [
        ("return x |> Bank(Dense(8, bias=false))", "bank.f.0.weight [8, 8]; bank.f.1.weight [8, 8]"),
        # each layer has the layers that are written in its arguments; one that was declared is one for all
        (
            "return x |> Bank(Residual(Dense(8, bias=false)))",
            "bank.f.0.inner.weight [8, 8]; bank.f.1.inner.weight [8, 8]",
        ),
        ("layer g = Dense(8, bias=false); return x |> Bank(Residual(g), size=3)", "g.weight [8, 8]"),
        # names are those of the place where the block was written, at that time
        ("for i in 1..3 { x = x |> Bank(Dense(8, bias=i == 1), 1) }; return x",
         "bank.f.0.bias [8]; bank.f.0.weight [8, 8]; bank_2.f.0.weight [8, 8]"),
        # handed on, and as a default
        ("let bias = false; return x |> Outer(Dense(8, bias=bias))",
         "outer.bank.f.0.weight [8, 8]; outer.bank.f.1.weight [8, 8]; outer.first.weight [8, 8]"),
        ("return x |> Outer()",
         "outer.bank.f.0.weight [8, 8]; outer.bank.f.1.weight [8, 8]; outer.first.weight [8, 8]"),
        ("return x |> Optional() |> Optional(Dense(8, bias=false))", "optional_2.f.weight [8, 8]"),
        # comprehensions
        ("layer f = [Dense(8 * i, bias=false) for i in 1..3]; return x |> f[0] |> f[1] |> Dense(8, bias=false)",
         "dense.weight [8, 16]; f.0.weight [8, 8]; f.1.weight [16, 8]"),
        ("let widths = [2 * w for w in [2, 4]]; return x |> Sequential([Dense(w, bias=w > 4) for w in widths])",
         "sequential.layers.0.weight [4, 8]; sequential.layers.1.bias [8]; sequential.layers.1.weight [8, 4]"),
        ("layer f = [Bank(Dense(8, bias=false), size=i) for i in 0..2]; return x |> f[0] |> f[1]",
         None),  # an array of no layers
        # side by side
        ("layer f[2] = Dense(8, bias=false); for a, b in f, [Dense(8, bias=k > 0) for k in 0..2] { x = x |> a |> b }; "
         "return x",
         "dense.weight [8, 8]; dense_2.bias [8]; dense_2.weight [8, 8]; f.0.weight [8, 8]; f.1.weight [8, 8]"),
        ("layer f[4] = Dense(8, bias=false); share { f[i], f[j] } for i, j in [0, 1], 2..4; "
         "for g in f { x = g(x) }; return x",
         "f.0.weight [8, 8]; f.1.weight [8, 8]"),
        ("layer f[3] = Dense(8, bias=false); param f[i].weight = f[j].weight.T for i, j in 0..2, 1..3; "
         "for g in f { x = g(x) }; return x",
         "f.2.weight [8, 8]"),
    ],
)  # fmt: skip
def test_what_is_stored(body: str, slots: str | None) -> None:
    lines = body.replace("; ", "\n")
    problems = Problems()
    program = examined(Source("m.wsd", f"{BLOCKS}model m(x: f32[n, 8]) -> (y: f32[n, d]) {{\n{lines}\n}}\n"), problems)
    if slots is None:
        assert [d.code for d in problems.diagnostics] == ["E0234"]
        return
    assert program is not None, [d.message for d in problems.diagnostics]
    stored = [f"{path.removeprefix('m.')} {list(tensor.sizes)}" for path, tensor in sorted(program.stored.items())]
    assert "; ".join(stored) == slots
