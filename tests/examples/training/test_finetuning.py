"""A published encoder with a new layer, frozen and then thawed, learns as in PyTorch: same losses, step by step."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import wsdl
from references.training.catalogue import EXAMPLES, arrays, file

ROOT = EXAMPLES.parent
PROGRAM = EXAMPLES / "training" / "finetune.wsd"
STEPS, ROWS, TOTAL = 8, 4, 60

needs_data = pytest.mark.skipif(
    not file("reviews", "train").exists() or not (EXAMPLES / "data" / "minilm" / "model.safetensors").exists(),
    reason="data or weights are not here: `make data` fetches them",
)


@needs_data
def test_the_losses_of_both_phases() -> None:
    from references.training import finetune

    data = arrays(file("reviews", "train"), 2 * STEPS * ROWS)
    batches = [{name: a[i : i + ROWS] for name, a in data.items()} for i in range(0, 2 * STEPS * ROWS, ROWS)]
    program, twin = wsdl.compile(PROGRAM), finetune.Reviews()
    assert program.drawn == {"reviews.head.weight", "reviews.head.bias"}
    with torch.no_grad():
        for name, parameter in twin.head.named_parameters():
            parameter.copy_(torch.from_numpy(program.stored[f"reviews.head.{name}"]))
    trained, weights = [], None
    for phase, optimizer, ours in (
        ("head", finetune.head_only, batches[:STEPS]),
        ("whole", finetune.whole, batches[STEPS:]),
    ):
        trainer = program.trainer(phase, batch=ROWS, weights=weights, threads=1)
        trainer.total_steps = TOTAL
        losses = [trainer.step(batch) for batch in ours]
        weights = trainer.weights
        tensors = [{name: torch.from_numpy(array) for name, array in batch.items()} for batch in ours]
        expected = finetune.train(twin, optimizer(twin), tensors, TOTAL)
        np.testing.assert_allclose(losses, expected, rtol=1e-4)
        changed = {name for name, array in weights.items() if not np.array_equal(array, program.stored[name])}
        trained.append({name.split(".")[1] for name in changed})
    assert trained == [{"head"}, {"head", "encoder"}]


def test_the_lines_on_the_page() -> None:
    """Without blank lines and comments."""
    twin = ROOT / "references" / "training" / "finetune.py"
    ours, theirs = (sum(bool(line.partition("#")[0].strip()) for line in path.read_text("utf-8").splitlines())
                    for path in (PROGRAM, twin))  # fmt: skip
    page = " ".join((ROOT / "docs" / "fine-tuning.md").read_text("utf-8").split())
    assert f"{ours} lines here, the table of weights included, and {theirs} in PyTorch" in page
