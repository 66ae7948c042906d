"""The program while it is being elaborated."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wsdl.ir.graph import Alias, Binding, Model, Module, Slot
from wsdl.ir.origins import Origins
from wsdl.ir.references import References
from wsdl.ir.requests import CopyRequest, FormulaRequest, FreezeRequest, GroupRequest, LimitRequest, LoadRequest
from wsdl.ir.stages import Checked
from wsdl.ir.training import Training, Turns

if TYPE_CHECKING:
    from wsdl.ir.variants import Variant
    from wsdl.ir.ways import WayRequest


@dataclass
class FileRequests:
    """The requests of a file with its models, or of one of its variants, so far."""

    groups: list[GroupRequest] = field(default_factory=list)
    formulas: list[FormulaRequest] = field(default_factory=list)
    ways: list[WayRequest] = field(default_factory=list)
    freezes: list[FreezeRequest] = field(default_factory=list)
    limits: list[LimitRequest] = field(default_factory=list)
    loads: list[LoadRequest] = field(default_factory=list)
    copies: list[CopyRequest] = field(default_factory=list)


@dataclass
class ProgramBuilder(FileRequests):
    """The contents of `Checked` so far."""

    models: dict[str, Model] = field(default_factory=dict)
    trainings: dict[str, Training] = field(default_factory=dict)
    turns: Turns | None = None
    variants: dict[str, Variant] = field(default_factory=dict)
    layers: dict[str, Module] = field(default_factory=dict)
    aliases: dict[str, Alias] = field(default_factory=dict)
    parameters: dict[str, Slot] = field(default_factory=dict)
    bindings: list[Binding] = field(default_factory=list)
    origins: Origins = field(default_factory=Origins)
    references: References = field(default_factory=References)
    doubtful: bool = False
    has_gradients: bool = False

    def checked(self) -> Checked:
        """The finished program."""
        return Checked(
            models=self.models,
            trainings=self.trainings,
            turns=self.turns,
            variants=self.variants,
            layers=self.layers,
            aliases=self.aliases,
            parameters=self.parameters,
            groups=tuple(self.groups),
            formulas=tuple(self.formulas),
            ways=tuple(self.ways),
            freezes=tuple(self.freezes),
            limits=tuple(self.limits),
            loads=tuple(self.loads),
            copies=tuple(self.copies),
            bindings=tuple(self.bindings),
            origins=self.origins,
            references=self.references,
            doubtful=self.doubtful,
            has_gradients=self.has_gradients,
        )
