"""Max-min likelihood VAE (daniel2021 section 4.1, appendix E).

A variational autoencoder that makes normal samples likely and known anomalies unlikely. Two kinds of step minimise

    -1/n sum over normal x           ELBO(x)               moves the encoder and the decoder
    gamma/m sum over anomalous x     exp(2 CUBO_2(x))      moves the encoder, the decoder is frozen

the second on batches of known anomalies alone, after a warm-up on normal samples. Unlabeled samples count as normal.
S(x) = -ELBO(x), at z = mu(x). Without known anomalies, or with gamma = 0, this is the VAE. In the second step BatchNorm
runs on the statistics of normal samples; the paper leaves that open.
"""

from collections.abc import Mapping
from typing import Any, Unpack

from torch import Tensor

from sad_lightning.data.module import Batch
from sad_lightning.methods.anomaly_steps import AnomalySteps
from sad_lightning.methods.cubo import CUBO
from sad_lightning.methods.method import ANY_LABEL, Method, Shared
from sad_lightning.methods.part import parts_of
from sad_lightning.methods.steps import Update
from sad_lightning.methods.variational import ELBO, Variational


class MMLVAE(Method):
    """Max-min likelihood VAE.

    Args:
        elbo: the bound from below.
        anomalies: the steps on known anomalies.
        cubo: the bound from above.
    """

    trains_on = ANY_LABEL
    starts_pretrained = True
    elbo: ELBO
    anomalies: AnomalySteps
    cubo: CUBO

    def __init__(
        self,
        *,
        elbo: ELBO | Mapping[str, Any],
        anomalies: AnomalySteps | Mapping[str, Any],
        cubo: CUBO | Mapping[str, Any],
        **shared: Unpack[Shared],
    ) -> None:
        elbo, anomalies, cubo = ELBO.build(elbo), AnomalySteps.build(anomalies), CUBO.build(cubo)
        super().__init__(elbo=elbo, anomalies=anomalies, cubo=cubo, **shared)
        self.noise = (max(elbo.samples, cubo.samples), self.network.noise)
        self.vae = Variational(self.network, elbo, anomaly_encoder=not anomalies.shared_encoder)

    def start_from(self, pretrained: Method) -> None:
        """Take over the encoder and the decoder of a pretrained variational autoencoder."""
        self.vae.start_from(parts_of(pretrained))

    @property
    def updates(self) -> tuple[Update, ...]:
        """The steps of ``loss``, and those of ``anomaly_loss``."""
        normal, anomalous = Update(self.loss, self.watch), Update(self.anomaly_loss, self.watch_anomalies)
        both = self.anomalies.updates(self.vae, normal, anomalous)
        return both if self.cubo.gamma else both[:1]  # Adam's momentum moves weights even where the gradient is zero

    def loss(self, batch: Batch) -> Tensor:
        """-ELBO of one batch."""
        return self.vae.negative_elbo(batch).mean()

    def anomaly_loss(self, batch: Batch) -> Tensor:
        """exp(2 CUBO_2) of one batch of known anomalies."""
        return self.cubo.loss(self.cubo.exponent(self.vae, batch))

    def watch_anomalies(self, batch: Batch) -> dict[str, Tensor]:
        """The mean exponent of CUBO; below about -100 its exponential has no gradient left."""
        return {"cubo_exponent": self.cubo.exponent(self.vae, batch).mean()}

    def score(self, x: Tensor) -> Tensor:
        """-ELBO, ``(B,)``."""
        return self.vae(x)
