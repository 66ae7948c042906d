"""Programs for property tests: everything the grammar has, laid out as nobody would, with comments in odd places.

The programs parse; they don't have to check. A program is first written with signs for the gaps between its words, then
each gap is filled: with a space or nothing, and where the language allows it with line breaks and comments.
"""

from __future__ import annotations

import re
from random import Random

from hypothesis import strategies as st

NAMES = ["x", "y", "h", "tok", "layer", "state", "block", "load", "loss", "lr", "größe", "reverse", "in", "n_2"]
BLOCKS = ["Dense", "Conv2d", "GRU"]
NUMBERS = ["0", "3", "64", "100_000", "0.5", "1e-3", "2.5E+4"]
STRINGS = ['"same"', '"a # b"', '"{i}.\\"q\\""', '"ä|>("', '"C:\\\\x\\n"', '", except "']
COMPARISONS = ["==", "<="]
OPERATORS = ["+", "-", "*", "/", "//", "%", "@", "**", *COMPARISONS, "and", "or"]
TYPES = ["f32[n, d]", "[..., d]", "f32", "i64[n, 2 * t]", "[d // heads]", "[]", "f32[ n ,t, ]"]

# Gaps, by what may stand in them: inside brackets, before `|>`, at the end of a statement.
INSIDE, BEFORE_PIPE, END = "\x01", "\x02", "\x03"


@st.composite
def programs(draw: st.DrawFn) -> str:
    """A file of one to four declarations."""
    parts = [draw(declarations()) for _ in range(draw(st.integers(1, 4)))]
    return _fill(END.join(["", *parts, ""]), draw(st.randoms(use_true_random=False)))


def names() -> st.SearchStrategy[str]:
    return st.sampled_from(NAMES)


def _separated(items: list[str], random_comma: bool = False) -> str:
    joined = f"{INSIDE},{INSIDE}".join(items)
    return f"{INSIDE}{joined}{INSIDE}{',' + INSIDE if random_comma and items else ''}"


@st.composite
def expressions(draw: st.DrawFn, depth: int = 3) -> str:
    kind = draw(st.integers(0, 14)) if depth else draw(st.integers(0, 4))
    inner = expressions(depth - 1)
    if kind <= 2:
        return draw(names())
    if kind == 3:
        return draw(st.sampled_from(NUMBERS))
    if kind == 4:
        return draw(st.sampled_from([*STRINGS, "true", "none"]))
    if kind == 5:
        return f"({INSIDE}{draw(inner)}{INSIDE})"
    if kind == 6:
        return f"[{_separated(draw(st.lists(inner, max_size=4)), draw(st.booleans()))}]"
    if kind == 7:
        sign, left, right = draw(st.sampled_from(OPERATORS)), draw(inner), draw(inner)
        if draw(st.booleans()):
            return f"({left}) {sign} ({right})"
        left = f"({left})" if sign in COMPARISONS else left  # comparisons don't chain, and `left` may be one
        return f"({left} {sign} {draw(names())})"
    if kind == 8:
        return f"{draw(st.sampled_from(['-', 'not ', '-(']))}{draw(names())}".replace("-(", "- -")
    if kind == 9:
        return f"{draw(names())}.{draw(names())}"
    if kind == 10:
        index = draw(st.sampled_from(["*", "0", "::3", "0:6", "2 * i : n", "...", "a:b, 1"]))
        return f"{draw(names())}[{INSIDE}{index}{INSIDE}]"
    if kind == 11:
        stages = "".join(
            f"{BEFORE_PIPE}|> {stage}" for stage in draw(st.lists(calls(depth - 1), min_size=1, max_size=4))
        )
        return f"({INSIDE}{draw(names())}{stages})"
    if kind == 12:
        return draw(calls(depth - 1)) + draw(st.sampled_from(["", ".T", "(x)", "[0]"]))
    if kind == 13:
        clause = draw(st.sampled_from(["i in 0..4", "x, h in a, b", "i, j in 0..n, [1, 2]"]))
        return f"[{INSIDE}{draw(inner)}{INSIDE} for {clause}{INSIDE}]"
    return " + ".join(draw(names()) for _ in range(draw(st.integers(2, 14))))


@st.composite
def calls(draw: st.DrawFn, depth: int = 2) -> str:
    inner = expressions(max(depth, 0))
    values = draw(st.lists(inner, max_size=3))
    keywords = draw(st.lists(st.tuples(names(), inner), max_size=3))
    arguments = [*values, *(f"{name}={value}" for name, value in keywords)]
    return f"{draw(st.sampled_from(BLOCKS))}({_separated(arguments, draw(st.booleans()))})"


