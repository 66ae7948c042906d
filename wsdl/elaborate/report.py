"""How elaboration reports: at the place that a person would change, once, and what asks for too much ends it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from wsdl.diagnostics import Edit, Label, Problems, Severity, limits
from wsdl.diagnostics.span import Span
from wsdl.elaborate.where import Where


class TooMuch(Exception):
    """The program asks for more than any device could hold; reported, and then nothing more is built."""


@dataclass(eq=False)
class Remainder:
    """A division that didn't come out even, such as `d // heads`, in the layer `path`: often why shapes don't fit."""

    span: Span
    divisor: Span
    story: str
    path: str


@dataclass(eq=False)
class Report:
    """The findings of an elaboration, and what their stories are told with."""

    problems: Problems
    where: Where
    remainders: list[Remainder] = field(default_factory=list)

    def is_reported(self, span: Span) -> bool:
        """Was an error about names reported at this place already?"""
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
        applied: bool = True,
        applied_label: str = "",
        severity: Severity = "error",
    ) -> None:
        """Report at the place that a person would change: inside the standard library nothing can be changed, so there
        the application in the user's file takes its place, or the argument that the library handed on.

        `applied` shows where the block around the place is applied, since the mistake may lie there. With
        `applied_label` the application tells the whole story, without the place in the standard library.
        """
        uses, others = self.where.uses, list(labels)
        blamed, block = self.where.to_blame(span)
        if blamed is not span:
            if not applied_label and (block or label):
                others.insert(0, Label(span, label or "here, in the standard library"))
            label = applied_label or (f"in `{block}`" if block else "")
        elif applied and len(uses) > 1:
            others.append(Label(uses[-1].span, f"`{uses[-1].layer.name}` is applied here"))
        others = [o for o in others if o.span != blamed or o.message != label]
        if len(others) > 1 and others[-1].span in (blamed, *(o.span for o in others[:-1])):
            others.pop()  # the application is shown already
        self.problems.error(code, blamed, message, label, labels=others, help=help, fix=fix, severity=severity)

    def nesting(self, fallback: Span) -> None:
        """Say what is nested more deeply than can be followed: often a block inside itself. `fallback` is the place
        where no body runs."""
        uses = self.where.uses
        blocks = [use.layer.definition.node for use in uses]
        again = next((use for use in reversed(uses) if blocks.count(use.layer.definition.node) > 1), None)
        if again is not None:
            own = not again.layer.block.span.source.is_standard
            self.problems.error(
                "E0218",
                self.where.place(again.span),
                f"`{again.layer.name}` is made of itself without end",
                "applied inside its own body",
                labels=[Label(again.layer.block.name.span, "the block")] if own else (),
                help="let an `if` end it, or repeat with `for`",
            )
            return
        self.problems.error(
            "E0602",
            self.where.place(uses[-1].span) if uses else fallback,
            f"the program is nested too deeply: more than {limits.NESTING} blocks or constants inside each other",
            "this far down",
            help="repeat with `for` instead of nesting",
        )


@dataclass(eq=False)
class Budget:
    """How much of what a program may ask for was done: limits.STEPS in each model, limits.NESTING inside each other."""

    report: Report
    done: int = 0
    depth: int = 0  # of layers that are being made inside each other

    def count(self, span: Span, more: int = 1) -> None:
        """One more operation, layer or repetition, or several; `TooMuch` where it is one too many."""
        self.done += more
        if self.done > limits.STEPS:
            self.report.error(
                "E0602",
                span,
                f"the program asks for more than {limits.STEPS:,} operations, layers and repetitions",
                "the one too many",
                help="repeat less, or use `scan`",
            )
            raise TooMuch
