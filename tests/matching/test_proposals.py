"""What is proposed for the tensors of a file: a program, a listing, and the `load` statements with what is left.

Each proposal is valid: put behind its program, it fills what it says from a file with this listing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.golden import Golden
from tests.stages import storage_of
from wsdl.diagnostics import Problems
from wsdl.ir.weight_files import Listing, TensorInfo
from wsdl.matching.proposal import propose
from wsdl.sharing.match_weights import match_weights

FIXTURES = sorted((Path(__file__).parent / "fixtures").glob("*.txt"))
BETWEEN = "// -----\n"


def cases(path: Path) -> Iterator[tuple[str, str, str]]:
    """The title, the program and the listing of each case of a file."""
    for text in path.read_text("utf-8").split(BETWEEN):
        head, _, rest = text.partition("\n")
        program, _, rest = rest.partition("// file\n")
        yield head.removeprefix("// "), program, rest.partition("// proposal\n")[0]


def listing_of(text: str) -> Listing:
    tensors = {}
    for line in text.splitlines():
        name, _, type = line.rpartition(": ")
        dtype, _, sizes = type.rstrip("]").partition("[")
        tensors[name] = TensorInfo(dtype, tuple(int(size) for size in sizes.split(",") if size))
    return Listing("w.safetensors", tensors)


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_proposals(path: Path, golden: Golden) -> None:
    done = []
    for title, program, listing in cases(path):
        proposal = propose(storage_of(program), listing_of(listing), '"w.safetensors"')
        left = [*(f"left {each}" for each in proposal.left), *(f"unused {each}" for each in proposal.unused)]
        said = "".join(f"{line}\n" for line in left)
        done.append(f"// {title}\n{program}// file\n{listing}// proposal\n{proposal.text}{said}")
    golden(path, BETWEEN.join(done))


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_they_are_valid(path: Path) -> None:
    for title, program, text in cases(path):
        listing = listing_of(text)
        proposal = propose(storage_of(program), listing, '"w.safetensors"')
        storage, problems = storage_of(f"{program}\n{proposal.text}"), Problems()
        fills = match_weights(storage, [(request, listing) for request in storage.checked.loads], problems)
        assert not problems.errors, (title, problems.errors)
        assert {(fill.tensor, fill.slot) for fill in fills} == {
            (match.tensor, match.parameter) for line in proposal.lines for match in line.matches
        }, title


TIED = """
model m(ids: i64[n]) -> (logits: f32[n, 20]) {
    layer tok = Embedding(20, 8)
    layer head = Dense(20, bias=false)
    return tok(ids) |> head
}
"""


def test_a_tensor_with_two_names() -> None:
    """As `torch.save` and `safetensors.torch.save_model` write tied layers: each name is as good as the other."""
    listing = Listing("w.pt", {"lm_head.weight": TensorInfo("f32", (20, 8))}, {"wte.weight": "lm_head.weight"})
    proposal = propose(storage_of(TIED), listing, '"w.pt"')
    assert [str(line) for line in proposal.lines] == [
        '"wte.weight" -> tok.weight',
        '"lm_head.weight" -> head.weight',
    ]
    assert not proposal.unused


def test_what_other_names_are_views_of() -> None:
    """Of an ONNX file: a matrix under the name that its exporter gave it, and as the weight of its layer."""
    tensors = {"onnx::MatMul_7": TensorInfo("f32", (8, 20)), "out.weight": TensorInfo("f32", (20, 8))}
    listing = Listing("w.onnx", tensors, parts={"out.weight": ("onnx::MatMul_7",)})
    proposal = propose(storage_of(TIED), listing, '"w.onnx"', "m.head")
    assert [str(line) for line in proposal.lines] == ['"out.weight" -> weight']
    assert not proposal.unused
