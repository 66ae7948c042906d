"""A disk that is full, places that can't be written, signals in the middle, odd names, a bare environment: what is
there stays whole, and what goes wrong is said."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

import wsdl as package
from tests.cli.conftest import TIED, TWO, Wsdl
from tests.forks import Forks
from tests.npz import save_npz
from tests.robustness.damage import DATA, PROGRAM
from tests.robustness.test_files import codes

ALL = os.environ.get("WSDL_ATTACKS") == "all"  # with `make fuzz`
LARGE = PROGRAM.replace("Dense(3)", "Dense(30000) |> Dense(3)")  # 1 MB of weights
VERBS = {
    "compile": ["m.wsd", "-o", "{out}"],
    "run": ["m.wsd", "--input", "d.npz", "-o", "{out}.npz"],
    "train": ["m.wsd", "--data", "d.npz", "-o", "{out}"],
    "graph": ["m.wsd", "-o", "{out}.svg"],
    "new": ["{out}"],
}


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 kB; only root may make one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k,nr_inodes=64", "none", disk], capture_output=True)
    if made.returncode:
        pytest.skip("this user may not mount a file system")
    (disk / "filler").write_bytes(b"\0" * 12288)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


@pytest.fixture
def folder(wsdl: Wsdl, tmp_path: Path) -> Path:
    (tmp_path / "m.wsd").write_text(LARGE, encoding="utf-8")
    save_npz(tmp_path / "d.npz", DATA)
    return tmp_path


def files_in(place: Path) -> dict[str, bytes]:
    return {str(p.relative_to(place)): p.read_bytes() for p in sorted(place.rglob("*")) if p.is_file()}


# -- where nothing can be written --------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", [v for v in VERBS if v not in ("run", "graph", "new")])
def test_a_full_disk(verb: str, wsdl: Wsdl, folder: Path, full_disk: Path) -> None:
    before = files_in(full_disk)
    done = wsdl(verb, *(a.format(out=full_disk / "out") for a in VERBS[verb]))
    assert (done.code, codes(done.err)) == (2, ["E0703"]), done.err
    assert "no space left" in done.err
    left = files_in(full_disk)
    left.pop("out/log.jsonl", None)  # of a training: what it had done until then
    assert left == before


def test_results_on_a_full_disk(wsdl: Wsdl, folder: Path, full_disk: Path) -> None:
    np.savez(folder / "d.npz", x=np.ones((4000, 4), np.float32))
    done = wsdl("run", "m.wsd", "--input", "d.npz", "-o", full_disk / "y.npz")
    assert (done.code, codes(done.err)) == (2, ["E0703"]), done.err
    assert [*full_disk.iterdir()] == [full_disk / "filler"]


def test_a_file_on_a_full_disk_keeps_its_text(wsdl: Wsdl, folder: Path, full_disk: Path) -> None:
    text = "model m(x: f32[n]) -> (y: f32[n]) {\n" + "y=x+1\n" * 600 + "return y }\n"
    (full_disk / "filler").unlink()
    (full_disk / "m.wsd").write_text(text, encoding="utf-8")
    (full_disk / "filler").write_bytes(b"\0" * 8192)
    done = wsdl("fmt", full_disk / "m.wsd")
    assert (done.code, codes(done.err)) == (2, ["E0703"]), done.err
    assert (full_disk / "m.wsd").read_text(encoding="utf-8") == text


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("place", ["/proc/nothing", "m.wsd/inside", "/dev/null/inside"])
def test_a_place_where_nothing_can_be(verb: str, place: str, wsdl: Wsdl, folder: Path) -> None:
    before = files_in(folder)
    done = wsdl(verb, *(a.format(out=place) for a in VERBS[verb]))
    assert (done.code, codes(done.err)) == (2, ["E0703"]), done.err
    assert files_in(folder) == before


@pytest.mark.parametrize("verb", ["run", "graph"])
def test_a_folder_in_the_place_of_a_file(verb: str, wsdl: Wsdl, folder: Path) -> None:
    for suffix in (".npz", ".svg"):
        (folder / f"out{suffix}").mkdir()
    done = wsdl(verb, *(a.format(out="out") for a in VERBS[verb]))
    assert (done.code, codes(done.err)) == (2, ["E0703"]), done.err


def test_a_file_in_the_place_of_a_folder(wsdl: Wsdl, folder: Path) -> None:
    (folder / "out").write_text("mine", encoding="utf-8")
    for verb in ("compile", "train", "new"):
        done = wsdl(verb, *(a.format(out="out") for a in VERBS[verb]))
        assert done.code == 2, done.err
        assert codes(done.err) in (["E0703"], ["E0707"])
    assert (folder / "out").read_text(encoding="utf-8") == "mine"


# -- signals -----------------------------------------------------------------------------------------------------------

COMMAND = "from wsdl.__main__ import main; main()"
SHARED = """\
layer encoder = Dense(700)

model one(x: f32[n, 3000]) -> (y: f32[n, 700]) {
    return encoder(x)
}

