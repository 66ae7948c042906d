"""SARIF 2.1.0, the format that code scanning services read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from wsdl.diagnostics import Diagnostic, Edit
from wsdl.diagnostics.explain import title
from wsdl.diagnostics.span import Span

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def sarif(diagnostics: Iterable[Diagnostic]) -> dict[str, Any]:
    listed = list(diagnostics)
    codes = sorted({d.code for d in listed})
    run = {
        "tool": {"driver": {"name": "wsdl", "rules": [_rule(code) for code in codes]}},
        "columnKind": "unicodeCodePoints",
        "results": [_result(d, codes.index(d.code)) for d in listed],
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(code: str) -> dict[str, Any]:
    text = title(code)
    return {"id": code, **({"shortDescription": {"text": text}} if text else {})}


def _result(diagnostic: Diagnostic, rule: int) -> dict[str, Any]:
    text = "\n".join([diagnostic.summary(), *diagnostic.details])
    result: dict[str, Any] = {
        "ruleId": diagnostic.code,
        "ruleIndex": rule,
        "level": diagnostic.severity,
        "message": {"text": f"{text}\nhelp: {diagnostic.help}" if diagnostic.help else text},
    }
    if diagnostic.span is not None:
        message = {"message": {"text": diagnostic.label}} if diagnostic.label else {}
        result["locations"] = [{"physicalLocation": _location(diagnostic.span), **message}]
    elif diagnostic.file:
        result["locations"] = [{"physicalLocation": {"artifactLocation": _artifact(diagnostic.file)}}]
    if diagnostic.labels:
        result["relatedLocations"] = [
            {"id": number, "physicalLocation": _location(label.span), "message": {"text": label.message or "see here"}}
            for number, label in enumerate(diagnostic.labels, 1)
        ]
    if diagnostic.fix:
        result["fixes"] = [_fix(diagnostic)]
    return result


def _fix(diagnostic: Diagnostic) -> dict[str, Any]:
    changes: dict[str, list[Edit]] = {}
    for edit in diagnostic.fix:
        changes.setdefault(edit.span.source.path, []).append(edit)
    return {
        "description": {"text": diagnostic.help or diagnostic.message},
        "artifactChanges": [
            {
                "artifactLocation": _artifact(path),
                "replacements": [
                    {"deletedRegion": _region(e.span), "insertedContent": {"text": e.text}} for e in edits
                ],
            }
            for path, edits in changes.items()
        ],
    }


def _location(span: Span) -> dict[str, Any]:
    return {"artifactLocation": _artifact(span.source.path), "region": _region(span)}


def _artifact(path: str) -> dict[str, Any]:
    return {"uri": quote(path.replace("\\", "/"))}


def _region(span: Span) -> dict[str, Any]:
    return {
        "startLine": span.line,
        "startColumn": span.column,
        "endLine": span.end_line,
        "endColumn": span.end_column,
    }
