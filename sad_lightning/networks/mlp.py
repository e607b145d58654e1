"""Multilayer perceptrons for tables (ruff2020 appendix D).

Linear layers with BatchNorm (no affine part) and leaky ReLU; the last one is linear alone. The decoder mirrors it. It
may end in a sigmoid, as in the authors' code; columns must then lie in [0, 1]: ``preprocess.scaling=min_max``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import nn

from sad_lightning.checks import positive, true_or_false, whole_numbers
from sad_lightning.errors import InputError
from sad_lightning.networks.network import Network

_EPS = 1e-4


@dataclass(frozen=True, kw_only=True)
class MLP(Network):
    """A multilayer perceptron for ``(D,)`` rows.

    Attributes:
        widths: units of the hidden layers.
        leak: slope of the leaky ReLU below zero; 0.1 in the paper, 0.01 in the authors' code.
        bounded: whether the decoder ends in a sigmoid; false for columns outside [0, 1].
        normalize: whether BatchNorm follows each hidden layer, as in the authors' code of ruff2020.
    """

    widths: Sequence[int]
    leak: float
    bounded: bool
    normalize: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "widths", whole_numbers("network.widths", self.widths))
        positive("network.leak", self.leak)
        true_or_false("network.bounded", self.bounded)
        true_or_false("network.normalize", self.normalize)
        if len(self.shape) != 1:
            raise InputError(
                f"network: MLP needs rows (D,), the data has {self.shape}; choose network=mnist for images"
            )

    def encoder(self, heads: int = 1) -> nn.Sequential:
        """``(B, columns)`` to ``(B, heads * D)``."""
        return self._stack(self.shape[0], *self.widths, heads * self.rep_dim)

    def decoder(self) -> nn.Sequential:
        """``(B, D)`` to ``(B, columns)``."""
        layers = self._stack(self.rep_dim, *reversed(self.widths), self.shape[0])
        return layers.append(nn.Sigmoid()) if self.bounded else layers

    def _stack(self, *units: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        for before, after in pairwise(units[:-1]):
            layers.append(nn.Linear(before, after, bias=self.bias and not self.normalize))
            layers += [nn.BatchNorm1d(after, eps=_EPS, affine=self.bias)] if self.normalize else []
            layers.append(nn.LeakyReLU(self.leak))
        return nn.Sequential(*layers, nn.Linear(units[-2], units[-1], bias=self.bias))
