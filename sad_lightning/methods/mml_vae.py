"""Max-min likelihood VAE (daniel2021 section 4.1, appendix E).

A variational autoencoder that makes normal samples likely and known anomalies unlikely. Two kinds of step minimise

    -1/n sum over normal x           ELBO(x)               moves the encoder and the decoder
    gamma/m sum over anomalous x     exp(2 CUBO_2(x))      moves the encoder, the decoder is frozen

the second on batches of known anomalies alone, after a warm-up on normal samples. Unlabeled samples count as normal.
S(x) = -ELBO(x), at z = mu(x). Without known anomalies, or with gamma = 0, this is the VAE. In the second step BatchNorm
runs on the statistics of normal samples; the paper leaves that open.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from sad_lightning.data.module import Batch
from sad_lightning.methods.adam import Adam
from sad_lightning.methods.functional import gaussian, gaussian_kl
from sad_lightning.methods.method import Method
from sad_lightning.methods.variational import CUBO, ELBO, AnomalySteps
from sad_lightning.networks import Network


class MMLVAE(Method):
    """Max-min likelihood VAE.

    Args:
        network: builds the encoders and the decoder; biases are allowed.
        optimizer: learning rate, schedule and weight decay.
        elbo: the bound from below.
        anomalies: the steps on known anomalies.
        cubo: the bound from above.
    """

    rows = frozenset({-1, 0, 1})

    def __init__(
        self,
        *,
        network: Network | Mapping[str, Any],
        optimizer: Adam | Mapping[str, Any],
        elbo: ELBO | Mapping[str, Any],
        anomalies: AnomalySteps | Mapping[str, Any],
        cubo: CUBO | Mapping[str, Any],
    ) -> None:
        super().__init__(network=network, optimizer=optimizer, elbo=elbo, anomalies=anomalies, cubo=cubo)
        self.elbo, self.anomalies, self.cubo = ELBO.build(elbo), AnomalySteps.build(anomalies), CUBO.build(cubo)
        self.noise = (max(self.elbo.samples, self.cubo.samples), self.network.rep_dim)
        self.updates = self.anomalies.updates()[: 2 if self.cubo.gamma else 1]  # Adam would move on without a gradient
        self.encoder, self.decoder = self.network.encoder(heads=2), self.network.decoder()
        if not self.anomalies.shared_encoder:
            self.anomaly_encoder = self.network.encoder(heads=2)

    def loss(self, batch: Batch) -> Tensor:
        """-ELBO of one batch."""
        return self.elbo.negative(self.encoder, self.decoder, batch).mean()

    def anomaly_loss(self, batch: Batch) -> Tensor:
        """exp(2 CUBO_2) of one batch of known anomalies."""
        return self.cubo.loss(self._exponent(batch))

    def watch(self, batch: Batch) -> dict[str, Tensor]:
        """The divergence of normal samples from the prior."""
        return {"kl": gaussian_kl(*gaussian(self.encoder(batch.x)), 0.0).mean()}

    def watch_anomalies(self, batch: Batch) -> dict[str, Tensor]:
        """The mean exponent of CUBO; below about -100 its exponential has no gradient left."""
        return {"cubo_exponent": self._exponent(batch).mean()}

    def score(self, x: Tensor) -> Tensor:
        """-ELBO, ``(B,)``."""
        return self.elbo.score(self.encoder, self.decoder, x)

    def _exponent(self, batch: Batch) -> Tensor:
        return self.cubo.exponent(self.elbo, self.get_submodule(self.anomalies.encoder), self.decoder, batch)
