"""Checks that the names in a compiled file are distinct. The inputs, outputs and stored tensors of a model share one
namespace; so do those of its training step, with the targets and metrics.
"""

from __future__ import annotations

from collections.abc import Iterator

from wsdl.diagnostics import Label, Problems
from wsdl.diagnostics.span import Span
from wsdl.elaborate.bound_names import flattened
from wsdl.elaborate.models import output_names
from wsdl.elaborate.scopes import FileScope
from wsdl.ir.stages import Checked
from wsdl.ir.training import LOSS, SEED, STEP, TOTAL
from wsdl.syntax import tree

Named = tuple[str, str, Span]  # kind, name, location of the name


def check_file_names(scope: FileScope, program: Checked, problems: Problems) -> None:
    """E0513 and E0821 for the models and `train` declarations of a file, after their bodies were run."""
    declarations = scope.file.declarations
    groups = [("a share group", d.name.text, d.name.span) for d in declarations if isinstance(d, tree.Share) and d.name]
    models = {d.name: d.node for d in scope.models() if isinstance(d.node, tree.Model)}
    for model in models.values():
        inputs = [("an input", i.name.text, i.name.span) for i in model.inputs if not _is_seed(i)]
        _distinct([*groups, *inputs, *_outputs(model, program)], f"`{model.name.text}`", problems)
    for train in declarations:
        if isinstance(train, tree.Train) and train.model.text in models:
            _of_step(train, models[train.model.text], groups, problems)


def _outputs(model: tree.Model, program: Checked) -> Iterator[Named]:
    """The outputs of a model with their names, an array as one; none if its body has an error."""
    elaborated = program.models.get(model.name.text)
    if elaborated is None:
        return
    for i, name in enumerate(output_names(model, 0) if model.outputs else elaborated.output_names):
        declared = model.outputs[i] if model.outputs else None
        yield "an output", name, model.name.span if declared is None else (declared.name or declared).span


def _of_step(train: tree.Train, model: tree.Model, groups: list[Named], problems: Problems) -> None:
    inputs = [("an input", i.name.text, i.name.span) for i in model.inputs if not _is_seed(i)]
    targets = [("a target", t.name.text, t.name.span) for t in train.targets]
    metrics = [("a metric", m.name.text, m.name.span) for m in flattened(train.body) if isinstance(m, tree.Metric)]
    for kind, name, span in [*inputs, *targets, *metrics]:
        if name in (STEP, TOTAL, SEED, LOSS):
            problems.error(
                "E0821",
                span,
                f"`{name}` can't be {kind} of a model that is trained",
                f"the training step has an {'output' if name == LOSS else 'input'} of this name",
                labels=[Label(train.name.span, f"`{train.name.text}` is trained here")],
                help="rename it"
                + (", or let it be the seed of the run: `seed: i64`" if kind == "an input" and name == SEED else ""),
            )
    what = f"the training of `{train.name.text}`"
    for kind, new, before in ("a target", targets, groups), ("a metric", metrics, [*groups, *inputs, *targets]):
        once = {name: (kind, name, span) for _, name, span in new}  # what else may be wrong: E0803, E0807
        _distinct([*before, *once.values()], what, problems, only=kind)


def _is_seed(declared: tree.Input) -> bool:
    """Whether an input is a seed, which is that of the run while the model is trained."""
    type = declared.type
    return declared.name.text == SEED and type.dtype is not None and type.dtype.text == "i64" and not type.dims


def _distinct(named: list[Named], what: str, problems: Problems, only: str = "") -> None:
    """An error for each name that something before it has; with `only` for things of that kind alone."""
    seen: dict[str, tuple[str, Span]] = {}
    for kind, name, span in named:
        earlier = seen.setdefault(name, (kind, span))
        if earlier == (kind, span) or only not in ("", kind):
            continue
        both = f"{earlier[0]} and {kind}" if earlier[0] != kind else f"two {kind.partition(' ')[2]}s"
        problems.error(
            "E0513",
            span,
            f"{what} has {both} named `{name}`",
            kind if span.text == name else f"{kind} without a name, which becomes `{name}`",
            labels=[Label(earlier[1], earlier[0])] if earlier[1] != span else (),
            help="give one of them another name: both are in one compiled file",
        )
