"""Boxes: text that is put on one line if it fits, and broken over several lines otherwise.

A `Box` is a sequence of text and groups; a `Group` can be broken: a bracket with its items, a pipeline with its
stages. Comments belong to items. A group with a comment is always broken, since a comment ends its line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

from wsdl.syntax.tree import Comment

WIDTH = 100
INDENT = 4

Box: TypeAlias = "Sequence[str | Group]"


@dataclass
class Row:
    """A line of the result, with its indentation and trailing comment; with empty text, a line with only a comment."""

    text: str
    comment: Comment | None = None


@dataclass
class Item:
    """An item of a group, with the comments above and behind it."""

    box: Box
    start: int
    end: int
    new_line: bool = False  # the author began a line here; kept for the stages of a pipeline
    above: list[Comment] = field(default_factory=list)
    behind: Comment | None = None

    @property
    def is_addition(self) -> bool:
        """The last item, without a comma before it: `except a, b` of a share group, `for i in 0..4` of a list."""
        return bool(self.box) and self.box[0] in ("except ", "for ")

    @property
    def commented(self) -> bool:
        return bool(self.above) or self.behind is not None


@dataclass(eq=False)
class Group:
    """A bracket (`kind` is "list"), one with a single value ("parentheses"), numbers in rows ("fill"), "pipeline"."""

    kind: str
    opening: str
    items: list[Item]
    closing: str
    below: list[Comment] = field(default_factory=list)  # behind the last item, on lines of their own
    _broken: dict[tuple[int, int], list[Row]] = field(default_factory=dict)

    @cached_property
    def flat(self) -> str | None:
        """The group on one line; `None` if it can't be put on one."""
        texts = [flat(item.box) for item in self.items]
        if self.below or any(item.commented for item in self.items) or any(text is None for text in texts):
            return None
        if self.kind == "pipeline":
            if any(item.new_line for item in self.items):
                return None
            return " |> ".join(text or "" for text in texts)
        return f"{self.opening}{_joined(self.items)}{self.closing}"


def flat(box: Box) -> str | None:
    """A box on one line, or `None`."""
    texts = [part if isinstance(part, str) else part.flat for part in box]
    return None if None in texts else "".join(text or "" for text in texts)


def _joined(items: Sequence[Item]) -> str:
    """Flat items on one line, with commas between; none before an addition."""
    text = ""
    for item in items:
        separator = ("" if not text else " ") if item.is_addition else (", " if text else "")
        text += separator + (flat(item.box) or "")
    return text


def lay_out(box: Box, indent: int, column: int, suffix: int = 0) -> list[Row]:
    """The rows of a box that begins at a column of a line indented by `indent`, with `suffix` characters to follow.

    The first row continues the current line; the others have their own indentation. Groups are broken if they have to
    be; if that isn't enough, also one other group, tried from the right; then all of them.
    """
    line = flat(box)
    groups = [part for part in box if isinstance(part, Group) and (part.items or part.flat is None)]
    if line is not None and (column + len(line) + suffix <= WIDTH or not groups):
        return [Row(line)]
    forced = [group for group in groups if group.flat is None]
    others = [group for group in reversed(groups) if group not in forced]
    for broken in (forced, *([*forced, group] for group in others), groups):
        rows = _with_broken(box, broken, indent, column, suffix)
        if _fits(rows, column, suffix):
            break
    return rows


def _fits(rows: list[Row], column: int, suffix: int) -> bool:
    lengths = [len(row.text) for row in rows]
    lengths[0] += column
    lengths[-1] += suffix
    return max(lengths) <= WIDTH


