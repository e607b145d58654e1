"""Variational autoencoder (Kingma and Welling, 2013; daniel2021 section 3): a method of its own, and M1 of SS-DGM.

    1/n sum over x  L_R(x) + beta_KL KL(q(z|x) || N(0, I))        the negative evidence lower bound

L_R is the squared error of the reconstruction from z ~ q(z|x) = N(mu(x), diag sigma^2(x)); beta_KL rises from zero
within the first epochs. S(x) = -ELBO(x) at z = mu(x). Labels are not used: known anomalies are dropped.
"""

from collections.abc import Mapping
from typing import Any, Unpack

from torch import Tensor

from sad_lightning.data.module import Batch
from sad_lightning.methods.method import NO_ANOMALIES, Method, Shared
from sad_lightning.methods.variational import ELBO, Variational


class VAE(Method):
    """Variational autoencoder."""

    trains_on = NO_ANOMALIES
    elbo: ELBO

    def __init__(self, *, elbo: ELBO | Mapping[str, Any], **shared: Unpack[Shared]) -> None:
        super().__init__(elbo=ELBO.build(elbo), **shared)
        self.noise = (self.elbo.samples, self.network.noise)
        self.vae = Variational(self.network, self.elbo)

    def loss(self, batch: Batch) -> Tensor:
        """-ELBO of one batch."""
        return self.vae.negative_elbo(batch).mean()

    def score(self, x: Tensor) -> Tensor:
        """-ELBO, ``(B,)``."""
        return self.vae(x)
