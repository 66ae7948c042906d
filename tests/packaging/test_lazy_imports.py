"""Checking starts fast and can run in a browser: it imports none of the heavy libraries, and of ours what it needs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.golden import Golden

LOADED = Path(__file__).parent / "loaded_by_check.txt"
EXAMPLE = Path(__file__).parents[2] / "examples" / "siamese.wsd"
HEAVY = {"numpy", "onnx", "onnxruntime", "google.protobuf", "safetensors", "pyarrow", "rich"}

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


def test_the_command_imports_no_parser_before_it_reads_its_arguments() -> None:
    assert {"lark", *HEAVY}.isdisjoint(_imported("from wsdl.cli import execute"))


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
    assert HEAVY.isdisjoint(_imported(code, *arguments))


PLAIN = """
model plain(x: f32[n, 4]) -> f32[n, 4] {
    layer first = Dense(4)
    layer second = Dense(4)
    share { first, second }
    return x |> first |> relu |> second
}
"""


def test_check_loads_what_a_plain_file_needs(tmp_path: Path, golden: Golden) -> None:
    file = tmp_path / "plain.wsd"
    file.write_text(PLAIN, encoding="utf-8")
    ours = (module for module in _imported(RUN, "check", str(file)) if module.startswith("wsdl"))
    golden(LOADED, "".join(f"{module}\n" for module in ours))


def _imported(code: str, *arguments: str) -> list[str]:
    """The names of the modules that a process has imported."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(code=code), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    modules: list[str] = json.loads(done.stdout.splitlines()[-1])
    return modules
