"""Sources made of others: the tensors below a path, and those of several files together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from wsdl.diagnostics import Diagnostic
from wsdl.diagnostics.figures import count
from wsdl.diagnostics.suggest import nearest
from wsdl.weights.lost import listed
from wsdl.weights.source import Source, WeightsError

T = TypeVar("T")


def part_at(source: Source, at: str) -> Source:
    """The tensors whose names begin with the path `at`, named from there on; all of them for an empty path. Raises
    `WeightsError` if there are none."""
    if not at:
        return source
    prefix = f"{at}."
    tensors = {name.removeprefix(prefix): info for name, info in source.tensors.items() if name.startswith(prefix)}
    aliases = {name.removeprefix(prefix): of for name, of in source.aliases.items() if name.startswith(prefix)}
    if not tensors and not aliases:
        raise WeightsError([_no_part(source, at)])
    # An alias of a tensor outside of the part is a tensor here.
    tensors |= {name: source.tensors[of] for name, of in aliases.items() if not of.startswith(prefix)}
    inside = {name: of.removeprefix(prefix) for name, of in aliases.items() if of.startswith(prefix)}
    return Source(f"{source.path} at {at}", tensors, inside, reader=lambda name: source.read(prefix + name))


def _no_part(source: Source, at: str) -> Diagnostic:
    counts = source.dictionaries or Counter(name.split(".")[0] for name in source.names if "." in name)
    lines = [f"{path}: {count(tensors, 'tensor')}" for path, tensors in counts.items()]
    close = nearest(at, counts)
    if close:
        help = f"did you mean `{close}`?"
    elif at in source.names:
        help = f"`{at}` is a tensor; leave out `at`, and name it in a table"
    else:
        help = "`wsdl inspect` lists the names in a file"
    message = f"there are no tensors at `{at}`"
    details = ["there are some at:", *listed(lines)] if lines else []
    return Diagnostic("E0530", message, file=source.path, details=tuple(details), help=help)


def together(sources: Sequence[Source]) -> Source:
    """Several files as one. Raises `WeightsError` if two have a tensor of the same name."""
    if len(sources) == 1:
        return sources[0]
    owners: dict[str, Source] = {}
    for source in sources:
        for name in source.names:
            if name in owners:
                raise WeightsError([_in_two(name, owners[name], source)])
            owners[name] = source
    return Source(
        " and ".join(source.path for source in sources),
        {name: info for source in sources for name, info in source.tensors.items()},
        {name: of for source in sources for name, of in source.aliases.items()},
        reader=lambda name: owners[name].read(name),
        stored=together([s.stored or s for s in sources]) if any(s.stored for s in sources) else None,
        parts=_merged(source.parts for source in sources),
        readings=_merged(source.readings for source in sources),
        inputs=frozenset(name for source in sources for name in source.inputs),
    )


def _merged(mappings: Iterable[Mapping[str, T]]) -> dict[str, T]:
    return {key: value for mapping in mappings for key, value in mapping.items()}


def _in_two(name: str, first: Source, second: Source) -> Diagnostic:
    common = sorted({*first.names} & {*second.names})
    message = f"`{name}` is in two files, {Path(first.path).name} and {Path(second.path).name}"
    details = [f"so is `{other}`" for other in common if other != name]
    help = "load them one by one, each into its own layer or with a table that picks what is meant"
    return Diagnostic("E0531", message, details=tuple(listed(details)), help=help)
