"""Reports of elaboration: at the location that the user would change, without duplicates; and the limits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from wsdl.diagnostics import Edit, Label, Problems, Severity, limits, suggestion
from wsdl.diagnostics.span import Span
from wsdl.elaborate.where import Where


class TooMuch(Exception):
    """The program exceeds a limit; it has been reported, and elaboration stops."""


@dataclass(eq=False)
class Remainder:
    """A division with a remainder, such as `d // heads`, in the layer `path`: a frequent cause of shape errors."""

    span: Span
    divisor: Span
    story: str
    path: str


@dataclass(eq=False)
class Report:
    """The diagnostics of an elaboration, and the context for their texts."""

    problems: Problems
    where: Where
    remainders: list[Remainder] = field(default_factory=list)

    def is_reported(self, span: Span) -> bool:
        """Whether an error about names was already reported at this location."""
        return self.problems.has("E0201", span) or self.problems.has("E0205", span)

    def error(
        self,
        code: str,
        span: Span,
        message: str,
        label: str = "",
        *,
        labels: Iterable[Label] = (),
        help: str | None = None,
        fix: Iterable[Edit] = (),
        near: str | None = None,
        applied: bool = True,
        applied_label: str = "",
        severity: Severity = "error",
    ) -> None:
        """Report at the location that the user would change: in place of one inside the standard library, at the
        application in the user's file, or at the argument that the library passed on.

        `applied` adds a label where the enclosing block is applied, since the error may be there. With `applied_label`,
        that label replaces the location in the standard library. `near` is that of `Problems.error`.
        """
        if near is not None:
            label, fix = suggestion(near), [Edit(span, near)]
        uses, others = self.where.uses, list(labels)
        blamed, block = self.where.to_blame(span)
        if blamed is not span:
            if not applied_label and (block or label):
                others.insert(0, Label(span, label or "here, in the standard library"))
            label = applied_label or (f"in {block}" if block else "")
            others += [Label(use.span, f"`{use.layer.name}` applies it") for use in self.where.applying(blamed)]
        elif applied and len(uses) > 1:
            place = self.where.place(uses[-1].span)
            others.append(Label(place, f"`{uses[-1].layer.name}` is applied here{uses[-1].member}"))
        others = [o for o in others if o.span != blamed or o.message != label]
        if len(others) > 1 and others[-1].span in (blamed, *(o.span for o in others[:-1])):
            others.pop()  # the application is already shown
        self.problems.error(code, blamed, message, label, labels=others, help=help, fix=fix, severity=severity)

    def nesting(self, fallback: Span) -> None:
        """Report blocks or constants nested too deeply, often a block inside itself. `fallback` is the location if no
        body runs."""
        uses = self.where.uses
        blocks = [use.layer.definition.node for use in uses]
        again = next((use for use in reversed(uses) if blocks.count(use.layer.definition.node) > 1), None)
        if again is not None:
            own = not again.layer.block.span.source.is_standard
            self.problems.error(
                "E0218",
                self.where.place(again.span),
                f"`{again.layer.name}` contains itself endlessly",
                "applied inside its own body",
                labels=[Label(again.layer.block.name.span, "the block")] if own else (),
                help="let an `if` end it, or repeat with `for`",
            )
            return
        self.problems.error(
            "E0602",
            self.where.place(uses[-1].span) if uses else fallback,
            f"the program is nested too deeply: more than {limits.NESTING} blocks or constants inside each other",
            "the limit is exceeded here",
            help="repeat with `for` instead of nesting",
        )


@dataclass(eq=False)
class Budget:
    """Counts against the limits: limits.STEPS in each model, limits.NESTING levels."""

    report: Report
    done: int = 0
    created: int = 0  # of these, layers and parameters
    depth: int = 0  # of layers that are being created inside each other

    def create(self, span: Span, more: int = 1) -> None:
        """Count a layer or a parameter."""
        self.created += more
        self.count(span, more)

    def count(self, span: Span, more: int = 1) -> None:
        """Count operations, layers or iterations; raises `TooMuch` beyond the limit."""
        self.done += more
        if self.done > limits.STEPS:
            self.report.error(
                "E0602",
                span,
                f"the program has more than {limits.STEPS:,} operations, layers and iterations",
                "the limit is exceeded here",
                help="repeat less, or use `scan`",
            )
            raise TooMuch
