"""A list of layers as configuration: their paths are those of an array, whose places are those of the list."""

from __future__ import annotations

import pytest

from tests.stages import examined, storage_of
from wsdl.diagnostics import Problems
from wsdl.diagnostics.span import Source
from wsdl.ir.stages import Storage


def checked(body: str) -> tuple[Storage | None, list[str]]:
    problems = Problems()
    program = examined(Source("m.wsd", f"model m(x: f32[n, 8]) -> (y: f32[n, 8]) {{\n{body}}}\n"), problems)
    return program, [f"{d.code} {d.message}" for d in problems.diagnostics]


@pytest.mark.parametrize(
    ("layers", "weights"),
    [
        ("[Dense(8, bias=false)]", ["m.f.layers[0].weight"]),
        ("[Dense(8, bias=false), relu, Dense(8, bias=false)]", ["m.f.layers[0].weight", "m.f.layers[2].weight"]),
        ("[relu, tanh]", []),
        (
            '[leaky_relu(0.1), Dense(max(4, 8), bias=false), gelu(approximate="tanh"), maximum(0.5)]',
            ["m.f.layers[1].weight"],
        ),
        # one that was declared before keeps its path, and the list its places
        ("[g, Dense(8, bias=false), g]", ["m.f.layers[1].weight", "m.g.weight"]),
        ("[relu] + [Dense(8, bias=false)]", ["m.f.layers[1].weight"]),
        (
            "[Residual(Dense(8, bias=false)), Sequential([tanh, Dense(8, bias=false)])]",
            ["m.f.layers[0].inner.weight", "m.f.layers[1].layers[1].weight"],
        ),
    ],
)
def test_paths(layers: str, weights: list[str]) -> None:
    has_g = "    layer g = Dense(8, bias=false)\n" if "g" in layers.split(", ")[0] else ""
    program, found = checked(f"{has_g}    layer f = Sequential({layers})\n    return f(x)\n")
    assert program is not None, found
    assert sorted(slot.path for slot in program.checked.slots()) == weights


def test_functions_of_constants_are_numbers_in_a_list() -> None:
    [kernel] = [slot for slot in storage_of(KERNELS).checked.slots() if slot.path == "m.conv2d.weight"]
    assert kernel.sizes == (4, 2, 3, 5)


KERNELS = """
model m(x: f32[n, 2, 9, 9]) {
    return x |> Conv2d(4, kernel=[max(2, 3), floor(5.5)])
}
"""


def test_they_are_shared_and_read_by_these_paths() -> None:
    program, found = checked(
        "    layer f = Sequential([Dense(8), relu, Dense(8)])\n"
        "    share { f.layers[0], f.layers[2] }\n"
        "    y = f(x)\n"
        "    return y @ f.layers[2].weight\n"
    )
    assert program is not None, found
    assert list(program.stored) == ["m.f.layers.0.weight", "m.f.layers.0.bias"]


def test_an_operation_has_no_weights_to_share() -> None:
    _, found = checked(
        "    layer f = Sequential([Dense(8), relu, Dense(8)])\n    share { f.layers[0:2] }\n    return f(x)\n"
    )
    assert len(found) == 1
    assert found[0].startswith("E03")


def test_what_can_not_be_applied_is_said() -> None:
    _, found = checked("    return x |> Sequential([Dense(8), 3])\n")
    assert found == ["E0226 the number 3 can't be applied"]