@st.composite
def values(draw: st.DrawFn) -> str:
    """What stands behind `=`: an expression, or a pipeline over several lines."""
    if draw(st.booleans()):
        return draw(expressions())
    stages = draw(st.lists(st.one_of(names(), calls()), min_size=1, max_size=6))
    return draw(names()) + "".join(f"{BEFORE_PIPE}|> {stage}" for stage in stages)


@st.composite
def paths(draw: st.DrawFn) -> str:
    parts = draw(st.lists(st.sampled_from([".w", ".attn", "[*]", "[0:6]", "[i]", "[::2]"]), max_size=3))
    return draw(names()) + "".join(parts) + draw(st.sampled_from(["", ".T", ".permute(1, 0)", "[0:64, 0:32]"]))


@st.composite
def shares(draw: st.DrawFn) -> str:
    members = _separated(draw(st.lists(paths(), min_size=1, max_size=4)), draw(st.booleans()))
    excepted = draw(st.lists(paths(), max_size=2))
    exceptions = f" except {_separated(excepted)}" if excepted else ""
    name = draw(st.sampled_from(["", "tied ", "as Delta(rank=8)", "tied as Mix( ) "]))
    clause = draw(st.sampled_from(["", " for i in 0..3", " for w, i in [16, 32], 0..2"]))
    return f"share {name}{{{members}{exceptions}}}{clause}"


@st.composite
def bodies(draw: st.DrawFn, depth: int) -> str:
    inside = draw(st.lists(statements(depth), max_size=4))
    return f"{{{END}{END.join(inside)}{END}}}" if inside else draw(st.sampled_from(["{ }", "{}", f"{{{END}}}"]))


@st.composite
def statements(draw: st.DrawFn, depth: int = 2) -> str:
    kind = draw(st.integers(0, 12)) if depth else draw(st.integers(0, 8))
    if kind <= 2:
        return f"{draw(st.sampled_from(['x', 'layer', 'state, h']))} = {draw(values())}"
    if kind == 3:
        return f"layer {draw(names())}{draw(st.sampled_from(['', '[3]', '[ depth ]']))} = {draw(calls())}"
    if kind == 4:
        word, default = draw(st.sampled_from(["param", "state"])), draw(st.sampled_from(["", " = zeros"]))
        shared, words = "", ""
        if word == "param":
            shared = draw(st.sampled_from(["", "shared "]))
            extent = " per group" if shared else " per member"
            words = draw(st.sampled_from(["", extent, f"{extent} nodecay", " nodecay"]))
        return f"{shared}{word} {draw(names())}: {draw(st.sampled_from(TYPES))}{default}{words}"
    if kind == 5:
        return draw(shares())
    if kind == 6:
        return f"{draw(st.sampled_from(['return', 'emit', 'freeze']))} {draw(paths())}, {draw(paths())}"
    if kind == 7:
        return f"limit params {draw(st.sampled_from(NUMBERS))}"
    if kind == 8:
        return f"{draw(st.sampled_from(['let', 'loss']))} {draw(names())} = {draw(expressions())}"
    if kind == 9:
        return (
            f"for {draw(st.sampled_from(['i in 0..3', 'i in [16, 32]', 'h, i in x, 0..2']))} {draw(bodies(depth - 1))}"
        )
    if kind == 10:
        head = draw(st.sampled_from(["scan", "h, c = scan reverse"]))
        start = draw(expressions(1))
        return f"{head} xt in x, m in mask along 1 with h = {start}, c = zeros([n]) {draw(bodies(depth - 1))}"
    branch, condition = bodies(depth - 1), expressions(1)
    text = f"if {draw(condition)} {draw(branch)}"
    if draw(st.booleans()):
        text += f" else if {draw(condition)} {draw(branch)}"
    return text + (f" else {draw(branch)}" if draw(st.booleans()) else "")


