"""Autoencoder (ruff2020 appendix E): a method of its own, and what starts the encoders of others.

    1/n sum over x  mean over values (decoder(encoder(x)) - x)^2

The reconstruction error of a sample is its score. Labels are not used: known anomalies are dropped.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from sad_lightning.checks import choice
from sad_lightning.data.module import Batch
from sad_lightning.methods.adam import Adam
from sad_lightning.methods.functional import reconstruction_error
from sad_lightning.methods.method import Method
from sad_lightning.networks import Network
from sad_lightning.networks.network import start_glorot


class AE(Method):
    """Autoencoder.

    Args:
        network: builds the encoder and the decoder.
        optimizer: learning rate, schedule and weight decay.
        initial_weights: ``glorot``, uniform, as the paper says; ``torch``, PyTorch's own smaller ones, as the authors'
            code has it for tables.

    Raises:
        InputError: ``initial_weights`` is another word.
    """

    rows = frozenset({0, 1})

    def __init__(
        self, *, network: Network | Mapping[str, Any], optimizer: Adam | Mapping[str, Any], initial_weights: str
    ) -> None:
        super().__init__(network=network, optimizer=optimizer, initial_weights=initial_weights)
        choice("method.initial_weights", initial_weights, ("glorot", "torch"))
        self.encoder, self.decoder = self.network.encoder(), self.network.decoder()
        if initial_weights == "glorot":
            start_glorot(self)

    def loss(self, batch: Batch) -> Tensor:
        """The mean squared error of one batch."""
        return self.score(batch.x).mean()

    def score(self, x: Tensor) -> Tensor:
        """The reconstruction error, ``(B,)``."""
        return reconstruction_error(self.decoder(self.encoder(x)), x)
