"""`python -m benchmarks.sudoku`: two layers that are applied 32 times, against 32 layers.

Trains `examples/training/sudoku.wsd` and the same network without sharing on puzzles of 4 x 4 and 6 x 6, with several
seeds, and writes the table of `docs/depth.md`: the share of held-out puzzles whose cells are all right, after the four
rounds of training and after other numbers of them. What was measured before is kept in `build/sudoku.json`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import wsdl
from wsdl.diagnostics.span import Source

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "depth.md"
RECORD = ROOT / "build" / "sudoku.json"
DATA = ROOT / "examples" / "data" / "sudoku"
PROGRAM = ROOT / "examples" / "training" / "sudoku.wsd"
SIZES, ROUNDS, BATCH = (4, 6), (1, 2, 4, 8, 16), 64
BEGIN, END = "<!-- solved: measured by `make sudoku` -->", "<!-- end -->"

SOLVE = """
model solve(puzzle: u8[n, cells], rounds: i64) -> (numbers: i64[k, n, cells]) {
    return argmax(reasoner(puzzle, rounds), axis=3) + 1
}
"""
UNSHARED = """
## Weights of their own for each time that two layers are applied, all trained by the answers of all rounds.
model unshared(puzzle: u8[n, cells]) -> (logits: f32[4, n, cells, size]) {
    layer nets[16] = Sequential([EncoderLayer(heads=4, width=2 * d), EncoderLayer(heads=4, width=2 * d)])
    layer head = Dense(size)
    x = (cast(puzzle, i64) |> Embedding(size + 1, d)) + Places()()
    y, z = x, zeros([n, cells, d])
    answers = zeros([0, n, cells, size])
    for round in 0..4 {
        for step in 0..3 {
            z = nets[4 * round + step](x + y + z)
        }
        y = nets[4 * round + 3](y + z)
        answers = concat([answers, head(y).reshape(1, n, cells, size)], axis=0)
    }
    return answers
}
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sudoku", description=__doc__)
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    record: dict[str, Any] = json.loads(RECORD.read_text("utf-8")) if RECORD.exists() else {}
    for size in SIZES:
        for name in ("sudoku", "unshared"):
            for seed in range(options.seeds):
                key = f"{size} {name} {options.epochs} {seed}"
                if key not in record:
                    record[key] = trained(name, size, seed, options.epochs)
                    RECORD.parent.mkdir(exist_ok=True)
                    RECORD.write_text(json.dumps(record, indent=1), "utf-8")
                    print(key, record[key], flush=True)
    write(table(record, options.epochs))


def program(name: str, size: int) -> wsdl.Program:
    """Both models, with the same `train`, for one size of puzzles."""
    text = PROGRAM.read_text("utf-8").replace("let size = 6", f"let size = {size}")
    if name == "unshared":
        blocks, training = text[: text.index("layer reasoner")], text[text.index("train sudoku") :]
        return wsdl.compile(Source("unshared.wsd", blocks + UNSHARED + training.replace("sudoku", "unshared")))
    return wsdl.compile(Source("sudoku.wsd", text + SOLVE))


def trained(name: str, size: int, seed: int, epochs: int) -> dict[str, Any]:
    """The number of parameters, and the share of the test puzzles that are solved, by the number of rounds."""
    compiled = program(name, size)
    train, test = (dict(np.load(DATA / f"{part}{size}.npz")) for part in ("train", "test"))
    trainer = compiled.trainer(name, batch=BATCH, seed=seed, threads=1)
    trainer.total_steps = epochs * (len(train["puzzle"]) // BATCH)
    rng = np.random.default_rng(seed)
    for _ in range(epochs):
        order = rng.permutation(len(train["puzzle"]))
        for rows in (order[start : start + BATCH] for start in range(0, len(order) - BATCH + 1, BATCH)):
            trainer.step({key: array[rows] for key, array in train.items()})
    solved = {"4": trainer.evaluate(test)["solved"]}
    if name == "sudoku":
        session = compiled.session("solve", weights=trainer.weights)
        for rounds in ROUNDS:
            numbers = session(puzzle=test["puzzle"], rounds=np.int64(rounds))["numbers"][-1]
            solved[str(rounds)] = float((numbers == test["solution"]).all(axis=1).mean())
    return {"parameters": compiled.inventory.sizes(name).parameters, "solved": solved}


def table(record: Mapping[str, Any], epochs: int) -> Iterator[str]:
    yield f"| puzzles | layers | parameters | {' | '.join(f'{rounds} rounds' for rounds in ROUNDS)} |"
    yield f"|---|---|---:|{'---:|' * len(ROUNDS)}"
    for size in SIZES:
        for name, layers in (("sudoku", "2, applied 32 times"), ("unshared", "32")):
            runs = [run for key, run in record.items() if key.startswith(f"{size} {name} {epochs} ")]
            cells = [spread([run["solved"].get(str(rounds)) for run in runs]) for rounds in ROUNDS]
            if runs:
                yield f"| {size} x {size} | {layers} | {runs[0]['parameters']:,} | {' | '.join(cells)} |"


def spread(shares: Sequence[float | None]) -> str:
    """The mean of all seeds in percent, and the standard deviation of one."""
    known = [100 * share for share in shares if share is not None]
    if len(known) < 2:
        return f"{known[0]:.1f}" if known else ""
    return f"{np.mean(known):.1f} ± {np.std(known, ddof=1):.1f}"


def write(lines: Iterator[str]) -> None:
    before, found, rest = PAGE.read_text("utf-8").partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not found or not ended:
        sys.exit(f"{PAGE} has no place for a table: {BEGIN} and {END}")
    PAGE.write_text("\n".join((before + BEGIN, "", *lines, "", END + after)), "utf-8")


if __name__ == "__main__":
    main()
