"""What a body asks of its parameters and of its training, kept for later passes."""

from __future__ import annotations

from wsdl.diagnostics import Label
from wsdl.elaborate.context import Context, Requests
from wsdl.elaborate.control import clause_values
from wsdl.elaborate.evaluate import evaluate
from wsdl.elaborate.items import ArgumentValue, Frame
from wsdl.elaborate.optimizers import optimizer_of, rate_of
from wsdl.elaborate.path_patterns import freeze_request, group_request, limit_request, load_request
from wsdl.elaborate.ways import way_of
from wsdl.ir.ways import WayRequest
from wsdl.syntax import tree


def share(node: tree.Share, frame: Frame, context: Context) -> None:
    steps = [None] if node.clause is None else clause_values(node.clause, frame, context)
    for step in steps or ():
        if node.clause is not None:
            frame.names[node.clause.name.text] = step
            context.budget.count(node.clause.span)
        group = group_request(node, frame, context)
        way = None if node.way is None else way_of(node.way, frame, context)
        if node.way is None or group is None:
            context.request(group)
        elif way is not None:
            context.request(WayRequest(group, way))


def freeze(node: tree.Freeze, frame: Frame, context: Context) -> None:
    context.request(freeze_request(node, frame, context))


def loss(node: tree.Loss, frame: Frame, context: Context) -> None:
    _requests(context).losses.append(ArgumentValue(None, evaluate(node.value, frame, context), node.value.span))


def metric(node: tree.Metric, frame: Frame, context: Context) -> None:
    requests = _requests(context)
    name, places = node.name.text, requests.metric_places
    if name in places:
        context.error(
            "E0807",
            node.name.span,
            f"two metrics are called `{name}`",
            "named again",
            labels=[Label(places[name], "named first")] if places[name] != node.name.span else (),
            help="give one of them another name"
            if places[name] != node.name.span
            else "a metric has one value; add up what the steps of a `for` give, and name the sum",
        )
    places.setdefault(name, node.name.span)
    requests.metrics[name] = ArgumentValue(node.name, evaluate(node.value, frame, context), node.value.span)


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
    context.request(load_request(node, frame, context))


def _requests(context: Context) -> Requests:
    assert context.mode.requests is not None, "the parser lets these stand in a `train` only"
    return context.mode.requests
