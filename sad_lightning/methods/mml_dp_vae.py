"""Max-min likelihood dual-prior VAE: both losses together (daniel2021 appendix A.2).

    -1/n sum over normal x     ELBO(x)                                       moves the encoder and the decoder
    1/m sum over anomalous x   L_R(x) + beta_KL KL(q(z|x) || N(alpha 1, I))
                               + gamma exp(2 CUBO_2(x))                      moves the encoder, the decoder is frozen

CUBO is taken under the prior of normal samples, N(0, I) (appendix E). S(x) = -ELBO(x) under that prior, at z = mu(x).
With gamma = 0 this is the dual-prior VAE. In the second step BatchNorm runs on the statistics of normal samples; the
paper leaves that open.
"""

from collections.abc import Mapping
from typing import Any, Unpack

from torch import Tensor

from sad_lightning.checks import number
from sad_lightning.data.module import Batch
from sad_lightning.methods.anomaly_steps import AnomalySteps
from sad_lightning.methods.cubo import CUBO
from sad_lightning.methods.method import ANY_LABEL, Method, Shared
from sad_lightning.methods.part import parts_of
from sad_lightning.methods.steps import Update
from sad_lightning.methods.variational import ELBO, Variational


class MMLDPVAE(Method):
    """Max-min likelihood dual-prior VAE.

    Args:
        elbo: the bound from below.
        anomalies: the steps on known anomalies.
        alpha: every coordinate of the mean of the known anomalies' prior.
        cubo: the bound from above.
    """

    trains_on = ANY_LABEL
    starts_pretrained = True
    elbo: ELBO
    anomalies: AnomalySteps
    alpha: float
    cubo: CUBO

    def __init__(
        self,
        *,
        elbo: ELBO | Mapping[str, Any],
        anomalies: AnomalySteps | Mapping[str, Any],
        alpha: float,
        cubo: CUBO | Mapping[str, Any],
        **shared: Unpack[Shared],
    ) -> None:
        elbo, anomalies, cubo = ELBO.build(elbo), AnomalySteps.build(anomalies), CUBO.build(cubo)
        super().__init__(elbo=elbo, anomalies=anomalies, alpha=number("method.alpha", alpha), cubo=cubo, **shared)
        self.noise = (max(elbo.samples, cubo.samples), self.network.noise)
        self.vae = Variational(self.network, elbo, anomaly_encoder=not anomalies.shared_encoder)

    def start_from(self, pretrained: Method) -> None:
        """Take over the encoder and the decoder of a pretrained variational autoencoder."""
        self.vae.start_from(parts_of(pretrained))

    @property
    def updates(self) -> tuple[Update, ...]:
        """The steps of ``loss``, and those of ``anomaly_loss``."""
        normal, anomalous = Update(self.loss, self.watch), Update(self.anomaly_loss, self.watch_anomalies)
        return self.anomalies.updates(self.vae, normal, anomalous)

    def loss(self, batch: Batch) -> Tensor:
        """-ELBO of one batch under the prior of normal samples."""
        return self.vae.negative_elbo(batch).mean()

    def anomaly_loss(self, batch: Batch) -> Tensor:
        """-ELBO of one batch of known anomalies under their prior, and exp(2 CUBO_2) under that of normal samples."""
        negative_elbo = self.vae.negative_elbo(batch, anomalous=True, prior=self.alpha).mean()
        return negative_elbo + self.cubo.loss(self.cubo.exponent(self.vae, batch))

    def watch_anomalies(self, batch: Batch) -> dict[str, Tensor]:
        """The divergence of known anomalies from the prior of normal samples, and the mean exponent of CUBO."""
        divergence = self.vae.divergence(batch.x).mean()
        return {"anomaly_kl": divergence, "cubo_exponent": self.cubo.exponent(self.vae, batch).mean()}

    def score(self, x: Tensor) -> Tensor:
        """-ELBO under the prior of normal samples, ``(B,)``."""
        return self.vae(x)
