"""Imports of what can't be imported: the message stands at the import, and the rest of the program is checked."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.stages import examined
from wsdl.diagnostics import Problems, limits
from wsdl.diagnostics.span import Source

BLOCK = "block A()(x: [..., d]) -> [..., d] { return x }\n"


def _text(text: str, encoding: str = "utf-8") -> Callable[[Path], object]:
    return lambda path: path.write_bytes(text.encode(encoding))


def _link_out(path: Path) -> None:
    (path.parent.parent / "outside.wsd").write_text(BLOCK)
    path.symlink_to(path.parent.parent / "outside.wsd")


def _chain(path: Path) -> None:
    path.write_text('from "./c1.wsd" import A\n')
    for i in range(1, 3 * limits.IMPORTS):
        (path.parent / f"c{i}.wsd").write_text(f'from "./c{i + 1}.wsd" import A\n')


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, "E0209"),
    "folder": (lambda path: path.mkdir(), "E0701"),
    "pipe": (os.mkfifo, "E0701"),
    "link_in_a_circle": (lambda path: path.symlink_to(path.name), "E0701"),
    "link_out_of_the_folder": (_link_out, "E0207"),
    "huge": (lambda path: path.write_bytes(b"#" * (limits.SOURCE_BYTES + 1)), "E0701"),
    "binary": (lambda path: path.write_bytes(bytes(range(256)) * 20), "E0702"),
    "utf_16": (_text(BLOCK, "utf-16"), "E0702"),
    "nul": (_text(BLOCK + "\0"), "E0106"),
    "itself": (_text('from "./b.wsd" import A\n'), "E0208"),
    "each_other": (_text('from "./m.wsd" import A\n'), "E0208"),
    "chain": (_chain, "E0602"),
    "passwd": (_text('from "../../../../../../etc/passwd" import A\n'), "E0206"),
    "climbing": (_text('from "../../../a.wsd" import A\n'), "E0207"),
    "nul_in_a_path": (_text('from "./a\0b.wsd" import A\n'), "E0206"),
    "too_long_a_path": (_text(f'from "./{"a" * 300}.wsd" import A\n'), "E0701"),
}


def found(path: Path) -> Problems:
    problems = Problems()
    examined(Source(str(path), path.read_text("utf-8")), problems)
    return problems


def _program(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    main = folder / "m.wsd"
    main.write_text('from "./b.wsd" import A\n\nmodel m(x: f32[n, 8]) {\n    return A()(x) + nothing\n}\n')
    return main


@pytest.mark.parametrize("name", BAD)
def test_a_bad_import(name: str, tmp_path: Path) -> None:
    main = _program(tmp_path)
    make, code = BAD[name]
    make(main.with_name("b.wsd"))
    problems = found(main)
    assert code in [d.code for d in problems]
    assert "E0201" in [d.code for d in problems], "the rest of the file is checked as well"
    assert all(d.span is not None for d in problems)


@pytest.mark.parametrize("text", ["\ufeff" + BLOCK, BLOCK.replace("\n", "\r\n"), BLOCK + "# " + "x" * 1_000_000])
def test_a_good_import(text: str, tmp_path: Path) -> None:
    main = _program(tmp_path)
    main.with_name("b.wsd").write_bytes(text.encode())
    assert [d.code for d in found(main)] == ["E0201"]
