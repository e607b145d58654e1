"""Autoencoding binary classifier (ABC; Yamanaka et al. 2019; ye2021 Table 2).

    1/(n+m) (sum over normal x e(x) - sum over known anomalies x log(1 - exp(-e(x))))

a binary cross-entropy with p(normal given x) = exp(-e(x)) and the reconstruction error
e(x) = mean over values (decoder(encoder(x)) - x)^2. Unlabeled samples count as normal. S(x) = e(x).
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from sad_lightning.checks import choice
from sad_lightning.data.module import Batch
from sad_lightning.methods.adam import Adam
from sad_lightning.methods.functional import exponential_cross_entropy, reconstruction_error
from sad_lightning.methods.method import Method
from sad_lightning.networks import Network
from sad_lightning.networks.network import start_glorot


class ABC(Method):
    """Autoencoding binary classifier.

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
        """The cross-entropy of one batch."""
        return exponential_cross_entropy(self.score(batch.x), batch.semi).mean()

    def score(self, x: Tensor) -> Tensor:
        """The reconstruction error, ``(B,)``."""
        return reconstruction_error(self.decoder(self.encoder(x)), x)