@st.composite
def trainings(draw: st.DrawFn, depth: int = 2) -> str:
    """A statement of a `train`."""
    kind = draw(st.integers(0, 8)) if depth else draw(st.integers(0, 6))
    if kind <= 1:
        return f"loss {draw(st.sampled_from(['', 'fit = ', 'loss = ']))}{draw(values())}"
    if kind == 2:
        return f"metric {draw(names())} = {draw(values())}"
    if kind == 3:
        return f"optimizer {draw(calls())}"
    if kind == 4:
        return f"lr {draw(paths())}, {draw(paths())} = {draw(expressions(1))}"
    if kind == 5:
        return f"{draw(st.sampled_from(['x', 'loss', 'lr, h', 'metric', 'optimizer', 'weight']))} = {draw(values())}"
    if kind == 6:
        return f"weight {draw(names())} = {draw(expressions(1))}"
    inside = END.join(draw(st.lists(trainings(depth - 1), max_size=3)))
    head = "for loss in 0..3" if kind == 7 else f"if {draw(expressions(1))}"
    return f"{head} {{{END}{inside}{END}}}"


@st.composite
def variants(draw: st.DrawFn) -> str:
    """A variant, of one line or of several."""
    changed = [f"freeze {draw(paths())} eval", f"lr {draw(paths())} = {draw(expressions(1))}"]
    changes = f"train m {{{END}{END.join(draw(st.lists(st.sampled_from(changed), max_size=2)))}{END}}}"
    lines = [draw(shares()), f"freeze {draw(paths())}", "limit bytes 1_000", 'load "w.npz" into a', changes]
    if draw(st.booleans()):
        return f"variant {draw(names())} {{ {draw(st.sampled_from(lines))} }}"
    inside = END.join(draw(st.lists(st.sampled_from(lines), max_size=4)))
    return f"variant {draw(names())} {{{END}{inside}{END}}}"


@st.composite
def declarations(draw: st.DrawFn) -> str:
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return f"let {draw(names())} = {draw(values())}"
    if kind == 1:
        return 'from "./a.wsd" import Encoder, Decoder'
    if kind == 2:
        lines = ['"a.{i}" -> b[i].{p}', '"c"[0:2].T -> d_{p}.e', '"{p...}" -> {p...}', 'ignore "e", "*.f"']
        table = f"{{{END}{END.join(draw(st.lists(st.sampled_from(lines), min_size=1, max_size=3)))}{END}}}"
        excepted = draw(st.sampled_from(["", f" except {draw(paths())}, {draw(paths())}"]))
        files, at = ['"a"', '["a", "b"]', *STRINGS], ["", ' at "b"']
        source = f"{draw(st.sampled_from(files))}{draw(st.sampled_from(at))}"
        return f"load {source} into {draw(paths())}{excepted} {draw(st.sampled_from(['', table]))}"
    if kind == 3:
        return f"freeze {draw(paths())}"
    if kind == 4:
        return draw(shares())
    if kind == 7:
        return draw(variants())
    inputs = _separated([f"{draw(names())}: {draw(st.sampled_from(TYPES))}" for _ in range(draw(st.integers(0, 3)))])
    results = draw(st.sampled_from(["", " -> [n, d]", " -> f32[n]", f" -> ({INSIDE}a: f32[n],{INSIDE}b: [n]{INSIDE})"]))
    if kind == 5:
        return f"model m({inputs}){results} {draw(bodies(2))}"
    if kind == 6:
        inside = END.join(draw(st.lists(trainings(), max_size=4)))
        return f"train {draw(names())}({inputs}) {{{END}{inside}{END}}}"
    options = [f"{draw(names())}: {draw(st.sampled_from(['int', 'int | list = 3', 'layer = relu']))}" for _ in range(2)]
    return f"block Block({_separated(options, draw(st.booleans()))})({inputs}){results} {draw(bodies(2))}"


def _fill(text: str, random: Random) -> str:
    """Fill the gaps; comments are numbered, so that their order can be seen."""
    count = 0

    def comment() -> str:
        nonlocal count
        count += 1
        return f"{random.choice(['#', '# ', '## ', '### '])}c{count}"

    def breaks(least: int) -> str:
        lines = []
        for _ in range(random.choice([0, 0, 0, 1, 1, 2, 3])):
            lines.append(random.choice(["", " ", "  " + comment(), comment()]) + random.choice(["", "\n"]))
        return "".join(f"{line}\n" for line in lines) or "\n" * least

    def gap(match: re.Match[str]) -> str:
        sign = match[0]
        if sign == END:
            return breaks(1) + " " * random.choice([0, 0, 4, 7])
        if random.random() < (0.7 if sign == INSIDE else 0.4):
            return random.choice(["", " "]) if sign == INSIDE else " "
        return breaks(0) + random.choice([" ", "    ", "\t"])

    return re.sub(f"[{INSIDE}{BEFORE_PIPE}{END}]", gap, text)
