"""The examples in `examples/transformers/` compute what the classes of `transformers` compute whose files they load.

Each weight is stored once.
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import wsdl
from references.published import FOLDER, PUBLISHED, VOCAB, Published
from tests.golden import Golden
from tests.stages import storage_of
from wsdl.diagnostics.span import Source
from wsdl.ir.inventory import inventory
from wsdl.studies.configurations import with_constants
from wsdl.syntax.read import read

README = FOLDER / "README.md"


CASES = [pytest.param(published, "", id=published.name) for published in PUBLISHED]
CASES += [pytest.param(p, "5KB", id=f"{p.name} in shards") for p in PUBLISHED if p.name in ("llama", "t5")]


@pytest.mark.parametrize(("published", "shards"), CASES)
def test_equal_to_transformers(published: Published, shards: str, tmp_path: Path) -> None:
    twin = published.twin()
    program = published.program(tmp_path, twin, shards)
    assert (len([*tmp_path.rglob("model-*.safetensors")]) > 2) == bool(shards)
    assert not program.drawn
    proofs = program.save(tmp_path / "saved", proof=True)["proof_totals"]
    assert all(totals["holds"] for totals in proofs.values())
    session = program.session(published.name)
    for arrays in published.batches():
        with torch.no_grad():
            expected = published.call(twin, {name: torch.from_numpy(array) for name, array in arrays.items()})
        got = session.run(arrays)
        assert got.keys() == expected.keys()
        for name, theirs in expected.items():
            assert got[name].shape == tuple(theirs.shape), name
            assert np.isfinite(got[name]).all(), name
            rows = slice(None) if published.same_for_padding else arrays["mask"].any(1)
            difference = np.abs(got[name] - theirs.numpy())[rows].max() / np.abs(theirs.numpy()).max()
            assert difference < 1e-4, f"{name} differs by {difference:.1e} of its largest number"


def test_t5_answers_word_by_word(tmp_path: Path) -> None:
    """Read once, decoded many times, out of two files over one file of weights."""
    [published] = [p for p in PUBLISHED if p.name == "t5"]
    twin = published.twin()
    program = published.program(tmp_path, twin)
    program.save(tmp_path / "saved")
    models = wsdl.load(tmp_path / "saved")
    source = np.random.default_rng(1).integers(3, VOCAB, (2, 9))
    mask = np.ones(source.shape, bool)
    memory = models["encode"](source=source, mask=mask)["memory"]
    answer = np.zeros((2, 1), np.int64)
    for _ in range(8):
        logits = models["decode"](target=answer, memory=memory, mask=mask)["logits"]
        answer = np.concatenate([answer, logits[:, -1].argmax(-1)[:, None]], axis=1)
    options = {"max_new_tokens": 8, "min_new_tokens": 8, "do_sample": False, "decoder_start_token_id": 0}
    expected = twin.generate(torch.from_numpy(source), **options)
    assert len(set(answer.flat)) > 2
    assert answer.tolist() == expected.tolist()


def test_gpt2_of_the_hub(tmp_path: Path) -> None:
    """There the names have no `transformer.` in front, and the masks of the attention are among the tensors."""
    [published] = [p for p in PUBLISHED if p.name == "gpt2"]
    twin = published.twin()
    named = {name.removeprefix("transformer."): value for name, value in twin.transformer.state_dict().items()}
    masks = {f"h.{i}.attn.bias": torch.tril(torch.ones(1, 1, 8, 8)) for i in range(2)}
    (tmp_path / "gpt2").mkdir()
    save_file({**named, **masks}, tmp_path / "gpt2" / "model.safetensors")
    source = Source(str(tmp_path / "gpt2.wsd"), published.path.read_text("utf-8").replace('"transformer.', '"'))
    program = wsdl.compile(with_constants(source, {name: str(value) for name, value in published.sizes.items()}))
    [arrays, *_] = published.batches()
    expected = published.call(twin, {name: torch.from_numpy(array) for name, array in arrays.items()})
    np.testing.assert_allclose(program.session().run(arrays)["logits"], expected["logits"].detach(), atol=1e-4)


def test_table(golden: Golden) -> None:
    """The parameters and the lines of each example on the page of the folder."""
    page = README.read_text("utf-8")
    found = find_spec("transformers")  # imports nothing
    assert found is not None
    models = Path(str(found.origin)).parent / "models"
    for published in PUBLISHED:
        source = read(str(published.path))
        assert source is not None
        lines = _lines_of_code(source.text)
        assert len(source.text.splitlines()) <= 100, published.name
        parameters = inventory(storage_of(source)).sizes().parameters
        original = _lines_of_code((models / published.name / f"modeling_{published.name}.py").read_text("utf-8"))
        row = re.compile(rf"^(\| \[`{published.name}\.wsd`\].*?\|.*?\|)(?:[^|]*\|){{3}}$", re.MULTILINE)
        assert row.search(page), f"{published.name} is not on the page"
        page = row.sub(rf"\g<1> {parameters:,} | {lines} | {original:,} |", page)
    golden(README, page)


def _lines_of_code(text: str) -> int:
    """Without blank lines and comments."""
    return sum(bool(line.partition("#")[0].strip()) for line in text.splitlines())


def test_every_example_is_compared() -> None:
    assert {path.stem for path in FOLDER.glob("*.wsd")} == {published.name for published in PUBLISHED}
