"""Draws every program of `examples/`, for the pages of the programs: `python -m website.pictures`, some seconds."""

from __future__ import annotations

from website.places import program_files
from website.programs import drawn_at
from wsdl import api
from wsdl.pictures.graphviz import svg_from_dot


def main() -> None:
    for program in program_files():
        path = drawn_at(program)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(svg_from_dot(api.graph(program, depth=1)), encoding="utf-8")


if __name__ == "__main__":
    main()
