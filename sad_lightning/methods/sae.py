"""Supervised autoencoder (SAE; ye2021 Table 2, appendix E).

    1/(n+m) (sum over normal x e(x) + sum over known anomalies x 1 / (e(x) + eps))

with the reconstruction error e(x) = mean over values (decoder(encoder(x)) - x)^2 and eps = 1e-6: the inverse, as in
Deep SAD, where a loss of -e(x) would explode. Unlabeled samples count as normal. S(x) = e(x).
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from sad_lightning.checks import choice
from sad_lightning.data.module import Batch
from sad_lightning.methods.adam import Adam
from sad_lightning.methods.functional import reconstruction_error
from sad_lightning.methods.method import Method
from sad_lightning.networks import Network
from sad_lightning.networks.network import start_glorot

_EPS = 1e-6


def sae_loss(error: Tensor, semi: Tensor) -> Tensor:
    """The objective on one batch, a scalar, from ``(B,)`` reconstruction errors and ``(B,)`` labels."""
    return torch.where(semi < 0, 1 / (error + _EPS), error).mean()


class SAE(Method):
    """Supervised autoencoder.

    Args:
        network: builds the encoder and the decoder.
        optimizer: learning rate, schedule and weight decay.
        initial_weights: ``glorot``, uniform, or ``torch``, PyTorch's own.

    Raises:
        InputError: ``initial_weights`` is another word.
    """

    rows = frozenset({-1, 0, 1})
    needs_anomalies = True

    def __init__(
        self, *, network: Network | Mapping[str, Any], optimizer: Adam | Mapping[str, Any], initial_weights: str
    ) -> None:
        super().__init__(network=network, optimizer=optimizer, initial_weights=initial_weights)
        self.encoder, self.decoder = self.network.encoder(), self.network.decoder()
        if choice("method.initial_weights", initial_weights, ("glorot", "torch")) == "glorot":
            start_glorot(self)

    def loss(self, batch: Batch) -> Tensor:
        """The objective on one batch."""
        return sae_loss(self.score(batch.x), batch.semi)

    def score(self, x: Tensor) -> Tensor:
        """The reconstruction error, ``(B,)``."""
        return reconstruction_error(self.decoder(self.encoder(x)), x)
