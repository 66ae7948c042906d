"""A training by workers of Ray: the curve of one process, whatever is killed."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.cli.conftest import Wsdl
from tests.ray.conftest import processes, require_same
from tests.runtime.training import CLASSIFY, data, in_files
from wsdl.api import compile
from wsdl.api import fit as one_process
from wsdl.ray import Workers, fit

TRAIN = ("train", "classify.wsd", "--data", "train.npz", "--eval", "test.npz", "--batch", "16", "--epochs")
WORKER = "_Worker"

pytestmark = pytest.mark.usefixtures("two_cpus")


@pytest.fixture(autouse=True)
def files(wsdl: Wsdl, tmp_path: Path) -> None:
    in_files(tmp_path, CLASSIFY.replace("block(x) |> tanh", "block(x) |> tanh |> Dropout(0.3)"))


def test_the_curve_of_one_process(wsdl: Wsdl) -> None:
    assert wsdl(*TRAIN, "3", "-o", "one", "--json").code == 0
    done = wsdl(*TRAIN, "3", "-o", "two", "--workers", "2")
    assert "2 workers, 1 thread each\n" in done.err
    assert done.out.startswith("classify: 21 steps; ")
    require_same(Path("two"), Path("one"))


def test_arrays_in_memory(wsdl: Wsdl) -> None:
    """What one process gives, from arrays that are only here."""
    assert wsdl(*TRAIN, "3", "-o", "one", "--json").code == 0
    arrays, held_out = data(), data(50, seed=1)
    found = fit("classify.wsd", arrays, Workers(2), folder="two", epochs=3, evaluation=held_out, batch=16)
    trainer = compile("classify.wsd").trainer(batch=16)
    assert found == pytest.approx(one_process(trainer, arrays, epochs=3, evaluation=held_out), abs=1e-5)
    weights = load_file("two/last.safetensors")
    for name, array in load_file("one/last.safetensors").items():
        np.testing.assert_allclose(weights[name], array, atol=1e-5, err_msg=name)


def test_errors_of_workers(wsdl: Wsdl) -> None:
    """That of the training, once; and no process stays."""
    assert wsdl(*TRAIN, "1", "-o", "two", "--workers", "2", "--model", "other", "--json").codes == ["E0705"]
    assert wsdl(*TRAIN, "1", "-o", "two", "--workers", "2", "--json").code == 0
    assert wsdl(*TRAIN, "1", "-o", "two", "--workers", "2", "--json").codes == ["E0724"]
    until = time.monotonic() + 30
    while processes(WORKER) and time.monotonic() < until:
        time.sleep(0.1)
    assert processes(WORKER) == []
