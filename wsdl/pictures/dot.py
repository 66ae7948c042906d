"""A picture as DOT text, for Graphviz: layers as boxes, each shared tensor as one colored cylinder.

The same program gives the same text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import cycle

from wsdl.diagnostics.figures import size
from wsdl.diagnostics.printable import printable, short
from wsdl.ir.graph import Stored
from wsdl.ir.ranges import compact
from wsdl.ir.types import TensorType
from wsdl.pictures.units import Box, Computed, Ops, Picture, Port, Shared, Unit

COLORS = (  # fill and line; from Paul Tol's schemes, for color-blind readers
    ("#cce0f5", "#2a6fb0"), ("#fbdcc4", "#c8611b"), ("#cfe8d0", "#2f7d3b"), ("#f3d1e2", "#a8386f"),
    ("#f4e8b8", "#97761b"), ("#dcd3ef", "#6a4aa5"), ("#cfeaea", "#1f7f83"), ("#e4d8cf", "#795238"),
)  # fmt: skip
LID = " "  # extra line for the lid of a cylinder, which Graphviz doesn't include
LONGEST = 10  # characters of a size
FORMULA = 32  # characters of a formula that are shown
BOLD = 0.67 * 11 / 72  # inches: the mean width of a bold letter of DejaVu Sans, wider than those of Helvetica and Arial
GRAY, INK = "#6b6b6b", "#222222"
HEAD = f"""\
digraph {{
  graph [rankdir=TB, fontname="Helvetica", fontsize=12, labeljust=l, nodesep=0.35, ranksep=0.45, bgcolor="white"]
  node [fontname="Helvetica", fontsize=11, color="{GRAY}", fontcolor="{INK}", margin="0.14,0.07"]
  edge [fontname="Helvetica", fontsize=9, color="{GRAY}", fontcolor="{GRAY}", arrowsize=0.7]
"""


def dot(picture: Picture) -> str:
    """The DOT text of a picture."""
    return _Writer(picture).text()


def stored_behind(picture: Picture) -> dict[str, tuple[str, ...]]:
    """The stored tensors that the nodes of the DOT text stand for or compute from, by the names of both."""
    nodes: dict[str, Sequence[Stored]] = {f"s{n}": shared.tensors for n, shared in enumerate(picture.shared)}
    for number, at in enumerate(picture.computed):
        nodes |= {f"c{number}": [*at.shared, *at.own], f"c{number}p0": at.shared, f"c{number}p1": at.own}
    return {node: tuple(stored.name for stored in tensors) for node, tensors in nodes.items()}


class _Writer:
    def __init__(self, picture: Picture) -> None:
        self.picture = picture
        self.names: dict[Unit | Computed, str] = {}
        self.tints: dict[Unit, list[str]] = {}
        drawn: list[Shared | Computed] = [*picture.shared, *picture.computed]
        self.colors = dict(zip(drawn, cycle(COLORS), strict=False))
        for at, (fill, _) in self.colors.items():
            for unit in at.readers:
                if not isinstance(unit, Computed):
                    self.tints.setdefault(unit, []).append(fill)

    def text(self) -> str:
        lines: list[str] = []
        for number, (name, units) in enumerate(self.picture.models.items()):
            if len(self.picture.models) == 1:
                lines += self._units(units, "  ")
            else:
                lines.append(f'  subgraph cluster_model{number} {{ label="{name}"; color="{GRAY}"; style=rounded')
                lines += [*self._units(units, "    "), "  }"]
        self.names |= {at: f"c{number}" for number, at in enumerate(self.picture.computed)}
        lines += [self._shared(f"s{number}", shared) for number, shared in enumerate(self.picture.shared)]
        lines += [line for at in self.picture.computed for line in self._computed(at)]
        lines += self._flows()
        lines += [line for n, shared in enumerate(self.picture.shared) for line in self._reads(f"s{n}", shared)]
        lines += [line for at in self.picture.computed for line in self._reads(self.names[at], at)]
        return HEAD + "".join(f"{line}\n" for line in lines) + "}\n"

    # -- nodes ---------------------------------------------------------------------------------------------------------

    def _units(self, units: Sequence[Unit], indent: str) -> Iterator[str]:
        for unit in units:
            name = self.names[unit] = f"n{len(self.names)}"
            if isinstance(unit, Box) and unit.parts:
                yield f"{indent}subgraph cluster_{name} {{"
                yield f'{indent}  label={_label(_title(unit), _about(unit))}; style=rounded; color="#b5b5b5"; margin=12'
                yield from self._units(unit.parts, indent + "  ")
                yield f"{indent}}}"
            elif isinstance(unit, Box):
                fill = self.tints[unit][0] if len(self.tints.get(unit, ())) == 1 else "#f4f4f4"
                lines = _title(unit), _about(unit)
                style = f'shape=box, style="rounded,filled{_outline(unit.role)}, fillcolor="{fill}"{_room(*lines)}'
                yield f"{indent}{name} [{style}, label={_label(*lines)}]"
            elif isinstance(unit, Port):
                carried = "carried from step to step" if unit.is_carried else ""
                yield f"{indent}{name} [shape=plain, label={_label(unit.name, str(unit.type), carried)}]"
            else:
                yield f'{indent}{name} [shape=plain, fontcolor="{GRAY}", label="{_words(unit)}"]'

    def _shared(self, node: str, shared: Shared) -> str:
        what = str(shared.tensors[0].type) if len(shared.tensors) == 1 else f"{len(shared.tensors)} tensors"
        used = f"used {shared.uses}×{_saves(shared.saved)}" if shared.uses > 1 else ""
        fill, line = self.colors[shared]
        return _cylinder(node, fill, line, shared.name, f"{what} · {size(shared.bytes)}", used, shared.role)

    def _computed(self, at: Computed) -> Iterator[str]:
        """The node for a way of sharing or a formula, and the cylinders in front of it: that of what members share is
        filled, that of what is each one's own is drawn in outline."""
        node, (fill, line) = self.names[at], self.colors[at]
        title = at.text if len(at.text) <= FORMULA else f"{at.text[: FORMULA - 1]}…"
        lines = at.name, f"used {at.uses}×{_saves(at.saved)}" if at.members > 1 else ""
        style = f'shape=hexagon, style=filled, fillcolor="{fill}", color="{line}", penwidth=1.4, margin="0.02,0.02"'
        yield f"  {node} [{style}{_room(title, *lines)}, label={_label(title, *lines)}]"
        kinds = ((at.shared, fill, "shared by all" if at.members > 1 else ""), (at.own, "white", "each member's own"))
        for part, (tensors, inside, whose) in enumerate(kinds):
            if tensors:
                name = _parts(tensors, at.is_way)
                several = f"{at.members} × " if tensors is at.own else ""
                what = f"{tensors[0].type} · " if len(tensors) == 1 else ""
                bytes = sum(stored.bytes for stored in tensors) // (at.members if several else 1)
                yield _cylinder(f"{node}p{part}", inside, line, name, f"{what}{several}{size(bytes)}", whose)
                yield f'  {node}p{part} -> {node} [color="{line}", penwidth=1.2, arrowhead=none]'

    # -- edges ---------------------------------------------------------------------------------------------------------

    def _flows(self) -> Iterator[str]:
        for flow in self.picture.flows:
            label = "" if isinstance(flow.source, Port) else f' [label=" {_shape(flow.type)} "]'
            if isinstance(flow.target, Port):
                label = ""
            yield f"  {self.names[flow.source]} -> {self.names[flow.target]}{label}"

    def _reads(self, node: str, at: Shared | Computed) -> Iterator[str]:
        _, line = self.colors[at]
        for unit, view in at.readers.items():
            label = f', label=" {view} ", fontcolor="{line}"' if view else ""
            style = f'color="{line}", penwidth=1.6, style=dashed, arrowhead=none'
            yield f"  {node} -> {self.names[unit]} [{style}{label}]"


def _cylinder(node: str, fill: str, line: str, title: str, *lines: str) -> str:
    style = f'shape=cylinder, style=filled, fillcolor="{fill}", color="{line}", penwidth=1.4'
    return f"  {node} [{style}{_room(title, *lines)}, label={_label(LID, title, *lines)}]"


def _saves(bytes: int) -> str:
    return f" · adds {size(-bytes)}" if bytes < 0 else f" · saves {size(bytes)}"


def _parts(tensors: Sequence[Stored], of_way: bool) -> str:
    """`up, down`: the parts of a way of sharing by their own names, those of a formula by their paths in the model. For
    what plain sharing would store, or much else, the number of tensors."""
    paths = [stored.root.path for stored in tensors]
    ends = list(dict.fromkeys(path.rpartition(".")[2] if of_way else path.partition(".")[2] or path for path in paths))
    names = compact(ends)
    plain = len(tensors) > 1 and any(stored.members for stored in tensors)
    return f"{len(tensors)} tensors" if plain or len(names) > 3 else ", ".join(names)


def _shape(type: TensorType) -> str:
    """The shape, with long dimensions shortened to `…`."""
    return f"[{', '.join(text if len(text) <= LONGEST else '…' for text in map(str, type.shape))}]"


def _title(box: Box) -> str:
    return box.path.rsplit(".", 1)[-1]


def _about(box: Box) -> str:
    """`12 × Block`, `Dense · 3.2 MB`, `LayerNorm · 12 × 2.0 kB`; the bytes are those of unshared tensors."""
    kind = f"{box.count} × {box.kind}" if box.count > 1 else box.kind
    times = f"{box.copies} × " if box.copies > 1 else ""
    bytes = f"{times}{size(box.own_bytes // box.copies)}" if box.own_bytes else ""
    return " · ".join(part for part in (kind, bytes, box.role) if part)


def _outline(role: str) -> str:
    """The rest of the style of a box: dashed if it is frozen, with two lines if `update` lines write it."""
    dashed = ",dashed" if role in ("frozen", "unchanged") else ""
    return f'{dashed}", peripheries=2' if role.startswith("updated") else f'{dashed}"'


def _words(ops: Ops) -> str:
    """Few operations by name; of many the first and the last."""
    names = ops.names if len(ops.names) <= 5 else [*ops.names[:3], "…", ops.names[-1]]
    return " → ".join(names)


def _room(title: str, *lines: str) -> str:
    """A minimal width of a node, if its title is its longest line: Graphviz measures regular Helvetica, but titles are
    bold, and the viewer may use a wider font."""
    title = short(title)
    return f", width={len(title) * BOLD + 0.28:.2f}" if len(title) * 1.25 > max(map(len, lines)) else ""


def _label(*lines: str) -> str:
    """Plain lines, since not every Graphviz supports more; `svg_from_dot` makes the first bold and the others small."""
    shown = (printable(short(line)).replace("\\", "\\\\").replace('"', '\\"') for line in lines if line)
    return '"' + "\\n".join(shown) + '"'
