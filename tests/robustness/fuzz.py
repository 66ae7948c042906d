"""`make fuzz`: thousands of wrong programs, and what is done with each.

Checking one ends in findings; laying it out changes nothing the second time; and what checks compiles, or says why not.
Anything else, and whatever takes too long or too much memory, is a failure, whose program is kept in `build/fuzz`.
"""

from __future__ import annotations

import argparse
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.mistakes.test_mutations import CHANGES, TOKEN
from wsdl import api, compiler
from wsdl.diagnostics import CompileError, Problems
from wsdl.diagnostics.render import render
from wsdl.diagnostics.span import Source
from wsdl.syntax.formatter import format_source

ROOT = Path(__file__).parents[2]
SEEDS = [p.read_text("utf-8") for f in ("examples", "wsdl/std") for p in sorted((ROOT / f).rglob("*.wsd"))]
WORDS = sorted({token for text in SEEDS for token in TOKEN.findall(text) if token.strip()})
SECONDS = 20  # for one program
MEMORY = 4 << 30  # bytes of addresses, those of the libraries included
SMALL = 200_000  # elements stored; larger programs aren't compiled, which would be drawing numbers only


def mutant(random: Random) -> str:
    """A program of ours with one to six changes."""
    tokens = TOKEN.findall(random.choice(SEEDS))
    for _ in range(random.randint(1, 6)):
        random.choice(CHANGES)(tokens, random)
        tokens = tokens or ["\n"]
    return "".join(tokens)


def truncated(random: Random) -> str:
    """A piece of a program, cut anywhere."""
    text = random.choice(SEEDS)
    start = 0 if random.random() < 0.5 else random.randrange(len(text))
    return text[start : random.randrange(start, len(text) + 1)]


def spliced(random: Random) -> str:
    """The beginning of a program and the end of another one."""
    one, other = random.choice(SEEDS), random.choice(SEEDS)
    return one[: random.randrange(len(one) + 1)] + other[random.randrange(len(other) + 1) :]


def noise(random: Random) -> str:
    """Random bytes, as far as they are text at all."""
    return random.randbytes(random.randint(0, 400)).decode(random.choice(["utf-8", "latin-1", "utf-16"]), "replace")


def soup(random: Random) -> str:
    """Words of programs in any order; sometimes where a body should be."""
    text = " ".join(random.choice(WORDS) if random.random() < 0.9 else "\n" for _ in range(random.randint(1, 60)))
    return text if random.random() < 0.5 else f"model m(x: f32[n, 8]) {{\n    y = {text}\n    return y\n}}\n"


KINDS: tuple[Callable[[Random], str], ...] = (mutant, mutant, mutant, truncated, spliced, noise, soup)


class TooSlow(BaseException):
    """Not an `Exception`, so that nothing takes it for something else."""


def _alarm(*_: object) -> None:
    raise TooSlow


def attempt(text: str) -> str:
    """What became of a program: `refused`, `clean`, `compiled`. Raises whatever should never be raised."""
    problems = Problems()
    source = Source("fuzz.wsd", text)
    program = compiler.store(compiler.check(source, problems), problems)
    assert all(d.span is not None and not d.span.source.is_standard for d in problems), render(problems)
    render(problems)
    laid_out = format_source(source, Problems())
    if laid_out is not None:
        assert format_source(Source("again.wsd", laid_out), Problems()) == laid_out, "not laid out in one go"
    if program is None:
        return "refused"
    if not program.models or program.checked.loads or sum(s.elements for s in program.stored.values()) > SMALL:
        return "clean"
    try:
        compiled = api.compile(source)
        assert compiled.protos
    except CompileError:
        return "refused when compiling"
    return "compiled"


def case(seed: int, number: int) -> str:
    """The text of one case: the same for the same seed and number."""
    random = Random(f"{seed}/{number}")
    return random.choice(KINDS)(random)


def tried(text: str) -> tuple[str, BaseException | None]:
    """What became of a program, and what went wrong with it."""
    signal.signal(signal.SIGALRM, _alarm)
    signal.alarm(SECONDS)
    try:
        return attempt(text), None
    except (Exception, TooSlow) as error:
        return "failed", error
    finally:
        signal.alarm(0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the number of the first case")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    start, ends = time.monotonic(), Counter[str]()
    for number in range(options.first, options.first + options.cases):
        text = case(options.seed, number)
        end, error = tried(text)
        ends[end] += 1
        if error is not None:
            kept = ROOT / "build" / "fuzz" / f"{options.seed}-{number}.wsd"
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(text, encoding="utf-8", errors="replace")
            print(f"{kept.relative_to(ROOT)}: {type(error).__name__}: {str(error)[:300]}", flush=True)
    took = time.monotonic() - start
    listed = ", ".join(f"{count:,} {end}" for end, count in ends.most_common())
    print(f"{options.cases:,} programs of seed {options.seed} in {took:,.0f} s: {listed}")
    return 1 if ends["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
