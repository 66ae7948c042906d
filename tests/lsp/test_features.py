"""What an editor shows about programs: hover, hints, lenses, highlights, definitions, outline, folds.

In a program of `fixtures/`, a comment below a line says what is asked about the name above its `^`, or about the name
at the beginning of that line (`<-`). The answers are in a file beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.golden import Golden
from tests.lsp.editor import Editor

FIXTURES = Path(__file__).parent / "fixtures"
MARK = re.compile(r"(\^|<-)((?: [a-z]+)+)")
EVERYTHING = {"start": {"line": 0, "character": 0}, "end": {"line": 100_000, "character": 0}}


@pytest.mark.parametrize("program", sorted(FIXTURES.glob("*.wsd")), ids=lambda path: path.stem)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_answers(program: Path, newline: str, editor: Editor, golden: Golden) -> None:
    text = program.read_text(encoding="utf-8")
    editor.open(program, text.replace("\n", newline))
    shown = _Shown(text.split("\n"), program, editor)
    golden(program.with_suffix(".txt"), "\n".join([*shown.at_marks(), *shown.of_file()]) + "\n")


class _Shown:
    """The answers about one program, as text."""

    def __init__(self, lines: list[str], path: Path, editor: Editor) -> None:
        self.lines, self.path, self.editor = lines, path, editor

    def at_marks(self) -> Iterator[str]:
        for below, line in enumerate(self.lines):
            for mark in MARK.finditer(line) if line.lstrip().startswith("#") else ():
                above = next(i for i in range(below - 1, -1, -1) if not MARK.search(self.lines[i]))
                column = mark.start() if mark[1] == "^" else len(line) - len(line.lstrip())
                units = len(self.lines[above][:column].encode("utf-16-le")) // 2
                for question in mark[2].split():
                    name = re.match(r"\w+", self.lines[above][column:])
                    yield f"--- {question} of {name and name[0]}, line {above + 1}"
                    yield from getattr(self, question)({"line": above, "character": units})

    def hover(self, position: Any) -> Iterator[str]:
        answer = self.editor.ask("hover", self.path, position=position)
        yield answer["contents"]["value"] if answer else "nothing"

    def highlight(self, position: Any) -> Iterator[str]:
        for place in self.editor.ask("documentHighlight", self.path, position=position) or ():
            yield self._named(place["range"])

    def definition(self, position: Any) -> Iterator[str]:
        for place in self.editor.ask("definition", self.path, position=position) or ():
            yield self._place(place)

    def references(self, position: Any) -> Iterator[str]:
        for place in self.editor.ask("references", self.path, position=position, context={"includeDeclaration": False}):
            yield self._place(place)

    def of_file(self) -> Iterator[str]:
        yield "--- hints"
        for hint in self.editor.ask("inlayHint", self.path, range=EVERYTHING):
            yield f"{self._before(hint['position'])}«{hint['label']}»"
        yield "--- lenses"
        for lens in self.editor.ask("codeLens", self.path):
            yield f"{lens['command']['title']}: {self.lines[lens['range']['start']['line']].strip()}"
        yield "--- tokens"
        words: dict[str, dict[str, None]] = {}
        for place, role in self._tokens():
            words.setdefault(role, {})[self._text(place)] = None
        yield from (f"{role}: {', '.join(listed)}" for role, listed in sorted(words.items()))
        yield "--- outline"
        yield from self._symbols(self.editor.ask("documentSymbol", self.path), "")
        yield "--- folds"
        for fold in self.editor.ask("foldingRange", self.path):
            yield f"{fold['startLine'] + 1} to {fold['endLine'] + 1} {fold.get('kind', '')}".rstrip()

    def _tokens(self) -> Iterator[tuple[Any, str]]:
        """The semantic tokens, each with its range, its type and its modifiers."""
        legend = self.editor.capabilities["semanticTokensProvider"]["legend"]
        data = self.editor.ask("semanticTokens/full", self.path)["data"]
        line = start = 0
        for down, right, length, type, bits in zip(*[iter(data)] * 5, strict=True):
            line, start = line + down, right + (0 if down else start)
            modifiers = (m for i, m in enumerate(legend["tokenModifiers"]) if bits >> i & 1)
            ends = ({"line": line, "character": character} for character in (start, start + length))
            yield dict(zip(("start", "end"), ends, strict=True)), " ".join([legend["tokenTypes"][type], *modifiers])

    def _symbols(self, symbols: list[Any], indent: str) -> Iterator[str]:
        for symbol in symbols:
            yield f"{indent}{self._named(symbol['selectionRange'])} {symbol.get('detail', '')}".rstrip()
            yield from self._symbols(symbol["children"], indent + "    ")

    def _place(self, place: Any) -> str:
        here = place["uri"] == self.path.as_uri()
        return self._named(place["range"]) if here else f"{Path(place['uri']).name}"

    def _named(self, range: Any) -> str:
        """`tok, line 20`"""
        return f"{self._text(range)}, line {range['start']['line'] + 1}"

    def _text(self, range: Any) -> str:
        return self._before(range["end"])[len(self._before(range["start"])) :]

    def _before(self, position: Any) -> str:
        """The text of a line before a position."""
        return self.lines[position["line"]].encode("utf-16-le")[: 2 * position["character"]].decode("utf-16-le")


def test_lenses_stay_while_there_are_errors(editor: Editor, tmp_path: Path) -> None:
    path, text = tmp_path / "m.wsd", (FIXTURES / "tied.wsd").read_text(encoding="utf-8")
    editor.open(path, text)
    before = editor.ask("codeLens", path)
    assert editor.change(path, "\n" + text.replace("tok(ids)", "tok(ids"))
    assert editor.change(path, "\n" + text.replace("tok(ids)", "tokk(ids)"))
    after = editor.ask("codeLens", path)
    assert [(lens["command"]["title"], lens["range"]["start"]["line"] - 1) for lens in after] == [
        (lens["command"]["title"], lens["range"]["start"]["line"]) for lens in before
    ]


def test_no_lens_counts_uses_of_another_program(editor: Editor, tmp_path: Path) -> None:
    """Groups of a variant are none of the program, whose figures the lenses have."""
    path, text = tmp_path / "m.wsd", (FIXTURES / "tied.wsd").read_text(encoding="utf-8")
    editor.open(path, text)
    before = editor.ask("codeLens", path)
    assert editor.change(path, text + "\nvariant norms { share { lm.blocks[*].norm } }\n") == []
    assert editor.ask("codeLens", path) == before


def test_a_lens_goes_through_its_members(editor: Editor, tmp_path: Path) -> None:
    """All at once for a client with a command for it, otherwise one after the other."""
    path, text = tmp_path / "m.wsd", (FIXTURES / "tied.wsd").read_text(encoding="utf-8")
    editor.open(path, text)
    [_, lens, _] = editor.ask("codeLens", path)
    uri, at, places = lens["command"]["arguments"]
    assert (lens["command"]["command"], uri, at) == ("wsdl.showMembers", path.as_uri(), lens["range"]["start"])
    lines = text.splitlines()
    members = [(place["range"]["start"]["line"], place["range"]["start"]["character"]) for place in places]
    assert [lines[line][start:].partition(" ")[0] for line, start in members] == [
        "tok",
        "head",
        "tok(ids)",
        "head(relu(down(up(h))))",
    ]
    other = Editor(experimental={})
    other.open(path, text)
    [_, lens, _] = other.ask("codeLens", path)
    assert lens["command"]["command"] == "wsdl.nextMember"
    for line, start in [*members, members[0]]:
        other.call("workspace/executeCommand", **{k: lens["command"][k] for k in ("command", "arguments")})
        assert other.documents_shown[-1]["uri"] == path.as_uri()
        assert other.documents_shown[-1]["selection"]["start"] == {"line": line, "character": start}
    assert other.end() == 0
