"""LeNet-type convolutional networks (ruff2020 appendix D).

A module is a 5x5 convolution, BatchNorm, leaky ReLU and 2x2 max-pooling; dense layers follow. The decoder mirrors it:
it reads the code as maps of 4x4, upsamples where the encoder pools, and has transposed convolutions. BatchNorm (eps
1e-4, no affine part) is in the authors' code, and in the text of appendix E.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from torch import Tensor, nn
from torch.nn import functional

from sad_lightning.checks import positive, whole_numbers
from sad_lightning.errors import InputError
from sad_lightning.networks.network import Network, channels_last

_SIDE = 4  # of the maps that the decoder starts from
_EPS = 1e-4


def doubled(x: Tensor) -> Tensor:
    """``Doubling`` by strides."""
    height, width = x.shape[-2:]
    wide = x[..., None, :, None].expand(*x.shape[:-1], 2, width, 2)
    return wide.reshape(*x.shape[:-2], 2 * height, 2 * width)


class Doubling(nn.Module):
    """Every pixel becomes four: ``(B, C, H, W)`` to ``(B, C, 2H, 2W)``.

    A GPU copies by strides, whose gradient is a plain sum: a third of an autoencoder's step was the gradient of
    PyTorch's own upsampling there. Its values are the same.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Enlarge maps."""
        return doubled(x) if x.is_cuda else functional.interpolate(x, scale_factor=2)


@dataclass(frozen=True, kw_only=True)
class LeNet(Network):
    """A LeNet-type network for ``(C, H, H)`` images.

    Attributes:
        widths: filters of each convolutional module.
        dense: units of the dense layers between the maps and the representation; may be empty.
        leak: slope of the leaky ReLU below zero; 0.1 in the paper, 0.01 in the authors' code.
    """

    widths: Sequence[int]
    dense: Sequence[int]
    leak: float

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("widths", "dense"):
            object.__setattr__(self, name, whole_numbers(f"network.{name}", getattr(self, name)))
        positive("network.leak", self.leak)
        _square(self.shape)
        if not self.widths or self.shape[1] < 2 ** len(self.widths):
            raise InputError(
                f"network.widths: {len(self.widths)} modules halve {self.shape[1]} pixels {len(self.widths)} times; "
                f"at least one module, and no more than the image has sides to halve"
            )
        self._plan()  # refuses what the decoder can not mirror before anything trains

    @classmethod
    def sized(
        cls,
        *,
        shape: Sequence[int],
        widths: Sequence[int] | None = None,
        dense: Sequence[int] | None = None,
        rep_dim: int | None = None,
        **settings: Any,
    ) -> Self:
        """A LeNet for images of side H; sizes that are None follow the networks for Fashion-MNIST and CIFAR-10.

        At least two modules halve the side until it is 7 or less. The first has 16 filters (32 for images of 32 pixels
        or more), and each next one twice as many, at most 128. The representation has 32 dimensions after a dense layer
        of 64 units (128 and no dense layer for images of 32 pixels or more).
        """
        _square(tuple(shape))
        large = shape[-1] >= 32
        if widths is None:
            widths = [32 if large else 16]
            while shape[-1] // 2 ** len(widths) > 7 or len(widths) < 2:
                widths = [*widths, min(128, 2 * widths[-1])]
        if dense is None:
            dense = [] if large or rep_dim is not None else [64]
        if rep_dim is None:
            rep_dim = 128 if large else 32
        return cls(shape=tuple(shape), widths=widths, dense=dense, rep_dim=rep_dim, **settings)

    def encoder(self, heads: int = 1) -> nn.Sequential:
        """``(B, C, H, H)`` to ``(B, heads * D)``."""
        layers: list[nn.Module] = []
        channels, side = self.shape[0], self.shape[1]
        for width in self.widths:
            layers += [
                nn.Conv2d(channels, width, 5, padding=2, bias=False),
                nn.BatchNorm2d(width, eps=_EPS, affine=self.bias),
                nn.LeakyReLU(self.leak),
                nn.MaxPool2d(2),
            ]
            channels, side = width, side // 2
        layers.append(nn.Flatten())
        units = channels * side * side
        for width in self.dense:
            layers += [
                nn.Linear(units, width, bias=False),
                nn.BatchNorm1d(width, eps=_EPS, affine=self.bias),
                nn.LeakyReLU(self.leak),
            ]
            units = width
        layers.append(nn.Linear(units, heads * self.rep_dim, bias=self.bias))
        return channels_last(*layers)

    def decoder(self) -> nn.Sequential:
        """``(B, D)`` to ``(B, C, H, H)`` in [0, 1]."""
        layers: list[nn.Module] = []
        units = self.rep_dim
        for width in reversed(self.dense):
            layers += [
                nn.Linear(units, width, bias=False),
                nn.BatchNorm1d(width, eps=_EPS, affine=self.bias),
            ]
            units = width
        channels = units // _SIDE**2
        layers += [nn.Unflatten(1, (channels, _SIDE, _SIDE)), nn.LeakyReLU(self.leak)]
        plan = self._plan()
        for number, (width, padding, doubles) in enumerate(plan, start=1):
            if number > 1:
                layers += [nn.BatchNorm2d(channels, eps=_EPS, affine=self.bias), nn.LeakyReLU(self.leak)]
            if doubles:
                layers.append(Doubling())
            bias = self.bias and number == len(plan)  # before BatchNorm a bias has no effect
            layers.append(nn.ConvTranspose2d(channels, width, 5, padding=padding, bias=bias))
            channels = width
        return channels_last(*layers, nn.Sigmoid())

    def _plan(self) -> list[tuple[int, int, bool]]:
        """Filters, padding and upsampling of each transposed convolution.

        The maps double from 4x4 until they cover the image. Where they are too large (16 for a 28x28 image, which needs
        14 before its last doubling) a convolution with more padding cuts them.
        """
        first = self.dense[0] if self.dense else self.rep_dim
        if first % _SIDE**2:
            key = "network.dense" if self.dense else "network.rep_dim"
            raise InputError(f"{key} must be a multiple of {_SIDE**2}, the decoder reads it as 4x4 maps, got {first}")
        target, side = self.shape[1], _SIDE
        doublings = max(0, math.ceil(math.log2(target / _SIDE)))
        widths = [*reversed(self.widths), self.shape[0]]
        plan = []
        for number, width in enumerate(widths):
            remaining = len(widths) - 1 - number
            doubles = remaining < doublings
            side *= 2 if doubles else 1
            surplus = side - math.ceil(target / 2 ** min(remaining, doublings))
            cut = surplus // 2 if surplus > 0 and surplus % 2 == 0 else 0
            side -= 2 * cut
            plan.append((width, 2 + cut, doubles))
        if side != target:
            raise InputError(
                f"network: the decoder of {len(self.widths)} modules reaches {side} pixels, the data has {target}; "
                f"add or remove modules in network.widths, or resize the images to a multiple of 4"
            )
        return plan


def _square(shape: tuple[int, ...]) -> None:
    if len(shape) != 3 or shape[1] != shape[2]:
        raise InputError(
            f"network: LeNet needs square images (C, H, H), the data has {shape}; network=mlp is for tables"
        )
