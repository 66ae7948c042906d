"""`turns { critic 5, maker 1 }` and `mix { classify 2, tag 1 }`: how the trainings of a file take turns."""

from __future__ import annotations

from collections.abc import Mapping

from wsdl.diagnostics import Label
from wsdl.diagnostics.span import Span
from wsdl.diagnostics.suggest import nearest
from wsdl.elaborate.context import Context
from wsdl.elaborate.evaluate import evaluate
from wsdl.elaborate.items import Frame, has_poison
from wsdl.elaborate.kinds import COUNT, SHARE, Misfit
from wsdl.elaborate.scopes import FileScope
from wsdl.ir.training import Turns
from wsdl.syntax import tree


def elaborate_turns(scope: FileScope, trainings: Mapping[str, Span], context: Context) -> None:
    """Set `program.turns`. `trainings` has the places of the names of all trainings of the file."""
    first, *others = (node for node in scope.file.declarations if isinstance(node, tree.Turns))
    for node in others:
        context.error(
            "E0834",
            node.kind.span,
            "a file says only once how its trainings take turns",
            "again",
            labels=[Label(first.kind.span, "first")],
            help="list all trainings in one `turns` or `mix`",
        )
    counts: dict[str, float] = {}
    for turn in first.turns:
        if _is_known(turn.name, scope, trainings, {t.name.text: t.name.span for t in reversed(first.turns)}, context):
            counts[turn.name.text] = _count(first.kind.text, turn, scope, context)
    if len(first.turns) == 1:
        context.error(
            "E0834",
            first.turns[0].span,
            f"`{first.kind.text}` needs more than one training",
            "the only one",
            help="a single training needs no turns",
        )
    context.program.turns = Turns("mix" if first.kind.text == "mix" else "turns", counts, first.span)


def _is_known(
    name: tree.Name, scope: FileScope, trainings: Mapping[str, Span], listed: Mapping[str, Span], context: Context
) -> bool:
    if name.text not in trainings:
        if not scope.is_partial:
            near = nearest(name.text, trainings)
            context.error(
                "E0834",
                name.span,
                f"there is no training `{name.text}`",
                help=f"the trainings of this file are {', '.join(f'`{t}`' for t in trainings)}"
                if trainings
                else "declare it: `train name of model(targets) { … }`",
                near=near,
            )
        return False
    context.references.add(name.span, trainings[name.text])
    if listed[name.text] != name.span:
        context.error(
            "E0834",
            name.span,
            f"`{name.text}` is listed twice",
            "again",
            labels=[Label(listed[name.text], "first")],
            help="add up both numbers, or let the trainings alternate in another order",
        )
        return False
    return True


def _count(kind: str, turn: tree.Turn, scope: FileScope, context: Context) -> float:
    item = evaluate(turn.count, Frame(context.root, scope, {}, "f32"), context)
    try:
        return float(SHARE.fit(item)) if kind == "mix" else int(COUNT.fit(item))
    except Misfit as misfit:
        if not has_poison(item):
            what = "share of" if kind == "mix" else "number of steps of"
            context.error("E0835", turn.count.span, f"the {what} `{turn.name.text}` {misfit}", applied=False)
    return 1
