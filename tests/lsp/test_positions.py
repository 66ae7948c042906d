"""Positions of the protocol, in all encodings and with all ends of lines."""

from __future__ import annotations

import pytest
from lsprotocol.types import Position, PositionEncodingKind

from wsdl.diagnostics.span import Source
from wsdl.lsp.positions import Positions

TEXT = "a😀b\r\né\u2028\x0c\rlast\n"  # U+2028 and a form feed end no line of the protocol


@pytest.mark.parametrize("encoding", list(PositionEncodingKind))
def test_there_and_back(encoding: PositionEncodingKind) -> None:
    positions = Positions(Source("m.wsd", TEXT), encoding)
    inside_an_end = TEXT.index("\n")
    for offset in set(range(len(TEXT) + 1)) - {inside_an_end}:
        assert positions.offset(positions.position(offset)) == offset


@pytest.mark.parametrize(
    ("encoding", "position", "offset"),
    [
        (PositionEncodingKind.Utf8, Position(0, 5), 2),
        (PositionEncodingKind.Utf16, Position(0, 3), 2),
        (PositionEncodingKind.Utf32, Position(0, 2), 2),
        pytest.param(PositionEncodingKind.Utf16, Position(0, 2), 1, id="inside of a character: before it"),
        pytest.param(PositionEncodingKind.Utf16, Position(0, 99), 3, id="beyond the line: its end"),
        pytest.param(PositionEncodingKind.Utf16, Position(2, 0), 9, id="behind a carriage return"),
        pytest.param(PositionEncodingKind.Utf16, Position(99, 0), len(TEXT), id="beyond the text: its end"),
    ],
)
def test_offsets(encoding: PositionEncodingKind, position: Position, offset: int) -> None:
    assert Positions(Source("m.wsd", TEXT), encoding).offset(position) == offset
