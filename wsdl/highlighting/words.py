"""The words that highlighters color, from the grammar and from the tables of names that the compiler uses."""

from __future__ import annotations

import re
from functools import cache

from wsdl.elaborate.bound_names import BUILTINS
from wsdl.elaborate.kinds import CONFIGURATION
from wsdl.elaborate.scopes import standard_blocks
from wsdl.ir.initializers import INITIALIZERS
from wsdl.ir.training import OPTIMIZERS, SCHEDULES
from wsdl.ir.types import DTYPES
from wsdl.ops import NAMED
from wsdl.syntax.grammar import grammar_path
from wsdl.syntax.mistakes import KEYWORDS


@cache
def words() -> dict[str, tuple[str, ...]]:
    """The words of each group, sorted. `contextual` words are keywords in some places and names elsewhere; `in` stands
    among the operators."""
    reserved = set(KEYWORDS.split("|"))
    constants, operators = {"true", "false", "none"}, {"and", "or", "not", "in"}
    literals = set(re.findall(r'"([a-z]+)"', _rules()))
    groups = {
        "reserved": reserved - constants - operators,
        "contextual": literals - reserved - operators,
        "operators": operators,
        "constants": constants,
        "types": {*DTYPES, *CONFIGURATION} - constants,
        "blocks": {*standard_blocks(), *OPTIMIZERS},
        "functions": {*NAMED, *BUILTINS, *INITIALIZERS, *SCHEDULES},
    }
    return {group: tuple(sorted(members)) for group, members in groups.items()}


def _rules() -> str:
    """The grammar without its comments."""
    return re.sub(r"^//.*", "", grammar_path().read_text("utf-8"), flags=re.MULTILINE)
