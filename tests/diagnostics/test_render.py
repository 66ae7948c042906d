"""Findings in all formats, compared as whole texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest

from tests.golden import Golden
from wsdl.diagnostics import Diagnostic, Edit, Label
from wsdl.diagnostics.render import Format, render, summary
from wsdl.diagnostics.span import Source, Span
from wsdl.diagnostics.suggest import nearest

GOLDEN = Path(__file__).parent / "golden"
AUTOENCODER = Source(
    "autoencoder.wsd",
    "model autoencoder(image: f32[n, 784]) -> (restored: f32[n, 784]) {\n"
    "    layer encode = Dense(64)\n"
    "    layer decode = Dense(784)\n"
    "    share { encode.weight, decode.weight }\n"
    "    return image |> encode |> relu |> decode |> sigmoid\n"
    "}\n",
)
OTHER = Source(
    "b/c, d: 50%.wsd", 'x = 日本\t"語e\u0301" + y\x1b[31m\nlet a = 3' + " + 3" * 100 + "!!" + " + 4" * 100 + "\n"
)


def at(text: str, source: Source = AUTOENCODER) -> Span:
    start = source.text.index(text)
    return source.span(start, start + len(text))


SHAPES = Diagnostic(
    "E0312",
    "the members of this share group do not have one shape",
    at("encode.weight"),
    "stored as [64, 784]",
    (
        Label(at("decode.weight"), "needs [784, 64]"),
        Label(at("Dense(784)"), "`weight` is [units, d]: units = 784, d = 64 from `encode` (line 5)"),
    ),
    help="the shapes match transposed: write `decode.weight.T`",
    fix=(Edit(at("decode.weight").after(), ".T"),),
)
ODD = Diagnostic(
    "W0001",
    "wide characters, a tab, an escape: 100% näive",
    at("y", OTHER),
    "here",
    (Label(at("Dense(64)"), "one"), Label(at("Dense(784)"), "below it"), Label(at("!!", OTHER), "far right")),
    help="first line\nsecond line",
    fix=(Edit(at("y", OTHER), "z"), Edit(at("Dense(64)"), "Dense(32)")),
    severity="warning",
    details=("a.weight  [64, 784]", "b.weight  [784, 64]"),
)
PLACELESS = Diagnostic("E0900", "the file has no array `image`", file="data.npz", details=("label  [60000]",))
NOTE = Diagnostic("N0001", "nothing to see", severity="note")
LINES = Diagnostic("E0001", "over two lines", Span(AUTOENCODER, at("layer encode").start, at("Dense(784)").end), "both")
END = Diagnostic("E0002", "at the end", Span(AUTOENCODER, len(AUTOENCODER.text), len(AUTOENCODER.text)), "missing")
ALL = [SHAPES, ODD, PLACELESS, NOTE, LINES, END]


def test_the_example_of_the_design() -> None:
    assert render([SHAPES]).split("\n\n")[0] == (
        "error[E0312]: the members of this share group do not have one shape\n"
        "   ╭─ autoencoder.wsd:4:13\n"
        " 4 │     share { encode.weight, decode.weight }\n"
        "   │             ^^^^^^^^^^^^^ stored as [64, 784]\n"
        "   │                            ^^^^^^^^^^^^^ needs [784, 64]\n"
        "   │\n"
        " 3 │     layer decode = Dense(784)\n"
        "   │                    ────────── `weight` is [units, d]: units = 784, d = 64 from `encode` (line 5)\n"
        "   = help: the shapes match transposed: write `decode.weight.T`\n"
        "   = see: wsdl explain E0312"
    )


@pytest.mark.parametrize("format", get_args(Format))
def test_every_format(format: Format, golden: Golden) -> None:
    text = render(ALL, format, width=80)
    golden(GOLDEN / f"{format}.txt", text)
    if format in ("json", "sarif"):
        json.loads(text)


def test_ascii_and_color(golden: Golden) -> None:
    text = render(ALL, width=80, unicode=False)
    assert text.isascii()
    golden(GOLDEN / "ascii.txt", text)
    golden(GOLDEN / "color.txt", render([SHAPES], color=True).replace("\x1b", "ESC"))


def test_json_is_what_the_manual_says() -> None:
    (found,) = json.loads(render([SHAPES], "json"))["diagnostics"]
    assert found["label"] == "stored as [64, 784]"
    assert found["labels"][0] == {"line": 4, "column": 28, "message": "needs [784, 64]"}
    assert found["fix"] == [{"line": 4, "column": 41, "insert": ".T"}]
    assert (found["line"], found["column"], found["end_line"], found["end_column"]) == (4, 13, 4, 26)


@pytest.mark.parametrize("format", ["full", "concise", "json", "github", "sarif"])
def test_every_format_has_the_label_of_the_primary_place(format: str) -> None:
    assert "stored as [64, 784]" in render([SHAPES], format)  # type: ignore[arg-type] # one of its literals


def test_control_characters_never_reach_the_terminal() -> None:
    for format in ("full", "concise", "github"):
        assert "\x1b" not in render(ALL, format, width=80)


def test_lines_stay_within_the_width() -> None:
    program = [line for line in render([ODD], width=80).splitlines() if "+ 3" in line]
    assert program
    assert all(len(line) <= 80 for line in program)


def test_summary() -> None:
    assert summary([SHAPES, SHAPES, ODD, NOTE]) == "2 errors, 1 warning, 1 note"
    assert render([]) == render([], "concise") == render([], "github") == ""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *(("lstm", "LSTM"), ("Dens", "Dense"), ("nrom1", "norm1"), ("fnn", "ffn"), ("kernel_size", "kernel")),
        *(("h", None), ("q", None), ("banana", None), ("ffn", None), ("D", "d")),
    ],
)
def test_nearest(name: str, expected: str | None) -> None:
    assert nearest(name, ["LSTM", "Dense", "norm1", "norm2", "ffn", "kernel", "d", "units"]) == expected


def test_nearest_of_nothing() -> None:
    assert nearest("x", []) is None
