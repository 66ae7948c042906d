"""Requests of a body about its parameters and its training, recorded for later passes."""

from __future__ import annotations

from wsdl.diagnostics import Label
from wsdl.elaborate.context import Context, Requests
from wsdl.elaborate.control import statement_steps
from wsdl.elaborate.evaluate import evaluate
from wsdl.elaborate.items import ArgumentValue, Frame, has_poison
from wsdl.elaborate.kinds import FINITE, Misfit
from wsdl.elaborate.losses import auxiliary_loss
from wsdl.elaborate.optimizers import optimizer_of, rate_of
from wsdl.elaborate.path_patterns import freeze_request, group_request, limit_request, path_or_none
from wsdl.ir.requests import CopyRequest, GroupRequest
from wsdl.ir.training import LossWeight
from wsdl.ir.ways import WayRequest
from wsdl.syntax import tree


def share(node: tree.Share, frame: Frame, context: Context) -> None:
    """Record a group, once for each layer with this body, however often that is applied."""
    for number in statement_steps(node, frame, context):
        key = node, frame.layer, frame.path, number
        if key in context.groups:
            continue
        context.groups.add(key)
        group = group_request(node, frame, context)
        context.request(group if node.way is None else _share_as(node.way, group, frame, context))


def _share_as(way: tree.Call, group: GroupRequest | None, frame: Frame, context: Context) -> WayRequest | None:
    from wsdl.elaborate.ways import way_of

    block = way_of(way, frame, context)
    return None if block is None or group is None else WayRequest(group, block)


def freeze(node: tree.Freeze, frame: Frame, context: Context) -> None:
    context.request(freeze_request(node, frame, context))


def loss(node: tree.Loss, frame: Frame, context: Context) -> None:
    """A loss of a `train`, or an auxiliary loss of a block or a model."""
    requests = context.mode.requests
    if requests is None or frame.layer.module.kind != "training":
        auxiliary_loss(node, frame, context)
        return
    if node.name is not None:
        _name_result(node.name, requests, context)
    requests.losses.append(ArgumentValue(node.name, evaluate(node.value, frame, context), node.value.span))


def loss_weight(node: tree.LossWeight, frame: Frame, context: Context) -> None:
    item = evaluate(node.value, frame, context)
    try:
        _requests(context).weights[node.name.text] = LossWeight(FINITE.fit(item), node.name.span)
    except Misfit as misfit:
        if not has_poison(item):
            context.error("E0225", node.value.span, f"the weight of a loss {misfit}", applied=False)


def metric(node: tree.Metric, frame: Frame, context: Context) -> None:
    requests = _requests(context)
    _name_result(node.name, requests, context)
    requests.metrics[node.name.text] = ArgumentValue(node.name, evaluate(node.value, frame, context), node.value.span)


def _name_result(name: tree.Name, requests: Requests, context: Context) -> None:
    """Report a name that another loss or metric of the `train` already has."""
    places = requests.metric_places
    if name.text in places:
        context.error(
            "E0807",
            name.span,
            f"two results of a training are called `{name.text}`",
            "named again",
            labels=[Label(places[name.text], "named first")] if places[name.text] != name.span else (),
            help="give one of them another name"
            if places[name.text] != name.span
            else "a name has one value: add up the values of the iterations of a `for`, and name the sum",
        )
    places.setdefault(name.text, name.span)


def optimizer(node: tree.Optimizer, frame: Frame, context: Context) -> None:
    _requests(context).optimizers.append((optimizer_of(node, frame, context), node.span))


def learning_rate(node: tree.LearningRate, frame: Frame, context: Context) -> None:
    rate = rate_of(node.value, frame, context)
    request = freeze_request(tree.Freeze(node.span, node.paths), frame, context)
    if rate is not None and request is not None:
        _requests(context).rates.append((request, rate, node.span))


def limit(node: tree.Limit, frame: Frame, context: Context) -> None:
    context.request(limit_request(node, frame, context))


def load(node: tree.Load, frame: Frame, context: Context) -> None:
    from wsdl.elaborate.load_requests import load_request

    context.request(load_request(node, frame, context))


def copy(node: tree.Copy, frame: Frame, context: Context) -> None:
    source, target = (path_or_none(path, frame, context) for path in (node.source, node.target))
    if source is not None and target is not None:
        context.request(CopyRequest(source, target, frame.layer.module.path))


def _requests(context: Context) -> Requests:
    assert context.mode.requests is not None, "the parser allows these in a `train` only"
    return context.mode.requests
