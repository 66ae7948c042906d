"""`python -m benchmarks.recursive`: MiniLM with one layer in the place of six.

For each variant of `examples/minilm_recursive.wsd`: what the fit loses of each matrix, and how much of the order of
sentences by similarity is left, before and after distillation. It writes the tables of `docs/recursive-minilm.md`. What
was measured before is kept in `build/recursive-STEPS.json`, and not measured again.

The order of sentences: the cosines of all pairs of two sentences, in the original and in the variant, and Spearman's
rank correlation between them.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

import wsdl
from benchmarks import page_tables
from examples.demo import QUERIES, SENTENCES
from wsdl.diagnostics.figures import size

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
PAGE = ROOT / "docs" / "recursive-minilm.md"
BUILD = ROOT / "build"
VARIANTS = ("plain", "delta16", "delta64", "delta256", "whole64", "basis128", "basis256")
MATRICES = ("attn.query", "attn.key", "attn.value", "attn.out", "ffn.up", "ffn.down")
BATCH, AT_ONCE = 16, 64  # sentences for each step, and for each run
TESTED = 256  # sentences

Array: TypeAlias = NDArray[Any]
Sentences: TypeAlias = dict[str, Array]
Weights: TypeAlias = Mapping[str, Array]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recursive", description=__doc__)
    parser.add_argument("variants", nargs="*", default=VARIANTS)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    path = BUILD / f"recursive-{options.steps}.json"
    record: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    measure(options.variants, range(options.seeds), options.steps, record, path)
    write({variant: record[variant] for variant in VARIANTS if variant in record}, options.steps)


def measure(variants: Sequence[str], seeds: Iterable[int], steps: int, record: dict[str, Any], path: Path) -> None:
    """Add to the record what isn't in it."""
    teacher = wsdl.compile(EXAMPLES / "minilm.wsd").session()
    texts = {"demo": words([*SENTENCES, *QUERIES]), "test": rows("test", slice(TESTED))}
    original = {name: vectors(teacher, sentences) for name, sentences in texts.items()}

    @cache
    def lessons(seed: int) -> Sentences:
        sentences = rows("train", slice(seed * steps * BATCH, (seed + 1) * steps * BATCH))
        return {**sentences, "target": vectors(teacher, sentences)}

    for variant in variants:
        missing = [seed for seed in seeds if str(seed) not in record.get(variant, {}).get("runs", {})]
        if variant in record and not missing:
            continue
        start = time.process_time()
        program = wsdl.compile(EXAMPLES / "minilm_recursive.wsd", variant=variant)
        seconds = time.process_time() - start
        if variant not in record:
            record[variant] = {
                "bytes": program.inventory.sizes().bytes,
                "seconds": seconds,
                "lost": dict(program.lost),
                "fitted": compared(program.session(), texts, original),
                "runs": {},
            }
            save(record, path)
        for seed in missing:
            weights, seconds = distilled(program, lessons(seed), seed)
            run = {"seconds": seconds, **compared(program.session(weights=weights), texts, original)}
            record[variant]["runs"][str(seed)] = run
            save(record, path)
            print(variant, seed, run, flush=True)


def distilled(program: wsdl.Program, sentences: Sentences, seed: int) -> tuple[Weights, float]:
    """The weights after one epoch, and the seconds of one processor that it took."""
    trainer = program.trainer(batch=BATCH, seed=seed, threads=1)
    trainer.total_steps = len(sentences["ids"]) // BATCH
    start = time.process_time()
    for step in range(trainer.total_steps):
        trainer.step(part(sentences, slice(step * BATCH, (step + 1) * BATCH)))
    return trainer.weights, time.process_time() - start


def save(record: Any, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(record, indent=1), "utf-8")


# -- sentences and their vectors ---------------------------------------------------------------------------------------


