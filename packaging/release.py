"""What is done for a release: `make version VERSION=0.2.0` names it, `make release` checks and builds it.

`version` writes the number and the day into the three files that have them (`FILES`). `release` goes through the
check-list below, stops at what is missing, builds wheel and sdist of both packages into `dist/`, and tries each in a
new environment of every Python from 3.11 to 3.14 that is on the PATH. It publishes nothing: the last lines say what a
person does then.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
UNRELEASED = "not yet released"
NUMBER = r"\d+\.\d+\.\d+(?:(?:a|b|rc)\d+)?"
# Where the version is, and the day of the release: a pattern whose groups are what stays before and behind.
FILES = {
    "wsdl/_version.py": (rf'(__version__ = "){NUMBER}(")', "{0}"),
    "CHANGELOG.md": (rf"(\n## ){NUMBER}, (?:{UNRELEASED}|[\d-]+)(\n)", "{0}, {1}"),
    "CITATION.cff": (rf"(\nversion: ){NUMBER}\ndate-released: [\d-]+(\n)", "{0}\ndate-released: {1}"),
}
TRY = """\
wsdl --version
wsdl new tried
cd tried
wsdl check siamese.wsd
wsdl compile siamese.wsd -o build
wsdl run siamese.wsd --input example.npz
"""


class Missing(Exception):
    """What has to be done before a release."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--version", metavar="X.Y.Z", help="write this version and today into all files, and end")
    version: str | None = parser.parse_args().version
    if version is not None:
        set_version(version, f"{datetime.now(UTC):%Y-%m-%d}")
        return
    try:
        for name, check in CHECKS.items():
            print(f"{name} ... ", end="", flush=True)
            print(check())
    except Missing as missing:
        sys.exit(f"no\n{missing}")
    print(f"\n{DIST.name}/ is ready. Now:\n{then(current_version())}")


# -- the version -------------------------------------------------------------------------------------------------------


def current_version() -> str:
    return read(r'__version__ = "(.*)"', ROOT / "wsdl/_version.py")


def set_version(version: str, day: str) -> None:
    """Write version and day into all files. Ends with a message, and changes nothing, where a file has no place."""
    if not re.fullmatch(NUMBER, version):
        sys.exit(f"{version} is no version: they are written 1.2.3 or 1.2.3rc1")
    changed = {}
    for name, (pattern, text) in FILES.items():
        before = (ROOT / name).read_text("utf-8")
        changed[name], count = re.subn(pattern, rf"\g<1>{text.format(version, day)}\g<2>", before, count=1)
        if not count:
            sys.exit(f"{name} has no line that fits {pattern!r}")
    for name, after in changed.items():
        (ROOT / name).write_text(after, "utf-8")
        print(f"{name}: {version}")


def read(pattern: str, file: Path) -> str:
    found = re.search(pattern, file.read_text("utf-8"))
    if found is None:
        raise Missing(f"{file.relative_to(ROOT)} has nothing like {pattern!r}")
    return found.group(1)


# -- the check-list ----------------------------------------------------------------------------------------------------


def one_version() -> str:
    """The same version in all files, and a day in CHANGELOG.md."""
    version = current_version()
    heading = read(r"\n## (.*)\n", ROOT / "CHANGELOG.md")
    if UNRELEASED in heading:
        raise Missing(f"CHANGELOG.md says `{heading}`: write the version by `make version VERSION={version}`")
    found = {heading.partition(",")[0], read(r"\nversion: (.*)\n", ROOT / "CITATION.cff"), version}
    day = heading.partition(", ")[2]
    if found != {version} or day != read(r"\ndate-released: (.*)\n", ROOT / "CITATION.cff"):
        raise Missing(f"_version.py, CHANGELOG.md and CITATION.cff differ: `make version VERSION={version}` writes all")
    return f"{version} of {day}"


def nothing_uncommitted() -> str:
    changed = output("git", "status", "--porcelain")
    if changed:
        raise Missing(f"not committed:\n{changed}")
    return output("git", "rev-parse", "--short", "HEAD").strip()


def not_released() -> str:
    tag = f"v{current_version()}"
    if output("git", "tag", "--list", tag):
        raise Missing(f"there is a tag {tag} already: a release gets a new version")
    return tag


def tests_pass() -> str:
    run("make", "test")
    return "yes"


def builds() -> str:
    """Wheel and sdist of both packages, by an isolated build as users make it."""
    shutil.rmtree(DIST, ignore_errors=True)
    run(sys.executable, "-m", "build", "--outdir", str(DIST), ".")
    run(sys.executable, "-m", "build", "--wheel", "--outdir", str(DIST), "packaging/gpu")
    return ", ".join(sorted(file.name for file in DIST.iterdir()))


def installs() -> str:
    """Each Python has an environment for the wheel; the sdist is tried with the newest one."""
    found = [python for python in PYTHONS if is_there(python)]
    if not found:
        raise Missing(f"none of Python {', '.join(PYTHONS)} is here")
    version = current_version()
    for python in found:
        try_out(python, DIST / f"wsdl-{version}-py3-none-any.whl")
    try_out(found[-1], DIST / f"wsdl-{version}.tar.gz")
    absent = [python for python in PYTHONS if python not in found]
    return f"on Python {', '.join(found)}" + (f" (NOT TRIED on {', '.join(absent)}: not here)" if absent else "")


def is_there(python: str) -> bool:
    """Is there such a Python, and does it run? (That of pyenv may only say that it could.)"""
    command = shutil.which(f"python{python}")
    return command is not None and subprocess.run([command, "-c", ""], capture_output=True, check=False).returncode == 0


def try_out(python: str, package: Path) -> None:
    """Install a package, and make and compile the first program."""
    with tempfile.TemporaryDirectory() as folder:
        run(f"python{python}", "-m", "venv", folder)
        scripts = Path(folder) / ("Scripts" if os.name == "nt" else "bin")
        run(str(scripts / "python"), "-m", "pip", "--disable-pip-version-check", "install", "-qq", str(package))
        path = f"{scripts}{os.pathsep}{os.environ['PATH']}"
        run("sh", "-ec", TRY, folder=Path(folder), environment={"PATH": path, "PYTHONPATH": ""})


CHECKS: dict[str, Callable[[], str]] = {
    "one version everywhere": one_version,
    "nothing uncommitted": nothing_uncommitted,
    "a new tag": not_released,
    "all tests pass": tests_pass,
    "wheel and sdist": builds,
    "installed and tried": installs,
}


def then(version: str) -> str:
    """What a person does after all checks."""

    def steps() -> Iterator[str]:
        yield f"git tag v{version} && git push origin v{version}"
        yield "python -m twine upload dist/*        (needs `pip install twine`, and a token of PyPI)"
        yield f"publish the section of {version} in CHANGELOG.md as the text of the release"
        yield f"add `## NEXT, {UNRELEASED}` above it in CHANGELOG.md, with the next version"

    return "\n".join(f"  {number}. {step}" for number, step in enumerate(steps(), 1))


# -- processes ---------------------------------------------------------------------------------------------------------


def run(*command: str, folder: Path = ROOT, environment: dict[str, str] | None = None) -> None:
    """Run a command; what it says is shown where it fails."""
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **(environment or {})}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Missing(f"`{' '.join(command)}` failed:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")


def output(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main()
