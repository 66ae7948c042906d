"""Errors about share groups whose members contradict each other, always with both spans."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from wsdl.diagnostics import Edit, Label, Problems
from wsdl.diagnostics.span import Span
from wsdl.ir.graph import Module, Slot
from wsdl.ir.sharing import Conflict, Member, Sharing
from wsdl.ir.stages import Storage
from wsdl.ir.types import shape_text
from wsdl.sharing.paths import Match, about_an_index


def report_conflict(
    conflict: Conflict, sharing: Sharing, ties: Sequence[tuple[Member, Member]], problems: Problems
) -> None:
    """Report that two members can't be one tensor. `ties` are the pairs of members that were united before."""
    first, second = conflict.first, conflict.second
    if conflict.reason == "shape":
        _report_shape(first, second, problems)
    elif conflict.reason == "dtype":
        problems.error(
            "E0320",
            second.span,
            "the members of this share group do not have one dtype",
            f"{_named(second)}is {second.slot.type.dtype}",
            labels=[Label(first.span, f"{_named(first)}is {first.slot.type.dtype}")],
            help="a layer has the dtype of its input: `cast` the input of one of them",
        )
    elif conflict.reason == "kind":
        problems.error(
            "E0321",
            second.span,
            "a parameter and a state can't be one tensor",
            f"`{second.slot.path}` is a {_kind(second.slot)}",
            labels=[Label(first.span, f"`{first.slot.path}` is a {_kind(first.slot)}")],
            help="training updates a parameter by its gradient, and a state by the data",
        )
    elif conflict.reason == "itself":
        _report_itself(first, second, sharing, ties, problems)
    elif conflict.reason == "overlap":
        problems.error(
            "E0323",
            first.span,
            "neither of these contains the other, so there is no tensor to store",
            f"a part of `{first.slot.path}`, {first.slot.type}",
            labels=[Label(second.span, f"a part of `{second.slot.path}`, {second.slot.type}")],
            help="the largest member is stored: name it without a slice, and slice only the other",
        )
    else:
        problems.error(
            "E0328",
            second.span,
            "these views can't be combined into one view of a stored tensor",
            f"a view of `{second.slot.path}`",
            labels=[Label(first.span, f"a view of `{first.slot.path}`")],
            help="the combination of two reshapes isn't a view: use simpler views",
        )


def report_partly_frozen(
    slots: Iterable[Slot], frozen: Mapping[str, Span], problems: Problems, ties: Mapping[str, Span] | None = None
) -> None:
    """Report slots of one tensor of which only some are frozen; `frozen` and `ties` have the locations that freeze them
    and that put them into their group, by path."""
    cold: list[Slot] = []
    warm: list[Slot] = []
    for slot in slots:
        (cold if slot.path in frozen else warm).append(slot)
    if not cold or not warm:
        return
    one, other = cold[0].path, warm[0].path
    tie = (ties or {}).get(other)
    problems.error(
        "E0325",
        frozen[one],
        f"`{one}` is frozen, but `{other}`, which is the same tensor, is not",
        f"freezes `{one}`",
        labels=[Label(tie, f"ties `{other}` with it") if tie else Label(warm[0].layer_span, f"`{other}`")],
        help=f"freeze `{other}` too, or take it out of the group",
    )


def report_partly_frozen_parts(storage: Storage, frozen: Mapping[str, Span], problems: Problems) -> None:
    """Report members of a way of sharing of which only some are frozen: shared parameters would be frozen for all.
    `frozen` has the location that freezes each slot, by path."""
    parts = {storage.home(slot.path)[0].name: slot for slot in storage.parts}
    for name, part in parts.items():
        readers = storage.readers[name]
        cold = [slot for slot in readers if slot.path in frozen]
        warm = [slot for slot in readers if slot.path not in frozen]
        if part.path in frozen or not cold or not warm:
            continue
        one, other = cold[0].path, warm[0].path
        own = [p.path for n, p in parts.items() if list(storage.readers[n]) == [cold[0]]]
        problems.error(
            "E0325",
            frozen[one],
            f"`{one}` is frozen, but `{other}`, which shares `{name}` with it, is not",
            f"freezes `{one}`",
            labels=[Label(part.layer_span, f"shares `{name}`")],
            help=f"freeze `{other}` too" + (f", or only unshared parts, such as `{own[0]}`" if own else ""),
        )


