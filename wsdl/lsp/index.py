"""An index of a checked program by places in its texts: names, layers, parameters."""

from __future__ import annotations

from collections.abc import Iterator

from wsdl.diagnostics.span import Source, Span
from wsdl.ir.graph import Binding, Module, Slot
from wsdl.ir.references import References
from wsdl.ir.stages import Checked


class Index:
    """The index of one program; empty for `None`.

    `names` has the names in each source that are a use, a definition or a part of a path, `modules` all layers, `slots`
    all slots by path, `bindings` the values of names by the place where they are bound.
    """

    def __init__(self, program: Checked | None) -> None:
        self.references = References()
        self.names: dict[Source, list[Span]] = {}
        self.modules: list[Module] = []
        self.slots: dict[str, Slot] = {}
        self.bindings: dict[Span, list[Binding]] = {}
        self._by_path: dict[str, Module] = {}
        self._layers: dict[tuple[Source, int], list[Module]] = {}
        self._parameters: dict[Span, list[Slot]] = {}
        if program is not None:
            self._fill(program)

    def slots_at(self, place: Span) -> Iterator[Slot]:
        """The slots of the layers that are declared by a name at a place, or by a call there (`Dense(10)` without a
        name), and those of the parameters that are."""
        for module in self._layers.get((place.source, place.start), ()):
            yield from module.all_slots()
        yield from self._parameters.get(place, ())

    def modules_at(self, place: Span) -> list[Module]:
        """The layers that are declared by a name or by a call that starts at a place: one for each application of the
        block around it, and for each of an array."""
        return self._layers.get((place.source, place.start), [])

    def owner(self, path: str) -> Span | None:
        """The name of the innermost layer with a slot that the user has given a name."""
        while path:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
            module = self._by_path.get(path)
            if module is not None and not module.span.source.is_standard and module.span.text.isidentifier():
                return module.span
        return None

    def _fill(self, program: Checked) -> None:
        from wsdl.sharing.path_references import references

        self.references = references(program)
        definitions = (place for places in self.references.definitions.values() for place in places)
        for name in dict.fromkeys((*self.references.definitions, *self.references.slots, *definitions)):
            if name.text.isidentifier():
                self.names.setdefault(name.source, []).append(name)
        self.modules = [module for root in program.roots() for module in root.modules()]
        self.slots = {slot.path: slot for slot in program.slots()}
        self._by_path = {module.path: module for module in self.modules}
        for module in self.modules:
            self._layers.setdefault((module.span.source, module.span.start), []).append(module)
        for slot in self.slots.values():
            if slot.name_span is not None:
                self._parameters.setdefault(slot.name_span, []).append(slot)
        for binding in program.bindings:
            self.bindings.setdefault(binding.span, []).append(binding)
