"""The contents of a `variant` of a file: requests in addition to those of the file, over the same graphs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from wsdl.diagnostics.span import Span
from wsdl.ir.requests import CopyRequest, FormulaRequest, FreezeRequest, GroupRequest, LimitRequest, LoadRequest
from wsdl.ir.training import RateRequest
from wsdl.ir.ways import WayRequest


@dataclass(frozen=True, eq=False)
class TrainingChanges:
    """`train lm { freeze tok }` in a variant: additions to a training. Later lines override earlier ones."""

    freezes: tuple[FreezeRequest, ...] = ()
    rates: tuple[RateRequest, ...] = ()


@dataclass(frozen=True, eq=False)
class Variant:
    """`variant ffn { share { lm.blocks[*].ffn } }`: requests added to those of the program; a limit replaces those of
    its kind. The paths are not yet resolved; they begin at the models and layers of the file."""

    name: str
    span: Span  # of its name
    groups: tuple[GroupRequest, ...] = ()
    formulas: tuple[FormulaRequest, ...] = ()
    ways: tuple[WayRequest, ...] = ()
    freezes: tuple[FreezeRequest, ...] = ()
    limits: tuple[LimitRequest, ...] = ()
    loads: tuple[LoadRequest, ...] = ()
    copies: tuple[CopyRequest, ...] = ()
    trainings: Mapping[str, TrainingChanges] = field(default_factory=dict)  # by the name of the training
    doc: str = ""
