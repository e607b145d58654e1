"""Convolutional networks whose convolutions have stride 2 and need no pooling.

daniel2021 appendix D.1 has two: for MNIST 64 and 128 filters of 4x4, ReLU, no normalisation, dense 1024; for 64x64
pictures of cats and dogs 128, 256 and 512 filters of 3x3 with BatchNorm. The paper does not give strides; 2 halves the
image in each layer, as in the networks that these two are taken from. The decoder mirrors the encoder with transposed
convolutions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import nn

from sad_lightning.checks import at_least_zero, choice, true_or_false, whole_numbers
from sad_lightning.errors import InputError
from sad_lightning.networks.network import Network, channels_last


@dataclass(frozen=True, kw_only=True)
class StridedCNN(Network):
    """A strided convolutional network for ``(C, H, H)`` images, H a multiple of 2 to the number of layers.

    Attributes:
        widths: filters of each convolution.
        dense: units of the dense layers between the maps and the representation; may be empty.
        kernel: pixels of a filter's side, 3 or 4.
        leak: slope of the ReLU below zero; 0 for a plain one.
        normalize: whether BatchNorm follows each convolution and each dense layer.
    """

    widths: Sequence[int]
    dense: Sequence[int]
    kernel: int
    leak: float
    normalize: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("widths", "dense"):
            object.__setattr__(self, name, whole_numbers(f"network.{name}", getattr(self, name)))
        choice("network.kernel", str(self.kernel), ("3", "4"))
        at_least_zero("network.leak", self.leak)
        true_or_false("network.normalize", self.normalize)
        if len(self.shape) != 3 or self.shape[1] != self.shape[2]:
            raise InputError(
                f"network: StridedCNN needs square images (C, H, H), the data has {self.shape}; network=mlp is for "
                f"tables"
            )
        if not self.widths or self.shape[1] % 2 ** len(self.widths):
            raise InputError(
                f"network.widths: {len(self.widths)} layers must halve {self.shape[1]} pixels exactly, with at least "
                f"one layer; change network.widths"
            )

    def encoder(self, heads: int = 1) -> nn.Sequential:
        """``(B, C, H, H)`` to ``(B, heads * D)``."""
        layers: list[nn.Module] = []
        channels = self.shape[0]
        for width in self.widths:
            convolution = nn.Conv2d(channels, width, self.kernel, stride=2, padding=1, bias=self._bias)
            layers += [convolution, *self._activation(nn.BatchNorm2d, width)]
            channels = width
        units = channels * self._side**2
        layers.append(nn.Flatten())
        for width in self.dense:
            layers += [nn.Linear(units, width, bias=self._bias), *self._activation(nn.BatchNorm1d, width)]
            units = width
        return channels_last(*layers, nn.Linear(units, heads * self.rep_dim, bias=self.bias))

    def decoder(self) -> nn.Sequential:
        """``(B, D)`` to ``(B, C, H, H)`` in [0, 1]."""
        layers: list[nn.Module] = []
        units, maps = self.rep_dim, self.widths[-1] * self._side**2
        for width in (*reversed(self.dense), maps):
            layers += [nn.Linear(units, width, bias=self._bias), *self._activation(nn.BatchNorm1d, width)]
            units = width
        layers.append(nn.Unflatten(1, (self.widths[-1], self._side, self._side)))
        for channels, width in pairwise(reversed(self.widths)):
            layers += [self._doubling(channels, width, self._bias), *self._activation(nn.BatchNorm2d, width)]
        return channels_last(*layers, self._doubling(self.widths[0], self.shape[0], self.bias), nn.Sigmoid())

    def _doubling(self, channels: int, width: int, bias: bool) -> nn.Module:
        more = 4 - self.kernel  # output padding of one pixel, so that a 3x3 filter doubles exactly
        return nn.ConvTranspose2d(channels, width, self.kernel, stride=2, padding=1, output_padding=more, bias=bias)

    @property
    def _bias(self) -> bool:
        return self.bias and not self.normalize  # before BatchNorm a bias has no effect

    @property
    def _side(self) -> int:
        side: int = self.shape[1] // 2 ** len(self.widths)
        return side

    def _activation(self, norm: type[nn.BatchNorm1d] | type[nn.BatchNorm2d], width: int) -> list[nn.Module]:
        activation = nn.LeakyReLU(self.leak) if self.leak else nn.ReLU()
        return [norm(width, eps=1e-4, affine=self.bias), activation] if self.normalize else [activation]