def words(texts: list[str]) -> Sentences:
    tokenizer = Tokenizer.from_file(str(EXAMPLES / "data" / "minilm" / "tokenizer.json"))
    tokenizer.enable_padding()
    encoded = tokenizer.encode_batch(texts)
    return {"ids": np.array([e.ids for e in encoded]), "mask": np.array([e.attention_mask for e in encoded])}


def rows(part: str, of: slice) -> Sentences:
    with np.load(EXAMPLES / "data" / "snippets" / f"{part}.npz") as data:
        return {name: data[name][of] for name in data.files}


def vectors(session: Any, sentences: Sentences) -> Array:
    """[sentences, 384]."""
    starts = range(0, len(sentences["ids"]), AT_ONCE)
    return np.concatenate([session(**part(sentences, slice(s, s + AT_ONCE)))["vector"] for s in starts])


def part(sentences: Sentences, of: Any) -> Sentences:
    return {name: array[of] for name, array in sentences.items()}


# -- what is left ------------------------------------------------------------------------------------------------------


def compared(session: Any, texts: dict[str, Sentences], original: dict[str, Array]) -> dict[str, float]:
    """For each text the rank correlation, and the mean cosine between the two vectors of a sentence."""
    found: dict[str, float] = {}
    for name, sentences in texts.items():
        mine = vectors(session, sentences)
        found[f"{name}_correlation"] = rank_correlation(cosines(mine), cosines(original[name]))
        found[f"{name}_cosine"] = float(np.mean(np.sum(mine * original[name], axis=1)))
    return found


def cosines(unit: Array) -> Array:
    """Those of all pairs of two different rows of length 1: [rows * (rows - 1) / 2]."""
    return (unit @ unit.T)[np.triu_indices(len(unit), 1)]


def rank_correlation(a: Array, b: Array) -> float:
    """Spearman's: the correlation of the ranks; there are no equal numbers here."""
    return float(np.corrcoef(a.argsort().argsort(), b.argsort().argsort())[0, 1])


# -- the page ----------------------------------------------------------------------------------------------------------


def write(record: Any, steps: int) -> None:
    for title, table in (("lost", lost(record)), ("left", left(record, steps))):
        page_tables.write(PAGE, f"<!-- {title}: measured by `make recursive` -->", table)


def lost(record: Any) -> Iterator[str]:
    """Of each matrix the share of its norm, in percent, with the six layers in one cell."""
    yield f"| variant | {' | '.join(f'`{matrix}`' for matrix in MATRICES)} |"
    yield f"|---|{'---|' * len(MATRICES)}"
    for variant, found in record.items():
        lost = found["lost"]  # without what is exact
        shares = [[lost.get(f"minilm.encoder.blocks[{i}].{m}.weight", 0.0) for i in range(6)] for m in MATRICES]
        yield f"| `{variant}` | {' | '.join(' '.join(f'{100 * s:.0f}' for s in row) for row in shares)} |"


def left(record: Any, steps: int) -> Iterator[str]:
    after = f"after {steps} steps"
    yield f"| | stored | fit | demo: fitted | {after} | test: fitted | {after} | cosine: fitted | {after} |"
    yield "|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    original = wsdl.compile(EXAMPLES / "minilm.wsd").inventory.sizes().bytes
    yield f"| the original | {size(original)} | | 1 | | 1 | | 1 | |"
    for variant, found in record.items():
        cells = [size(found["bytes"]), f"{found['seconds']:.0f} s"]
        for measured in ("demo_correlation", "test_correlation", "test_cosine"):
            cells += [f"{found['fitted'][measured]:.2f}", spread([run[measured] for run in found["runs"].values()])]
        yield f"| `{variant}` | {' | '.join(cells)} |"


def spread(results: Sequence[float]) -> str:
    """The mean, and the standard deviation of single trainings."""
    if len(results) < 2:
        return f"{results[0]:.3f}" if results else ""
    return f"{np.mean(results):.3f} ± {np.std(results, ddof=1):.3f}"


if __name__ == "__main__":
    main()
