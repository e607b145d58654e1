"""Multilayer perceptrons for tables (ruff2020 appendix D).

Linear layers with BatchNorm (no affine part) and leaky ReLU; the last layer is only linear. The decoder mirrors it. It
may end in a sigmoid, as in the authors' code; columns must then lie in [0, 1]: ``preprocess.scaling=min_max``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import torch
from torch import Tensor, nn

from sad_lightning.checks import at_least_zero, fraction_to_one, positive, true_or_false, whole_number, whole_numbers
from sad_lightning.errors import InputError
from sad_lightning.networks.network import Network

_EPS = 1e-4


@dataclass(frozen=True, kw_only=True)
class MLP(Network):
    """A multilayer perceptron for ``(D,)`` rows.

    Attributes:
        widths: units of the hidden layers.
        leak: slope of the leaky ReLU below zero; 0.1 in the paper, 0.01 in the authors' code; 0 for a ReLU.
        bounded: whether the decoder ends in a sigmoid; false for columns outside [0, 1].
        normalize: whether BatchNorm follows each hidden layer, as in the authors' code of ruff2020.
        columns: the share of the columns that the encoder sees, three at least; they are drawn when it is built.
        clip: the largest absolute value that the encoder sees, others are clipped to it; None for no limit.
        given: how many of the last columns are a condition: the decoder reads them beside the code, and reconstructs
            the other columns alone (a conditional autoencoder, Sohn et al. 2015).
    """

    widths: Sequence[int]
    leak: float
    bounded: bool
    normalize: bool
    columns: float = 1.0
    clip: float | None = None
    given: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "widths", whole_numbers("network.widths", self.widths))
        at_least_zero("network.leak", self.leak)
        true_or_false("network.bounded", self.bounded)
        true_or_false("network.normalize", self.normalize)
        positive("network.columns", fraction_to_one("network.columns", self.columns))
        if self.clip is not None:
            positive("network.clip", self.clip)
        if len(self.shape) != 1:
            raise InputError(
                f"network: MLP needs rows (D,), the data has {self.shape}; choose network=lenet for images"
            )
        if not whole_number("network.given", self.given, least=0) < self.shape[0]:
            raise InputError(
                f"network.given must leave a column to generate, the data has {self.shape[0]}, got {self.given}; "
                f"choose fewer"
            )

    @classmethod
    def sized(
        cls, *, shape: Sequence[int], widths: Sequence[int] | None = None, rep_dim: int | None = None, **settings: Any
    ) -> Self:
        """A perceptron for rows of D columns; sizes that are None follow ruff2020 appendix D.

        The representation has the smallest power of two from 8 to 64 that is at least D / 10 (8 for cardio's 21, 32
        for arrhythmia's 274), and the hidden layers four and two times as many units.
        """
        if rep_dim is None:
            rep_dim = 8
            while rep_dim < 64 and 10 * rep_dim < shape[0]:
                rep_dim *= 2
        if widths is None:
            widths = (4 * rep_dim, 2 * rep_dim)
        return cls(shape=tuple(shape), widths=widths, rep_dim=rep_dim, **settings)

    def encoder(self, heads: int = 1) -> nn.Sequential:
        """``(B, columns)`` to ``(B, heads * D)``."""
        layers = self._stack(self.shape[0], *self.widths, heads * self.rep_dim)
        if self.columns == 1 and self.clip is None:
            return layers
        return nn.Sequential(SomeColumns(self.shape[0], self.columns, self.clip), *layers)

    def decoder(self) -> nn.Sequential:
        """``(B, D + given)`` to ``(B, columns - given)``."""
        layers = self._stack(self.rep_dim + self.given, *reversed(self.widths), self.shape[0] - self.given)
        return layers.append(nn.Sigmoid()) if self.bounded else layers

    def rebuild(self, decoder: nn.Module, z: Tensor, x: Tensor) -> Tensor:
        """The rows from their codes; the condition is taken from ``x`` and stays as it is."""
        if not self.given:
            return super().rebuild(decoder, z, x)
        condition = x[:, -self.given :]
        return torch.cat([decoder(torch.cat([z, condition], dim=1)), condition], dim=1)

    def errors(self, decoder: nn.Module, z: Tensor, x: Tensor) -> Tensor:
        """The squared error of each column that is no condition, ``(B, columns - given)``."""
        return super().errors(decoder, z, x)[:, : self.shape[0] - self.given]

    def _stack(self, *units: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        for before, after in pairwise(units[:-1]):
            layers.append(nn.Linear(before, after, bias=self.bias and not self.normalize))
            layers += [nn.BatchNorm1d(after, eps=_EPS, affine=self.bias)] if self.normalize else []
            layers.append(nn.LeakyReLU(self.leak))
        return nn.Sequential(*layers, nn.Linear(units[-2], units[-1], bias=self.bias))


class SomeColumns(nn.Module):
    """Clips the values of a row and sets a random choice of its columns to 0.

    The members of an ensemble then see different columns, so that its score depends less on any one of them.

    Args:
        columns: D.
        share: of the columns that stay, three at least; they are drawn from PyTorch's generator, and multiplied by the
            root of the inverse share, so that a row keeps its expected length.
        clip: the largest absolute value; None for no limit.
    """

    mask: Tensor

    def __init__(self, columns: int, share: float, clip: float | None) -> None:
        super().__init__()
        kept = min(columns, max(3, round(share * columns)))
        mask = torch.zeros(columns)
        mask[torch.randperm(columns)[:kept]] = (columns / kept) ** 0.5
        self.register_buffer("mask", mask)
        self.clip = clip

    def forward(self, x: Tensor) -> Tensor:
        """``(B, columns)`` to the same."""
        return self.mask * (x if self.clip is None else x.clamp(-self.clip, self.clip))
