"""What people write that isn't WSDL, and what to tell them.

Each mistake stands here with its code, its words and the programs that make it; a test runs them all. The page of a
code is `wsdl/diagnostics/codes/<CODE>.md`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from wsdl.diagnostics import Edit, Label, Problems
from wsdl.span import Span


@dataclass(frozen=True)
class Mistake:
    """What is said (facts stand in braces) and `examples` of programs whose first error it is."""

    code: str
    message: str
    label: str = ""
    help: str | None = None
    examples: tuple[str, ...] = ()

    def report(
        self,
        problems: Problems,
        span: Span,
        *,
        labels: Iterable[Label] = (),
        fix: Iterable[Edit] = (),
        **facts: object,
    ) -> None:
        problems.error(
            self.code,
            span,
            self.message.format(**facts),
            self.label.format(**facts),
            labels=labels,
            help=self.help.format(**facts) if self.help else None,
            fix=fix,
        )


UNEXPECTED = Mistake("E0101", "this can't stand here: {found}", "expected {expected}")
UNCLOSED = Mistake("E0102", "`{sign}` is never closed", "no `{closing}` for this")
UNOPENED = Mistake("E0103", "`{sign}` closes nothing", "nothing is open here")
WRONG_CLOSING = Mistake("E0103", "`{sign}` can't close `{opening}`", "expected `{closing}`")
OPEN_STRING = Mistake("E0104", "this string is not closed on its line", 'no `"` before the end of the line')
SINGLE_QUOTES = Mistake("E0105", "strings stand in double quotes")
FOREIGN_COMMENT = Mistake("E0118", "comments begin with `#`", "a comment of another language")
DOCSTRING = Mistake("E0119", "a description is written as `##` comments above the declaration", "a string of Python")
SEMICOLON = Mistake("E0115", "statements end with their line, not with `;`", "not needed")
TOO_DEEP = Mistake("E0109", "nested too deeply", "more than {limit} levels")