model two(x: f32[n, 3000]) -> (y: f32[n, 10]) {
    return encoder(x) |> Dense(10)
}
"""


@pytest.fixture(scope="module")
def versions(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, bytes]]:
    """What is written with each of two seeds."""
    folder = tmp_path_factory.mktemp("versions")
    (folder / "m.wsd").write_text(SHARED, encoding="utf-8")
    versions = []
    for seed in ("1", "2"):
        status, said, _ = forks.run(folder, "compile", "m.wsd", "-o", seed, "--no-proof", "--seed", seed)
        assert status == 0, said
        versions.append(files_in(folder / seed))
    return versions


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_a_signal_while_files_are_written(
    number: signal.Signals, tmp_path: Path, forks: Forks, versions: list[dict[str, bytes]]
) -> None:
    """The files are those of before, or the new ones. Only SIGKILL may leave parts, under names of their own, and new
    files beside old ones, each of them whole."""
    (tmp_path / "m.wsd").write_text(SHARED, encoding="utf-8")
    moments = random.Random(0)
    restore(tmp_path / "out", versions[1])
    for _ in range(10 if ALL else 2):
        process = forks.start(tmp_path, "compile", "m.wsd", "-o", "out", "--no-proof", "--seed", "1")
        wait_for_part(tmp_path / "out", process)
        time.sleep(moments.uniform(0, 0.02))
        with suppress(ProcessLookupError):  # it has ended
            os.kill(process, number)
        status, said, _ = forks.wait(tmp_path)
        assert "Traceback" not in said
        assert status in (0, 130, 143, -number)
        now = files_in(tmp_path / "out")
        whole = {name: content for name, content in now.items() if not name.startswith(".")}
        if number == signal.SIGKILL:
            assert all(content in (versions[0][name], versions[1][name]) for name, content in whole.items())
        else:
            assert whole == now
            assert whole in versions
        shutil.rmtree(tmp_path / "out")
        restore(tmp_path / "out", versions[1])


def restore(place: Path, files: dict[str, bytes]) -> None:
    place.mkdir()
    for name, content in files.items():
        (place / name).write_bytes(content)


def wait_for_part(place: Path, process: int) -> None:
    """Until the first file is being written, or the process has ended."""
    with suppress(ProcessLookupError):
        while not any(place.glob(".*.part")):
            os.kill(process, 0)
            time.sleep(0.001)


# -- streams that nobody reads, signals at any moment ------------------------------------------------------------------

STREAMS = {
    "check": ["wrong.wsd"],
    "explain": ["E0101"],
    "check --json": ["wrong.wsd", "--json"],
    "compile": ["m.wsd", "-o", "out"],
    "run": ["m.wsd", "--input", "d.npz"],
    "train": ["m.wsd", "--data", "d.npz", "-o", "out"],
    "eval": ["m.wsd", "--data", "d.npz"],
    "study": ["m.wsd", "--data", "d.npz", "--eval", "d.npz", "-o", "out"],
    "inspect": ["m.wsd"],
    "graph": ["m.wsd"],
    "fmt": ["--diff", "messy.wsd"],
    "new": ["out"],
    "check nothing": ["nothing.wsd", "--json"],
    "--help": [],
}
WAYS = {  # with the exit code, 0 for that of the work
    "closed stdout": (">&-", 2), "full stdout": (">/dev/full", 2), "broken stdout": ("| true", 0),
    "closed stderr": ("2>&-", 0), "full stderr": ("2>/dev/full", 0), "broken stderr": ("2>&1 >/dev/null | true", 0),
    "no stdin": ("<&-", 0), "no streams": ("<&- >&- 2>&-", 2),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("verb", STREAMS if ALL else ["check"])
def test_a_stream_that_nobody_reads(verb: str, way: str, wsdl: Wsdl, folder: Path) -> None:
    """stdout is said to be what it is, stderr is done without: the exit code is that of the work."""
    arguments = [*verb.partition(" -")[0].partition(" nothing")[0].split(), *STREAMS[verb]]
    command = f"{sys.executable} -c '{COMMAND}' {' '.join(arguments)}"
    redirection, code = WAYS[way]
    (folder / "messy.wsd").write_text(TIED.replace("    ", "  "), encoding="utf-8")
    usual = 2 if verb == "check nothing" else 1 if verb.startswith("check") else 0
    environment = {**os.environ, "PYTHONPATH": str(Path(package.__file__).parents[1])}
    script = f"{command} {redirection}; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    assert "Exception ignored" not in said
    assert "E0799" not in said
    assert done.returncode == (code or usual), said
    assert ("error[E0703]: " in said) == (way in ("closed stdout", "full stdout"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
@pytest.mark.parametrize("arguments", [["compile", "m.wsd", "-o", "out"], ["check", "m.wsd"]], ids=["compile", "check"])
def test_a_signal_at_any_moment(arguments: list[str], number: signal.Signals, folder: Path) -> None:
    """From where our code begins to where it ends: before and after, a signal is Python's own (`-number`)."""
    moments = random.Random(0)
    longest = 1.5 if arguments[0] == "compile" else 0.3
    begun = "import os; os.write(2, b'begun'); "
    for _ in range(60 if ALL else 2):
        command = [sys.executable, "-c", f"from wsdl import process; {begun}{COMMAND}", *arguments]
        environment = {**os.environ, "PYTHONPATH": str(Path(package.__file__).parents[1])}
        with subprocess.Popen(command, cwd=folder, env=environment, stdout=-1, stderr=-1) as running:
            assert running.stderr is not None
            assert running.stderr.read(5) == b"begun"
            time.sleep(0.003 + moments.uniform(0, longest))
            running.send_signal(number)
            out, err = running.communicate(timeout=60)
        assert b"Traceback" not in err
        assert b"E07" not in err
        assert running.returncode in (0, 128 + number, -number), (out, err)
        if running.returncode == 128 + signal.SIGINT:
            assert b"interrupted" in err
        assert not [*folder.glob("out/.*")]


