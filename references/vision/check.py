"""Compares the networks with those of timm and torchvision: names and shapes of weights, and outputs.

    make vision

Prints how far outputs differ for the same random weights. It needs both packages, which the tests don't; a torchvision
whose compiled part doesn't load is enough.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn

from references.vision import networks

NETWORKS: dict[str, tuple[Callable[[], nn.Module], str, str | None]] = {  # and their names in timm and in torchvision
    "ResNet-18": (networks.resnet18, "resnet18", "resnet18"),
    "ResNet-50": (networks.resnet50, "resnet50", "resnet50"),
    "MobileNetV2": (networks.mobilenetv2, "mobilenetv2_100", "mobilenet_v2"),
    "MobileNetV3": (networks.MobileNetV3, "mobilenetv3_large_100", None),  # whose `eps` differ
    "EfficientNet-B0": (networks.efficientnet_b0, "efficientnet_b0", "efficientnet_b0"),
    "ConvNeXt-T": (networks.ConvNeXt, "convnext_tiny", "convnext_tiny"),
    "RegNetY-800MF": (networks.RegNet, "regnety_008", None),  # whose widths differ
}
LIBRARIES: list[torch.library.Library] = []  # what they define ends with them
NEAR = 1e-4  # of the largest output


def torchvision() -> Any:
    """The package; what its compiled part would define is declared, and not used."""
    spec = find_spec("torchvision")
    if spec is None or spec.origin is None:
        raise SystemExit("torchvision isn't installed")
    library = torch.library.Library("torchvision", "FRAGMENT")
    LIBRARIES.append(library)
    source = Path(spec.origin).with_name("_meta_registrations.py").read_text("utf-8")
    for name in {*re.findall(r'register_meta\("(\w+)"', source), "nms", "qnms", "qroi_align"}:
        if not hasattr(torch.ops.torchvision, name):
            boxes = "Tensor dets, Tensor scores, float iou_threshold" if name == "nms" else "Tensor x"
            library.define(f"{name}({boxes}) -> Tensor")
    return importlib.import_module("torchvision")


def difference(ours: nn.Module, theirs: nn.Module) -> float:
    """How far the outputs differ, as a share of the largest."""
    image = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted = theirs.eval()(image)
        return float((ours.eval()(image) - wanted).abs().max() / wanted.abs().max())


def main() -> int:
    """The number of networks that differ."""
    vision, wrong = torchvision().models, 0
    timm = importlib.import_module("timm")  # which imports torchvision
    for name, (make, in_timm, in_torchvision) in NETWORKS.items():
        ours, theirs = make(), timm.create_model(in_timm)
        networks.random_statistics(theirs)
        ours.load_state_dict(theirs.state_dict())  # by name, all of them
        found = {f"timm {timm.__version__}": difference(ours, theirs)}
        if in_torchvision is not None:
            other = getattr(vision, in_torchvision)()
            networks.random_statistics(other)
            in_order = zip(theirs.state_dict().items(), other.state_dict().values(), strict=True)
            ours.load_state_dict({key: value.reshape(like.shape) for (key, like), value in in_order})
            found["torchvision"] = difference(ours, other)
        wrong += any(value > NEAR for value in found.values())
        print(f"{name:15}", *(f"{where} {value:.0e}" for where, value in found.items()))
    return wrong


if __name__ == "__main__":
    raise SystemExit(main())
