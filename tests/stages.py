"""Programs in tests, as far as they are to go: from a text to what is stored for it."""

from __future__ import annotations

from functools import lru_cache

from wsdl import compiler
from wsdl.diagnostics import Problems
from wsdl.diagnostics.span import Source
from wsdl.ir.stages import Storage
from wsdl.ops.verify import verify


@lru_cache(maxsize=100)
def storage_of(source: str | Source) -> Storage:
    """What is stored for a program without errors; the same stage for all tests in a row that want it."""
    problems = Problems()
    storage = examined(source if isinstance(source, Source) else Source("m.wsd", source), problems)
    assert storage is not None, [f"{d.span}: {d.code} {d.message}" for d in problems.errors]
    return storage


def examined(source: Source, problems: Problems) -> Storage | None:
    """The same, with all that is wrong in `problems`."""
    program = compiler.check(source, problems)
    if not problems.errors:
        verify(program)
    storage = compiler.store(program, problems)
    compiler.check_variants(program, problems)
    return None if problems.errors else storage
