"""`make demo` finds what a person would find."""

from __future__ import annotations

import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

import wsdl

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.skipif(not (EXAMPLES / "data" / "minilm").is_dir(), reason="the weights are not here: make data")
def test_the_nearest_sentence_has_the_same_subject(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = spec_from_file_location("demo", EXAMPLES / "demo.py")
    assert spec is not None
    assert spec.loader is not None
    demo = module_from_spec(spec)
    spec.loader.exec_module(demo)
    wsdl.compile(EXAMPLES / "minilm.wsd").save(tmp_path, proof=False)
    demo.main(["Will there be a storm?", "Where can I swim?"], tmp_path)
    nearest = re.findall(r"\?\n +[\d.]+ +▪* +(.*)\n", capsys.readouterr().out)
    assert nearest == [
        "Heavy rain is expected along the coast tonight.",
        "She trains in the pool before work every day.",
    ]