def _report_shape(first: Member, second: Member, problems: Problems) -> None:
    a, b = first.view.shape, second.view.shape
    transposed = len(a) == 2 and a == b[::-1]
    stories = [second] if transposed else [second, first]
    labels = [Label(second.span, f"{_named(second)}needs {shape_text(b)}")]
    labels += [Label(m.slot.layer_span, m.slot.story) for m in stories if m.slot.story]
    text = second.span.text
    turned = text.removesuffix(".T") if text.endswith(".T") else f"{text}.T"
    fix: list[Edit] = []
    if transposed and _written_alone(second):
        end = second.span.source.span(second.span.end - 2, second.span.end)
        fix = [Edit(end, "")] if text.endswith(".T") else [Edit(second.span.after(), ".T")]
    problems.error(
        "E0312",
        first.span,
        "the members of this share group do not have one shape",
        f"{_named(first)}{_stored_as(first)} {shape_text(a)}",
        labels=list(dict.fromkeys(labels)),
        help=f"the shapes match transposed: write `{turned}`" if fix else about_an_index(a, b),
        fix=fix,
    )


def _report_itself(
    first: Member, second: Member, sharing: Sharing, ties: Sequence[tuple[Member, Member]], problems: Problems
) -> None:
    seen = [str(sharing.home(m.slot)[1].then(m.view)) for m in (first, second)]
    texts = [f"reads the stored tensor as `{view}`" if view else "reads the stored tensor directly" for view in seen]
    way = _ties_between(first.slot.path, second.slot.path, ties)
    problems.error(
        "E0322",
        second.span,
        "a tensor can't be equal to another view of itself",
        texts[1],
        labels=[
            Label(first.span, texts[0]),
            *(Label(b.span, f"ties `{b.slot.path}` with `{a.slot.path}`") for a, b in way),
        ],
        help="remove one of the ties, or the view" if way else "remove the group: it contradicts itself",
    )


def _ties_between(start: str, goal: str, ties: Sequence[tuple[Member, Member]]) -> list[tuple[Member, Member]]:
    """The chain of ties from one slot to another."""
    ways: dict[str, list[tuple[Member, Member]]] = {start: []}
    queue = [start]
    for path in queue:
        for tie in ties:
            ends = [member.slot.path for member in tie]
            if path in ends:
                other = ends[1 - ends.index(path)]
                if other not in ways:
                    ways[other] = [*ways[path], tie]
                    queue.append(other)
    return ways.get(goal, [])


def report_missing(one: Match, has: Sequence[str], other: Match, has_too: Sequence[str], problems: Problems) -> None:
    """Report that two layers of a group don't have the same parameters."""
    missing = [p for p in has if p not in has_too]
    owner, lacking = (one, other) if missing else (other, one)
    missing = missing or [p for p in has_too if p not in has]
    assert isinstance(lacking.thing, Module)
    alone = lacking.span == owner.span
    lacks = f"`{lacking.path}` has no `{missing[0]}`"
    common = set(has) & set(has_too)
    labels = [] if alone else [Label(owner.span, f"`{owner.path}` has `{missing[0]}`")]
    if not alone and not lacking.thing.span.source.is_standard:
        labels.append(Label(lacking.thing.span, f"`{lacking.path}` is a {lacking.thing.kind}"))
    parts = ", ".join(dict.fromkeys(p.split(".")[0] if p.count(".") else p for p in missing))
    problems.error(
        "E0313",
        lacking.span,
        "the layers of this group don't have the same parameters",
        f"{lacks}, but `{owner.path}` has" if alone else lacks,
        labels=labels,
        help=f"leave it out: `except {parts}`" if common else "they have no parameter in common",
    )


def report_initializers(first: Slot, other: Slot, spans: Mapping[str, Span], problems: Problems) -> None:
    """Report that one tensor has two different initializers."""
    span = spans.get(other.path, other.span)
    problems.error(
        "E0324",
        span,
        f"`{other.path}` and `{first.path}` are one tensor, but have two initializers",
        "tied here",
        labels=[
            Label(first.span, f"`{first.path}` starts as `{first.initializer}`"),
            Label(other.span, f"`{other.path}` starts as `{other.initializer}`"),
        ],
        help="remove one of the two, or make them the same",
    )


def _named(member: Member) -> str:
    """The path of a parameter as a prefix of a label, if the source names a layer, or several parameters."""
    return "" if _written_alone(member) else f"`{member.slot.path}` "


def _stored_as(member: Member) -> str:
    if not member.view.is_identity:
        return "is"
    return "stored as" if _written_alone(member) else "is stored as"


def _written_alone(member: Member) -> bool:
    """Whether the path in the source names only this parameter."""
    text = re.sub(r"(\.(T|permute|reshape|flip)\b.*|\[[^\]]*\])$", "", member.span.text)
    text = re.sub(r"(\.(T|permute|reshape|flip)\b.*)$", "", text)
    return f".{member.slot.path}".endswith(f".{text}")


def _kind(slot: Slot) -> str:
    return "parameter" if slot.kind == "param" else "state"
