"""Variational autoencoder (Kingma and Welling, 2013; daniel2021 section 3): a method of its own, and M1 of SS-DGM.

    1/n sum over x  L_R(x) + beta_KL KL(q(z|x) || N(0, I))        the negative evidence lower bound

L_R is the squared error of the reconstruction from z ~ q(z|x) = N(mu(x), diag sigma^2(x)); beta_KL rises from zero
within the first epochs. S(x) = -ELBO(x) at z = mu(x). Labels are not used: known anomalies are dropped.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from sad_lightning.data.module import Batch
from sad_lightning.methods.adam import Adam
from sad_lightning.methods.functional import gaussian, gaussian_kl
from sad_lightning.methods.method import Method
from sad_lightning.methods.variational import ELBO
from sad_lightning.networks import Network


class VAE(Method):
    """Variational autoencoder.

    Args:
        network: builds the encoder and the decoder; biases are allowed.
        optimizer: learning rate, schedule and weight decay.
        elbo: the bound.
    """

    rows = frozenset({0, 1})

    def __init__(
        self,
        *,
        network: Network | Mapping[str, Any],
        optimizer: Adam | Mapping[str, Any],
        elbo: ELBO | Mapping[str, Any],
    ) -> None:
        super().__init__(network=network, optimizer=optimizer, elbo=elbo)
        self.elbo = ELBO.build(elbo)
        self.noise = (self.elbo.samples, self.network.rep_dim)
        self.encoder, self.decoder = self.network.encoder(heads=2), self.network.decoder()

    def loss(self, batch: Batch) -> Tensor:
        """-ELBO of one batch."""
        return self.elbo.negative(self.encoder, self.decoder, batch).mean()

    def watch(self, batch: Batch) -> dict[str, Tensor]:
        """The divergence; near zero where the code carries nothing."""
        return {"kl": gaussian_kl(*gaussian(self.encoder(batch.x)), 0.0).mean()}

    def score(self, x: Tensor) -> Tensor:
        """-ELBO, ``(B,)``."""
        return self.elbo.score(self.encoder, self.decoder, x)
