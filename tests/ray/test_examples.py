"""The files of `examples/cluster`, as far as they can be checked without a cluster."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.golden import ROOT

FOLDER = ROOT / "examples" / "cluster"


def pods(cluster: Any) -> list[Any]:
    """The templates of the pods of a `RayCluster`."""
    spec = cluster["spec"]
    return [group["template"]["spec"] for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"])]


def test_the_cluster_of_kubernetes() -> None:
    """All pods have one image, the token out of the secret, and the same folder; nothing is reserved but not there."""
    yaml = pytest.importorskip("yaml")
    cluster, policy = yaml.safe_load_all((FOLDER / "raycluster.yaml").read_text("utf-8"))
    assert (cluster["apiVersion"], cluster["kind"]) == ("ray.io/v1", "RayCluster")
    containers = [container for pod in pods(cluster) for container in pod["containers"]]
    assert len(containers) == 2
    for container in containers:
        assert container["image"] == containers[0]["image"]
        assert container["resources"]["limits"] == container["resources"]["requests"]
        environment = {variable["name"]: variable for variable in container["env"]}
        assert environment["RAY_AUTH_MODE"]["value"] == "token"
        assert environment["RAY_AUTH_TOKEN"]["valueFrom"]["secretKeyRef"] == {"name": "ray-token", "key": "token"}
        assert environment["RAY_USAGE_STATS_ENABLED"]["value"] == "0"
        assert [mount["mountPath"] for mount in container["volumeMounts"]] == [container["workingDir"]]
    for pod in pods(cluster):
        assert pod["volumes"] == [{"name": "work", "persistentVolumeClaim": {"claimName": "work"}}]
    selected = policy["spec"]["podSelector"]["matchLabels"]
    assert selected == {"ray.io/cluster": cluster["metadata"]["name"]}  # the label that KubeRay gives to its pods
    assert policy["spec"]["policyTypes"] == ["Ingress"]


def test_the_script_for_slurm(tmp_path: Path) -> None:
    """Its syntax, and that of the Python in it."""
    script = FOLDER / "slurm.sh"
    assert subprocess.run(["bash", "-n", script], capture_output=True, check=False).stderr == b""
    compile(script.read_text("utf-8").split("<<'PYTHON'\n")[1].split("\nPYTHON\n")[0], "slurm.sh", "exec")
