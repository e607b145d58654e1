"""Dual-prior VAE (daniel2021 section 4.2, appendix F).

A variational autoencoder whose prior is N(0, I) for normal samples and N(alpha 1, I) for known anomalies. Two kinds of
step minimise

    1/n sum over normal x     L_R(x) + beta_KL KL(q(z|x) || N(0, I))           moves the encoder and the decoder
    1/m sum over anomalous x  L_R(x) + beta_KL KL(q(z|x) || N(alpha 1, I))     moves the encoder, the decoder is frozen

the second on batches of known anomalies alone, after a warm-up on normal samples. Unlabeled samples count as normal.
S(x) = -ELBO(x) under the prior of normal samples, at z = mu(x). Without known anomalies this is the VAE. In the second
step BatchNorm runs on the statistics of normal samples; the paper leaves that open.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from sad_lightning.checks import number
from sad_lightning.data.module import Batch
from sad_lightning.methods.adam import Adam
from sad_lightning.methods.functional import gaussian, gaussian_kl
from sad_lightning.methods.method import Method
from sad_lightning.methods.variational import ELBO, AnomalySteps
from sad_lightning.networks import Network


class DPVAE(Method):
    """Dual-prior VAE.

    Args:
        network: builds the encoders and the decoder; biases are allowed.
        optimizer: learning rate, schedule and weight decay.
        elbo: the bound.
        anomalies: the steps on known anomalies.
        alpha: every coordinate of the mean of the known anomalies' prior.

    Raises:
        InputError: alpha is no number.
    """

    rows = frozenset({-1, 0, 1})

    def __init__(
        self,
        *,
        network: Network | Mapping[str, Any],
        optimizer: Adam | Mapping[str, Any],
        elbo: ELBO | Mapping[str, Any],
        anomalies: AnomalySteps | Mapping[str, Any],
        alpha: float,
    ) -> None:
        super().__init__(network=network, optimizer=optimizer, elbo=elbo, anomalies=anomalies, alpha=alpha)
        self.elbo, self.anomalies = ELBO.build(elbo), AnomalySteps.build(anomalies)
        self.alpha = number("method.alpha", alpha)
        self.noise, self.updates = (self.elbo.samples, self.network.rep_dim), self.anomalies.updates()
        self.encoder, self.decoder = self.network.encoder(heads=2), self.network.decoder()
        if not self.anomalies.shared_encoder:
            self.anomaly_encoder = self.network.encoder(heads=2)

    def loss(self, batch: Batch) -> Tensor:
        """-ELBO of one batch under the prior of normal samples."""
        return self.elbo.negative(self.encoder, self.decoder, batch).mean()

    def anomaly_loss(self, batch: Batch) -> Tensor:
        """-ELBO of one batch of known anomalies under their prior."""
        encoder = self.get_submodule(self.anomalies.encoder)
        return self.elbo.negative(encoder, self.decoder, batch, prior=self.alpha).mean()

    def watch(self, batch: Batch) -> dict[str, Tensor]:
        """The divergence of normal samples from their prior."""
        return {"kl": gaussian_kl(*gaussian(self.encoder(batch.x)), 0.0).mean()}

    def watch_anomalies(self, batch: Batch) -> dict[str, Tensor]:
        """The divergence of known anomalies from the prior of normal samples, as the score sees it."""
        return {"anomaly_kl": gaussian_kl(*gaussian(self.encoder(batch.x)), 0.0).mean()}

    def score(self, x: Tensor) -> Tensor:
        """-ELBO under the prior of normal samples, ``(B,)``."""
        return self.elbo.score(self.encoder, self.decoder, x)
