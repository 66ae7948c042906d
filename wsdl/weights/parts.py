"""Sources made of others: the tensors below a path, and those of several files together."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from wsdl.diagnostics import Diagnostic
from wsdl.diagnostics.figures import count, listed
from wsdl.diagnostics.suggest import nearest
from wsdl.weights.source import Source, WeightsError

T = TypeVar("T")


# At the top of a checkpoint: what is saved beside the weights to go on with a training, and usual names of the weights.
_TRAINING = re.compile(r"optim|.*scheduler|.*scaler|amp$|rng|callbacks$|loops$")
_WEIGHTS = ("state_dict", "model_state_dict", "model_state", "model", "module", "net", "network", "weights", "params")


def part_at(source: Source, at: str | None) -> Source:
    """The tensors whose names begin with the path `at`, named from there on; all of them for an empty path. Where none
    is given, the weights of a checkpoint that also holds an optimizer's state. Raises `WeightsError` if there are none,
    or several that may be meant."""
    if at is None:
        at = _weights_in(source)
        return _below(source, at, source.path) if at else source
    return _below(source, at, f"{source.path} at {at}") if at else source


def _weights_in(source: Source) -> str:
    """The path of the weights among the dictionaries of a file."""
    sets = source.dictionaries
    if not sets or "" in sets:
        return ""
    tops: dict[str, int] = {}
    for path, tensors in sets.items():
        tops[path.split(".")[0]] = tops.get(path.split(".")[0], 0) + tensors
    candidates = [top for top in tops if not _TRAINING.match(top)] or list(tops)
    usual = [top for top in candidates if top in _WEIGHTS]
    # Another one with as many tensors may be meant as well, such as the moving averages of the weights.
    if len(usual) == 1 and not any(tops[top] == tops[usual[0]] for top in candidates if top != usual[0]):
        candidates = usual
    if len(candidates) > 1:
        raise WeightsError([_several_sets(source, (usual or candidates)[0])])
    inside = [path for path in sets if path.split(".")[0] == candidates[0]]
    return inside[0] if len(inside) == 1 else candidates[0]


def _several_sets(source: Source, first: str) -> Diagnostic:
    lines = [f"{path}: {count(tensors, 'tensor')}" for path, tensors in source.dictionaries.items()]
    message = "the file holds several sets of weights, and `at` doesn't say which one is meant"
    name = Path(source.path).name
    help = f'in a program: `load "{name}" at "{first}" into …`; `at ""` is all of them'
    return Diagnostic("E0532", message, file=source.path, details=tuple(listed(lines)), help=help)


def _below(source: Source, at: str, name: str) -> Source:
    prefix = f"{at}."
    tensors = {name.removeprefix(prefix): info for name, info in source.tensors.items() if name.startswith(prefix)}
    aliases = {name.removeprefix(prefix): of for name, of in source.aliases.items() if name.startswith(prefix)}
    if not tensors and not aliases:
        raise WeightsError([_no_part(source, at)])
    # An alias of a tensor outside of the part is a tensor here.
    tensors |= {name: source.tensors[of] for name, of in aliases.items() if not of.startswith(prefix)}
    inside = {name: of.removeprefix(prefix) for name, of in aliases.items() if of.startswith(prefix)}
    return Source(name, tensors, inside, reader=lambda name: source.read(prefix + name))


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


def together(sources: Sequence[Source], path: str = "") -> Source:
    """Several files as one, `path` if it has one. Raises `WeightsError` if two have a tensor of the same name."""
    if len(sources) == 1 and not path:
        return sources[0]
    owners: dict[str, Source] = {}
    for source in sources:
        for name in source.names:
            if name in owners:
                raise WeightsError([_in_two(name, owners[name], source)])
            owners[name] = source
    return Source(
        path or " and ".join(source.path for source in sources),
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
