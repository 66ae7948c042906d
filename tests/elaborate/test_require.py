"""`require`: of sizes that only the run knows, in models, in blocks inside of scans, in training, at file level."""

from __future__ import annotations

import numpy as np
import pytest

import wsdl
from wsdl.diagnostics.run_error import RunError

BODIES = {
    "model": 'require CONDITION, "it\'s no"\n    return x, sum(x, axis=1)',
    "block": "return x |> Checked() |> Checked(), sum(x, axis=1)",
    "scan": "scan s in x along t with h = zeros([n]) { h = h + Inner()(s) }\n    return x, h",
}
BLOCKS = """\
block Checked()(x: [n, t]) -> [n, t] { require CONDITION, "it's no"
    return x
}
block Inner()(x: [n]) -> [n] { require n != 4, "it's no"
    return x
}
"""


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize(
    ("condition", "fits", "wrong"),
    [
        ("t == 2 * n", (2, 4), (2, 5)),
        ("t % 4 == 0", (2, 4), (2, 5)),
        ("n != t", (2, 4), (4, 4)),
        ("t < 5 and n > 1", (2, 4), (4, 6)),
        ("8 >= 2 * t and t <= 9", (2, 4), (4, 5)),
    ],
)
def test_a_run_stops_with_the_message(body: str, condition: str, fits: tuple[int, int], wrong: tuple[int, int]) -> None:
    program = f"{BLOCKS}model m(x: f32[n, t]) -> (y: f32[n, t], z: f32[n]) {{\n    {BODIES[body]}\n}}\n"
    session = wsdl.compile(program.replace("CONDITION", condition)).session()
    session(x=np.ones(fits, np.float32))
    with pytest.raises(RunError, match=r"it`s no: the model needs .*, which these inputs don't satisfy"):
        session(x=np.ones((4, 4) if body == "scan" else wrong, np.float32))


def test_each_output_is_checked_and_no_other_check_is_noted() -> None:
    program = "model m(x: f32[a], y: f32[b]) -> (z: f32[a], w: f32[b]) {{\n{}    return x + y, x * y\n}}\n"
    assert [d.code for d in wsdl.check(program.format(""))] == ["N0401"]
    assert [d.code for d in wsdl.check(program.format("    require a == b\n"))] == []


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("let a = 3\nrequire a > 2", []),
        ('let a = 3\nrequire a > 4, "four"', ["E0420"]),
        ("require b > 4", ["E0201"]),
    ],
)
def test_constants_at_file_level(text: str, codes: list[str]) -> None:
    model = "model m(x: f32[n]) -> (y: f32[n]) { return x }"
    assert [d.code for d in wsdl.check(f"{text}\n{model}\n")] == codes
    assert wsdl.format(f"{text}\n") == f"{text}\n"
