"""What variational methods share: the two bounds of daniel2021, and their steps on known anomalies.

Both bounds are written so that nothing cancels or overflows, in float32 under any autocast. An encoder of q(z|x) has
two heads, mean and log-variance; z ~ q(z|x) is drawn from the noise of the batch.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sad_lightning.checks import at_least_zero, choice, positive, true_or_false, whole_number
from sad_lightning.data.module import Batch, Stream
from sad_lightning.methods.functional import gaussian, gaussian_kl
from sad_lightning.methods.recipe import Recipe
from sad_lightning.methods.steps import Update


def drawn(mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
    """Samples of q(z|x), ``(B, D)`` twice and ``(B, S, D)`` to ``(B, S, D)``: the reparameterization trick."""
    return mean.unsqueeze(1) + (0.5 * log_variance).exp().unsqueeze(1) * noise


@dataclass(frozen=True, kw_only=True)
class ELBO(Recipe):
    """The evidence lower bound (daniel2021 section 3), as a loss and as a score.

        -ELBO(x) = L_R(x) + beta_KL KL(q(z|x) || N(prior 1, I))

    L_R = -log p(x|z) up to a constant is the squared error of the reconstruction.

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

    def negative(self, encoder: nn.Module, decoder: nn.Module, batch: Batch, prior: float = 0.0) -> Tensor:
        """-ELBO of each row under the prior N(prior 1, I), ``(B,)``."""
        mean, log_variance = gaussian(encoder(batch.x))
        z = drawn(mean, log_variance, batch.noise[:, : self.samples])
        error = self.error(decoder, z, batch.x).mean(dim=1)
        return error + self.weight(batch.epoch) * gaussian_kl(mean, log_variance, prior)

    def score(self, encoder: nn.Module, decoder: nn.Module, x: Tensor) -> Tensor:
        """-ELBO of each row under the prior of normal samples, at the mean of q(z|x), ``(B,)``.

        The paper does not say how many samples of z its score takes; at the mean there is no noise in it.
        """
        mean, log_variance = gaussian(encoder(x))
        return self.error(decoder, mean.unsqueeze(1), x).squeeze(1) + self.beta_kl * gaussian_kl(
            mean, log_variance, 0.0
        )

    def error(self, decoder: nn.Module, z: Tensor, x: Tensor) -> Tensor:
        """L_R of each sample, ``(B, S, D)`` and ``(B, ...)`` to ``(B, S)``."""
        rebuilt: Tensor = decoder(z.flatten(end_dim=1)).float().unflatten(0, z.shape[:2])
        squares = (rebuilt - x.unsqueeze(1)).square().flatten(start_dim=2)
        return squares.mean(dim=2) if self.reconstruction == "mean" else squares.sum(dim=2)

    def weight(self, epoch: Tensor) -> Tensor:
        """beta_KL in an epoch, a scalar."""
        # never quite zero: a shift of all codes, which BatchNorm hides from the decoder, would have no gradient at all
        rising = ((epoch + 1) / self.annealing).clamp(max=1.0) if self.annealing else torch.ones_like(epoch)
        return self.beta_kl * rising


_STEEP = 40.0  # exp(40) squared is still a number in float32, so that a gradient has a norm to be clipped by


