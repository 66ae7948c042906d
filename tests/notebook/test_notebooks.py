"""Notebooks, run in a kernel: the examples, and what cells show of programs, mistakes and trainings."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.reporting.reports import plan
from wsdl.diagnostics.run_error import RunError
from wsdl.notebook import NotebookProgress

nbformat = pytest.importorskip("nbformat", reason="the packages nbclient and ipykernel are not installed")
nbclient = pytest.importorskip("nbclient", reason="the packages nbclient and ipykernel are not installed")

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))
TIED = """\
%%wsdl tied
model m(x: f32[n, 64]) -> (y: f32[n, 64]) {
    layer encode = Dense(16)
    layer decode = Dense(64)
    share { encode.weight, decode.weight.T }
    return x |> encode |> relu |> decode
}
"""
TRAIN = """
train m(target: f32[n, 64]) {
    loss mse(y, target)
    optimizer SGD(0.1)
}
"""
FIT = """\
import numpy as np, wsdl
from wsdl.notebook import NotebookProgress
x = np.ones((64, 64), dtype=np.float32)
data = {"x": x, "target": x}
wsdl.fit(tied.trainer(batch=16, threads=1), data, epochs=3, evaluation=data, callbacks=[NotebookProgress()])["loss"] < 1
"""
WRONG = """\
%%wsdl tied
model m(x: f32[n, 4]) -> (y: f32[n, 4]) {
    return rellu(x)
}
"""


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel writes into folders of the test alone, and imports this checkout."""
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))


def executed(notebook: Any, folder: Path) -> Any:
    client = nbclient.NotebookClient(notebook, timeout=120, allow_errors=True, resources={"metadata": {"path": folder}})
    return client.execute()


def outputs(texts: Sequence[str], folder: Path) -> list[list[Any]]:
    """What each of these cells shows."""
    cells = [nbformat.v4.new_code_cell(text) for text in ["%load_ext wsdl", *texts]]
    notebook = executed(nbformat.v4.new_notebook(cells=cells), folder)
    return [cell.outputs for cell in notebook.cells[1:]]


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples(path: Path, tmp_path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells), "outputs: clear them"
    for cell in executed(notebook, tmp_path).cells:
        errors = [plain("\n".join(o.traceback)) for o in cell.get("outputs", ()) if o.output_type == "error"]
        assert not errors, errors[0]


def test_cells(tmp_path: Path) -> None:
    tied, wrong, after, no_name, variant, session, trained = outputs(
        [
            TIED + TRAIN,
            WRONG,
            "tied.inventory.sizes().parameters",
            f"%%wsdl 3{TIED.removeprefix('%%wsdl tied')}",
            TIED.replace("%%wsdl tied", "%%wsdl tied free"),
            "tied.session(threads=1)",
            FIT,
        ],
        tmp_path,
    )
    [shown] = tied
    html = shown.data["text/html"]
    assert shown.data["text/plain"] == "<wsdl.Program tied.wsd: m>"
    assert "<pre>model m(x: f32[n, 64]) -&gt; (y: f32[n, 64])</pre>" in html
    assert "1,024 with m.decode</td>" in html
    assert ">4.1 kB</td>" in html
    assert "2,128" not in html
    assert "<p>1,104 parameters, 4.4 kB, 8.5 kB without sharing</p>" in html
    assert str(tmp_path) not in html
    assert errors(wrong).startswith("error[E0201]: there is no `rellu` in scope\n")
    assert "tied.wsd:3:12\n" in errors(wrong)  # the line of the cell
    assert after[0].data["text/plain"] == "1104"  # the variable is as before
    assert errors(no_name).startswith("error[E0704]: `%%wsdl 3` doesn't name a variable for the program")
    assert errors(variant).startswith("error[E0710]: there is no variant `free`")
    assert '<td style="text-align:left">f32[n, 64]</td>' in session[0].data["text/html"]
    progress, result = trained  # one output, which was updated
    assert result.data["text/plain"] == "True"
    text = plain(progress.data["text/plain"])
    assert text.startswith("layer     block  returns")
    assert "step 12/12" in text
    assert len(re.findall(r"^ +[123]  ", text, re.MULTILINE)) == 3  # a row for each epoch


def test_outside_of_a_notebook() -> None:
    with pytest.raises(RunError, match="there is no notebook that could show progress"):
        NotebookProgress().on_begin(plan())


def errors(shown: Sequence[Any]) -> str:
    """The only output, which is an error."""
    [error] = shown
    assert error.output_type == "error"
    return plain("\n".join(error.traceback))
