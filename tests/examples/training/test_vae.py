"""The variational autoencoder learns as its twin in PyTorch, which draws the same noise, and then draws images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import wsdl
from benchmarks.vae import DATA, PROGRAM, RECIPE
from references.training.loading import load_into
from references.training.vae import VAE

STEPS, ROWS = 20, 16


@pytest.fixture(scope="module")
def images() -> Any:
    if not (DATA / "train.npz").exists():
        pytest.skip("Fashion-MNIST is not here: `make data` fetches it")
    return np.load(DATA / "train.npz")["image"][:2000]


def test_the_bound_of_20_steps_and_of_an_evaluation_as_in_pytorch(images: Any) -> None:
    program = wsdl.compile(PROGRAM)
    trainer = program.trainer(batch=ROWS, seed=3, threads=1)
    trainer.total_steps = 500
    twin = VAE(seed=3)
    load_into(twin, program, "vae")
    optimizer, schedule = RECIPE.optimizer(twin, 500)
    for step in range(STEPS):
        batch = images[step * ROWS : (step + 1) * ROWS]
        expected = twin.loss(torch.from_numpy(batch))
        optimizer.zero_grad()
        expected.backward()
        optimizer.step()
        schedule.step()
        assert trainer.step({"image": batch}) == pytest.approx(expected.item(), rel=1e-4)
    twin.eval()
    with torch.no_grad():
        bound = twin.loss(torch.from_numpy(images[:100])).item()
    assert trainer.evaluate({"image": images[:100]})["loss"] == pytest.approx(bound, rel=1e-4)


def test_it_learns_and_draws(images: Any) -> None:
    """In two epochs of 2,000 images: samples are dark at the edges and light in the middle, as clothes are."""
    program = wsdl.compile(PROGRAM)
    trainer = program.trainer(batch=32)
    before = trainer.evaluate({"image": images[:200]})["loss"]
    wsdl.fit(trainer, {"image": images}, epochs=2)
    assert trainer.evaluate({"image": images[:200]})["loss"] < 0.7 * before
    drawn = program.session("sample", weights=trainer.weights)(seed=np.array(1))["image"]
    middle, edges = drawn[:, 8:20, 10:18].mean(), np.concatenate([drawn[:, :2], drawn[:, -2:]]).mean()
    assert middle > edges + 0.2
    assert np.abs(drawn[0] - drawn[1]).mean() > 0.02
