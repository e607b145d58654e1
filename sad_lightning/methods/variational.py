"""The variational autoencoder that methods are made of (Kingma and Welling, 2013; daniel2021 section 3).

All is in float32 under any autocast, and z ~ q(z|x) is drawn from the noise of the batch.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from sad_lightning.checks import at_least_zero, choice, whole_number
from sad_lightning.data.module import Batch
from sad_lightning.methods.part import Part
from sad_lightning.methods.recipe import Recipe
from sad_lightning.networks import Network

_WIDEST = 40.0  # of log-variances


@dataclass(frozen=True, kw_only=True)
class ELBO(Recipe):
    """Settings of the evidence lower bound.

        -ELBO(x) = L_R(x) + beta_KL KL(q(z|x) || N(prior 1, I))

    L_R = -log p(x|z) up to a constant is the error of the reconstruction, squared unless the network has another.

    Attributes:
        beta_kl: weight of the divergence, in training and in the score.
        annealing: epochs within which the weight rises from zero (appendix D.2).
        samples: samples of z a row, in training.
        reconstruction: ``mean`` or ``sum`` of the squared error over the values of x. The paper does not say; only the
            mean keeps exp(-2 L_R) of CUBO from underflowing.
    """

    beta_kl: float
    annealing: int
    samples: int
    reconstruction: str

    def __post_init__(self) -> None:
        at_least_zero("method.elbo.beta_kl", self.beta_kl)
        whole_number("method.elbo.annealing", self.annealing, least=0)
        whole_number("method.elbo.samples", self.samples)
        choice("method.elbo.reconstruction", self.reconstruction, ("mean", "sum"))

    def weight(self, epoch: Tensor) -> Tensor:
        """beta_KL in an epoch, a scalar."""
        # never quite zero: a shift of all codes, which BatchNorm hides from the decoder, would have no gradient at all
        rising = ((epoch + 1) / self.annealing).clamp(max=1.0) if self.annealing else torch.ones_like(epoch)
        return self.beta_kl * rising


class Variational(Part):
    """An encoder of q(z|x) = N(mu(x), diag sigma^2(x)), a decoder of p(x|z), and the bound that trains both.

    Args:
        network: builds them; biases are allowed.
        elbo: settings of the bound.
        anomaly_encoder: whether known anomalies have an encoder of their own.

    Attributes:
        encoder: ``(B, ...)`` to ``(B, 2 D)``, the mean and the log-variance.
        network: what built them, and knows how rows come back from codes.
        decoder: ``(B, D)`` to ``(B, ...)``.
        anomaly_encoder: of known anomalies, as the other; None where they share it.
    """

    def __init__(self, network: Network, elbo: ELBO, *, anomaly_encoder: bool = False) -> None:
        super().__init__()
        self.network, self.elbo = network, elbo
        self.encoder, self.decoder = network.encoder(heads=2), network.decoder()
        self.anomaly_encoder = network.encoder(heads=2) if anomaly_encoder else None

    def forward(self, x: Tensor) -> Tensor:
        """The score: -ELBO of each row under the prior of normal samples, at the mean of q(z|x), ``(B,)``.

        The paper does not say how many samples of z its score takes; at the mean there is no noise in it.
        """
        mean, log_variance = gaussian(self.encoder(x))
        divergence = gaussian_kl(mean, log_variance, 0.0)
        return self.error(mean.unsqueeze(1), x).squeeze(1) + self.elbo.beta_kl * divergence

    def negative_elbo(self, batch: Batch, *, anomalous: bool = False, prior: float = 0.0) -> Tensor:
        """-ELBO of each row under the prior N(prior 1, I), ``(B,)``; ``anomalous`` rows by their own encoder."""
        mean, log_variance = self.posterior(batch.x, anomalous=anomalous)
        z = reparameterize(mean, log_variance, batch.noise[:, : self.elbo.samples])
        error = self.error(z, batch.x).mean(dim=1)
        return error + self.elbo.weight(batch.epoch) * gaussian_kl(mean, log_variance, prior)

    def posterior(self, x: Tensor, *, anomalous: bool = False) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z|x), ``(B, D)`` each; ``anomalous`` rows by their own encoder."""
        own = self.anomaly_encoder if anomalous else None
        return gaussian((self.encoder if own is None else own)(x))

    def error(self, z: Tensor, x: Tensor) -> Tensor:
        """L_R of each sample, ``(B, S, D)`` and ``(B, ...)`` to ``(B, S)``."""
        rows = x.unsqueeze(1).expand(-1, z.shape[1], *x.shape[1:]).flatten(end_dim=1)
        errors = self.network.errors(self.decoder, z.flatten(end_dim=1), rows)
        errors = errors.view(*z.shape[:2], -1)
        return errors.mean(dim=2) if self.elbo.reconstruction == "mean" else errors.sum(dim=2)

    def divergence(self, x: Tensor) -> Tensor:
        """KL(q(z|x) || N(0, I)) of each row, ``(B,)``, as the score sees it."""
        return gaussian_kl(*gaussian(self.encoder(x)), 0.0)

    def reconstruct(self, x: Tensor) -> Tensor:
        """The rows as the decoder gives them back from the mean of q(z|x), ``(B, ...)``."""
        return self.network.rebuild(self.decoder, gaussian(self.encoder(x))[0], x)

    def watch(self, batch: Batch) -> dict[str, Tensor]:
        """The mean divergence; near zero where the code carries nothing."""
        return {"kl": self.divergence(batch.x).mean()}


def reparameterize(mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
    """Samples of N(mean, diag exp(log_variance)), from ``(B, D)`` twice and noise ``(B, S, D)``, ``(B, S, D)``."""
    return mean.unsqueeze(1) + (0.5 * log_variance).exp().unsqueeze(1) * noise


def gaussian(heads: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and log-variance of a Gaussian, the halves of what an encoder of two heads gives, ``(..., 2D)``, in float32.

    The log-variance is at most 40. Beyond 88, where a value far from all others leads, the square of a sample is no
    number in float32, and what should have no gradient has one of nan.
    """
    mean, log_variance = heads.float().chunk(2, dim=-1)
    return mean, log_variance.clamp(max=_WIDEST)


def gaussian_kl(mean: Tensor, log_variance: Tensor, prior: float) -> Tensor:
    """KL(N(mean, diag exp(log_variance)) || N(prior 1, I)) of each row, ``(B, D)`` twice to ``(B,)``."""
    return 0.5 * (log_variance.exp() + (mean - prior).square() - 1 - log_variance).sum(dim=-1)
