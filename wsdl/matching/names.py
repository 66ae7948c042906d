"""Names of tensors and paths of parameters in one vocabulary, so that they can be compared.

encoder.layer.3.attention.output.LayerNorm.weight  ->  enc, layer, 3, norm1, weight
blocks[3].norm1.weight                             ->  layer, 3, norm1, weight
"""

from __future__ import annotations

import re
from functools import cache, partial

from wsdl.matching.conventions import LEAVES, PHRASES, SYNONYMS

_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WITH_NUMBER = re.compile(r"([a-z_]*?)_?(\d+)")
# Letters and digits that belong together: `conv2d` is not the second `conv`.
_DIMENSIONS = re.compile(r"(conv|pool|norm)_?([123]d)")


def _pattern(written: str) -> re.Pattern[str]:
    """Matches whole parts of a name; a group for each number."""
    text = r"(\d+)".join(map(re.escape, written.split("#")))
    return re.compile(rf"(?<![^.]){text}(?![^.])")


_PHRASES = tuple((_pattern(phrase.written), phrase.meaning) for phrase in PHRASES)


@cache
def canonical(name: str) -> tuple[str, ...]:
    """The parts of a name, rewritten by the conventions: numbers for indices, else snake case."""
    text = ".".join(raw_parts(name))
    for pattern, meaning in _PHRASES:
        text = pattern.sub(partial(_with_numbers, meaning), text)
    return tuple(text.split("."))


def raw_parts(name: str) -> tuple[str, ...]:
    """The parts of a name in snake case; Keras writes `dense/kernel:0`."""
    text = name.replace(":0", "").replace("/", ".").replace("[", ".").replace("]", "").strip(".")
    return tuple(_snake(part) for part in text.split("."))


def _with_numbers(meaning: str, match: re.Match[str]) -> str:
    for number in match.groups():
        meaning = meaning.replace("#", number, 1)
    return meaning


def _snake(part: str) -> str:
    return _DIMENSIONS.sub(r"\1", "_".join(_WORDS.split(part)).lower())


def leaf_of(parts: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """The kind of a parameter, and the parts that name its layer; the last part is among these where it is a name of
    its own, as `cls_token`."""
    last = parts[-1]
    if last in LEAVES:
        return LEAVES[last], parts[:-1]
    return ("bias" if last.endswith("bias") else "weight"), parts


def numbered(part: str) -> tuple[str, int | None]:
    """A part as a stem and a number: `norm1` is `norm` and 1, `dense_2` is `dense` and 2."""
    match = _WITH_NUMBER.fullmatch(part)
    return (match[1], int(match[2])) if match and len(match[2]) < 9 else (part, None)


def words_of(stem: str) -> list[str]:
    """The words of a part, each by one of its synonyms."""
    return [SYNONYMS.get(word, word) for word in stem.split("_") if word]
