"""The variational autoencoder that several methods hold (Kingma and Welling, 2013; daniel2021 section 3).

Everything is computed in float32 under any autocast, and z ~ q(z|x) is drawn with the noise of the batch.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from sad_lightning.checks import at_least_zero, choice, whole_number
from sad_lightning.data.module import Batch
from sad_lightning.errors import InputError
from sad_lightning.methods.part import Part, Recipe
from sad_lightning.networks import Network

_WIDEST = 40.0  # the largest log-variance
_STEEPNESS = 10.0  # of the sigmoid: it rises from .7 to 99.3 %


@dataclass(frozen=True, kw_only=True)
class ELBO(Recipe):
    """Settings of the evidence lower bound.

        -ELBO(x) = L_R(x) + beta_KL KL(q(z|x) || N(prior 1, I))

    L_R = -log p(x|z) up to a constant is the error of the reconstruction: the squared error of values, or the negative
    log-likelihood of words.

    Attributes:
        beta_kl: weight of the divergence, in training and in the score.
        annealing: in how many epochs the weight rises from zero (appendix D.2).
        samples: samples of z for each row, in training.
        reconstruction: ``mean`` or ``sum`` of the error over the values or the words of x. The paper does not say; only
            the mean keeps exp(-2 L_R) of CUBO from underflowing.
        rise: ``linear`` (appendix D.2), or ``sigmoid``, slow at both ends (Bowman et al. 2016, for sentences).
    """

    beta_kl: float
    annealing: int
    samples: int
    reconstruction: str
    rise: str = "linear"  # older results do not have it

    def __post_init__(self) -> None:
        at_least_zero("method.elbo.beta_kl", self.beta_kl)
        whole_number("method.elbo.annealing", self.annealing, least=0)
        whole_number("method.elbo.samples", self.samples)
        choice("method.elbo.reconstruction", self.reconstruction, ("mean", "sum"))
        choice("method.elbo.rise", self.rise, ("linear", "sigmoid"))

    def weight(self, epoch: Tensor) -> Tensor:
        """beta_KL in an epoch, a scalar."""
        # Never zero: else a shift of all codes, which BatchNorm hides from the decoder, would have no gradient.
        rising = ((epoch + 1) / self.annealing).clamp(max=1.0) if self.annealing else torch.ones_like(epoch)
        if self.rise == "sigmoid":
            rising = torch.where(rising < 1, torch.sigmoid(_STEEPNESS * (rising - 0.5)), rising)
        return self.beta_kl * rising


class Variational(Part):
    """An encoder of q(z|x) = N(mu(x), diag sigma^2(x)), a decoder of p(x|z), and the bound that trains both.

    Args:
        network: builds both; biases are allowed.
        elbo: settings of the bound.
        anomaly_encoder: whether known anomalies have an encoder of their own.

    Attributes:
        encoder: ``(B, ...)`` to ``(B, 2 D)``, the mean and the log-variance.
        network: builds both, and reconstructs rows from codes.
        decoder: ``(B, D)`` to ``(B, ...)``.
        anomaly_encoder: the encoder of known anomalies; None if they share ``encoder``.
    """

    def __init__(self, network: Network, elbo: ELBO, *, anomaly_encoder: bool = False) -> None:
        super().__init__()
        self.network, self.elbo = network, elbo
        self.encoder, self.decoder = network.encoder(heads=2), network.decoder()
        self.anomaly_encoder = network.encoder(heads=2) if anomaly_encoder else None

    def start_from(self, pretrained: Mapping[str, Part]) -> None:
        """Take over the weights of another variational autoencoder; known anomalies start from its encoder too.

        Raises:
            InputError: the method has no variational autoencoder of these shapes.
        """
        other = next((part for part in pretrained.values() if isinstance(part, Variational)), None)
        try:
            if other is None:
                raise RuntimeError("it has none")
            for mine, theirs in ((self.encoder, other.encoder), (self.decoder, other.decoder)):
                mine.load_state_dict(theirs.state_dict())
            if self.anomaly_encoder is not None:
                self.anomaly_encoder.load_state_dict(other.encoder.state_dict())
        except RuntimeError as error:
            raise InputError(
                "pretrain: must train a variational autoencoder of the network of the method, and trains another; "
                "choose pretrain=vae or none"
            ) from error

    def forward(self, x: Tensor) -> Tensor:
        """The score: -ELBO of each row under the prior of normal samples, at the mean of q(z|x), ``(B,)``.

        The paper does not say how many samples of z its score takes; at the mean the score has no noise.
        """
        mean, log_variance = gaussian(self.encoder(x))
        divergence = gaussian_kl(mean, log_variance, 0.0)
        return self.error(mean.unsqueeze(1), x).squeeze(1) + self.elbo.beta_kl * divergence

    def negative_elbo(self, batch: Batch, *, anomalous: bool = False, prior: float = 0.0) -> Tensor:
        """-ELBO of each row under the prior N(prior 1, I), ``(B,)``; ``anomalous`` rows by their own encoder."""
        mean, log_variance = self.posterior(batch.x, anomalous=anomalous)
        noise, drop = self.noise_of(batch, self.elbo.samples)
        error = self.error(reparameterize(mean, log_variance, noise), batch.x, drop).mean(dim=1)
        return error + self.elbo.weight(batch.epoch) * gaussian_kl(mean, log_variance, prior)

    def posterior(self, x: Tensor, *, anomalous: bool = False) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z|x), ``(B, D)`` each; ``anomalous`` rows by their own encoder."""
        own = self.anomaly_encoder if anomalous else None
        return gaussian((self.encoder if own is None else own)(x))

    def noise_of(self, batch: Batch, samples: int) -> tuple[Tensor, Tensor]:
        """The noise of a batch for so many samples: of the codes, ``(B, S, D)``, and of what the decoder drops."""
        noise = batch.noise[:, :samples]
        return noise[..., : self.network.rep_dim], noise[..., self.network.rep_dim :]

    def error(self, z: Tensor, x: Tensor, drop: Tensor | None = None) -> Tensor:
        """L_R of rows ``(B, ...)`` and codes ``(B, S, D)``, ``(B, S)``; ``drop`` is as ``noise_of`` returns it."""
        rows = x.unsqueeze(1).expand(-1, z.shape[1], *x.shape[1:]).flatten(end_dim=1)
        errors = self.network.error(
            self.decoder, z.flatten(end_dim=1), rows, reduction=self.elbo.reconstruction,
            drop=None if drop is None else drop.flatten(end_dim=1),
        )  # fmt: skip
        return errors.view(z.shape[:2])

    def divergence(self, x: Tensor) -> Tensor:
        """KL(q(z|x) || N(0, I)) of each row, ``(B,)``, as the score sees it."""
        return gaussian_kl(*gaussian(self.encoder(x)), 0.0)

    def reconstruct(self, x: Tensor) -> Tensor:
        """The reconstruction of the rows from the mean of q(z|x), ``(B, ...)``."""
        return self.network.rebuild(self.decoder, gaussian(self.encoder(x))[0], x)

    def watch(self, batch: Batch) -> dict[str, Tensor]:
        """The mean divergence; near zero if the code holds no information."""
        return {"kl": self.divergence(batch.x).mean()}


def reparameterize(mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
    """Samples of N(mean, diag exp(log_variance)), from ``(B, D)`` twice and noise ``(B, S, D)``, ``(B, S, D)``."""
    return mean.unsqueeze(1) + (0.5 * log_variance).exp().unsqueeze(1) * noise


def gaussian(heads: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and log-variance of a Gaussian: the halves of the output of an encoder with two heads, in float32.

    The log-variance is clamped to at most 40. Beyond 88, which a value far from all others can cause, the square of a
    sample overflows float32, and parameters that should have no gradient get nan.
    """
    mean, log_variance = heads.float().chunk(2, dim=-1)
    return mean, log_variance.clamp(max=_WIDEST)


def gaussian_kl(mean: Tensor, log_variance: Tensor, prior: float) -> Tensor:
    """KL(N(mean, diag exp(log_variance)) || N(prior 1, I)) of each row, ``(B, D)`` twice to ``(B,)``."""
    return 0.5 * (log_variance.exp() + (mean - prior).square() - 1 - log_variance).sum(dim=-1)
