"""One tower with a normalization, applied twice: the runtime would fold it into a kernel for each use."""

from pathlib import Path

import numpy as np
import torch

import wsdl
from references.examples.catalogue import FOLDER
from references.examples.images import NormTower, distance
from references.weights import module_weights, shake
from tests.compiling import compiled
from wsdl.onnx.proof import prove

# The tower of `siamese_bn.wsd`, used as `siamese.wsd` uses its own.
TOWER = (FOLDER / "siamese_bn.wsd").read_text("utf-8").partition("##")[0]
TEXT = f"""{TOWER}
model siamese(left: f32[n, 1, 28, 28], right: f32[n, 1, 28, 28]) -> (distance: f32[n]) {{
    layer tower = Tower()
    return sqrt(sum((tower(left) - tower(right)) ** 2, axis=1) + 1e-6)
}}
"""


def program() -> tuple[NormTower, wsdl.Program]:
    torch.manual_seed(0)
    tower = NormTower().eval()
    shake(tower)
    return tower, compiled(TEXT, {f"tower.{n}": a for n, a in module_weights(tower).items()}, "siamese")


def test_equal_to_pytorch() -> None:
    tower, ours = program()
    left, right = np.random.default_rng(0).normal(size=(2, 5, 1, 28, 28)).astype(np.float32)
    with torch.no_grad():
        expected = distance(tower(torch.from_numpy(left)), tower(torch.from_numpy(right))).numpy()
    np.testing.assert_allclose(ours.session()(left=left, right=right)["distance"], expected, rtol=1e-4)


def test_stored_once(tmp_path: Path) -> None:
    _, ours = program()
    [path] = ours.models["siamese"].save(tmp_path / "siamese.onnx")
    proofs = prove(path)
    assert proofs.holds, proofs
    assert path.stat().st_size <= 1.01 * ours.inventory.sizes().bytes + 64 * 1024
