"""Use and definition of names, as editors ask for them."""

from __future__ import annotations

from wsdl.compiler import check
from wsdl.diagnostics import Problems
from wsdl.diagnostics.span import Source, Span

PROGRAM = """\
let width = 8
block Ffn(hidden: int, rate: float = 0.1)(x: [n, d]) -> [n, d] {
    param gain: [d] = ones
    h = x * gain |> Dense(units=hidden) |> relu
    h = dropout(h, rate)
    return h |> Dense(d)
}
block Unused()(x: [n]) -> [n] { return x + width }
model m(x: f32[n, 4]) -> (y: f32[n, 4]) {
    layer ffn = Ffn(hidden=width)
    y = ffn(x=x)
    return y * ffn.gain
}
train m(target: f32[n, 4]) {
    loss mse(y, target)
    optimizer SGD(lr=0.1)
}
"""
USES = """\
4:9 x -> 2:43
4:13 gain -> 3:11
4:21 Dense -> std
4:27 units -> std
4:33 hidden -> 2:11
5:17 h -> 4:5
5:20 rate -> 2:24
6:12 h -> 5:5
6:17 Dense -> std
6:23 d -> 2:50
8:40 x -> 8:16
8:44 width -> 1:5
10:17 Ffn -> 2:7
10:21 hidden -> 2:11
10:28 width -> 1:5
11:9 ffn -> 10:11
11:13 x -> 2:43
11:15 x -> 9:9
12:12 y -> 11:5
12:16 ffn -> 10:11
12:20 gain -> 3:11
14:7 m -> 9:7
15:14 y -> 9:27
15:17 target -> 14:9
"""


def _where(span: Span) -> str:
    return "std" if span.source.is_standard else f"{span.line}:{span.column}"


def test_each_use_knows_its_definition() -> None:
    problems = Problems()
    program = check(Source("m.wsd", PROGRAM), problems)
    assert not problems.errors
    found = sorted(program.references.definitions.items(), key=lambda pair: pair[0].start)
    inside = [(use, place) for use, place in found if use.text not in ("n", "d") or use.line == 6]
    assert "\n".join(f"{_where(use)} {use.text} -> {_where(place)}" for use, place in inside) == USES.strip()


def test_all_uses_of_a_definition() -> None:
    program = check(Source("m.wsd", PROGRAM), Problems())
    width = Source("m.wsd", PROGRAM).span(PROGRAM.index("width"), PROGRAM.index("width") + len("width"))
    [place] = {p for p in program.references.definitions.values() if (p.start, p.end) == (width.start, width.end)}
    assert [_where(use) for use in program.references.uses(place)] == ["8:44", "10:28"]