@dataclass(frozen=True, kw_only=True)
class CUBO(Recipe):
    """The chi upper bound CUBO_2 (daniel2021 section 3, appendix E), minimised on known anomalies.

        exp(2 CUBO_2(x)) = E over z ~ q(z|x) of exp(-2 L_R + 2 beta (log p(z) - log q(z|x)))

    With z = mu + Sigma^(1/2) noise the second term is beta (log|Sigma| + noise'noise - z'z), which the paper expands
    into four terms that nearly cancel.

    Attributes:
        gamma: weight of the bound against the ELBO; 1 in the paper.
        beta: beta_CUBO.
        samples: samples of z a row.
        beta_on: ``prior`` weights log p(z) - log q(z|x), as in equation 4; ``whole`` weights L_R too, as the words of
            appendix D.2 say.
        objective: ``exp`` minimises exp(2 CUBO_2), the paper's choice, whose gradient underflows where reconstruction
            errors are large; ``log`` minimises 2 CUBO_2, which has the same optima and always a gradient. Where
            2 CUBO_2 is above 40 the exponential goes on as its tangent, whose gradient has a norm in float32.
    """

    gamma: float
    beta: float
    samples: int
    beta_on: str
    objective: str

    def __post_init__(self) -> None:
        at_least_zero("method.cubo.gamma", self.gamma)
        at_least_zero("method.cubo.beta", self.beta)
        whole_number("method.cubo.samples", self.samples)
        choice("method.cubo.beta_on", self.beta_on, ("prior", "whole"))
        choice("method.cubo.objective", self.objective, ("exp", "log"))

    def loss(self, exponent: Tensor) -> Tensor:
        """Gamma times the objective, averaged over a batch, from ``(B, S)`` exponents; a scalar."""
        log_mean = exponent.logsumexp(dim=1) - math.log(exponent.shape[1])
        low = log_mean.clamp(max=_STEEP)
        return self.gamma * (low.exp() * (1 + log_mean - low) if self.objective == "exp" else log_mean).mean()

    def exponent(self, elbo: ELBO, encoder: nn.Module, decoder: nn.Module, batch: Batch) -> Tensor:
        """What stands in the exponential, for each sample of z, ``(B, S)``."""
        mean, log_variance = gaussian(encoder(batch.x))
        noise = batch.noise[:, : self.samples]
        z = drawn(mean, log_variance, noise)
        log_ratio = 0.5 * (log_variance.unsqueeze(1) + noise.square() - z.square()).sum(dim=2)
        weight = self.beta if self.beta_on == "whole" else 1.0
        return -2 * weight * elbo.error(decoder, z, batch.x) + 2 * self.beta * log_ratio


@dataclass(frozen=True, kw_only=True)
class AnomalySteps(Recipe):
    """The steps on batches of known anomalies alone (daniel2021 appendix D.2, Table 5).

    Attributes:
        interval: batches of normal samples for one batch of known anomalies.
        warm_up: epochs on normal samples alone.
        clip: the largest norm of the gradient; None for any.
        shared_encoder: whether known anomalies have the encoder of normal samples, or one of their own.
        frozen_decoder: whether the decoder stays as it is.
        settle: whether BatchNorm keeps the statistics of the warm-up; a deep encoder of images needs it.
    """

    interval: int
    warm_up: int
    clip: float | None
    shared_encoder: bool
    frozen_decoder: bool
    settle: bool

    def __post_init__(self) -> None:
        whole_number("method.anomalies.interval", self.interval)
        whole_number("method.anomalies.warm_up", self.warm_up, least=0)
        if self.clip is not None:
            positive("method.anomalies.clip", self.clip)
        true_or_false("method.anomalies.shared_encoder", self.shared_encoder)
        true_or_false("method.anomalies.frozen_decoder", self.frozen_decoder)
        true_or_false("method.anomalies.settle", self.settle)

    @property
    def encoder(self) -> str:
        """The name of the part that encodes known anomalies."""
        return "encoder" if self.shared_encoder else "anomaly_encoder"

    def updates(self) -> tuple[Update, Update]:
        """``loss`` on normal and unlabeled samples, then ``anomaly_loss`` on known anomalies."""
        moves = (f"{self.encoder}.",) if self.frozen_decoder else (f"{self.encoder}.", "decoder.")
        return (
            Update("loss", Stream(frozenset({0, 1})), ("encoder.", "decoder.")),
            Update(
                "anomaly_loss",
                Stream(frozenset({-1}), self.interval, self.warm_up),
                moves,
                self.clip,
                "watch_anomalies",
                self.settle,
            ),
        )
