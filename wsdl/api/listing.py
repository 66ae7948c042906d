"""Stored tensors as rows of a list, one for each family of tensors that are shared alike: `albert.blocks[0:12]`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

from wsdl.ir.graph import with_indices
from wsdl.ir.inventory import ComputedTensor, Inventory, Tensor, Use, Way
from wsdl.ir.ranges import compact, runs
from wsdl.ir.roles import ROLES

Parts = tuple[str, ...]  # of a path, as in ("lm", "blocks[0]", "ffn", "up", "weight")


@dataclass(frozen=True)
class Family:
    """Tensors that the same layers share: the common name, the layers, their bytes and the bytes saved; in a way of
    sharing with those of one member each, which are `own` bytes."""

    label: str  # `lm.blocks[0:12].ffn (4 tensors)`
    shared_by: str
    bytes: int
    saved: int
    own: int = 0


def families(stored: Inventory) -> Iterator[Family]:
    """The shared tensors of an inventory, in the order of the first tensor of each family, then ways of sharing."""
    yield from _plain_families(stored)
    for way in (way for way in stored.ways if way.shared):
        bytes = sum(tensor.bytes for tensor in stored.tensors(way))
        own = sum(stored.stored[name].bytes for name in way.own)
        yield Family(way.label, _shared_by(_most_read(stored, way)), bytes, stored.saved_by(way), own)


def _most_read(stored: Inventory, way: Way) -> tuple[Use, ...]:
    """The slots of that tensor of a way which most read."""
    return stored.uses(max(stored.tensors(way), key=stored.used))


def _plain_families(stored: Inventory) -> Iterator[Family]:
    outermost = [tuple(path.split(".")) for path in stored.repeats()]
    grouped: dict[object, list[tuple[Tensor, tuple[Parts, ...], Parts]]] = {}
    for tensor in plainly_shared(stored):
        uses = stored.uses(tensor)
        layers, rest = _split(uses, outermost)
        alike = not any(use.view or use.formula for use in uses) and rest
        key = (layers, tuple(use.times for use in uses), tensor.group) if alike else tensor.name
        grouped.setdefault(key, []).append((tensor, layers, rest))
    for members in grouped.values():
        tensors = tuple(tensor for tensor, _, _ in members)
        name = _name(tensors, members[0][1], [rest for _, _, rest in members])
        yield Family(
            name if len(tensors) == 1 else f"{name} ({len(tensors)} tensors)",
            _shared_by(stored.uses(tensors[0])),
            sum(tensor.bytes for tensor in tensors),
            sum(stored.saved(tensor) for tensor in tensors),
        )


def _split(uses: Sequence[Use], outermost: Iterable[Parts]) -> tuple[tuple[Parts, ...], Parts]:
    """The paths of the outermost layers that share a tensor, and the rest of the path below each."""
    paths = [tuple(use.path.split(".")) for use in uses]
    if len(paths) == 1:
        owner = next((layer for layer in outermost if paths[0][: len(layer)] == layer), paths[0][:-1])
        return (owner,), paths[0][len(owner) :]
    common = min(len(_beginning([path[::-1] for path in paths])), *(len(path) - 1 for path in paths))
    return tuple(path[: len(path) - common] for path in paths), paths[0][len(paths[0]) - common :]


def _name(tensors: Sequence[Tensor], layers: tuple[Parts, ...], rests: Sequence[Parts]) -> str:
    """The common beginning of the paths of all tensors of a family; repeated layers as a range."""
    if len(tensors) == 1 and (len(tensors[0].uses) == 1 or any(use.formula for use in tensors[0].uses)):
        return tensors[0].name
    paths = compact(dict.fromkeys(".".join(layer) for layer in layers))
    if tensors[0].group or len(paths) > 1 or not rests[0]:
        return ".".join(_beginning([tensor.name.split(".") for tensor in tensors]))
    return ".".join([*paths, *_beginning(rests)])


def _beginning(paths: Sequence[Sequence[str]]) -> list[str]:
    """The common prefix of all paths."""
    return [parts[0] for parts in takewhile(lambda parts: len(set(parts)) == 1, zip(*paths, strict=False))]


def _shared_by(uses: Sequence[Use]) -> str:
    """`12 layers`, `1 layer, 4 uses`: the layers that read a tensor, and the number of reads if that differs."""
    owners = len({use.path.rpartition(".")[0] for use in uses})
    paths = len({use.path for use in uses})
    noun = "layer" if owners == paths else "parameter"
    reads = sum(use.times for use in uses)
    return f"{paths} {noun}{'' if paths == 1 else 's'}" + (f", {reads} uses" if reads != paths else "")


@dataclass(frozen=True)
class ComputedFamily:
    """Tensors that one formula computes in repeated layers: their paths, as one with ranges (`name`) and of each, the
    formula, the bytes of the stored tensors behind them and of their values."""

    name: str
    paths: tuple[str, ...]
    formula: str
    bytes_of_parts: int
    bytes: int
    written_out: bool


def computed_families(stored: Inventory) -> Iterator[ComputedFamily]:
    """The tensors that formulas compute, in the order in which each family is first met."""
    alike: dict[tuple[object, ...], list[ComputedTensor]] = {}
    for tensor in stored.computed:
        alike.setdefault((tensor.formula, tensor.shape, tensor.written_out), []).append(tensor)
    for tensors in alike.values():
        by_path = {tensor.slots[0]: tensor for tensor in tensors}
        for name, paths in runs(by_path):
            members = [by_path[path] for path in paths]
            bytes_of_parts = sum(dict(part for tensor in members for part in tensor.parts.items()).values())
            values = sum(tensor.bytes for tensor in members)
            first = members[0]
            yield ComputedFamily(name, tuple(paths), first.formula, bytes_of_parts, values, first.written_out)


# -- slots, and tensors that are not shared ----------------------------------------------------------------------------


def slots(uses: Iterable[Use]) -> Iterator[tuple[str, int]]:
    """The slots that read a tensor, with view or formula, and the number of reads of each; repeated layers as a range:
    `lm.blocks[0:12].ffn.up.weight as .T`."""
    alike: dict[tuple[str, int], list[str]] = {}
    for use in uses:
        how = f" in {use.formula}" if use.formula else f" as {use.view}" if use.view else ""
        alike.setdefault((how, use.times), []).append(use.path)
    for (how, read), paths in alike.items():
        yield from ((f"{path}{how}", read) for path in compact(dict.fromkeys(paths)))


def plainly_shared(stored: Inventory) -> list[Tensor]:
    """The tensors that are read more than once and are of no way of sharing."""
    of_ways = _of_ways(stored)
    return [tensor for tensor in stored.shared() if tensor.name not in of_ways]


def unshared(stored: Inventory) -> list[tuple[str, list[Tensor]]]:
    """The tensors that are neither shared nor of a way of sharing, in the order of the inventory; repeated
    layers as one range."""
    others = {tensor.name for tensor in stored.shared()} | _of_ways(stored)
    return _ranges(((t.path, t) for t in stored.stored.values() if t.name not in others), stored)


def parts(stored: Inventory, names: Iterable[str]) -> list[tuple[str, list[Tensor]]]:
    """Some of what is stored for a way of sharing; that of repeated layers as one range."""
    return _ranges(((with_indices(name), stored.stored[name]) for name in names), stored)


def _of_ways(stored: Inventory) -> set[str]:
    return {name for way in stored.ways for name in (*way.shared, *way.own)}


def _ranges(tensors: Iterable[tuple[str, Tensor]], stored: Inventory) -> list[tuple[str, list[Tensor]]]:
    """Tensors with their paths, those that differ in an index alone as one range, in the order of their first."""
    order: dict[str, int] = {}
    alike: dict[tuple[str, int, str], dict[str, Tensor]] = {}
    for path, tensor in tensors:
        order[tensor.name] = len(order)
        alike.setdefault((tensor.type, tensor.bytes, stored.roles.says(tensor.name)), {})[path] = tensor
    rows = [(path, [found[p] for p in paths]) for found in alike.values() for path, paths in runs(found)]
    return sorted(rows, key=lambda row: order[row[1][0].name])


# -- trainings ---------------------------------------------------------------------------------------------------------


def trainings(stored: Inventory) -> Iterator[str]:
    """What each training does with how many parameters: `train byol: 26,112 trained, 1,024 updated; carries z`."""
    for name, inputs in stored.roles.carried.items():
        elements: Counter[str] = Counter()
        for tensor, roles in stored.roles.of_tensors.items():
            if name in roles and tensor in stored.stored:
                elements[roles[name]] += stored.stored[tensor].elements
        ordered = sorted(elements, key=lambda role: ROLES.index(role.split()[0]))
        counted = ", ".join(f"{elements[role]:,} {role}" for role in ordered)
        yield f"train {name}: {counted}" + (f"; carries {', '.join(inputs)}" if inputs else "")
