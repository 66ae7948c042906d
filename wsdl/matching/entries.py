"""The two sides of a match: the tensors of a file, and what a program stores or computes, each once."""

from __future__ import annotations

import re

from wsdl.ir.stages import Storage
from wsdl.ir.types import FLOATS
from wsdl.ir.weight_files import Listing
from wsdl.matching.conventions import AFTER, IGNORED
from wsdl.matching.families import Entry

_UNWRITABLE = re.compile(r'["\\{}*\s]')  # in the names of a `load` table


def tensors_of(listing: Listing) -> tuple[list[Entry], bool]:
    """The tensors of a file that a program may need, and whether they are in the order in which the network was made.
    That of the alphabet says nothing (safetensors): then numbers are put in order, and decoders after encoders."""
    own = needed(listing)
    in_order = own != sorted(own)
    names = [name for name in (*own, *listing.aliases) if ignored(name) is None and not _UNWRITABLE.search(name)]
    if not in_order:
        names.sort(key=_as_made)
    infos = [listing.info(name) for name in names]
    entries = [Entry(n, t.shape, i, _kind(t.dtype), n) for i, (n, t) in enumerate(zip(names, infos, strict=True))]
    return entries, in_order


def needed(listing: Listing) -> list[str]:
    """The tensors of a file, without those of which others, which have names of their own, are parts or views."""
    inside = {part for parts in listing.parts.values() for part in parts}
    return [name for name in listing.tensors if name not in inside]


def ignored(name: str) -> str | None:
    """The end of the name of a tensor that no program needs, a key of `IGNORED`; `None` for others."""
    return next((end for end in IGNORED if f".{name}".endswith(f".{end}")), None)


def parameters_of(storage: Storage, root: str = "") -> list[Entry]:
    """The parameters and states of a program, or those below the path `root`, except parts of tensors."""
    entries: list[Entry] = []
    for slot in storage.checked.slots():
        if is_below(slot.path, root):
            name, is_whole = slot.path, True
            if not storage.is_computed(slot.path):
                stored, view = storage.home(slot.path)
                name, is_whole = stored.name, view.is_whole
            if is_whole:
                entries.append(Entry(slot.path, slot.sizes, len(entries), _kind(slot.type.dtype), name))
    return entries


def is_below(path: str, root: str) -> bool:
    """Whether a path is that of a layer or is below it, or below a member of an array of layers."""
    return not root or path == root or path.startswith((f"{root}.", f"{root}["))


def _kind(dtype: str) -> str:
    return "float" if dtype in FLOATS else dtype


def _as_made(name: str) -> list[tuple[int, str]]:
    for later, earlier in AFTER.items():
        name = name.replace(later, f"{earlier}~")
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", name)]
