"""The harness itself: what it accepts and what it must not let pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs import page as harness
from tests.docs.page import Mismatch, Page, commands, compare
from website.blocks import Block, blocks


def run(tmp_path: Path, text: str, name: str = "page.md") -> list[str]:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    folder = tmp_path / "cwd"
    folder.mkdir()
    return Page(path, folder).failures()


def test_a_block_keeps_its_place_and_its_note() -> None:
    text = "# Title\n\n<!-- file: a.wsd, error: E0312 -->\n\n```wsd error\nlet d = 1\n```\n\nThen:\n```sh\nls\n```\n"
    assert list(blocks(text)) == [
        Block("wsd", ("error",), "let d = 1\n", 5, {"file": "a.wsd", "error": "E0312"}),
        Block("sh", (), "ls\n", 10),
    ]


def test_a_note_belongs_to_the_next_block_only() -> None:
    text = "<!-- file: a.txt -->\nwords\n```text\na\n```\n"
    assert next(blocks(text)).note == {}


def test_a_longer_fence_holds_a_shorter_one_and_indentation_goes() -> None:
    text = "- so:\n\n  ````text\n  ```\n    a\n  ````\n"
    assert next(blocks(text)).text == "```\n  a\n"


@pytest.mark.parametrize(
    "text", ["```python\nx = 1\n", "<!-- file tower.wsd -->\n```wsd\n```\n", "<!-- shows: a, b -->\n```html\n```\n"]
)
def test_a_page_that_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="line 1"):
        list(blocks(text))


def test_python_blocks_share_their_names_and_hidden_ones_run(tmp_path: Path) -> None:
    text = "<!--\n```python\nx = 20\n```\n-->\n```python\nprint(x + 1)\n```\n```output\n21\n```\n"
    assert run(tmp_path, text) == []


def test_a_failing_python_block_says_where(tmp_path: Path) -> None:
    (failure,) = run(tmp_path, "\n```python\nx = 1\nassert x == 2\n```\n")
    assert "page.md:2: " in failure
    assert "line 4" in failure


def test_wrong_output_is_found(tmp_path: Path) -> None:
    assert run(tmp_path, "```python\nprint(1)\n```\n```output\n2\n```\n")


def test_a_file_is_there_for_the_commands_below_it(tmp_path: Path) -> None:
    shown = "$ cat data/a.txt\nhello\n$ wc -c \\\n  < data/a.txt\n6\n"
    text = f"<!-- file: data/a.txt -->\n```text\nhello\n```\n```console\n{shown}```\n"
    assert run(tmp_path, text) == []


def test_a_file_outside_the_folder_is_refused(tmp_path: Path) -> None:
    assert run(tmp_path, "<!-- file: ../a.txt -->\n```text\nhello\n```\n")


@pytest.mark.parametrize(
    ("info", "command", "passes"),
    [
        ("console", "true", True),
        ("console", "false", False),
        ("console error", "false", True),
        ("console error", "true", False),
    ],
)
def test_the_exit_status_is_as_marked(tmp_path: Path, info: str, command: str, passes: bool) -> None:
    assert (run(tmp_path, f"```{info}\n$ {command}\n```\n") == []) == passes


def test_commands_and_what_they_show() -> None:
    assert commands("$ a\nx\n\ny\n$ b\n") == [("a", "x\n\ny\n"), ("b", "")]
    with pytest.raises(Mismatch, match="begins with"):
        commands("a\n")


@pytest.mark.parametrize(
    ("shown", "output"),
    [
        ("a\n", "a  \n"),
        ("took ... s\n", "took 1.25 s\n"),
        ("a\n...\nb\n", "a\n1\n2\nb\n"),
        ("a\n...\n", "a\n"),
        ("1.5 (x)\n", "1.5 (x)\n"),
    ],
)
def test_the_same_output(shown: str, output: str) -> None:
    compare(shown, output)


@pytest.mark.parametrize(
    ("shown", "output"),
    [("a\n", "b\n"), ("a\n", "a\nb\n"), ("1.5\n", "1x5\n"), ("a ... c\n", "a b\nc\n"), ("...\nb\n", "b\nc\n")],
)
def test_other_output(shown: str, output: str) -> None:
    with pytest.raises(Mismatch):
        compare(shown, output)


def test_what_changes_the_machine_is_not_run(tmp_path: Path) -> None:
    (failure,) = run(tmp_path, "```console error\n$ pip uninstall numpy\n```\n")
    assert "doesn't run" in failure


@pytest.mark.parametrize("block", ["python fragment\nsession(x=x)", "console fragment\n$ wsdl train lm.wsd"])
def test_fragments_are_only_shown(tmp_path: Path, block: str) -> None:
    assert run(tmp_path, f"```{block}\n```\n") == []


def test_make_targets_exist(tmp_path: Path) -> None:
    assert run(tmp_path, "```sh\nmake demo\n```\n") == []


def test_make_targets_that_do_not_exist_are_found(tmp_path: Path) -> None:
    assert run(tmp_path, "```sh\nmake coffee\n```\n")


def test_every_block_names_a_known_language(tmp_path: Path) -> None:
    assert len(run(tmp_path, "```\nx\n```\n```pyton\nx\n```\n```text\nx\n```\n")) == 2


def test_skipping_needs_a_reason(tmp_path: Path) -> None:
    assert run(tmp_path, "<!-- skip: needs a GPU -->\n```console\n$ false\n```\n") == []


@pytest.mark.parametrize(
    ("name", "text", "found", "passes"),
    [
        ("page.md", "```wsd\nlet d = 1\n```\n", [], True),
        ("page.md", "```wsd\nlet d = 1\n```\n", ["E0312"], False),
        ("page.md", "```wsd fragment\nlet d = 1\n```\n", ["E0312"], True),
        ("page.md", "```wsd error\nlet d = 1\n```\n", ["E0312"], True),
        ("page.md", "```wsd error\nlet d = 1\n```\n", [], False),
        ("page.md", "<!-- error: E0312 -->\n```wsd\nlet d = 1\n```\n", ["E0312"], True),
        ("page.md", "<!-- error: E0313 -->\n```wsd\nlet d = 1\n```\n", ["E0312"], False),
        ("codes/E0312.md", "```wsd error\nlet d = 1\n```\n", ["E0312"], True),
        ("codes/E0312.md", "```wsd error\nlet d = 1\n```\n", ["E0313"], False),
    ],
)
def test_programs_report_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, found: list[str], passes: bool
) -> None:
    def wsdl(arguments: list[str], cwd: Path) -> tuple[int, str]:
        listed = ", ".join(f'{{"code": "{code}", "message": "wrong"}}' for code in found)
        return 0, f'{{"diagnostics": [{listed}]}}' if arguments[0] == "check" else ""

    monkeypatch.setattr(harness, "wsdl", wsdl)
    assert (run(tmp_path, text, name) == []) == passes


def test_a_program_that_is_laid_out_otherwise_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"check": (0, '{"diagnostics": []}'), "fmt": (1, "-let d=1")}
    monkeypatch.setattr(harness, "wsdl", lambda arguments, cwd: answers[arguments[0]])
    assert run(tmp_path, "```wsd\nlet d=1\n```\n")


def test_a_block_that_is_a_file_of_the_repository(tmp_path: Path) -> None:
    license = (harness.ROOT / "LICENSE").read_text(encoding="utf-8")
    assert run(tmp_path, f"<!-- same as: LICENSE -->\n```text\n{license}```\n") == []


def test_a_block_that_is_no_longer_the_file_is_found(tmp_path: Path) -> None:
    assert run(tmp_path, "<!-- same as: LICENSE -->\n```text\nThe BSD license\n```\n")
