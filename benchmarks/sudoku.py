"""`python -m benchmarks.sudoku`: two layers that are applied 32 times, against 32 layers.

Trains `examples/training/sudoku.wsd` on puzzles of 4 x 4 and 6 x 6; the same network without sharing; and the same one
with a single round for each step and four steps on each batch, which carry the latent state on or begin anew. It writes
the table of `docs/depth.md`: the share of held-out puzzles whose cells are all right, after the rounds of training and
after other numbers of them. What was measured before is kept in `build/sudoku.json`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, product
from pathlib import Path
from typing import Any

import numpy as np

import wsdl
from benchmarks import page_tables
from wsdl.diagnostics.span import Source

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "depth.md"
RECORD = ROOT / "build" / "sudoku.json"
DATA = ROOT / "examples" / "data" / "sudoku"
PROGRAM = ROOT / "examples" / "training" / "sudoku.wsd"
SIZES, ROUNDS, BATCH = (4, 6), (1, 2, 4, 8, 16), 64
NETWORKS = {
    "sudoku": "2, applied 32 times",
    "unshared": "32",
    "carried": "2, a round for each step, state carried",
    "anew": "2, a round for each step, state reset",
}
HOLD = {"carried": 4, "anew": 4}  # steps on a batch

SOLVE = """
model solve(puzzle: u8[n, cells], rounds: i64) -> (numbers: i64[k, n, cells]) {
    return argmax(reasoner(puzzle, rounds), axis=3) + 1
}
"""
# The state of a round is an input, and the state after it a result.
CARRIED = """
block Round()(puzzle: u8[n, cells], y: f32[n, cells, d], z: f32[n, cells, d]) -> (
    f32[1, n, cells, size], f32[n, cells, d], f32[n, cells, d]
) {
    layer net = Sequential([EncoderLayer(3, 2 * d, relative=Units()) for i in 0..2])
    x = cast(puzzle, i64) |> Embedding(size + 1, d) |> LayerNorm()
    scan step in 0..3 with z = z {
        z = net(x + y + z)
    }
    y = net(y + z)
    return (y |> Dense(size)).reshape(1, n, cells, size), y, z
}

layer once = Round()

model carried(puzzle: u8[n, cells], y: f32[n, cells, d], z: f32[n, cells, d]) -> (
    logits: f32[1, n, cells, size], next_y: f32[n, cells, d], next_z: f32[n, cells, d]
) {
    return once(puzzle, y, z)
}

model anew(puzzle: u8[n, cells]) -> (logits: f32[1, n, cells, size]) {
    logits, y, z = once(puzzle, zeros([n, cells, d]), zeros([n, cells, d]))
    return logits
}

