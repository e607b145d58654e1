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
from typing import Any, Unpack

from torch import Tensor

from sad_lightning.checks import number
from sad_lightning.data.module import Batch
from sad_lightning.methods.anomaly_steps import AnomalySteps
from sad_lightning.methods.method import ANY_LABEL, Method, Shared
from sad_lightning.methods.part import parts_of
from sad_lightning.methods.steps import Update
from sad_lightning.methods.variational import ELBO, Variational


class DPVAE(Method):
    """Dual-prior VAE.

    Args:
        elbo: the bound.
        anomalies: the steps on known anomalies.
        alpha: every coordinate of the mean of the known anomalies' prior.
    """

    trains_on = ANY_LABEL
    starts_pretrained = True
    elbo: ELBO
    anomalies: AnomalySteps
    alpha: float

    def __init__(
        self,
        *,
        elbo: ELBO | Mapping[str, Any],
        anomalies: AnomalySteps | Mapping[str, Any],
        alpha: float,
        **shared: Unpack[Shared],
    ) -> None:
        elbo, anomalies, alpha = ELBO.build(elbo), AnomalySteps.build(anomalies), number("method.alpha", alpha)
        super().__init__(elbo=elbo, anomalies=anomalies, alpha=alpha, **shared)
        self.noise = (elbo.samples, self.network.noise)
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
        """-ELBO of one batch of known anomalies under their prior."""
        return self.vae.negative_elbo(batch, anomalous=True, prior=self.alpha).mean()

    def watch_anomalies(self, batch: Batch) -> dict[str, Tensor]:
        """The divergence of known anomalies from the prior of normal samples, as the score sees it."""
        return {"anomaly_kl": self.vae.divergence(batch.x).mean()}

    def score(self, x: Tensor) -> Tensor:
        """-ELBO under the prior of normal samples, ``(B,)``."""
        return self.vae(x)
