"""Texts of readings of parameters, stored in weights files and compared: if two are equal, equal stored tensors give
equal values."""

from __future__ import annotations

from wsdl.ir.graph import Model, Module
from wsdl.ir.stages import Storage
from wsdl.ir.text import NOWHERE, model_to_text
from wsdl.ir.views import View
from wsdl.sharing.read_stored import slot_over_stored


def reading_texts(storage: Storage) -> dict[str, str]:
    """How each parameter is read, by its path: the same for two programs where the same stored tensors give its values
    in the same way. `formula_texts` are among them."""
    formulas = formula_texts(storage)
    return {
        slot.path: formulas[slot.path] if slot.path in formulas else view_text(*_home(slot.path, storage))
        for slot in storage.checked.slots()
    }


def formula_texts(storage: Storage) -> dict[str, str]:
    """The text of the graph that computes each computed parameter from stored tensors, by path."""
    texts = {}
    for slot in storage.checked.slots() if storage.formulas else ():
        if storage.is_computed(slot.path):
            graph = slot_over_stored(slot, View.identity(slot.sizes), storage)
            for value in (v for node in graph.walk() for v in node.results):
                value.name = ""
            texts[slot.path] = model_to_text(Model("slot", graph, Module("slot", "model", NOWHERE), output_names=["y"]))
    return texts


def _home(slot: str, storage: Storage) -> tuple[str, View]:
    stored, view = storage.home(slot)
    return stored.name, view


def view_text(stored: str, view: View) -> str:
    """The text of a view of a stored tensor."""
    return f"{stored}{view}"
