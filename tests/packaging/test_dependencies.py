"""Every dependency has its reason, and what is said twice is said alike."""

from __future__ import annotations

import re
from importlib.metadata import requires
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_dependency_has_its_reason() -> None:
    page = (ROOT / "docs" / "decisions" / "0001-dependencies.md").read_text(encoding="utf-8")
    page = page.lower().replace("ml_dtypes", "ml-dtypes")  # as installers write names
    names = {re.split(r"[^\w-]", requirement)[0].lower() for requirement in requires("wsdl") or []} - {"wsdl"}
    assert {name for name in names if f"`{name}`" not in page} == set()


def test_the_makefile_installs_the_torch_of_the_tests() -> None:
    (pinned,) = re.findall(r"^TORCH +:= torch(==\S+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert any(re.match(rf"torch{re.escape(pinned)}(;|$)", requirement) for requirement in requires("wsdl") or [])
