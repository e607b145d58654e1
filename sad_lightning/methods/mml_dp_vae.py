"""Max-min likelihood dual-prior VAE: both losses together (daniel2021 appendix A.2).

    -1/n sum over normal x     ELBO(x)                                       moves the encoder and the decoder
    1/m sum over anomalous x   L_R(x) + beta_KL KL(q(z|x) || N(alpha 1, I))
                               + gamma exp(2 CUBO_2(x))                      moves the encoder, the decoder is frozen

CUBO is taken under the prior of normal samples, N(0, I) (appendix E). S(x) = -ELBO(x) under that prior, at z = mu(x).
With gamma = 0 this is the dual-prior VAE. In the second step BatchNorm runs on the statistics of normal samples; the
paper leaves that open.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from sad_lightning.checks import number
from sad_lightning.data.module import Batch
from sad_lightning.methods.adam import Adam
from sad_lightning.methods.functional import gaussian, gaussian_kl
from sad_lightning.methods.method import Method
from sad_lightning.methods.variational import CUBO, ELBO, AnomalySteps
from sad_lightning.networks import Network


class MMLDPVAE(Method):
    """Max-min likelihood dual-prior VAE.

    Args:
        network: builds the encoders and the decoder; biases are allowed.
        optimizer: learning rate, schedule and weight decay.
        elbo: the bound from below.
        anomalies: the steps on known anomalies.
        alpha: every coordinate of the mean of the known anomalies' prior.
        cubo: the bound from above.

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
        cubo: CUBO | Mapping[str, Any],
    ) -> None:
        super().__init__(network=network, optimizer=optimizer, elbo=elbo, anomalies=anomalies, alpha=alpha, cubo=cubo)
        self.elbo, self.anomalies, self.cubo = ELBO.build(elbo), AnomalySteps.build(anomalies), CUBO.build(cubo)
        self.alpha = number("method.alpha", alpha)
        self.noise = (max(self.elbo.samples, self.cubo.samples), self.network.rep_dim)
        self.updates = self.anomalies.updates()
        self.encoder, self.decoder = self.network.encoder(heads=2), self.network.decoder()
        if not self.anomalies.shared_encoder:
            self.anomaly_encoder = self.network.encoder(heads=2)

    def loss(self, batch: Batch) -> Tensor:
        """-ELBO of one batch under the prior of normal samples."""
        return self.elbo.negative(self.encoder, self.decoder, batch).mean()

    def anomaly_loss(self, batch: Batch) -> Tensor:
        """-ELBO of one batch of known anomalies under their prior, and exp(2 CUBO_2) under that of normal samples."""
        encoder = self.get_submodule(self.anomalies.encoder)
        negative_elbo = self.elbo.negative(encoder, self.decoder, batch, prior=self.alpha).mean()
        return negative_elbo + self.cubo.loss(self._exponent(batch))

    def watch(self, batch: Batch) -> dict[str, Tensor]:
        """The divergence of normal samples from their prior."""
        return {"kl": gaussian_kl(*gaussian(self.encoder(batch.x)), 0.0).mean()}

    def watch_anomalies(self, batch: Batch) -> dict[str, Tensor]:
        """The divergence of known anomalies from the prior of normal samples, and the mean exponent of CUBO."""
        divergence = gaussian_kl(*gaussian(self.encoder(batch.x)), 0.0).mean()
        return {"anomaly_kl": divergence, "cubo_exponent": self._exponent(batch).mean()}

    def score(self, x: Tensor) -> Tensor:
        """-ELBO under the prior of normal samples, ``(B,)``."""
        return self.elbo.score(self.encoder, self.decoder, x)

    def _exponent(self, batch: Batch) -> Tensor:
        return self.cubo.exponent(self.elbo, self.get_submodule(self.anomalies.encoder), self.decoder, batch)
