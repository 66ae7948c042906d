"""The Python API: `compile` a file, run and train its models, inspect what is stored.

    program = wsdl.compile("lm.wsd")                    # `CompileError` carries the diagnostics
    program.models["lm"].save("build/lm.onnx")
    lm = program.session("lm", weights="run/best.safetensors")
    logits = lm(ids=ids)["logits"]                      # NumPy in, NumPy out

    models = wsdl.load("build/")                        # every model of a compiled folder

The command line is a thin layer over this module. Importing it is cheap: what a name needs is imported at its first
use, so that a check doesn't wait for what trains.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsdl.api.checking import check, examine, format
    from wsdl.api.compiling import compile
    from wsdl.api.costs import RunCosts
    from wsdl.api.matching import match, write_proposal
    from wsdl.api.program import Model, Program
    from wsdl.api.rows import RowResults, are_rows, run_rows
    from wsdl.api.running import load, open_model, run
    from wsdl.api.showing import graph, inspect, write_picture
    from wsdl.api.sources import STDIN, read_source, require, write_files
    from wsdl.api.training import Trained, evaluate, fit, train
    from wsdl.ir.graph import Binding
    from wsdl.ir.inventory import Inventory
    from wsdl.ir.stages import Checked
    from wsdl.ir.target import OPSETS, PRECISIONS, Loops, Materialize, Precision
    from wsdl.ir.types import TensorType
    from wsdl.matching.proposal import Proposal
    from wsdl.reporting.reports import Callback, EvaluationReport, RunPlan, StepReport
    from wsdl.reporting.trackers import MLflow, WeightsAndBiases
    from wsdl.runtime.plan import Better, Plan
    from wsdl.runtime.stopping import Interrupted

__all__ = [
    "OPSETS",
    "PRECISIONS",
    "STDIN",
    "Better",
    "Binding",
    "Callback",
    "Checked",
    "EvaluationReport",
    "Interrupted",
    "Inventory",
    "Loops",
    "MLflow",
    "Materialize",
    "Model",
    "Plan",
    "Precision",
    "Program",
    "Proposal",
    "RowResults",
    "RunCosts",
    "RunPlan",
    "StepReport",
    "TensorType",
    "Trained",
    "WeightsAndBiases",
    "are_rows",
    "check",
    "compile",
    "evaluate",
    "examine",
    "fit",
    "format",
    "graph",
    "inspect",
    "load",
    "match",
    "open_model",
    "read_source",
    "require",
    "run",
    "run_rows",
    "train",
    "write_files",
    "write_picture",
    "write_proposal",
]

_NAMES = {
    "wsdl.api.checking": ("check", "examine", "format"),
    "wsdl.api.compiling": ("compile",),
    "wsdl.api.costs": ("RunCosts",),
    "wsdl.api.matching": ("match", "write_proposal"),
    "wsdl.api.program": ("Model", "Program"),
    "wsdl.api.rows": ("RowResults", "are_rows", "run_rows"),
    "wsdl.api.running": ("load", "open_model", "run"),
    "wsdl.api.showing": ("graph", "inspect", "write_picture"),
    "wsdl.api.sources": ("STDIN", "read_source", "require", "write_files"),
    "wsdl.api.training": ("Trained", "evaluate", "fit", "train"),
    "wsdl.ir.graph": ("Binding",),
    "wsdl.ir.inventory": ("Inventory",),
    "wsdl.ir.stages": ("Checked",),
    "wsdl.ir.target": ("OPSETS", "PRECISIONS", "Loops", "Materialize", "Precision"),
    "wsdl.ir.types": ("TensorType",),
    "wsdl.matching.proposal": ("Proposal",),
    "wsdl.reporting.reports": ("Callback", "EvaluationReport", "RunPlan", "StepReport"),
    "wsdl.reporting.trackers": ("MLflow", "WeightsAndBiases"),
    "wsdl.runtime.plan": ("Better", "Plan"),
    "wsdl.runtime.stopping": ("Interrupted",),
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'wsdl.api' has no attribute {name!r}")
    from importlib import import_module

    globals()[name] = value = getattr(import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