model solve(puzzle: u8[n, cells], rounds: i64) -> (numbers: i64[k, n, cells]) {
    numbers = scan round in 0..rounds with y = zeros([n, cells, d]), z = zeros([n, cells, d]) {
        logits, y, z = once(puzzle, y, z)
        emit argmax(logits[0], axis=2) + 1
    }
    return numbers
}
"""
CARRY = """
    carry y = zeros([n, cells, d])
    carry z = zeros([n, cells, d])
    y = next_y
    z = next_z
}
"""
UNSHARED = """
## Weights of their own for each time that two layers are applied, all trained by the answers of all rounds.
model unshared(puzzle: u8[n, cells]) -> (logits: f32[4, n, cells, size]) {
    layer nets[16] = Sequential([EncoderLayer(3, 2 * d, relative=Units()) for i in 0..2])
    layer head = Dense(size)
    x = cast(puzzle, i64) |> Embedding(size + 1, d) |> LayerNorm()
    y, z = zeros([n, cells, d]), zeros([n, cells, d])
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
    parser.add_argument("networks", nargs="*", default=NETWORKS, help=f"some of {', '.join(NETWORKS)}")
    parser.add_argument("--batches", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    record: dict[str, Any] = json.loads(RECORD.read_text("utf-8")) if RECORD.exists() else {}
    for size, name, seed in product(SIZES, options.networks, range(options.seeds)):
        key = f"{size} {name} {options.batches} {seed}"
        if key not in record:
            record[key] = trained(name, size, seed, options.batches)
            RECORD.parent.mkdir(exist_ok=True)
            RECORD.write_text(json.dumps(record, indent=1), "utf-8")
            print(key, record[key], flush=True)
    page_tables.write(PAGE, "<!-- solved: measured by `make sudoku` -->", table(record, options.batches))


def program(name: str, size: int) -> wsdl.Program:
    """One of the networks, with the same `train`, for one size of puzzles."""
    text = PROGRAM.read_text("utf-8").replace("let size = 6", f"let size = {size}")
    if name == "sudoku":
        return wsdl.compile(Source("sudoku.wsd", text + SOLVE))
    units, training = text[: text.index("## Recursive")], text[text.index("train sudoku") :].replace("sudoku", name)
    if name == "carried":
        training = training.rstrip().removesuffix("}") + CARRY
    return wsdl.compile(Source(f"{name}.wsd", units + (UNSHARED if name == "unshared" else CARRIED) + training))


def trained(name: str, size: int, seed: int, batches: int) -> dict[str, Any]:
    """The number of parameters, the seconds of one processor, and the share of the test puzzles that are solved, by the
    number of rounds."""
    start = time.process_time()
    compiled = program(name, size)
    train, test = (dict(np.load(DATA / f"{part}{size}.npz")) for part in ("train", "test"))
    hold = HOLD.get(name, 1)
    trainer = compiled.trainer(name, batch=BATCH, seed=seed, threads=1)
    trainer.total_steps = batches * hold
    for rows in islice(drawn(len(train["puzzle"]), seed), batches):
        for number in range(hold):
            trainer.step({key: array[rows] for key, array in train.items()}, again=number > 0)
    seconds = time.process_time() - start
    if name == "unshared":
        solved = {"4": trainer.evaluate(test)["solved"]}
    else:
        session = compiled.session("solve", weights=trainer.weights)
        solved = {str(rounds): share(session, test, rounds) for rounds in ROUNDS}
    parameters = compiled.inventory.sizes(name).parameters
    return {"parameters": parameters, "seconds": seconds, "solved": solved}


def drawn(rows: int, seed: int) -> Iterator[Any]:
    """Batches of rows, in another order in each epoch."""
    rng = np.random.default_rng(seed)
    while True:
        order = rng.permutation(rows)
        yield from (order[start : start + BATCH] for start in range(0, rows - BATCH + 1, BATCH))


def share(session: Any, test: Mapping[str, Any], rounds: int) -> float:
    """The share of the puzzles that are solved after these rounds."""
    numbers = session(puzzle=test["puzzle"], rounds=np.int64(rounds))["numbers"][-1]
    return float((numbers == test["solution"]).all(axis=1).mean())


def table(record: Mapping[str, Any], batches: int) -> Iterator[str]:
    columns = [f"{rounds} round{'s' * (rounds > 1)}" for rounds in ROUNDS]
    yield f"| puzzles | layers | parameters | {' | '.join(columns)} |"
    yield f"|---|---|---:|{'---:|' * len(ROUNDS)}"
    for size, (name, layers) in product(SIZES, NETWORKS.items()):
        runs = [run for key, run in record.items() if key.startswith(f"{size} {name} {batches} ")]
        cells = [spread([run["solved"].get(str(rounds)) for run in runs]) for rounds in ROUNDS]
        if runs:
            yield f"| {size} x {size} | {layers} | {runs[0]['parameters']:,} | {' | '.join(cells)} |"


def spread(shares: Sequence[float | None]) -> str:
    """The mean of all seeds in percent, and the standard deviation of one."""
    known = [100 * share for share in shares if share is not None]
    if len(known) < 2:
        return f"{known[0]:.1f}" if known else ""
    return f"{np.mean(known):.1f} ± {np.std(known, ddof=1):.1f}"


if __name__ == "__main__":
    main()
