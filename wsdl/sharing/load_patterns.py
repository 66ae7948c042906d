"""The names and paths of `load` tables, with placeholders.

    "encoder.layer.{i}.output.{p}" -> blocks[i].{p}

`{p}` stands for one part of a name, or for a piece of one: any characters but dots. `{path...}` stands for one part or
several, dots included. A placeholder that the path has as a number, as in `blocks[i]`, stands for digits. A pattern
matches whole names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from wsdl.ir.requests import PLACEHOLDER, LoadMapping, Part, PathPattern, Select, SelectAt, ViewCall, ViewStep

DIGITS = 9  # of a number in a name
MOST_SPLITS = 3  # placeholders whose end in a name is searched for: each multiplies the steps by the name's length


def numbers_of(mapping: LoadMapping) -> set[str]:
    """The placeholders of a line that are numbers: those in indices and slices."""
    steps = (*mapping.views, *mapping.path)
    return {name for step in steps if isinstance(step, SelectAt) for name in step.names()}


def counted(mapping: LoadMapping) -> str | None:
    """The number that only the views of a line and its path have, not the name: `i` of `"w"[i] -> experts[i].w`, which
    takes all values for which there is a path."""
    free = numbers_of(mapping) - {name for name, _ in PLACEHOLDER.findall(mapping.pattern)}
    return min(free, default=None)


def is_literal(mapping: LoadMapping) -> bool:
    """Whether a line names one tensor in full."""
    return PLACEHOLDER.search(mapping.pattern) is None


def regex(pattern: str, numbers: set[str]) -> re.Pattern[str]:
    """A regular expression with a group for each placeholder."""
    pieces, seen, done = [], set[str](), 0
    for match in PLACEHOLDER.finditer(pattern):
        name, several = match.groups()
        body = rf"\d{{1,{DIGITS}}}" if name in numbers else r"[^.]+(?:\.[^.]+)*" if several else r"[^.]+"
        pieces += [re.escape(pattern[done : match.start()]), f"(?P={name})" if name in seen else f"(?P<{name}>{body})"]
        seen.add(name)
        done = match.end()
    return re.compile("".join([*pieces, re.escape(pattern[done:])]))


def splits(pattern: str) -> int:
    """The placeholders whose end in a name is searched for: `{path...}`, and what stands behind another one in the same
    part of a name."""
    parts = PLACEHOLDER.sub(lambda match: "+" if match[2] else "-", pattern.translate(_NO_SIGNS)).split(".")
    return sum(part.count("+") + max(0, part.count("+") + part.count("-") - 1) for part in parts)


_NO_SIGNS = str.maketrans("+-", "  ")


def ignoring(pattern: str) -> re.Pattern[str]:
    """The regular expression of an `ignore`, in which `*` stands for any text."""
    return re.compile(".*".join(map(re.escape, re.split(r"\*+", pattern))), re.DOTALL)


def path_of(mapping: LoadMapping, values: Mapping[str, str]) -> PathPattern:
    """The path that a line fills for these values of its placeholders."""
    return PathPattern(tuple(_steps(mapping, values)), mapping.path_span)


def _steps(mapping: LoadMapping, values: Mapping[str, str]) -> Iterator[Part | Select | ViewCall]:
    for step in mapping.path:
        if not isinstance(step, Part):
            yield step_at(step, values)
            continue
        for name in PLACEHOLDER.sub(lambda match: values[match[1]], step.name).split("."):
            is_index = name.isdecimal() and len(name) <= DIGITS
            yield Select((int(name),), step.span) if is_index else Part(name, step.span)


def step_at(step: ViewStep, values: Mapping[str, str]) -> Select | ViewCall:
    """A view or an index for values of the placeholders."""
    return step.at({name: int(values[name]) for name in step.names()}) if isinstance(step, SelectAt) else step


def of_several(mapping: LoadMapping) -> LoadMapping:
    """The line with `{p...}` for each `{p}` that is no number."""
    numbers = numbers_of(mapping)

    def several(match: re.Match[str]) -> str:
        return match[0] if match[1] in numbers else f"{{{match[1]}...}}"

    path = [replace(s, name=PLACEHOLDER.sub(several, s.name)) if isinstance(s, Part) else s for s in mapping.path]
    return replace(mapping, pattern=PLACEHOLDER.sub(several, mapping.pattern), path=tuple(path))


def general_path(mapping: LoadMapping) -> PathPattern:
    """The path of a line whatever its placeholders stand for: all layers of an array for `[i]`, and only the layer that
    holds what is named by a placeholder."""
    steps: list[Part | Select | ViewCall] = []
    for step in mapping.path:
        if isinstance(step, Part) and PLACEHOLDER.search(step.name):
            break
        steps.append(Select((slice(None),), step.span) if isinstance(step, SelectAt) else step)
    return PathPattern(tuple(steps), mapping.path_span)


def path_text(steps: Iterable[Part | Select | ViewCall]) -> str:
    """The names of a path, with the indices between them."""
    text, kept = "", ""
    for step in steps:
        if isinstance(step, Part):
            text += f".{step.name}"
            kept = text
        elif isinstance(step, Select):
            text += f"[{', '.join(map(str, step.subscripts))}]"
    return kept.removeprefix(".")
