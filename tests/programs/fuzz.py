"""`python -m tests.programs.fuzz --seed 0 --cases 10000`: random valid programs against their twins in PyTorch.

Each program runs in a process that others run in too, and takes the next one after it if it ends it. A failure prints
the seed, the program, a smaller one that fails alike, and the command for this one alone.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.programs.compare import Attempt, Configuration
from tests.programs.compare_training import run
from tests.programs.description import Description
from tests.programs.draw import draw
from tests.programs.shrink import shrunk
from tests.programs.tolerance import Wrong
from tests.programs.write import text_of
from wsdl.diagnostics import CompileError
from wsdl.diagnostics.render import render

SECONDS = 120  # of CPU, for one program
NOT_DRAWN = "not drawn"


def outcome(program: Description, seed: int, configuration: Configuration, counts: Counter[str]) -> tuple[str, str]:
    """The kind of failure, `""` where there is none, and what to say of it."""
    attempt = Attempt(program, seed, configuration, counts)
    try:
        run(attempt)
    except Wrong as wrong:
        return _kind(str(wrong)), str(wrong)
    except Exception as error:
        findings = render(error.diagnostics) if isinstance(error, CompileError) else str(error)
        said = f"{findings}\n{''.join(traceback.format_exception(error, limit=-6))}"
        return type(error).__name__, said
    return "", ""


def _kind(text: str) -> str:
    """A failure without what changes from program to program."""
    codes = re.findall(r"error\[(E\d+)\]", text)
    head = text.splitlines()[0]
    if "off by" in head:
        head = head.split(":")[0]
    head = re.sub(r"`[^`]*`|\b[mk]\.[\w.\[\]]+|\{.*?\}|\bmetric\d+|\bout\d+|[\d.]+", "…", head)
    return " ".join([head, *codes[:1]])


def apart(program: Description, seed: int, configuration: Configuration) -> str:
    """The kind of failure, found in a process of its own: what ends it has the name of its signal."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            os.write(writing, outcome(program, seed, configuration, Counter())[0].encode()[:4000])
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        kind = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    return signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else kind


def smaller(program: Description, seed: int, configuration: Configuration, kind: str) -> Description:
    fails: Callable[[Description], bool] = lambda other: apart(other, seed, configuration) == kind  # noqa: E731  # its name
    return shrunk(program, fails)


def _run(*arguments: str) -> str:
    """What this module prints: it forks, which a process of several threads may not."""
    command = [sys.executable, "-m", "tests.programs.fuzz", *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout


def report(seed: int, kind: str, said: str, *, shrinks: bool = True) -> str:
    """All there is to say of a failure."""
    if kind == NOT_DRAWN:
        return f"seed {seed}: {said}"
    program, configuration = draw(seed), Configuration.drawn(seed)
    parts = [f"seed {seed}: {said or kind}", f"{configuration}", text_of(program)]
    if shrinks:
        parts += ["which comes of", _run("--shrink", kind, "--seed", str(seed))]
    return "\n".join([*parts, f"again: python -m tests.programs.fuzz --seed {seed} --cases 1\n"])


# -- many --------------------------------------------------------------------------------------------------------------


def work(first: int, last: int) -> None:
    """Run programs, and write a line of JSON before each and behind each. The program that a seed is may not depend on
    the hashes of this process, so its text is written too."""
    for seed in range(first, last):
        print(json.dumps({"begun": seed}), flush=True)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        counts, text = Counter[str](), ""
        try:
            program = draw(seed)
            text = text_of(program)
        except Exception as error:
            kind, said = NOT_DRAWN, "".join(traceback.format_exception(error, limit=-6))
        else:
            kind, said = outcome(program, seed, Configuration.drawn(seed), counts)
        print(json.dumps({"ended": seed, "kind": kind, "said": said, "counts": counts, "text": text}), flush=True)


@dataclass
class Tally:
    """What became of many programs."""

    shrinks: bool
    counts: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)

    def run(self, first: int, last: int) -> None:
        """Run a range of seeds in a process, and in another one from where that ended."""
        while first < last:
            arguments = ["--work", "--seed", str(first), "--cases", str(last - first)]
            command = [sys.executable, "-m", "tests.programs.fuzz", *arguments]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                assert process.stdout is not None
                begun = None
                for entry in map(json.loads, process.stdout):
                    begun = entry.get("begun")
                    if begun is None:
                        first = entry["ended"] + 1
                        self.counts.update(entry["counts"])
                        self._add(entry["ended"], entry["kind"], entry["said"])
                        if entry["kind"] != NOT_DRAWN and text_of(draw(entry["ended"])) != entry["text"]:
                            self._add(entry["ended"], NOT_DRAWN, "another program in each process")
            if begun is not None:
                self._add(begun, _ending(process.returncode), "ends the process")
                first = begun + 1
            elif first < last:
                raise RuntimeError(f"seed {first}: the process could not begin")

    def _add(self, seed: int, kind: str, said: str) -> None:
        if kind:
            self.failures[kind] += 1
            print(report(seed, kind, said, shrinks=self.shrinks), flush=True)


def _ending(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit {code}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="of the first program; the others have the ones after it")
    parser.add_argument("--cases", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at a time")
    parser.add_argument("--no-shrink", action="store_true")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--shrink", help=argparse.SUPPRESS)  # the kind of a failure
    options = parser.parse_args()
    if options.work:
        work(options.seed, options.seed + options.cases)
        return 0
    if options.shrink is not None:
        seed = options.seed
        print(text_of(smaller(draw(seed), seed, Configuration.drawn(seed), options.shrink)))
        return 0
    start, tally = time.monotonic(), Tally(not options.no_shrink)
    ends = [options.seed + options.cases * job // options.jobs for job in range(options.jobs + 1)]
    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(tally.run, ends, ends[1:]))
    compared = ", ".join(f"{count:,} {what}" for what, count in tally.counts.most_common())
    print(f"{options.cases:,} programs from seed {options.seed} on in {time.monotonic() - start:,.0f} s: {compared}")
    for kind, count in tally.failures.most_common():
        print(f"{count:6,} {kind}")
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main())
