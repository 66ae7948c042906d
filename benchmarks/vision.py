"""`python -m benchmarks.vision` (`make vision`): the networks of `references/vision` against timm and torchvision.

The weights of theirs, random ones with random statistics, are loaded into ours: by name those of timm, in their order
those of torchvision. The outputs must be equal to 1e-4 of the largest. Writes the lines of the originals into the
table of `examples/vision/README.md`. Both packages are needed, which the tests don't; a torchvision whose compiled part
doesn't load is enough.
"""

from __future__ import annotations

import ast
import importlib
import re
import sys
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import page_tables
from references.vision.catalogue import FOLDER, NETWORKS, Network
from references.vision.networks import random_statistics

README, BEGIN = FOLDER / "README.md", "<!-- networks: written by `make vision` -->"
NEAR = 1e-4  # of the largest output
Library: Any = torch.library.Library  # whose functions have no annotations
LIBRARIES: list[Any] = []  # what they define ends with them


def torchvision() -> Any:
    """The package; what its compiled part would define is declared, and not used."""
    spec = find_spec("torchvision")
    if spec is None or spec.origin is None:
        raise SystemExit("torchvision isn't installed: `make vision` does that")
    library = Library("torchvision", "FRAGMENT")
    LIBRARIES.append(library)
    source = Path(spec.origin).with_name("_meta_registrations.py").read_text("utf-8")
    for name in {*re.findall(r'register_meta\("(\w+)"', source), "nms", "qnms", "qroi_align"}:
        if not hasattr(torch.ops.torchvision, name):
            boxes = "Tensor dets, Tensor scores, float iou_threshold" if name == "nms" else "Tensor x"
            library.define(f"{name}({boxes}) -> Tensor")
    return importlib.import_module("torchvision")


# -- outputs -----------------------------------------------------------------------------------------------------------


def image() -> Tensor:
    return torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))


def difference(ours: nn.Module, theirs: nn.Module) -> float:
    """How far the outputs differ, as a share of the largest."""
    with torch.no_grad():
        wanted = theirs.eval()(image())
        return float((ours.eval()(image()) - wanted).abs().max() / wanted.abs().max())


def differences(network: Network, timm: nn.Module, torchvision: nn.Module | None) -> dict[str, float]:
    """How far the outputs differ from those of each package."""
    ours = network.make()
    random_statistics(timm)
    ours.load_state_dict(timm.state_dict())  # by name, and all of them
    found = {"timm": difference(ours, timm)}
    if torchvision is not None:
        random_statistics(torchvision)
        in_order = zip(timm.state_dict().items(), torchvision.state_dict().values(), strict=True)
        ours.load_state_dict({name: value.reshape(like.shape) for (name, like), value in in_order})
        found["torchvision"] = difference(ours, torchvision)
    return found


# -- lines -------------------------------------------------------------------------------------------------------------


def lines_called(make: Callable[[], nn.Module], folder: str) -> tuple[nn.Module, int]:
    """A network, and the number of lines of the functions that made and applied it, in the files of a folder for its
    family: files for all networks begin with `_`."""
    called: set[CodeType] = set()

    def see(frame: FrameType, event: str, argument: object) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.parent.as_posix().endswith(folder) and re.match(r"[a-z]|_efficientnet", path.name):
            called.add(frame.f_code)

    sys.setprofile(see)
    module = make().eval()
    module(image())
    sys.setprofile(None)
    lines: dict[str, set[int]] = defaultdict(set)
    for code in called:
        lines[code.co_filename] |= functions(code.co_filename).get(code.co_firstlineno, set())
    return module, sum(map(len, lines.values()))


@cache
def functions(path: str) -> dict[int, set[int]]:
    """The lines of each function of a file by its first line, without blank lines, comments and docstrings."""
    text = Path(path).read_text("utf-8")
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    docs = [node.body[0] for node in nodes if ast.get_docstring(node) is not None]
    without = {line for doc in docs for line in range(doc.lineno, (doc.end_lineno or 0) + 1)}
    lines = {n for n, line in enumerate(text.splitlines(), 1) if line.strip() and not line.strip().startswith("#")}
    found = {}
    for node in nodes:
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        found[first] = (lines - without) & set(range(first, (node.end_lineno or 0) + 1))
    return found


def row(network: Network, timm: Any, models: Any) -> tuple[str, float]:
    """The row of the table with the lines of both packages, and the largest difference of outputs."""
    theirs, in_timm = lines_called(lambda: timm.create_model(network.timm), "timm/models")
    other, in_torchvision = None, "–"
    if network.torchvision is not None:
        make = getattr(models, network.torchvision)
        other, count = lines_called(make, "torchvision/models")
        in_torchvision = str(count)
    found = differences(network, theirs, other)
    print(f"{network.name:18}", *(f"{where} {value:.0e}" for where, value in found.items()))
    link = f"[`{network.name}.wsd`]({network.name}.wsd)"
    kept = page_tables.cells(README, BEGIN)[link][:3]
    cells = [link, *kept, in_torchvision, str(in_timm)]
    return f"| {' | '.join(cells)} |", max(found.values())


def main() -> int:
    models = torchvision().models
    timm = importlib.import_module("timm")  # which imports torchvision
    rows = [row(network, timm, models) for network in NETWORKS]
    head = ["| example | network | parameters | lines | torchvision | timm |", "|---|---|---:|---:|---:|---:|"]
    page_tables.write(README, BEGIN, [*head, *(text for text, _ in rows)])
    return sum(worst > NEAR for _, worst in rows)


if __name__ == "__main__":
    raise SystemExit(main())
