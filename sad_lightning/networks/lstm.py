"""Stacked LSTM networks for sequences (ye2021 appendix C: three layers, for spectrograms of 125 steps and 128 bands).

The encoder reads the sequence, and a linear layer turns the last output of the top layer into the representation. The
decoder reads the representation at every step, and a linear layer turns its outputs into the values of each step. The
paper only gives the number of layers. Recurrent layers can not be stacked in a population: such a network trains alone.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sad_lightning.checks import true_or_false, whole_number
from sad_lightning.errors import InputError
from sad_lightning.networks.network import Network


@dataclass(frozen=True, kw_only=True)
class LSTM(Network):
    """A stacked LSTM for sequences of T steps and F values, as images of one channel ``(1, T, F)``.

    Attributes:
        width: units of each layer.
        layers: how many LSTMs are stacked.
        bounded: whether the decoder ends in a sigmoid; false for values outside [0, 1].
    """

    width: int
    layers: int
    bounded: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        whole_number("network.width", self.width)
        whole_number("network.layers", self.layers)
        true_or_false("network.bounded", self.bounded)
        if len(self.shape) != 3 or self.shape[0] != 1:
            raise InputError(
                f"network: LSTM needs sequences (1, T, F), the data has {self.shape}; network=lenet is for colour "
                f"images, network=mlp for tables"
            )

    def encoder(self, heads: int = 1) -> nn.Module:
        """``(B, 1, T, F)`` to ``(B, heads * D)``."""
        return _Encoder(self.shape[2], self.width, self.layers, heads * self.rep_dim, self.bias)

    def decoder(self) -> nn.Module:
        """``(B, D)`` to ``(B, 1, T, F)``."""
        return _Decoder(self.rep_dim, self.width, self.layers, self.shape, self.bias, self.bounded)


class _Encoder(nn.Module):
    def __init__(self, values: int, width: int, layers: int, units: int, bias: bool) -> None:
        super().__init__()
        self.lstm = nn.LSTM(values, width, layers, bias=bias, batch_first=True)
        self.linear = nn.Linear(width, units, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        outputs, _ = self.lstm(x.squeeze(1).contiguous())  # (B, T, width)
        return self.linear(outputs[:, -1])  # type: ignore[no-any-return]


class _Decoder(nn.Module):
    def __init__(self, units: int, width: int, layers: int, shape: tuple[int, ...], bias: bool, bounded: bool) -> None:
        super().__init__()
        self.steps, self.bounded = shape[1], bounded
        self.lstm = nn.LSTM(units, width, layers, bias=bias, batch_first=True)
        self.linear = nn.Linear(width, shape[2], bias=bias)

    def forward(self, z: Tensor) -> Tensor:
        outputs, _ = self.lstm(z.unsqueeze(1).expand(-1, self.steps, -1).contiguous())
        values = self.linear(outputs).unsqueeze(1)  # (B, 1, T, F)
        return torch.sigmoid(values) if self.bounded else values
