"""A machine is lost in the middle of a training: a cluster of two nodes on this machine, one of which is killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from tests.golden import ROOT
from tests.runtime.training import data, in_files
from wsdl.api import compile
from wsdl.api import fit as one_process
from wsdl.ray.cluster import read_settings

PATIENCE = 5.0  # seconds until those that are left go on
NOTICED = {  # soon, where Ray would wait for half a minute
    "health_check_initial_delay_ms": 500,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 500,
    "health_check_failure_threshold": 3,
}
COMMAND = f"""
import wsdl.ray.training
from wsdl.__main__ import main

wsdl.ray.training.PATIENCE = {PATIENCE}
main()
"""
TRAIN = ("train", "classify.wsd", "--data", "train.npz", "--batch", "16", "--epochs", "60", "-o", "two")


@pytest.fixture
def cluster(with_ray: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A cluster with a head of one CPU."""
    from ray import _raylet
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0123456789abcdef" * 4)
    read_settings(_raylet)
    head = {"num_cpus": 1, "include_dashboard": False, "_system_config": NOTICED}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        yield cluster
    finally:
        cluster.shutdown()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning")  # Ray's
def test_a_machine_is_lost(cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker on the head goes on alone, from the last checkpoint, and ends with the weights of one process."""
    monkeypatch.chdir(tmp_path)
    in_files(tmp_path)
    other = cluster.add_node(num_cpus=1)
    log = tmp_path / "two" / "log.jsonl"
    command = [sys.executable, "-c", COMMAND, *TRAIN, "--workers", "2", "--cluster", cluster.address]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as run:
        while run.poll() is None and not (log.exists() and log.read_text().count("\n") > 100):
            time.sleep(0.02)
        os.kill(other.all_processes["raylet"][0].process.pid, signal.SIGKILL)
        said = run.communicate(timeout=120)[1]
    assert run.returncode == 0, said
    assert re.search(r"worker [01] was lost: the training goes on from step \d+\n1 worker, 1 thread each\n", said), said
    trainer = compile("classify.wsd").trainer(batch=16)
    one_process(trainer, data(), epochs=60)
    weights = load_file(tmp_path / "two" / "last.safetensors")
    for name, array in trainer.weights.items():
        assert weights[name] == pytest.approx(array, abs=1e-5), name
