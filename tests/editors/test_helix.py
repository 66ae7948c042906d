"""The configuration of Helix can be read, and starts commands that exist. (Helix itself doesn't run here.)"""

from __future__ import annotations

import tomllib

from tests.golden import ROOT
from wsdl.cli import execute


def test_helix() -> None:
    read = tomllib.loads((ROOT / "editors/helix/languages.toml").read_text("utf-8"))
    [language] = read["language"]
    assert language["file-types"] == ["wsd"]
    servers = [read["language-server"][name] for name in language["language-servers"]]
    for started in (*servers, language["formatter"]):
        assert started["command"] == "wsdl"
        assert execute([started["args"][0], "--help"]) == 0
