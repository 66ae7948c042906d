"""A `load` with the listing of its file: what it may fill, and the fills of single tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from wsdl.diagnostics import Label, Problems
from wsdl.diagnostics.span import Span
from wsdl.ir.coverage import in_both
from wsdl.ir.graph import Slot, file_path
from wsdl.ir.requests import PLACEHOLDER, LoadMapping, LoadRequest, Part, Select, ViewCall
from wsdl.ir.stages import Storage
from wsdl.ir.types import FLOATS, shape_text
from wsdl.ir.views import View, ViewError
from wsdl.ir.weight_files import Fill, Listing, TensorInfo
from wsdl.sharing.check_loads import below
from wsdl.sharing.load_patterns import ignoring
from wsdl.sharing.paths import about_an_index, through
from wsdl.sharing.targets import Target, Targets


@dataclass
class OpenLoad:
    """One `load`: its file, the slots below its target by their path in files, and how a target that is a parameter is
    seen. `names` are those of the file that aren't ignored. `used` has the views that all `load`s of the file take of
    its tensors, by name; `excepted` those of slots that keep their initial values, by path, and where that is said."""

    request: LoadRequest
    listing: Listing
    slots: dict[str, Slot]
    prefix: str
    used: dict[str, list[View]]
    view: View | None = None
    names: Sequence[str] = ()
    excepted: dict[str, list[tuple[View, Span]]] = field(default_factory=dict)

    def use(self, name: str, view: View | None = None) -> None:
        """Record that a tensor of the file is used: all of it, or what a view reads."""
        tensors, stored = self.listing.tensors, self.listing.stored_name(name)
        seen = {part: View.identity(tensors[part].shape) for part in self.listing.parts.get(name, ())}
        if stored in tensors:
            seen[stored] = view or View.identity(tensors[stored].shape)
        for each, read in seen.items():
            self.used.setdefault(each, []).append(read)

    def is_excepted(self, slot: Slot) -> bool:
        """Whether all of a slot keeps its initial values."""
        return any(view.is_whole for view, _ in self.excepted.get(slot.path, ()))

    def seen(self, name: str, steps: Sequence[Select | ViewCall], problems: Problems) -> View | None:
        """Views of a tensor of the file, as they are written; `None` after reporting that it doesn't have them."""
        info = self.listing.info(name)
        view = View.identity(info.shape)
        for step in steps:
            try:
                view = through(view, step)
            except ViewError as error:
                problems.error("E0315", step.span, str(error), f"of `{name}`, {info}")
                return None
        return view

    def fill(
        self,
        name: str,
        seen: View,
        slot: Slot,
        part: View,
        storage: Storage,
        problems: Problems,
        mapping: LoadMapping | None = None,
    ) -> list[Fill]:
        """The fill of a view of a slot by a view of a tensor; none after reporting that shape or dtype don't fit, and
        none for a slot that keeps its initial values."""
        self.use(name, seen)
        is_general = mapping is None or any(PLACEHOLDER.search(s.name) for s in mapping.path if isinstance(s, Part))
        if is_general and self.is_excepted(slot):
            return []
        dtype, span = self.listing.info(name).dtype, mapping.span if mapping else self.request.file_span
        info = TensorInfo(dtype, seen.shape)
        if info.shape != part.shape:
            problems.error(
                "E0508",
                span,
                f"`{name}{seen}` is {info}, but `{slot.path}{part}` needs {shape_text(part.shape)}",
                labels=[Label(slot.layer_span, slot.story)] if slot.story else [],
                help=_how_to_turn(part)
                if len(part.shape) == 2 and info.shape == part.shape[::-1]
                else about_an_index(info.shape, part.shape),
            )
            return []
        if dtype != slot.type.dtype and not {dtype, slot.type.dtype} <= FLOATS:
            problems.error("E0510", span, f"`{name}` is {info}, but `{slot.path}` is {slot.type.dtype}")
            return []
        for excepted, place in self.excepted.get(slot.path, ()):
            if both := in_both(part, excepted):
                problems.error(
                    "E0524",
                    span,
                    f"`{slot.path}{both.text}` is filled, but keeps its initial values by `except`",
                    labels=[Label(place, "excepted here")],
                    help="take the exception out, or fill only the other part",
                )
                return []
        stored, view = None, part
        if not storage.is_computed(slot.path):
            tensor, home = storage.home(slot.path)
            stored, view = tensor.name, home.then(part)
        return [
            Fill(
                stored,
                view,
                slot.path,
                self.listing.path,
                name,
                span,
                part=None if part.is_whole else part,
                seen=None if seen.is_identity else seen,
                fit=self.request.fit.share if self.request.fit is not None else None,
            )
        ]


def opened(
    storage: Storage, request: LoadRequest, targets: Targets, listing: Listing, used: dict[str, list[View]]
) -> OpenLoad:
    """A `load` whose file is open; `used` belongs to the file. Raises `NotFound` for a target that doesn't exist, which
    has been reported."""
    target = targets.of(request.target, request.base, Problems())
    load = _of_target(target, storage, request, listing, used)
    for exception in request.exceptions:
        for slot, view in targets.of(below(request, exception), request.base, Problems()).tensors:
            load.excepted.setdefault(slot.path, []).append((view, exception.span))
    patterns = [ignoring(ignored.pattern) for ignored in request.ignored]
    ignored = {name for name in listing.names if any(pattern.fullmatch(name) for pattern in patterns)}
    for name in ignored:
        load.use(name)
    load.names = [name for name in listing.names if name not in ignored]
    return load


def _of_target(
    target: Target, storage: Storage, request: LoadRequest, listing: Listing, used: dict[str, list[View]]
) -> OpenLoad:
    """The slots that a `load` fills, by their path in files, and the path of the target."""
    slot, view = target.tensors[0]
    if target.groups:
        [name] = target.groups
        if not view.is_identity:
            return OpenLoad(request, listing, {name: slot}, name, used, view)
        group = [s for s in storage.stored.values() if f"{s.group}.".startswith(f"{name}.")]
        return OpenLoad(request, listing, {s.group: s.root for s in group}, name, used)
    if not target.layers:
        return OpenLoad(request, listing, {slot.file_path: slot}, slot.file_path, used, view)
    slots = {slot.file_path: slot for slot in target.slots}
    first = target.layers[0].path
    prefix = file_path(first if len(target.layers) == 1 else first.rpartition("[")[0])
    return OpenLoad(request, listing, slots, prefix, used)


def _how_to_turn(part: View) -> str:
    if part.is_transpose:
        return "the shapes match without `.T` after the target"
    return "the shapes match transposed: write `.T` after the target"
