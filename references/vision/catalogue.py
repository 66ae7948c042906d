"""The programs of `examples/vision/`, each with the same network in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from shutil import copy

import torch
from safetensors.torch import save_file
from torch import nn

import wsdl
from references.vision import networks

FOLDER = Path(__file__).parents[2] / "examples" / "vision"


@dataclass(frozen=True)
class Network:
    """`examples/vision/<name>.wsd`, the file of weights that it loads, the names of the network in timm and
    torchvision; `None` where torchvision's has other sizes or another `eps`."""

    name: str
    weights: str
    make: Callable[[], nn.Module]
    timm: str
    torchvision: str | None = None

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.name}.wsd"

    def twin(self) -> nn.Module:
        """The network with random weights, statistics included."""
        torch.manual_seed(0)
        module = self.make().eval()
        networks.random_statistics(module)
        return module

    def saved(self, folder: Path, twin: nn.Module) -> Path:
        """The example in a folder, with the weights of the twin beside it."""
        save = torch.save if self.weights.endswith(".pth") else save_file
        save(twin.state_dict(), folder / self.weights)
        return Path(copy(self.path, folder))

    def program(self, folder: Path, twin: nn.Module) -> wsdl.Program:
        """The same, compiled."""
        return wsdl.compile(self.saved(folder, twin))


NETWORKS = (
    Network("resnet50", "resnet50.pth", networks.resnet50, "resnet50", "resnet50"),
    Network("mobilenetv2", "mobilenetv2_100.safetensors", networks.mobilenetv2, "mobilenetv2_100", "mobilenet_v2"),
    Network("mobilenetv3_large", "mobilenetv3_large_100.safetensors", networks.MobileNetV3, "mobilenetv3_large_100"),
    Network(
        "efficientnet_b0", "efficientnet_b0.safetensors", networks.efficientnet_b0, "efficientnet_b0", "efficientnet_b0"
    ),
    Network("regnety_008", "regnety_008.safetensors", networks.RegNet, "regnety_008"),
    Network("convnext_tiny", "convnext_tiny.safetensors", networks.ConvNeXt, "convnext_tiny", "convnext_tiny"),
)
