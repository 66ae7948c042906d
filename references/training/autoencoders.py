"""Autoencoders, tied and free."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def scaled(image: Tensor) -> Tensor:
    return image.float() / 255


class Dense(nn.Module):
    """Where it is tied, `decode` has a bias only."""

    def __init__(self, tied: bool, code: int = 64) -> None:
        super().__init__()
        self.encode, self.decode = nn.Linear(784, code), nn.Linear(code, 784)
        self.gain = nn.Parameter(torch.full([code], 4.0))
        if tied:
            del self.decode.weight
        self.tied = tied

    def forward(self, image: Tensor) -> Tensor:
        code = self.gain * F.relu(self.encode(scaled(image).flatten(1)))
        weight = self.encode.weight.T if self.tied else self.decode.weight
        return torch.sigmoid(F.linear(code, weight, self.decode.bias)).view(-1, 1, 28, 28)


class Convolutional(nn.Module):
    """Where it is tied, `decode` has a bias only."""

    def __init__(self, tied: bool, code: int = 64) -> None:
        super().__init__()
        self.down1, self.down2 = nn.Conv2d(1, 16, 4, 2, 1), nn.Conv2d(16, 32, 4, 2, 1)
        self.encode, self.decode = nn.Linear(32 * 7 * 7, code), nn.Linear(code, 32 * 7 * 7)
        self.up2, self.up1 = nn.ConvTranspose2d(32, 16, 4, 2, 1), nn.ConvTranspose2d(16, 1, 4, 2, 1)
        if tied:
            self.up1.weight, self.up2.weight = self.down1.weight, self.down2.weight
            del self.decode.weight
        self.tied = tied

    def forward(self, image: Tensor) -> Tensor:
        x = F.relu(self.down2(F.relu(self.down1(scaled(image)))))
        code = F.relu(self.encode(x.flatten(1)))
        weight = self.encode.weight.T if self.tied else self.decode.weight
        x = F.relu(F.linear(code, weight, self.decode.bias)).view(-1, 32, 7, 7)
        return torch.sigmoid(self.up1(F.relu(self.up2(x))))


class Autoencoder(nn.Module):
    """Learns to give back the image."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor) -> Tensor:
        return self.net(image)

    def loss(self, image: Tensor) -> Tensor:
        return F.mse_loss(self(image), scaled(image))


class Anomaly(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = Dense(tied=True, code=32)

    def forward(self, image: Tensor) -> Tensor:
        return ((self.net(image) - scaled(image)) ** 2).mean((1, 2, 3))

    def loss(self, image: Tensor) -> Tensor:
        return self(image).mean()


class Denoiser(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2 = nn.Conv2d(1, 16, 4, 2, 1), nn.Conv2d(16, 32, 4, 2, 1)
        self.up2, self.up1 = nn.ConvTranspose2d(32, 16, 4, 2, 1), nn.ConvTranspose2d(16, 1, 4, 2, 1)
        self.up2.weight, self.up1.weight = self.down2.weight, self.down1.weight

    def forward(self, noisy: Tensor) -> Tensor:
        x = F.relu(self.down2(F.relu(self.down1(scaled(noisy)))))
        return torch.sigmoid(self.up1(F.relu(self.up2(x))))

    def loss(self, noisy: Tensor, clean: Tensor) -> Tensor:
        return F.mse_loss(self(noisy), scaled(clean))
