"""A variational autoencoder (`examples/training/vae.wsd`) on Fashion-MNIST, here and in PyTorch: `make vae`.

Both start with the same weights, and see the same batches and the same noise. Writes the table of `docs/randomness.md`
and the picture of images that the model draws, below some of the test images.
"""

from __future__ import annotations

import struct
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import wsdl
from benchmarks import page_tables
from references.training.loading import load_into
from references.training.recipe import Cosine
from references.training.vae import VAE
from wsdl.runtime.batches import Batches

ROOT = Path(__file__).parents[1]
DATA = ROOT / "examples" / "data" / "fashion_mnist"
PROGRAM = ROOT / "examples" / "training" / "vae.wsd"
PAGE, PICTURE = ROOT / "docs" / "randomness.md", ROOT / "docs" / "pictures" / "vae.png"
RECIPE = Cosine(2e-3, warmup=100, weight_decay=0)
EPOCHS, BATCH = 10, 128


def png(pixels: NDArray[Any]) -> bytes:
    """A picture of gray pixels, u8 [height, width], as a PNG file."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    lines = zlib.compress(b"".join(b"\0" + line.tobytes() for line in pixels), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", lines) + chunk(b"IEND", b"")


def grid(images: NDArray[Any], columns: int, scale: int = 2) -> NDArray[np.uint8]:
    """Images from 0 to 1, dark on white, in rows beside each other."""
    inverted = (255 - np.clip(images, 0, 1) * 255).astype(np.uint8)
    framed = np.pad(inverted, ((0, 0), (1, 1), (1, 1)), constant_values=255)
    rows = [np.concatenate(list(framed[at : at + columns]), axis=1) for at in range(0, len(framed), columns)]
    return np.concatenate(rows).repeat(scale, axis=0).repeat(scale, axis=1)


def main() -> None:
    torch.set_num_threads(1)
    train, test = (np.load(DATA / f"{name}.npz")["image"] for name in ("train", "test"))
    program = wsdl.compile(PROGRAM)
    trainer, twin = program.trainer(batch=BATCH, threads=1), VAE()
    load_into(twin, program, "vae")
    batches = Batches({"image": train}, BATCH, seed=0)
    total = EPOCHS * len(list(batches.epoch(0)))
    trainer.total_steps = total
    optimizer, schedule = RECIPE.optimizer(twin, total)
    seconds = {"ours": 0.0, "theirs": 0.0}
    for epoch in range(EPOCHS):
        for batch in batches.epoch(epoch):
            start = time.process_time()
            trainer.step(batch)
            middle = time.process_time()
            loss: Any = twin.loss(torch.from_numpy(batch["image"]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            seconds["ours"] += middle - start
            seconds["theirs"] += time.process_time() - middle
        print(epoch + 1, trainer.evaluate({"image": test}), loss.item(), seconds, flush=True)
    twin.eval()
    ours = trainer.evaluate({"image": test})["loss"]
    with torch.no_grad():
        theirs = twin.loss(torch.from_numpy(test)).item()
    sizes = program.inventory.sizes("vae")
    lines = [
        "| | negative bound of the test images, nats | CPU time of a step |",
        "|---|---:|---:|",
        f"| `vae.wsd` | {ours:.2f} | {1e3 * seconds['ours'] / total:.1f} ms |",
        f"| PyTorch, same weights, batches and noise | {theirs:.2f} | {1e3 * seconds['theirs'] / total:.1f} ms |",
        "",
        f"{EPOCHS} epochs of 60,000 images, batches of {BATCH}, one thread. The model stores {sizes.parameters:,}",
        f"parameters, without sharing {sizes.parameters_without_sharing:,}.",
    ]
    page_tables.write(PAGE, "<!-- vae: written by `make vae` -->", lines)
    drawn = program.session("sample", weights=trainer.weights)(seed=np.array(1))["image"]
    PICTURE.write_bytes(png(grid(np.concatenate([test[:16, 0] / 255, drawn]), columns=16)))


if __name__ == "__main__":
    main()
