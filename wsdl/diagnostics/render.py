"""Diagnostics as text: for people (`full`, `concise`) and for programs (`json`, `github`, `sarif`)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any, Literal

from wsdl.diagnostics import Diagnostic, Edit, limits
from wsdl.diagnostics.printable import escaped, printable
from wsdl.diagnostics.snippet import Style, draw
from wsdl.diagnostics.span import Source, Span

Format = Literal["full", "concise", "json", "github", "sarif"]
FORMAT_VERSION = 1


def render(
    diagnostics: Iterable[Diagnostic],
    format: Format = "full",
    *,
    color: bool = False,
    width: int = 0,
    unicode: bool = True,
) -> str:
    """All diagnostics in one of the formats, with a final newline; for people an empty text if there are none.

    `color` adds ANSI colors, `unicode=False` restricts to ASCII, and source lines longer than `width` cells (0: no
    limit) are cut around the location.
    """
    listed = list(diagnostics)
    if format == "json":
        return escaped(json.dumps(as_json(listed), ensure_ascii=False)) + "\n"
    if format == "sarif":
        from wsdl.diagnostics.sarif import sarif

        return escaped(json.dumps(sarif(listed), ensure_ascii=False, indent=2)) + "\n"
    if format == "github":
        return "".join(_github(d) + "\n" for d in listed)
    if not listed:
        return ""
    style = Style(color=color, unicode=unicode, width=width)
    shown = listed if len(listed) <= limits.PROBLEMS else _first(listed)
    end = summary(listed) + (f", of which the first {len(shown)} are shown" if len(shown) < len(listed) else "") + "\n"
    if format == "concise":
        return "".join(_concise(d, style) + "\n" for d in shown) + end
    return "".join(draw(d, style) + "\n\n" for d in shown) + end


def _first(diagnostics: list[Diagnostic]) -> list[Diagnostic]:
    """The first `limits.PROBLEMS`, errors before all others."""
    return sorted(diagnostics, key=lambda d: d.severity != "error")[: limits.PROBLEMS]


def summary(diagnostics: Iterable[Diagnostic]) -> str:
    """`2 errors, 1 warning`."""
    counts = Counter(d.severity for d in diagnostics)
    kinds: tuple[Literal["error", "warning", "note"], ...] = ("error", "warning", "note")
    return ", ".join(f"{counts[kind]} {kind}{'s' if counts[kind] > 1 else ''}" for kind in kinds if counts[kind])


def _concise(diagnostic: Diagnostic, style: Style) -> str:
    where = str(diagnostic.span) if diagnostic.span else diagnostic.file
    head = style.paint(diagnostic.severity, f"{diagnostic.severity}[{diagnostic.code}]")
    text = f"{head}: {style.plain(diagnostic.summary())}"
    return f"{style.plain(where)}: {text}" if where else text


# -- for programs ------------------------------------------------------------------------------------------------------


def as_json(diagnostics: Iterable[Diagnostic]) -> dict[str, Any]:
    """The value written by `--output-format json`; lines and columns count from 1, columns in code points."""
    return {"format_version": FORMAT_VERSION, "diagnostics": [_object(d) for d in diagnostics]}


def _object(diagnostic: Diagnostic) -> dict[str, Any]:
    source = diagnostic.span.source if diagnostic.span else None
    return {
        "code": diagnostic.code,
        "severity": diagnostic.severity,
        "message": diagnostic.message,
        "file": source.path if source else diagnostic.file,
        **(_location(diagnostic.span) | _end(diagnostic.span) if diagnostic.span else {}),
        "label": diagnostic.label,
        "labels": [_other_file(x.span, source) | _location(x.span) | {"message": x.message} for x in diagnostic.labels],
        "help": diagnostic.help,
        "fix": [_edit(edit, source) for edit in diagnostic.fix],
        **({"details": list(diagnostic.details)} if diagnostic.details else {}),
        **({"variants": list(diagnostic.variants)} if diagnostic.variants else {}),
    }


def _edit(edit: Edit, source: Source | None) -> dict[str, Any]:
    """An insertion has one location, a replacement also an end."""
    end = _end(edit.span) if edit.span.start != edit.span.end else {}
    return _other_file(edit.span, source) | _location(edit.span) | end | {"insert": edit.text}


def _location(span: Span) -> dict[str, Any]:
    return {"line": span.line, "column": span.column}


def _end(span: Span) -> dict[str, Any]:
    return {"end_line": span.end_line, "end_column": span.end_column}


def _other_file(span: Span, source: Source | None) -> dict[str, Any]:
    return {} if span.source is source else {"file": span.source.path}


def _github(diagnostic: Diagnostic) -> str:
    """A workflow command, which GitHub shows as an annotation of the line."""
    properties: dict[str, object] = {}
    span = diagnostic.span
    if span is not None:
        properties = {"file": span.source.path, "line": span.line, "endLine": span.end_line, "col": span.column}
        if span.line == span.end_line:
            properties["endColumn"] = span.end_column
    elif diagnostic.file:
        properties = {"file": diagnostic.file}
    properties["title"] = f"wsdl {diagnostic.code}"
    text = diagnostic.summary()
    text += "".join(f"\n{label.span}: {label.message}" for label in diagnostic.labels)
    text += "".join(f"\n{detail}" for detail in diagnostic.details)
    text += f"\nhelp: {diagnostic.help}" if diagnostic.help else ""
    command = "notice" if diagnostic.severity == "note" else diagnostic.severity
    listed = ",".join(f"{key}={_escape(str(value), ':,')}" for key, value in properties.items())
    return f"::{command} {listed}::{_escape(text, '')}"


def _escape(text: str, more: str) -> str:
    text = "\n".join(map(printable, text.split("\n"))).replace("%", "%25").replace("\n", "%0A")
    for sign in more:
        text = text.replace(sign, f"%{ord(sign):02X}")
    return text
