"""The location of elaboration: the stack of applications from a model to the current body, and the `for` iterations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from wsdl.diagnostics.span import Span
from wsdl.elaborate.items import Item, Layer
from wsdl.ir.graph import Application, Repetition
from wsdl.ir.types import DType


@dataclass(eq=False)
class Use:
    """The application of a layer: one frame of the stack from a model into a block's body.

    `dtype` is the default dtype in the body; `inputs` has the location of the argument of each input. `member` says,
    for messages, what the block of a way of sharing computes: ", for `m.f.weight` [4, 8]".
    """

    layer: Layer
    span: Span
    application: Application | None = None
    dtype: DType = "f32"
    inputs: Mapping[str, Span] = field(default_factory=dict)
    member: str = ""

    @property
    def is_handed_over(self) -> bool:
        """Whether the library applies a layer that is written in the user's files, such as a layer of a bank."""
        return self.span.source.is_standard and not self.layer.call_span.source.is_standard


@dataclass(eq=False)
class Where:
    """`uses` is the stack of applications, outermost (the model) first; `steps` that of the iterations of `for`s.
    `matching` is the application whose inputs are being matched."""

    uses: list[Use] = field(default_factory=list)
    matching: Use | None = None
    steps: list[Repetition] = field(default_factory=list)
    loops: int = 0  # the number of executed `for`s
    deepest: int = 0  # the greatest length of `uses` since it was last set

    def enter(self, use: Use) -> None:
        """The body of a layer begins."""
        self.uses.append(use)
        self.deepest = max(self.deepest, len(self.uses))

    @property
    def path(self) -> str:
        """The path of the layer whose body runs; empty at file level."""
        return self.uses[-1].layer.module.path if self.uses else ""

    @property
    def dtype(self) -> DType:
        """The default dtype: that of the block, or f32."""
        return self.uses[-1].dtype if self.uses else "f32"

    @property
    def application(self) -> Application | None:
        return self.uses[-1].application if self.uses else None

    def place(self, span: Span) -> Span:
        """The innermost location in the user's files on the stack."""
        if not span.source.is_standard:
            return span
        return next((use.span for use in reversed(self.uses) if not use.span.source.is_standard), span)

    def way(self) -> tuple[Span, ...]:
        """The locations in the user's files on the stack, from the model on."""
        return tuple(use.span for use in self.uses if not use.span.source.is_standard)

    def written(self, span: Span) -> str | None:
        """The source text of an expression in the user's file: for an input of a standard block the text of its
        argument; `None` for another expression inside the standard library."""
        argument = self.argument(span)
        return None if argument is None else argument.text

    def argument(self, span: Span) -> Span | None:
        """The location of an expression in the user's file: for an input of a standard block that of its argument;
        `None` for another expression inside the standard library."""
        for use in reversed(self.uses):
            if not span.source.is_standard:
                break
            if span.text not in use.inputs:
                return None
            span = use.inputs[span.text]
        return None if span.source.is_standard else span

    def configured(self, span: Span) -> Layer | None:
        """The standard layer that has the name of an expression of the library in its configuration, if it was written
        in the user's files."""
        layer = self.uses[-1].layer if self.uses and span.source.is_standard else None
        written = layer.argument_spans.get(span.text) if layer is not None else None
        return layer if written is not None and not written.source.is_standard else None

    def element(self, item: Item) -> tuple[Span, str] | None:
        """The location in the user's files of an element of a list that a standard block is configured with, and what
        that list is; `None` for another item."""
        for layer in (use.layer for use in reversed(self.uses)):
            for name, spans in layer.element_spans.items():
                listed = layer.configuration.get(name)
                for span, element in zip(spans, listed if isinstance(listed, list) else (), strict=False):
                    if element is item and not span.source.is_standard:
                        return span, f"`{name}` of `{layer.name}`"
        return None

    def applying(self, layer: Span) -> list[Use]:
        """The application in the user's files of a standard block that the layer is handed to."""
        uses = [*self.uses, *([self.matching] if self.matching is not None else [])]
        handed_over = any(use.is_handed_over and use.layer.call_span == layer for use in uses)
        return [use for use in self.uses if not use.span.source.is_standard][-1:] if handed_over else []

    def to_blame(self, span: Span) -> tuple[Span, str]:
        """The location in the user's files for a message about `span`, and the standard block that is run there
        (empty if it is an argument that the library passed on)."""
        if not span.source.is_standard:
            return span, ""
        name = span.text
        if self.matching is not None and self.matching.is_handed_over:
            return self.matching.layer.call_span, ""
        for use in reversed(self.uses):
            argument = use.layer.argument_spans.get(name)
            if argument is not None and not argument.source.is_standard:
                return argument, ""
            if use.is_handed_over:
                return use.layer.call_span, f"`{use.layer.name}`"
            name = argument.text.rpartition("=")[2].strip() if argument is not None else ""  # `p` of `rate=p`
            if not use.span.source.is_standard:
                return use.span, f"`{use.layer.name}`{use.member}"
        return span, ""
