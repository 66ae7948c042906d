"""Errors as data: what is wrong, where, related locations, and what to do.

Every phase collects `Diagnostic`s in `Problems` and continues; `render` turns them into text, JSON, SARIF or GitHub
annotations. A code (`E0312`) has a page of its own in `codes/`, which `wsdl explain` shows and the tests run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from wsdl.diagnostics.printable import short
from wsdl.diagnostics.span import Span

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Label:
    """A related location, and how it is related."""

    span: Span
    message: str


@dataclass(frozen=True)
class Edit:
    """A replacement of a span; an empty span is an insertion."""

    span: Span
    text: str


@dataclass(frozen=True)
class Diagnostic:
    """An error, a warning or a note.

    `message` can be read alone, in lower case and without a full stop; `label` describes `span`, the location to
    change. `file` names the file if there is no location in a source (weights, data, options).
    """

    code: str
    message: str
    span: Span | None = None
    label: str = ""
    labels: tuple[Label, ...] = ()
    help: str | None = None
    fix: tuple[Edit, ...] = ()
    severity: Severity = "error"
    file: str | None = None
    details: tuple[str, ...] = ()  # lines shown below the snippet: listings of tensors, paths, sizes
    variants: tuple[str, ...] = ()  # of the program, the only ones with this diagnostic; empty: all have it

    def __post_init__(self) -> None:
        """Shorten the texts: they may quote names of a million characters."""
        for part in ("message", "label", "help"):
            text = getattr(self, part)
            object.__setattr__(self, part, text and short(text))
        object.__setattr__(self, "details", tuple(map(short, self.details)))

    def summary(self) -> str:
        """The message with the primary label, for formats that show no snippet: `message (label)`."""
        where = f", in {self.in_variants()}" if self.variants else ""
        return self.message + (f" ({self.label})" if self.label else "") + where

    def in_variants(self) -> str:
        """The variants with this diagnostic, as in "the variants `a` and `b`"."""
        *first, last = [f"`{name}`" for name in self.variants]
        return f"the variants {', '.join(first)} and {last}" if first else f"the variant {last}"

    def location(self) -> tuple[str, int, int]:
        """File, line and column, for sorting."""
        if self.span is None:
            return (self.file or "", 0, 0)
        return (self.span.source.path, self.span.line, self.span.column)


@dataclass
class Problems:
    """The diagnostics of a run, without duplicates."""

    diagnostics: list[Diagnostic] = field(default_factory=list)
    _keys: set[tuple[str, Span | None, str]] = field(default_factory=set)

    def add(self, diagnostic: Diagnostic) -> None:
        """Add a diagnostic, unless an equal one at the same location (a block applied twice) is there already."""
        by_message = diagnostic.span is None or diagnostic.variants
        key = (diagnostic.code, diagnostic.span, diagnostic.message if by_message else "")
        if key not in self._keys:
            self._keys.add(key)
            self.diagnostics.append(diagnostic)

    def copy(self) -> Problems:
        """An independent copy, to which others may be added."""
        return Problems([*self.diagnostics], {*self._keys})

    def has(self, code: str, span: Span) -> bool:
        """Whether there is a diagnostic with this code at this location."""
        return (code, span, "") in self._keys

    def error(
        self,
        code: str,
        span: Span | None,
        message: str,
        label: str = "",
        *,
        labels: Iterable[Label] = (),
        help: str | None = None,
        fix: Iterable[Edit] = (),
        near: str | None = None,
        details: Iterable[str] = (),
        severity: Severity = "error",
    ) -> None:
        """Add a diagnostic. With `near`, the name that is probably meant at `span`, the label suggests it, and the fix
        writes it."""
        if near is not None and span is not None:
            label, fix = suggestion(near), [Edit(span, near)]
        self.add(
            Diagnostic(code, message, span, label, tuple(labels), help, tuple(fix), severity, details=tuple(details))
        )

    @property
    def errors(self) -> list[Diagnostic]:
        return [d for d in self.diagnostics if d.severity == "error"]

    def __iter__(self) -> Iterator[Diagnostic]:
        return iter(sorted(self.diagnostics, key=Diagnostic.location))

    def __len__(self) -> int:
        return len(self.diagnostics)


def suggestion(near: str) -> str:
    """The label of a misspelled name."""
    return f"did you mean `{near}`?"


def deduplicated(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Diagnostics with equal text in one file merged into one at the first location, which lists the lines of the
    others; its fix applies to all."""
    alike: dict[tuple[str, str], list[Diagnostic]] = {}
    for diagnostic in diagnostics:
        alike.setdefault((diagnostic.code, diagnostic.message), []).append(diagnostic)
    return [first if not others else _with_others(first, others) for first, *others in alike.values()]


def _with_others(first: Diagnostic, others: list[Diagnostic]) -> Diagnostic:
    lines = [str(other.span.line) for other in others if other.span is not None]
    also = f"line {lines[0]}" if len(lines) == 1 else f"lines {', '.join(lines[:-1])} and {lines[-1]}"
    fix = tuple(edit for diagnostic in (first, *others) for edit in diagnostic.fix)
    return replace(first, fix=fix, details=(*first.details, f"the same in {also}"))


class CompileError(Exception):
    """An error in a program; `diagnostics` are all of them, in the order of their locations."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = list(diagnostics)
        super().__init__("\n".join(f"{_where(d)}{d.severity}[{d.code}]: {d.summary()}" for d in self.diagnostics))


def _where(diagnostic: Diagnostic) -> str:
    if diagnostic.span is not None:
        return f"{diagnostic.span}: "
    return f"{diagnostic.file}: " if diagnostic.file else ""
