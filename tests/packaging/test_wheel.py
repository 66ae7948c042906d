"""What is installed is complete: the grammar, the standard library, the pages of the codes."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from email.parser import Parser
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

from wsdl._version import __version__

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "siamese.wsd"

Build = Callable[[Path, str], Path]


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Build `wheel` or `sdist` of a project folder, and give the file."""

    def run_hatchling(project: Path, target: str) -> Path:
        out = tmp_path_factory.mktemp(target)
        run(sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(out), cwd=project)
        (built,) = out.iterdir()
        return built

    return run_hatchling


@pytest.fixture(scope="module")
def wheel(build: Build) -> Path:
    return build(ROOT, "wheel")


def contents(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as files:
        return {name for name in files.namelist() if ".dist-info/" not in name}


def requirements(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as files:
        (name,) = (name for name in files.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(files.read(name).decode("utf-8"))
    return {line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line}


def sources() -> set[str]:
    """Every file of the package in this checkout, as it is named in a wheel."""
    files = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "wsdl").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    return files | {"wsdl/_grammar/wsdl.lark"}


def test_the_wheel_holds_the_whole_package_and_nothing_else(wheel: Path) -> None:
    assert contents(wheel) == sources()
    assert {"wsdl/py.typed", "wsdl/std/dense.wsd"} <= contents(wheel)


def test_the_wheel_made_from_the_sdist_is_the_same(wheel: Path, build: Build, tmp_path: Path) -> None:
    with tarfile.open(build(ROOT, "sdist")) as files:
        if sys.version_info >= (3, 12):
            files.extractall(tmp_path, filter="data")
        else:
            files.extractall(tmp_path)
    (unpacked,) = tmp_path.iterdir()
    assert (unpacked / "examples" / "siamese.wsd").is_file()
    assert not (unpacked / "examples" / "data").exists()
    assert contents(build(unpacked, "wheel")) == contents(wheel)


def test_the_wheel_for_gpus_differs_in_the_runtime_alone(wheel: Path, build: Build) -> None:
    gpu = build(ROOT / "packaging" / "gpu", "wheel")
    assert gpu.name == wheel.name.replace("wsdl-", "wsdl_gpu-")
    assert contents(gpu) == contents(wheel)
    assert requirements(wheel) - requirements(gpu) == {"onnxruntime>=1.21"}
    assert requirements(gpu) - requirements(wheel) == {"onnxruntime-gpu>=1.21"}


def test_the_installed_wheel_works_by_itself(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as files:
        files.extractall(site)
    find = "from wsdl.syntax.grammar import grammar_path; print(grammar_path())"
    found = Path(run(sys.executable, "-c", find, cwd=tmp_path, PYTHONPATH=str(site)).strip())
    assert found == site / "wsdl" / "_grammar" / "wsdl.lark"
    main = "from wsdl.cli import main; main()"
    assert __version__ in run(sys.executable, "-c", main, "--version", cwd=tmp_path, PYTHONPATH=str(site))
    run(sys.executable, "-c", main, "check", EXAMPLE, cwd=tmp_path, PYTHONPATH=str(site))


def test_an_editable_install_reads_the_grammar_of_the_checkout(tmp_path: Path) -> None:
    try:
        installed = distribution("wsdl").read_text("direct_url.json") or ""
    except PackageNotFoundError:
        installed = ""
    if '"editable": true' not in installed:
        pytest.skip("wsdl is not installed as editable: pip install -e .")
    find = "from wsdl.syntax.grammar import grammar_path; print(grammar_path())"
    assert Path(run(sys.executable, "-c", find, cwd=tmp_path).strip()) == ROOT / "grammar" / "wsdl.lark"