# -- odd names and a bare environment ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["with space", "größe", "日本", "new\nline", "-o", "a" * 200, "quote'\"", "%s{x}", "tab\t", "..."]
)
def test_odd_names(name: str, wsdl: Wsdl, tmp_path: Path) -> None:
    place = tmp_path / name
    place.mkdir()
    (place / f"{name[:100]}.wsd").write_text(TWO, encoding="utf-8")
    source = place / f"{name[:100]}.wsd"
    assert wsdl("check", source).code == 0
    done = wsdl("compile", source, "-o", place / "out", "--json")
    assert done.code == 0, done.out
    assert {p.name for p in (place / "out").iterdir()} >= {"embed.onnx", "classify.onnx", "manifest.json"}
    np.savez(place / "d.npz", x=np.ones((2, 32), np.float32))
    assert wsdl("run", place / "out" / "embed.onnx", "--input", place / "d.npz").code == 0


def test_names_that_no_system_takes(wsdl: Wsdl, tmp_path: Path) -> None:
    for name in ("a" * 300 + ".wsd", "m\0.wsd", "x/" * 3000 + "m.wsd"):
        done = wsdl("check", name)
        assert (done.code, codes(done.out)) == (2, ["E0701"]), done
        if "\0" not in name:  # which no command line can hold
            done = wsdl("compile", "tied.wsd", "-o", name)
            assert (done.code, codes(done.err)) == (2, ["E0703"]), done.err


@pytest.mark.parametrize("environment", [{}, {"LANG": "C", "LC_ALL": "C"}, {"HOME": "/nowhere"}, {"TERM": "dumb"}])
def test_a_bare_environment(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "größe.wsd").write_text(TIED.replace("Dense(16)", "Dens(16)"), encoding="utf-8")
    root = Path(package.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, "check", "größe.wsd"],
        cwd=tmp_path, env={"PYTHONPATH": str(root), "PATH": os.environ["PATH"], **environment}, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert "error[E0201]: there is no block named `Dens`" in done.stdout.decode("utf-8")
    assert b"Traceback" not in done.stderr


def test_a_folder_that_was_deleted(tmp_path: Path) -> None:
    """With `-P`, as `wsdl` doesn't look for modules there: for any attribute that a module hasn't, CPython 3.13.0 has a
    SystemError then."""
    (tmp_path / "m.wsd").write_text(TIED, encoding="utf-8")
    gone = tmp_path / "gone"
    root = Path(package.__file__).parents[1]
    script = f"import os; os.chdir({str(gone)!r}); os.rmdir({str(gone)!r}); import sys; sys.argv[1:] = "
    for arguments, code in (
        (["check", "m.wsd"], 2),
        (["new", "first"], 2),
        (["check", str(tmp_path / "m.wsd")], 0),
        (["compile", str(tmp_path / "m.wsd"), "-o", "o"], 2),
    ):
        gone.mkdir()
        done = subprocess.run(
            [sys.executable, "-P", "-c", f"{script}{arguments!r}; sys.path.insert(0, {str(root)!r}); {COMMAND}"],
            cwd=tmp_path, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        assert ("the current folder was deleted" in done.stdout + done.stderr) == (code == 2)


@pytest.mark.parametrize(
    "verb", ["check", "fmt", "compile", "run", "train", "eval", "study", "inspect", "graph", "explain"]
)
def test_errors_are_json_where_that_is_asked_for(verb: str, wsdl: Wsdl) -> None:
    needed = {"run": ["--input", "d.npz"], "train": ["--data", "d.npz", "-o", "r"], "eval": ["--data", "d.npz"]}
    needed |= {"compile": ["-o", "out"], "study": ["--data", "d.npz", "--eval", "d.npz", "-o", "s"]}
    done = wsdl(verb, "nothing.wsd", *needed.get(verb, []), "--json")
    assert done.code == 2
    assert done.err == ""
    told = json.loads(done.out)
    assert [d["code"] for d in told["diagnostics"]] == ["E0704" if verb == "explain" else "E0701"]
