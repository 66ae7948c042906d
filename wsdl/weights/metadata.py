"""Metadata of compiled files: the share groups with their views, the source, the compiler."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

from onnx import GraphProto, ModelProto

from wsdl._version import __version__
from wsdl.ir.graph import ComputedSlot, Reads, Slot, Stored
from wsdl.ir.inventory import Way, ways_of
from wsdl.ir.ranges import compact
from wsdl.ir.weight_files import FORMULAS, SHARING, WAYS
from wsdl.sharing.reading_texts import with_named

VARIANT = "wsdl.variant"  # key of the name of the variant, in ONNX files and in files of weights


@dataclass(frozen=True)
class Provenance:
    """The origin of a compiled file: the digest of the source, the variant (`""` for the program itself), the texts of
    the formulas by the paths of the parameters that they compute, and the ways of sharing."""

    source_sha256: str = ""
    variant: str = ""
    formulas: Mapping[str, str] = field(default_factory=dict)
    ways: tuple[Way, ...] = ()


UNKNOWN = Provenance()


def describe(
    proto: ModelProto,
    stored: Iterable[Stored],
    reads: Mapping[str, Reads],
    *,
    doc: str = "",
    provenance: Provenance = UNKNOWN,
) -> None:
    """Write producer, documentation and `metadata_props` (`wsdl.version`, `wsdl.source_sha256`, `wsdl.variant`,
    `wsdl.sharing`, `wsdl.formulas`, `wsdl.ways`).

    `reads` has the number of times that the model reads each slot.
    """
    stored = list(stored)
    computed = dict.fromkeys(use.slot.path for s in stored for use in s.computed if use.slot.path in reads)
    formulas = with_named(computed, provenance.formulas)
    ways = ways_of({s.name for s in stored}, provenance.ways)
    proto.producer_name, proto.producer_version = "wsdl", __version__
    proto.doc_string = doc
    properties = {
        "wsdl.version": __version__,
        "wsdl.source_sha256": provenance.source_sha256,
        VARIANT: provenance.variant,
        FORMULAS: _json(formulas) if formulas else "",
        WAYS: _json([way.as_json() for way in ways]) if ways else "",
        SHARING: _json([_compact(sharing_record(s, reads)) for s in stored]),
    }
    for key, value in properties.items():
        if value:
            proto.metadata_props.add(key=key, value=value)
    _label_groups(proto.graph, {s.name: s.group or s.name for s in stored if s.group or len(s.slots) > 1})


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def sharing_record(stored: Stored, reads: Mapping[str, Reads]) -> dict[str, Any]:
    """One stored tensor: its name, shape and dtype, and each slot that reads it with its view (`""` for the identity)
    or its formula, and, if `reads` knows any, the number of reads (`used`, if it isn't 1)."""
    return {
        "name": stored.name,
        "shape": list(stored.sizes),
        "dtype": stored.type.dtype,
        "trainable": stored.trainable,
        "initializer": str(stored.initializer),
        "slots": [
            *({"path": slot.path, "view": str(view), **_used(slot, reads)} for slot, view in stored.slots),
            *(_computed(use, reads) for use in stored.computed),
        ],
        **({"group": stored.group} if stored.group else {}),
    }


def _computed(use: ComputedSlot, reads: Mapping[str, Reads]) -> dict[str, Any]:
    """A slot that is computed by a formula; `elements` is the part that counts for this tensor."""
    used = _used(use.slot, reads)
    elements = used.get("elements", used.get("used", 1) * prod(use.slot.sizes)) if use.counted else 0
    return {"path": use.slot.path, "view": "", "formula": use.formula, **used, "elements": elements}


def _used(slot: Slot, reads: Mapping[str, Reads]) -> dict[str, int]:
    """`used`, and `elements` if not every read is of the whole slot."""
    if not reads:
        return {}
    reads_of_slot = reads.get(slot.path, Reads(0, 0))
    part = reads_of_slot.elements != reads_of_slot.times * prod(slot.sizes)
    return ({"used": reads_of_slot.times} if reads_of_slot.times != 1 else {}) | (
        {"elements": reads_of_slot.elements} if part else {}
    )


def _compact(record: dict[str, Any]) -> dict[str, Any]:
    """The record with ranges in the paths of the slots, so that it doesn't grow with the number of layers."""
    alike: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for slot in record["slots"]:
        alike.setdefault((slot["view"], slot.get("formula"), slot.get("used"), slot.get("elements")), []).append(slot)
    slots = [{**group[0], "path": path} for group in alike.values() for path in compact(slot["path"] for slot in group)]
    return {**record, "slots": slots}


def _label_groups(graph: GraphProto, groups: Mapping[str, str]) -> None:
    """Set `wsdl.group` on every node that directly reads a shared tensor."""
    for node in graph.node:
        read = dict.fromkeys(groups[name] for name in node.input if name in groups)
        if read:
            node.metadata_props.add(key="wsdl.group", value=", ".join(read))
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _label_groups(attribute.g, groups)
