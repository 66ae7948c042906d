"""The views of the data that the fetching makes itself: pairs, noise, digits on canvases."""

from __future__ import annotations

import gzip
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from examples.fetch import fashion_mnist, mnist, sudoku


def test_a_file_of_bytes_is_read(tmp_path: Path) -> None:
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, *range(6)])))
    np.testing.assert_array_equal(fashion_mnist.read_idx(path), [[0, 1, 2], [3, 4, 5]])


def test_half_of_the_pairs_are_of_one_class() -> None:
    label = np.arange(1000) % 10
    image = np.repeat(label, 4).reshape(-1, 1, 2, 2).astype(np.uint8)  # shows which class it is
    found = fashion_mnist.pairs({"image": image, "label": label}, np.random.default_rng(0))
    left, right = (found[side][:, 0, 0, 0] for side in ("left", "right"))
    np.testing.assert_array_equal(found["left"], image)
    np.testing.assert_array_equal(left == right, found["same"])
    assert found["same"].mean() == 0.5


def test_noise_is_as_loud_as_it_is_said_to_be() -> None:
    clean = np.full((100, 1, 28, 28), 128, np.uint8)
    found = fashion_mnist.noisy(clean, np.random.default_rng(0))
    near = np.abs(found["noisy"] - 128.0) < 100
    assert np.mean(near) == pytest.approx(0.673, abs=0.01)  # within 0.98 standard deviations of a normal distribution


def test_a_digit_is_resized_as_it_looks() -> None:
    slope = np.tile(np.linspace(0, 1, 20, dtype=np.float32), (20, 1))
    for size in (8, 20, 47):
        bigger = mnist.resized(slope, size)
        assert bigger.shape == (size, size)
        np.testing.assert_allclose(bigger[size // 2], np.linspace(0, 1, size), atol=0.06)
    np.testing.assert_array_equal(mnist.resized(slope, 20), slope)


def test_canvases_say_where_the_digits_are() -> None:
    bar = np.zeros((28, 28), np.float32)
    bar[4:24, 8:20] = 1
    found = mnist.canvases(bar[None], np.array([7]), 50, np.random.default_rng(0))
    for image, label, box in zip(found["image"][:, 0], found["label"], found["box"], strict=True):
        rest = image.copy()
        digits = np.unique(box[label == 7], axis=0).astype(int)
        assert 1 <= len(digits) <= 3
        for left, top, right, bottom in digits:
            assert image[top:bottom, left:right].min() > 200
            rest[top:bottom, left:right] = 0
            assert 9 <= bottom - top <= 48
        assert rest.max() < 50  # nothing is anywhere else
    assert set(np.unique(found["label"])) == {7, mnist.NOTHING}


@pytest.mark.parametrize(("height", "level"), [(9, 0), (15, 0), (16, 1), (27, 1), (28, 2), (48, 2)])
def test_a_digit_belongs_to_the_level_of_its_height(height: int, level: int) -> None:
    places = mnist.cells(np.array([8, 8, 8 + height // 2, 8 + height], np.float32), height)
    ends = np.cumsum([(mnist.SIDE // stride) ** 2 for stride in mnist.STRIDES])
    assert set(np.searchsorted(ends, places, "right")) == {level}


@pytest.mark.parametrize("module", [fashion_mnist, mnist])
def test_without_a_client_for_its_package_it_says_so(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "which", lambda name: None)
    monkeypatch.setattr(fashion_mnist, "FOLDER", "usr/share/no/such/folder")
    with pytest.raises(SystemExit) as ended:
        module.main()
    assert ended.value.code == 0  # the rest of `make data` goes on
    assert "not here" in capsys.readouterr().out


@pytest.mark.parametrize("size", [4, 6])
def test_a_sudoku_has_one_solution(size: int) -> None:
    rng = np.random.default_rng(0)
    puzzles = sudoku.dug([sudoku.solved(size, rng) for _ in range(3)], 2 * size, rng)
    if size == 6:
        puzzles = sudoku.eased(sudoku.moved(puzzles, range(3), 2, rng), 2, rng)
    for puzzle, solution in zip(puzzles["puzzle"].tolist(), puzzles["solution"].tolist(), strict=True):
        assert [*sudoku.solutions(puzzle)] == [solution]
        assert puzzle.count(0) > 0
        for cell, others in enumerate(sudoku.NEIGHBORS[size]):
            assert solution[cell] not in {solution[other] for other in others}
