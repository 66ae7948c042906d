"""The function for each kind of node of the tree: the map of this folder."""

from __future__ import annotations

from wsdl.elaborate import (
    bindings,
    calls,
    control,
    declarations,
    indexing,
    lists,
    names,
    operators,
    parts,
    requests,
    require,
)
from wsdl.elaborate.context import Context, Meanings
from wsdl.elaborate.items import Frame, Item
from wsdl.syntax import tree


def _literal(node: tree.Number | tree.String | tree.Constant, frame: Frame, context: Context) -> Item:
    return node.value


# -- statements that few programs have: their modules are imported at the first ----------------------------------------


def _formula(node: tree.Formula, frame: Frame, context: Context) -> None:
    from wsdl.elaborate.formulas import formula

    formula(node, frame, context)


def _scan(node: tree.Scan, frame: Frame, context: Context) -> None:
    from wsdl.elaborate.scan import scan

    scan(node, frame, context)


def _update(node: tree.Update, frame: Frame, context: Context) -> None:
    from wsdl.elaborate.updates import update

    update(node, frame, context)


def _carry(node: tree.Carry, frame: Frame, context: Context) -> None:
    from wsdl.elaborate.carries import carry

    carry(node, frame, context)


MEANINGS = Meanings(
    expressions={
        tree.Name: names.name,
        tree.Number: _literal,
        tree.String: _literal,
        tree.Constant: _literal,
        tree.List: lists.list_,
        tree.Comprehension: lists.list_,
        tree.Binary: operators.binary,
        tree.Unary: operators.unary,
        tree.Call: calls.call,
        tree.Pipe: calls.pipe,
        tree.Field: parts.field,
        tree.Index: indexing.index,
    },
    statements={
        tree.Let: bindings.let,
        tree.Assign: bindings.run_assignment,
        tree.Layer: declarations.run_layer,
        tree.Parameter: declarations.run_parameter,
        tree.Formula: _formula,
        tree.For: control.for_,
        tree.If: control.if_,
        tree.Require: require.require,
        tree.Scan: _scan,
        tree.Return: control.return_,
        tree.Emit: control.emit,
        tree.Until: control.until,
        tree.Share: requests.share,
        tree.Freeze: requests.freeze,
        tree.Limit: requests.limit,
        tree.Load: requests.load,
        tree.Copy: requests.copy,
        tree.Loss: requests.loss,
        tree.LossWeight: requests.loss_weight,
        tree.Metric: requests.metric,
        tree.Optimizer: requests.optimizer,
        tree.LearningRate: requests.learning_rate,
        tree.Update: _update,
        tree.Carry: _carry,
    },
)
