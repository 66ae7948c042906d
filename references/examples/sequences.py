"""Recurrent networks and the multi-task trunk."""

import re
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class GRU(nn.Module):
    """`nn.GRU` of one layer under the name of the cell that it steps."""

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.cell = nn.GRUCell(inputs, units)

    def forward(self, x: Tensor) -> Tensor:
        cell = self.cell
        gru = nn.GRU(cell.input_size, cell.hidden_size, batch_first=True)
        weights = {f"{name}_l0": value.detach() for name, value in cell.named_parameters()}
        return torch.func.functional_call(gru, weights, (x,))[0]


class GRUClassifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru, self.head = GRU(12, 64), nn.Linear(64, 9)

    def forward(self, frames: Tensor) -> Tensor:
        return self.head(self.gru(frames)[:, -1])


class GRUSiamese(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru = GRU(12, 64)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return F.cosine_similarity(self.gru(left)[:, -1], self.gru(right)[:, -1])


class Trunk(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(27, 32)
        self.conv1, self.conv2 = nn.Conv1d(32, 96, 3, padding=1), nn.Conv1d(96, 96, 5, padding=2)

    def forward(self, letters: Tensor) -> Tensor:
        x = F.relu(self.conv1(self.embed(letters).permute(0, 2, 1)))
        return F.relu(self.conv2(x)).amax(2)


class MultiTask(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk()
        self.syllables, self.stress, self.first = nn.Linear(96, 8), nn.Linear(96, 8), nn.Linear(96, 39)

    def forward(self, letters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h = self.trunk(letters)
        return self.syllables(h), self.stress(h), self.first(h)


class Tagger(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(5000, 64)
        self.lstm = nn.LSTM(64, 64, 2, batch_first=True, bidirectional=True)
        self.last = nn.Linear(128, 17)

    def forward(self, sentence: Tensor) -> Tensor:
        return self.last(self.lstm(self.embed(sentence))[0])

    def state_dict(self, *arguments: Any, **options: Any) -> Any:
        """`lstm.weight_ih_l0_reverse` is `lstm.backward.0.cell.weight_ih` in the language."""
        weights = super().state_dict(*arguments, **options)
        return {
            re.sub(
                r"lstm\.(\w+)_l(\d)(_reverse)?",
                lambda found: f"lstm.{'backward' if found[3] else 'forward'}.{found[2]}.cell.{found[1]}",
                name,
            ): value
            for name, value in weights.items()
        }
