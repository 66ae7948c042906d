"""Three questions about words, each with a data set of its own (`examples/trainings/words.wsd`): `make words`.

One trunk learns from all of them, by turns or mixed, or a network is trained for each. Writes the table of
`docs/several-trainings.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import wsdl
from benchmarks import page_tables
from wsdl.diagnostics.span import Source

ROOT = Path(__file__).parents[1]
DATA = ROOT / "examples" / "data" / "words"
PROGRAM = ROOT / "examples" / "trainings" / "words.wsd"
PAGE = ROOT / "docs" / "several-trainings.md"
QUESTIONS = {"count": "syllables", "place": "stress", "sound": "first"}  # trainings, with the outputs that answer them
EPOCHS, BATCH, SEEDS = 2, 64, (0, 1, 2)
Arrays = dict[str, NDArray[Any]]


def thirds(seed: int, rows: int | None = None) -> dict[str, Arrays]:
    """A third of the words for each question."""
    words = {name: array[:rows] for name, array in np.load(DATA / "train.npz").items()}
    places = np.array_split(np.random.default_rng(seed).permutation(len(words["letters"])), 3)
    return {
        name: {"letters": words["letters"][own], name: words[name][own]}
        for name, own in zip(QUESTIONS, places, strict=True)
    }


def right(program: wsdl.Program, weights: Mapping[str, Any], name: str) -> float:
    """The share of the words of the test set whose question a network answers correctly."""
    test = np.load(DATA / "test.npz")
    answers = program.session("words", weights=weights)(letters=test["letters"])[QUESTIONS[name]]
    return float(np.mean(answers.argmax(1) == test[name]))


def together(order: str, seed: int, data: Mapping[str, Arrays]) -> tuple[list[float], int]:
    """The accuracies of one trunk that learns from all data sets, by `turns` or `mix`, and the number of its steps."""
    text = PROGRAM.read_text("utf-8").replace("mix {", f"{order} {{")
    program = wsdl.compile(Source(str(PROGRAM), text), seed=seed)
    trainers = program.trainers(batch=BATCH, seed=seed)
    wsdl.fit(trainers, data, epochs=EPOCHS)
    return [right(program, trainers.weights, name) for name in QUESTIONS], trainers.steps


def apart(seed: int, data: Mapping[str, Arrays]) -> tuple[list[float], int]:
    """The accuracies of a network for each question, and the number of steps of each."""
    program, found, steps = wsdl.compile(PROGRAM, seed=seed), [], 0
    for name in QUESTIONS:
        trainer = program.trainer(name, batch=BATCH, seed=seed)
        wsdl.fit(trainer, data[name], epochs=EPOCHS)
        found.append(right(program, {**program.stored, **trainer.weights}, name))
        steps = trainer.steps
    return found, steps


def main() -> None:
    lines = ["| | syllables | stress | first sound |", "|---|---:|---:|---:|"]
    for order in ("turns", "mix", ""):
        runs = [together(order, s, thirds(s)) if order else apart(s, thirds(s)) for s in SEEDS]
        print(order, runs, flush=True)
        shares, steps = 100 * np.array([each for each, _ in runs]), [f"{made:,}" for _, made in runs]
        means, deviations = shares.mean(axis=0), shares.std(axis=0, ddof=1)
        cells = [f"{mean:.1f} ± {std:.1f} %" for mean, std in zip(means, deviations, strict=True)]
        title = f"`{order} {{ count 1, place 1, sound 1 }}`" if order else "a network for each"
        made = " to ".join(dict.fromkeys([min(steps), max(steps)]))
        lines.append(f"| {title}, {made} steps{'' if order else ' each'} | {' | '.join(cells)} |")
    page_tables.write(PAGE, "<!-- words: written by `make words` -->", lines)


if __name__ == "__main__":
    main()
