"""Draws every program of `examples/`, for the pages of the programs: `python -m website.pictures`, some seconds."""

from __future__ import annotations

from pathlib import Path

from website import ROOT
from website.places import program_files
from wsdl import api
from wsdl.pictures.graphviz import svg_from_dot

FOLDER = ROOT / "build" / "pictures"


def picture(program: Path) -> Path:
    """Where the picture of a program is, once it is drawn."""
    return FOLDER / program.relative_to(ROOT).with_suffix(".svg")


def main() -> None:
    for program in program_files():
        path = picture(program)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(svg_from_dot(api.graph(program, depth=1)), encoding="utf-8")


if __name__ == "__main__":
    main()
