"""Checking starts fast and can run in a browser: it imports none of the heavy libraries."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "siamese.wsd"
HEAVY = {"numpy", "onnx", "onnxruntime", "google.protobuf", "safetensors", "pyarrow"}

PROGRAM = """
import json, sys
{code}
print("\\n" + json.dumps(sorted(sys.modules)))
"""

RUN = """
from wsdl.cli import main
try:
    main()
except SystemExit as exit:
    assert not exit.code, exit.code
"""


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        pytest.param("import wsdl", [], id="import wsdl"),
        pytest.param("import wsdl.compiler", [], id="import wsdl.compiler"),
        pytest.param(RUN, ["check", str(EXAMPLE)], id="wsdl check"),
        pytest.param(RUN, ["fmt", "--check", str(EXAMPLE)], id="wsdl fmt"),
    ],
)
def test_imports_nothing_heavy(code: str, arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(code=code), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert HEAVY.isdisjoint(json.loads(done.stdout.splitlines()[-1]))
