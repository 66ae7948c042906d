"""Which statements may stand in the body of which declaration."""

from __future__ import annotations

from wsdl.syntax import tree

# The statements that are only allowed in a `train`, and those that are never allowed there.
OF_TRAINING = (tree.Metric, tree.Optimizer, tree.LearningRate, tree.LossWeight, tree.Carry)
OF_MODELS = (
    tree.Layer,
    tree.Parameter,
    tree.Formula,
    tree.Share,
    tree.Limit,
    tree.Load,
    tree.Copy,
    tree.Scan,
    tree.Emit,
    tree.Return,
)
# The statements that are allowed in a variant, and in the `train` of a variant.
OF_VARIANTS = (tree.Formula, tree.Share, tree.Freeze, tree.Load, tree.Copy, tree.Limit, tree.Changes)
OF_CHANGES = (tree.Freeze, tree.LearningRate)


def allows(declaration: type[tree.Node], statement: type[tree.Node]) -> bool:
    """Whether a kind of statement may stand in the body of a kind of declaration."""
    if declaration is tree.Variant:
        return statement in OF_VARIANTS
    if declaration is tree.Changes:
        return statement in OF_CHANGES
    return statement is not tree.Changes and statement not in (OF_MODELS if declaration is tree.Train else OF_TRAINING)
