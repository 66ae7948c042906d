"""Lines of a `load` table for many matches: numbers of repeated layers become `{i}`, equal ends of names `{p}`, equal
names below two layers `{path...}`.

A pattern is used only if it means its matches and nothing else: what it matches in the file besides them has no place
in the program.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from wsdl.ir.graph import file_path
from wsdl.ir.views import View
from wsdl.matching.matches import Match
from wsdl.matching.pairing import SURE, Sure

_NUMBER = re.compile(r"\d+")
_INDEX = re.compile(r"\[(\d+)\]")
_LETTERS = "ijkl"
_PIECES = re.compile(r"\{(\w+)(\.\.\.)?\}")


@dataclass(frozen=True)
class Line:
    """`"layer.{i}.query"[0:64] -> blocks[i].query`, how sure it is, and the matches that it stands for."""

    pattern: str
    view: str
    path: str
    part: str
    sure: Sure
    matches: tuple[Match, ...]

    def __str__(self) -> str:
        return f'"{self.pattern}"{self.view} -> {self.path}{self.part}'


class Table:
    """Makes the lines of one table, whose paths start below `target`."""

    def __init__(self, target: str, names: Sequence[str], parameters: Iterable[str]) -> None:
        self._target, self._names = target, names
        self._known = {file_path(path): path for path in parameters}

    def lines(self, matches: Sequence[Match]) -> list[Line]:
        """The lines for some matches, in their order."""
        alike: dict[object, list[Match]] = {}
        for match in matches:
            path = self._below(match.parameter)
            key = (_NUMBER.sub("0", match.tensor), _INDEX.sub("[]", path), text(match.seen), text(match.part))
            alike.setdefault(key, []).append(match)
        lines = [line for group in alike.values() for line in self._numbered(group)]
        lines = self._by_subtree(self._with_leaves(lines))
        order = {match.parameter: i for i, match in enumerate(matches)}
        return sorted(lines, key=lambda line: order[line.matches[0].parameter])

    def _below(self, path: str) -> str:
        return path[len(self._target) + 1 :]

    # -- {i} -----------------------------------------------------------------------------------------------------------

    def _numbered(self, group: Sequence[Match]) -> list[Line]:
        """One line for matches that differ in numbers alone, or several where no pattern means them alone."""
        line = self._pattern(group)
        if line is not None and self._means(line):
            return [line]
        numbers = [_NUMBER.findall(match.tensor) for match in group]
        varying = [k for k, column in enumerate(zip(*numbers, strict=True)) if len({*column}) > 1]
        if not varying:  # one tensor for several parameters
            return [line for match in group for line in self._numbered([match])]
        parts = groupby(sorted(group, key=lambda m: _NUMBER.findall(m.tensor)[varying[0]]),
                        key=lambda m: _NUMBER.findall(m.tensor)[varying[0]])  # fmt: skip
        return [line for _, members in parts for line in self._numbered(list(members))]

    def _pattern(self, group: Sequence[Match]) -> Line | None:
        """The line for a group, if each index is a number of the name, or a multiple of one plus a constant."""
        first = group[0]
        columns = list(zip(*([int(n) for n in _NUMBER.findall(m.tensor)] for m in group), strict=True))
        indices = list(zip(*([int(n) for n in _INDEX.findall(self._below(m.parameter))] for m in group), strict=True))
        letters: dict[tuple[int, ...], str] = {}
        for column in columns:
            if len({*column}) > 1 and column not in letters:
                if len(letters) == len(_LETTERS):
                    return None
                letters[column] = _LETTERS[len(letters)]
        subscripts, used = [], set[str]()
        for index in indices:
            if len({*index}) == 1:
                subscripts.append(str(index[0]))
                continue
            texts = ((letter, _affine(column, index, letter)) for column, letter in letters.items())
            found = next(((letter, text) for letter, text in texts if text is not None), None)
            if found is None:
                return None
            used.add(found[0])
            subscripts.append(found[1])
        if used != {*letters.values()}:
            return None
        in_name = iter(f"{{{letters[column]}}}" if column in letters else None for column in columns)
        in_path = iter(subscripts)
        return Line(
            _NUMBER.sub(lambda m: next(in_name) or m[0], first.tensor),
            text(first.seen),
            _INDEX.sub(lambda _: f"[{next(in_path)}]", self._below(first.parameter)),
            text(first.part),
            min((match.sure for match in group), key=SURE.index),
            tuple(group),
        )

    # -- {p} and {path...} ---------------------------------------------------------------------------------------------

    def _with_leaves(self, lines: Sequence[Line]) -> list[Line]:
        """The lines, those of all parameters of a layer as one where they are called the same on both sides."""
        alike: dict[object, list[Line]] = {}
        for line in lines:
            (layer, _, end), (path, _, name) = line.pattern.rpartition("."), line.path.rpartition(".")
            same = end == name and layer and not line.view and not line.part
            alike.setdefault((layer, path, line.sure) if same else line, []).append(line)
        merged: list[Line] = []
        for members in alike.values():
            first = members[0]
            matches = tuple(match for line in members for match in line.matches)
            layer, path = first.pattern.rpartition(".")[0], first.path.rpartition(".")[0]
            whole = Line(f"{layer}.{{p}}" if layer else "{p}", "", f"{path}.{{p}}", "", first.sure, matches)
            merged += [whole] if len(members) > 1 and self._means(whole) else members
        return merged

    def _by_subtree(self, lines: list[Line]) -> list[Line]:
        """The lines, those of a whole layer as one where all below it is called the same on both sides."""
        roots = {root for line in lines if not line.view and not line.part for root in _roots(line)}
        for before, path in sorted(roots, key=lambda root: (root[0].count("."), root[0].count("{"), root)):
            names, target = (".".join(part for part in (root, "{path...}") if part) for root in (before, path))
            pattern, used = pattern_of(names), {m.tensor for line in lines for m in line.matches}
            meant = self._meant(names, target)
            inside = [line for line in lines if not line.view and not line.part and _pairs(line.matches) <= meant]
            around = {name for name in used if pattern.fullmatch(name)}
            matches = tuple(match for line in inside for match in line.matches)
            is_short = len(inside) > 2 or names == target == "{path...}"
            if is_short and _pairs(matches) == meant and around == {name for name, _ in meant}:
                sure = min((line.sure for line in inside), key=SURE.index)
                lines = [*(line for line in lines if line not in inside), Line(names, "", target, "", sure, matches)]
        return lines

    def _means(self, line: Line) -> bool:
        """Whether a line matches its tensors and, of others, only those that have no place in the program."""
        return self._meant(line.pattern, line.path) == _pairs(line.matches)

    def _meant(self, text: str, target: str) -> set[tuple[str, str]]:
        """The tensors that a pattern matches and the parameters that they fill, where these exist."""
        pattern = pattern_of(text)
        meant: set[tuple[str, str]] = set()
        for name in self._names:
            match = pattern.fullmatch(name)
            if match:
                path = self._known.get(f"{file_path(self._target)}.{file_path(_filled_in(target, match.groupdict()))}")
                if path is not None:
                    meant.add((name, path))
        return meant


def pattern_of(text: str) -> re.Pattern[str]:
    """The regular expression of a pattern: `{i}` of a number, `{p}` of one part of a name, `{path...}` of several."""
    pieces = re.split(r"(\{\w+(?:\.\.\.)?\})", text)
    seen: set[str] = set()

    def group(piece: str) -> str:
        name = piece.strip("{}.")
        if name in seen:
            return f"(?P={name})"
        seen.add(name)
        what = r"\d+" if name in _LETTERS else ".+" if "..." in piece else "[^.]+"
        return f"(?P<{name}>{what})"

    return re.compile("".join(group(p) if k % 2 else re.escape(p) for k, p in enumerate(pieces)))


def _filled_in(path: str, values: Mapping[str, str]) -> str:
    def index(match: re.Match[str]) -> str:
        scale, letter, offset = _affine_parts(match[1])
        return f"[{scale * int(values[letter]) + offset}]" if letter else match[0]

    return _PIECES.sub(lambda m: values[m[1]], re.sub(r"\[([^\]]*)\]", index, path))


def _affine(column: Sequence[int], index: Sequence[int], letter: str) -> str | None:
    """The text of an index as a function of a number of the name: `i`, `i + 1`, `2 * i - 1`; `None` if it is none."""
    at = next(k for k, value in enumerate(column) if value != column[0])
    scale, rest = divmod(index[at] - index[0], column[at] - column[0])
    offset = index[0] - scale * column[0]
    if rest or scale < 1 or any(scale * c + offset != i for c, i in zip(column, index, strict=True)):
        return None
    sign = f" {'+' if offset > 0 else '-'} {abs(offset)}" if offset else ""
    return f"{f'{scale} * ' if scale > 1 else ''}{letter}{sign}"


def _affine_parts(text: str) -> tuple[int, str, int]:
    match = re.fullmatch(r"(?:(\d+) \* )?([a-z])(?: ([+-]) (\d+))?", text)
    if match is None:
        return 0, "", 0
    return int(match[1] or 1), match[2], int(f"{match[3] or ''}{match[4] or 0}")


def _roots(line: Line) -> set[tuple[str, str]]:
    """The layers of file and program below which the names in a line are the same."""
    roots: set[tuple[str, str]] = set()
    for cut in (-1, *(match.start() for match in re.finditer(r"[.\[]", line.path))):
        rest = re.sub(r"\[(\w+)\]", _part_of_name, line.path[cut + (line.path[cut] == "." or cut < 0) :]).strip(".")
        if line.pattern == rest or line.pattern.endswith(f".{rest}"):
            roots.add((line.pattern[: -len(rest) - 1], line.path[: max(cut, 0)]))
    return roots


def _part_of_name(index: re.Match[str]) -> str:
    return f".{index[1]}" if index[1].isdecimal() else f".{{{index[1]}}}"


def _pairs(matches: Iterable[Match]) -> set[tuple[str, str]]:
    return {(match.tensor, match.parameter) for match in matches}


def text(view: View) -> str:
    """A view in the syntax of the language; nothing for the whole."""
    return "" if view.is_identity else re.sub(r"(, :)+\]", "]", str(view))
