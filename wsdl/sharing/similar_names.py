"""Names in files that were probably meant, for messages.

Of the names that differ only in their numbers one is compared: a file may have tens of thousands.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from wsdl.diagnostics.suggest import nearest
from wsdl.ir.requests import PLACEHOLDER, LoadMapping
from wsdl.sharing.load_patterns import MOST_SPLITS, numbers_of, regex, splits

_NUMBER = re.compile(r"\d+")


def alike(mapping: LoadMapping, names: Iterable[str]) -> str | None:
    """The name that the pattern of a line was probably meant for: one with the same end, otherwise the most similar."""
    numbers, names = numbers_of(mapping), _one_of_each(names)
    pieces = PLACEHOLDER.sub(lambda match: match[0].replace(".", "\0"), mapping.pattern).split(".")
    for start in range(len(pieces)):
        end = ".".join(pieces[start:]).replace("\0", ".")
        if splits(end) >= MOST_SPLITS:
            continue  # what stands in front of the end is one more
        pattern = re.compile(rf"(?:[^.]+\.)*{regex(end, numbers).pattern}")
        for name in names:
            if name == end or (len(pieces) - start > 1 and pattern.fullmatch(name)):
                return name
    return nearest(mapping.pattern, names)


def of_several_parts(mapping: LoadMapping, names: Iterable[str]) -> tuple[str, str] | None:
    """A placeholder `{p}` of a line that matches nothing, and a name that the line would match with `{p...}`."""
    numbers = numbers_of(mapping)
    for name, dots in PLACEHOLDER.findall(mapping.pattern):
        if not dots and name not in numbers:
            pattern = regex(mapping.pattern.replace(f"{{{name}}}", f"{{{name}...}}"), numbers)
            matched = next((each for each in names if pattern.fullmatch(each)), None)
            if matched:
                return name, matched
    return None


def similar(path: str, names: Iterable[str]) -> str | None:
    """The name that is most like the path of a parameter: of those with the same numbers, if there are any."""
    names = list(names)
    numbers = _NUMBER.findall(path)
    same = [name for name in names if _NUMBER.findall(name) == numbers]
    return nearest(path, same or _one_of_each(names))


def beginning(paths: Sequence[str], names: Iterable[str]) -> tuple[str, str] | None:
    """What stands in front of all paths in the names, or in front of all names in the paths: `("model.", "")`,
    `("", "encoder.")`. `None` if neither is so for most of them."""
    names = set(names)
    if not paths or not names:
        return None
    first = min(names)
    candidates = {(name.removesuffix(paths[0]), "") for name in names if name.endswith(f".{paths[0]}")}
    candidates |= {("", path.removesuffix(first)) for path in paths if path.endswith(f".{first}")}
    matched = {
        each: sum(each[0] + path.removeprefix(each[1]) in names for path in paths if path.startswith(each[1]))
        for each in sorted(candidates)
    }
    best = max(matched, key=lambda each: matched[each], default=None)
    return best if best and 2 * matched[best] > min(len(paths), len(names)) else None


def _one_of_each(names: Iterable[str]) -> list[str]:
    """Of the names that differ only in their numbers the first."""
    first: dict[str, str] = {}
    for name in names:
        first.setdefault(_NUMBER.sub("0", name), name)
    return list(first.values())
