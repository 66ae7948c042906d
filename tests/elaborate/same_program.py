"""A checked program as text, to compare two of them: each object has the number of its first occurrence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from wsdl.diagnostics.span import Source, Span
from wsdl.ir.dims import Dim
from wsdl.ir.graph import Application, Initializer, Repetition, Value
from wsdl.ir.types import TensorType


def lines_of(program: object) -> list[str]:
    """One line for each part, in order. A source is its path, a location its numbers; sets are sorted by their text."""
    lines: list[str] = []
    seen: dict[int, int] = {}
    kept: list[object] = []  # so that no two have one `id`

    def short(item: Any) -> str | None:
        if isinstance(item, Span):
            return f"{item.source.path}:{item.start}-{item.end}"
        if isinstance(item, Source):
            return item.path
        if item is None or isinstance(item, bool | int | float | str | Enum | Dim):
            return repr(item) if isinstance(item, str) else str(item)
        if isinstance(item, TensorType):
            return str(item)
        if isinstance(item, Initializer) and item.graph is None:
            return repr(item)
        if isinstance(item, Repetition):
            return f"{item.loop}: {item.index} of {item.count} {short(item.span)}"
        if isinstance(item, Application):
            return f"{short(item.inside)} > {item.path} {item.is_standard}"
        return None

    def visit(item: Any, at: str) -> None:
        text = short(item)
        if text is not None:
            lines.append(f"{at} {text}")
        elif isinstance(item, tuple) or (isinstance(item, list) and ".attributes[" in at):
            for i, part in enumerate(item):
                visit(part, f"{at}({i})")
        elif id(item) in seen:
            lines.append(f"{at} #{seen[id(item)]}")
        else:
            seen[id(item)] = len(seen)
            kept.append(item)
            lines.append(f"{at} {type(item).__name__} #{seen[id(item)]}")
            if isinstance(item, Mapping):
                for key, value in item.items():
                    name = short(key)
                    if name is None and not isinstance(key, Value):
                        visit(key, f"{at}.key")
                    if id(key) in seen:
                        name = f"#{seen[id(key)]}"
                    visit(value, f"{at}[{name}]")
            elif isinstance(item, set | frozenset):
                lines.extend(f"{at}: {text}" for text in sorted(str(short(part)) for part in item))
            elif isinstance(item, list):
                for i, part in enumerate(item):
                    visit(part, f"{at}[{i}]")
            elif is_dataclass(item):
                for field in fields(item):
                    visit(getattr(item, field.name), f"{at}.{field.name}")

    visit(program, "")
    return lines
