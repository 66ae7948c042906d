"""What a change nearest needs, in less than a minute: `make quick`.

Changed is what differs from the branch `main`, or from another commit (`make quick SINCE=HEAD~3`). While the files are
linted, tests run in this order, and after `SECONDS` none is begun:

1. `REGISTRIES`: does each operation, block and code have all that belongs to it?
2. tests that have changed themselves, or that have the name of a changed module or import it;
3. of the tables of operations and blocks, the rows of those that changed lines define: reference, gradient, batching,
   half precision, documentation;
4. `ALWAYS`: pages, links, a few messages;
5. the rows of other operations and blocks whose names stand in changed lines, or in the heads of what holds them;
6. the tests of the rooms in which something has changed (`ROOMS`).

It says what it did not come to. `make test` runs everything.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
SECONDS = 40
REGISTRIES = (
    "tests/diagnostics/test_codes.py::test_every_code_has_a_page_and_every_page_a_code",
    "tests/mistakes/test_mistakes.py::test_every_code_of_the_checks_is_made_here",
    "tests/std/test_against_pytorch.py::test_every_block_is_here",
    "tests/half/test_sweep.py::test_every_operation_is_tried",
    "tests/docs/test_reference.py::test_pages",
    "tests/highlighting/test_textmate.py::test_grammar",
    "tests/editors/test_word_lists.py::test_word_lists",
    "tests/playground/test_colors.py::test_rules",
)
ALWAYS = (
    "tests/ops/test_complete.py",
    "tests/docs/test_language.py",
    "tests/docs/test_links.py",
    "tests/packaging/test_dependencies.py",
    "tests/packaging/test_lazy_imports.py",
    "tests/diagnostics/test_render.py",
    "tests/pipelines/test_inference.py",
)
DEFINED = ("wsdl/ops", "wsdl/std")  # where operations and blocks are
TABLES = ("tests/ops", "tests/half", "tests/std", "tests/docs/test_reference.py")
ROOMS = {
    "grammar": ("tests/syntax", "tests/highlighting"),
    "wsdl/diagnostics": ("tests/diagnostics", "tests/mistakes"),
    "wsdl/elaborate": ("tests/mistakes", "tests/mistakes_training"),
    "wsdl/sharing": ("tests/pipelines", "tests/examples/test_sharing.py"),
    "wsdl/rewrite": ("tests/pipelines", "tests/examples/test_bytes.py"),
    "wsdl/differentiation": ("tests/differentiation", "tests/ops/test_gradients.py"),
    "wsdl/training": ("tests/pipelines", "tests/mistakes_training"),
    "wsdl/highlighting": ("tests/editors",),
    "wsdl/pictures": ("tests/cli/test_graph.py",),
    "wsdl/std": ("tests/mistakes/test_recommendations.py",),
    "docs": ("tests/docs/test_links.py", "tests/website"),
    "examples": ("tests/examples/test_bytes.py", "tests/examples/test_readme.py"),
    "examples/training": ("tests/examples/training",),
    "references": ("tests/examples",),
    "Makefile": ("tests/packaging",),
    "mkdocs.yml": ("tests/website",),
    "website": ("tests/website",),
    "pyproject.toml": ("tests/packaging",),
}  # beside the folder of tests that has a room's own name
NAME = re.compile(r"[A-Za-z_]\w*")
DEFINITION = re.compile(r"""^[+-].*?(?:\bname=|\b(?:unary|binary|activation)\(|\bblock )"?(\w+)""", re.MULTILINE)


@dataclass(frozen=True)
class Change:
    """Paths from the root, and the names in lines of `DEFINED` that were added or taken out: those that are defined
    there, and all, with those in the heads of the functions and blocks that hold these lines."""

    paths: list[str]
    defined: set[str]
    names: set[str]


def changed(since: str | None) -> Change:
    """What differs from the commit `since`, by default from where this branch left `main`."""
    base = since or _git("merge-base", "HEAD", "main").strip() or "HEAD"
    new = _git("ls-files", "--others", "--exclude-standard").splitlines()
    paths = {*_git("diff", "--name-only", base).splitlines(), *new}
    lines = [line for line in _git("diff", "-U0", base, "--", *DEFINED).splitlines() if line[:1] in "+-@"]
    for path in new:
        if path.startswith(DEFINED):
            lines += [f"+{line}" for line in (ROOT / path).read_text("utf-8", "replace").splitlines()]
    text = "\n".join(lines)
    return Change(sorted(paths), set(DEFINITION.findall(text)), set(NAME.findall(text)))


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout


# -- which tests -------------------------------------------------------------------------------------------------------


