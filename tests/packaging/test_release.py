"""The version of a release, and its check-list."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from types import ModuleType

import pytest

from wsdl._version import __version__

ROOT = Path(__file__).parents[2]


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, with copies of the files that have the version."""
    spec = importlib.util.spec_from_file_location("release", ROOT / "packaging/release.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in module.FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    return module


def test_a_version_is_written_into_all_files(release: ModuleType) -> None:
    assert release.current_version() == __version__
    release.set_version("1.2.0rc1", "2027-01-02")
    assert release.one_version() == "1.2.0rc1 of 2027-01-02"
    release.set_version("1.2.0", "2027-02-03")
    assert release.one_version() == "1.2.0 of 2027-02-03"


def test_what_has_no_place_for_a_version_changes_nothing(release: ModuleType) -> None:
    changelog = release.ROOT / "CHANGELOG.md"
    changelog.write_text("# Changes\n", encoding="utf-8")
    with pytest.raises(SystemExit, match=r"CHANGELOG\.md has no line"):
        release.set_version("1.2.0", "2027-02-03")
    with pytest.raises(SystemExit, match=r"1\.2 is no version"):
        release.set_version("1.2", "2027-02-03")
    assert release.current_version() == __version__


def test_files_that_differ(release: ModuleType) -> None:
    release.set_version("1.2.0", "2027-02-03")
    (release.ROOT / "wsdl/_version.py").write_text('__version__ = "1.3.0"\n', encoding="utf-8")
    with pytest.raises(release.Missing, match="differ"):
        release.one_version()
    changelog = release.ROOT / "CHANGELOG.md"
    changelog.write_text(f"\n## 1.3.0, {release.UNRELEASED}\n", encoding="utf-8")
    with pytest.raises(release.Missing, match=r"make version VERSION=1\.3\.0"):
        release.one_version()


def test_a_command_that_fails_is_shown(release: ModuleType) -> None:
    with pytest.raises(release.Missing, match=r"(?s)sh -c echo said; false.*said"):
        release.run("sh", "-c", "echo said; false")
