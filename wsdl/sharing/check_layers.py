"""Warns of layers that are never applied, and of layers that mix the statistics of several applications."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from wsdl.diagnostics import Label, Problems
from wsdl.diagnostics.span import Span
from wsdl.ir.graph import Module, Slot
from wsdl.ir.sharing import Sharing
from wsdl.ir.stages import Checked

LISTED = 4


def check_layers(program: Checked, sharing: Sharing, spans: Mapping[str, Span], problems: Problems) -> None:
    """W0301 and W0302. `spans` has the location that put each slot into a group."""
    if not problems.errors:  # after errors, a layer may only seem to be unused
        _warn_of_unused(program, problems)
    _warn_of_mixed_statistics(program, sharing, spans, problems)


# -- unused layers -----------------------------------------------------------------------------------------------------


def _warn_of_unused(program: Checked, problems: Problems) -> None:
    """Warn of layers that neither a model nor a training applies; a layer that some instances of a block apply is fine,
    and so is one of a file for others to import."""
    own = next(iter(program.sources.values()), None)
    used: set[tuple[Span, str]] = set()
    unused: dict[Span, list[Module]] = {}
    for root in program.roots():
        for module in root.modules():
            if module.uses or module.is_trained:
                used.add(_declaration(module))
        for module in _unused(root):
            is_for_others = module is root and (not program.models or module.span.source is not own)
            if not is_for_others:
                unused.setdefault(module.span, []).append(module)
    for span, modules in unused.items():
        never = [module for module in modules if _declaration(module) not in used]
        if never and not span.source.is_standard:
            problems.error(
                "W0302",
                span,
                f"{_listed([module.path for module in never])} {'is' if len(never) == 1 else 'are'} never applied",
                "no parameters are created",
                help="apply it to a tensor, or remove it" if len(never) == 1 else "apply them, or make fewer",
                severity="warning",
            )


def _declaration(module: Module) -> tuple[Span, str]:
    return module.span, module.path.rpartition(".")[2]


def _unused(module: Module) -> list[Module]:
    """The outermost layers at or below this one that are never applied."""
    if not module.uses and not module.is_trained and module.kind != "model":
        return [module]
    children = [c for child in module.children.values() for c in (child if isinstance(child, list) else [child])]
    return [module_below for child in children for module_below in _unused(child)]


# -- statistics of several applications --------------------------------------------------------------------------------


@dataclass
class _Mixed:
    """The layers whose statistics are mixed at one span, and their states as `except` would name them."""

    labels: list[Label]
    label: str
    layers: list[str] = field(default_factory=list)
    states: list[str] = field(default_factory=list)


def _warn_of_mixed_statistics(
    program: Checked, sharing: Sharing, spans: Mapping[str, Span], problems: Problems
) -> None:
    mixed_at: dict[Span, _Mixed] = {}
    tied = {root.path: [slot for slot, _ in members] for root, members in sharing.families()}
    for root in program.roots():
        outermost: dict[Span, str] = {}  # the shortest path of the layers applied at a location
        for module in root.modules():
            for span in module.uses:
                outermost[span] = min(outermost.get(span, module.path), module.path, key=len)
        for module in root.modules():
            states = [slot for slot in module.slots.values() if slot.kind == "state"]
            if not states:
                continue
            _applied_again(module, states, outermost, mixed_at)
            _shared(module, [tied[sharing.home(slot)[0].path] for slot in states], states, spans, mixed_at)
    for span, mixed in mixed_at.items():
        several = len(mixed.layers) > 1
        problems.error(
            "W0301",
            span,
            f"{_listed(mixed.layers)} {'keep' if several else 'keeps'} running statistics, "
            f"and {'mix' if several else 'mixes'} those of several applications",
            mixed.label,
            labels=mixed.labels,
            help="correct if all inputs are the same kind of data; to keep them separate, declare a layer for each "
            f"and share them `except {', '.join(mixed.states[:LISTED])}{', …' if len(mixed.states) > LISTED else ''}`",
            severity="warning",
        )


def _applied_again(
    module: Module, states: Sequence[Slot], outermost: Mapping[Span, str], mixed_at: dict[Span, _Mixed]
) -> None:
    """Record a layer that one model applies more than once, directly or through one around it."""
    by_model: dict[Span, list[tuple[Span, ...]]] = {}
    for way in module.ways:
        by_model.setdefault(way[0], []).append(way)
    for ways in by_model.values():
        if len(ways) < 2:
            continue
        first, again = next(((a, b) for a, b in zip(ways[0], ways[1], strict=False) if a != b), (ways[0][-1],) * 2)
        labels = [Label(first, "applied here first")] if first != again else []
        label = "applied here again" if first != again else f"applied here {len(ways)} times"
        mixed = mixed_at.setdefault(again, _Mixed(labels, label))
        outer = outermost.get(again, module.path)
        mixed.layers.append(module.path)
        mixed.states += [slot.path[len(outer) + 1 :] for slot in states]


def _shared(
    module: Module,
    tied: Sequence[Sequence[Slot]],
    states: Sequence[Slot],
    spans: Mapping[str, Span],
    mixed_at: dict[Span, _Mixed],
) -> None:
    """Record layers applied at different locations whose statistics a group ties; `tied` are, for each of the states,
    the slots that read the same tensor, in the order of declaration."""
    tied_slots = tied[0]
    if len(tied_slots) < 2 or tied_slots[0] is not states[0]:
        return
    span = spans.get(tied_slots[1].path, module.span)
    mixed = mixed_at.setdefault(span, _Mixed([], "ties their statistics"))
    mixed.layers += [slot.path.rpartition(".")[0] for slot in tied_slots]
    for others in tied:
        below = _common_end([s.path for s in others])
        if below not in mixed.states:
            mixed.states.append(below)


def _common_end(paths: Sequence[str]) -> str:
    """The common suffix of all paths."""
    common: list[str] = []
    for names in zip(*(reversed(path.split(".")) for path in paths), strict=False):
        if len(set(names)) > 1:
            break
        common.insert(0, names[0])
    return ".".join(common) or paths[0].rpartition(".")[2]


def _listed(paths: Sequence[str]) -> str:
    names = [f"`{path}`" for path in paths]
    if len(names) <= 2:
        return " and ".join(names)
    return f"{names[0]} and {len(names) - 1} other layers"