@dataclass
class Selection:
    """A plugin for pytest: the tests of a change, the nearest first, until the time is over."""

    nearest: list[str]
    defined: list[str]  # operations and blocks whose rows are wanted first
    names: list[str]  # those whose rows are wanted then
    rooms: list[str]
    began: float = 0.0
    left: int = 0

    def paths(self) -> list[str]:
        """What pytest has to collect, nothing twice."""
        tables = TABLES if self.defined or self.names else ()
        wanted = dict.fromkeys([*REGISTRIES, *self.nearest, *tables, *ALWAYS, *self.rooms])
        return [path for path in wanted if not any(_below(path, other) for other in wanted if other != path)]

    def rank(self, test: str) -> int | None:
        """1 to 6, as above; `None` for a test that isn't wanted."""
        file, _, name = test.partition("::")
        named = set(NAME.findall(name)) if any(_below(file, table) for table in TABLES) else set()
        reasons = (
            any(_below(test, path) for path in REGISTRIES),
            any(_below(test, path) for path in self.nearest),
            bool(named & set(self.defined)),
            any(_below(test, path) for path in ALWAYS),
            bool(named & set(self.names)),
            any(_below(test, path) for path in self.rooms),
        )
        return reasons.index(True) + 1 if True in reasons else None

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        ranks = {item: self.rank(item.nodeid) for item in items}
        items[:] = sorted((item for item in items if ranks[item]), key=lambda item: ranks[item] or 0)
        self.left = len(items)

    def pytest_collection_finish(self) -> None:
        self.began = time.monotonic()

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self.left -= 1

    def pytest_runtest_teardown(self, item: pytest.Item) -> None:
        if time.monotonic() - self.began > SECONDS:
            item.session.shouldstop = "the time is over"

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """That the time is over is no failure."""
        if session.shouldstop and session.exitstatus == pytest.ExitCode.INTERRUPTED:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED if session.testsfailed else pytest.ExitCode.OK


def _below(path: str, other: str) -> bool:
    """Is it this file, folder or test, or a part of it?"""
    return path == other or path.startswith((f"{other}/", f"{other}::", f"{other}["))


def selection(change: Change) -> Selection:
    from wsdl.api import reference

    nearest = [path for path in change.paths if _is_test(path) and (ROOT / path).exists()]
    nearest += _pages(change.paths)
    modules = [Path(path) for path in change.paths if path.startswith("wsdl/") and path.endswith(".py")]
    tests = {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in ROOT.glob("tests/**/test_*.py")}
    for module in modules:
        dotted = ".".join(module.with_suffix("").parts)
        imports = re.compile(rf"^ *(from {dotted} |import {dotted}\b)", re.MULTILINE)
        nearest += [test for test, text in tests.items() if module.stem in Path(test).stem or imports.search(text)]
    rooms = [test for path in change.paths for test in _tests_of_the_room(path)]
    defined = [name for name in reference.names() if name in change.defined]
    names = [name for name in reference.names() if name in change.names - change.defined]
    return Selection(list(dict.fromkeys(nearest)), defined, names, list(dict.fromkeys(rooms)))


def _is_test(path: str) -> bool:
    return path.startswith("tests/") and Path(path).name.startswith("test_") and path.endswith(".py")


def _pages(paths: Iterable[str]) -> Iterator[str]:
    """The tests of changed pages, of which each is one."""
    from tests.docs.test_pages import PAGES

    for path in paths:
        if ROOT / path in PAGES:
            yield f"tests/docs/test_pages.py::test_page[{path}]"
        if path.startswith("wsdl/diagnostics/codes/"):
            yield "tests/diagnostics/test_codes.py"


def _tests_of_the_room(path: str) -> Iterator[str]:
    for room, tests in ROOMS.items():
        if _below(path, room):
            yield from tests
    top, *below = Path(path).parent.parts or ("",)
    folders = {"wsdl": [Path("tests", *below), Path("tests", *below[:1])], "tests": [Path(path).parent]}
    for own in folders.get(top, []):
        if len(own.parts) > 1 and (ROOT / own).is_dir():
            yield str(own)


# -- all of it ---------------------------------------------------------------------------------------------------------


def lint(paths: Iterable[str]) -> list[subprocess.Popen[str]]:
    """Layout of what has changed, types and imports, begun beside the tests."""
    there = [path for path in paths if (ROOT / path).exists()]
    python = [path for path in there if path.endswith(".py")]
    programs = [path for path in there if path.endswith(".wsd") and path.startswith(("examples/", "wsdl/"))]
    commands = [["mypy", "--no-error-summary"], ["lint-imports", "--no-logo"]] if python else []
    commands += [["ruff", "check", "--quiet", *python], ["ruff", "format", "--check", *python]] if python else []
    commands += [["wsdl", "fmt", "--check", *programs]] if programs else []
    return [
        subprocess.Popen(
            [str(BIN / program), *arguments], cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        for program, *arguments in commands
    ]


def main(since: str | None = None) -> int:
    """Lint and test what has changed; 0 where all is well."""
    change = changed(since)
    chosen = selection(change)
    print(f"{len(change.paths)} changed files{''.join(f', {name}' for name in chosen.defined)}", flush=True)
    linting = lint(change.paths)
    failed = pytest.main(["--quiet", "-p", "no:cacheprovider", *chosen.paths()], plugins=[chosen])
    for process in linting:
        output, _ = process.communicate()
        if process.returncode:
            print(output.strip())
            failed = 1
    if chosen.left > 0:
        print(f"{chosen.left} tests of these rooms were not come to; `make test` runs them")
    return int(failed not in (0, pytest.ExitCode.NO_TESTS_COLLECTED))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
