"""The figures in the README are those of the compiler."""

from __future__ import annotations

import re

from references.examples.catalogue import EXAMPLES
from tests.docs.page import ROOT
from tests.examples.test_readme import figures
from tests.golden import Golden

README = ROOT / "README.md"


def test_what_sharing_saves(golden: Golden) -> None:
    page = README.read_text("utf-8")
    shown = [e for e in EXAMPLES if f"(examples/{e.name}.wsd)" in page]
    assert shown
    for example in shown:
        row = re.compile(rf"^(\| \[`{example.name}\.wsd`\].*?\|.*?\|)(?:[^|]*\|){{3}}$", re.MULTILINE)
        page = row.sub(rf"\g<1> {figures(example)} |", page)
    golden(README, page)
