"""Three questions about a word, with one trunk and with three."""

from torch import Tensor, nn
from torch.nn import functional as F

from references.examples.sequences import Trunk


class Heads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ask_syllables, self.ask_stress, self.ask_first = nn.Linear(96, 8), nn.Linear(96, 8), nn.Linear(96, 39)

    def loss(self, letters: Tensor, count: Tensor, place: Tensor, sound: Tensor) -> Tensor:
        return sum(
            (F.cross_entropy(*pair) for pair in zip(self(letters), (count, place, sound), strict=True)),
            letters.new_zeros((), dtype=self.ask_first.weight.dtype),
        )


class Together(Heads):
    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk()

    def forward(self, letters: Tensor) -> tuple[Tensor, ...]:
        h = self.trunk(letters)
        return self.ask_syllables(h), self.ask_stress(h), self.ask_first(h)


class Apart(Heads):
    def __init__(self) -> None:
        super().__init__()
        self.trunks = nn.ModuleList(Trunk() for _ in range(3))

    def forward(self, letters: Tensor) -> tuple[Tensor, ...]:
        asks = (self.ask_syllables, self.ask_stress, self.ask_first)
        return tuple(ask(trunk(letters)) for ask, trunk in zip(asks, self.trunks, strict=True))