def _with_broken(box: Box, broken: list[Group], indent: int, column: int, suffix: int) -> list[Row]:
    rows = [Row("")]
    for index, part in enumerate(box):
        if isinstance(part, str):
            rows[-1].text += part
        elif part not in broken:
            rows[-1].text += part.flat or ""
        else:
            here = column + len(rows[0].text) if len(rows) == 1 else len(rows[-1].text)
            rest = suffix + sum(len(p) if isinstance(p, str) else 1 for p in box[index + 1 :])
            first, *more = _break(part, indent, here, rest)
            rows[-1].text += first.text
            rows[-1].comment = first.comment
            rows += [Row(row.text, row.comment) for row in more]
    return rows


def _break(group: Group, indent: int, column: int, suffix: int) -> list[Row]:
    if group.kind == "pipeline":
        return _break_pipeline(group, indent, column, suffix)
    key = (indent, suffix)
    if key not in group._broken:
        group._broken[key] = _break_bracket(group, indent)
    return group._broken[key]


def _break_bracket(group: Group, indent: int) -> list[Row]:
    """Opening bracket, the items indented by one more level, closing bracket, each on separate lines."""
    inner = indent + INDENT
    margin = " " * inner
    texts = [flat(item.box) for item in group.items]
    rows = [Row(group.opening.rstrip())]
    line = _joined(group.items) if None not in texts else ""
    commented = bool(group.below) or any(item.commented for item in group.items)
    if None not in texts and not commented and inner + len(line) <= WIDTH and group.items:
        rows.append(Row(margin + line))
    elif None not in texts and not commented and group.kind == "fill":
        rows += _fill([f"{text}," for text in texts], margin)
    else:
        for index, item in enumerate(group.items):
            rows += [Row(margin, comment) for comment in item.above]
            added = any(near.is_addition for near in group.items[index : index + 2])
            comma = "" if group.kind == "parentheses" or added else ","
            first, *more = lay_out(item.box, inner, inner, len(comma))
            rows += [Row(margin + first.text, first.comment), *(Row(row.text, row.comment) for row in more)]
            rows[-1].text += comma
            rows[-1].comment = item.behind
    rows += [Row(margin, comment) for comment in group.below]
    rows.append(Row(" " * indent + group.closing.lstrip()))
    return rows


def _fill(texts: list[str], margin: str) -> list[Row]:
    rows = [Row(margin + texts[0])]
    for text in texts[1:]:
        if len(rows[-1].text) + 1 + len(text) <= WIDTH:
            rows[-1].text += f" {text}"
        else:
            rows.append(Row(margin + text))
    return rows


def _break_pipeline(group: Group, indent: int, column: int, suffix: int) -> list[Row]:
    """The value, then the stages indented by one more level: with the author's line breaks, otherwise one per line."""
    by_author = any(item.new_line for item in group.items)
    (value, *first), *runs = _runs(group.items, by_author)
    box = [*value.box, *(part for stage in first for part in (" |> ", *stage.box))]
    rows = [Row(row.text, row.comment) for row in lay_out(box, indent, column, 0 if runs else suffix)]
    rows[-1].comment = [value, *first][-1].behind or rows[-1].comment
    margin = " " * (indent + INDENT)
    for run in runs:
        rows += [Row(margin, comment) for comment in run[0].above]
        line = " ".join(f"|> {flat(stage.box)}" for stage in run)
        last = suffix if run is runs[-1] else 0
        if all(flat(stage.box) is not None for stage in run) and len(margin) + len(line) + last <= WIDTH:
            rows.append(Row(margin + line, run[-1].behind))
            continue
        for stage in run:
            start, *more = lay_out(stage.box, indent + INDENT, len(margin) + 3, last)
            rows += [Row(f"{margin}|> {start.text}", start.comment), *(Row(row.text, row.comment) for row in more)]
            rows[-1].comment = stage.behind or rows[-1].comment
    return rows


def _runs(items: list[Item], by_author: bool) -> list[list[Item]]:
    """The items of each line: first the value, alone or with stages, then stages."""
    runs = [[items[0]]]
    for item in items[1:]:
        if item.above or runs[-1][-1].behind is not None or item.new_line or not by_author:
            runs.append([item])
        else:
            runs[-1].append(item)
    return runs
