"""The chi upper bound of the likelihood, which max-min likelihood methods minimise on known anomalies."""

import math
from dataclasses import dataclass

from torch import Tensor

from sad_lightning.checks import at_least_zero, choice, whole_number
from sad_lightning.data.module import Batch
from sad_lightning.methods.part import Recipe
from sad_lightning.methods.variational import Variational, reparameterize

_STEEP = 40.0  # exp(40) squared is finite in float32, so that the norm of a gradient can be computed


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
        beta_on: ``prior`` weights log p(z) - log q(z|x), as in equation 4; ``whole`` weights L_R too, as the text of
            appendix D.2 says.
        objective: ``exp`` minimises exp(2 CUBO_2), the paper's choice, whose gradient underflows where reconstruction
            errors are large; ``log`` minimises 2 CUBO_2, which has the same optima and always a gradient. Above
            2 CUBO_2 = 40 the exponential is continued by its tangent, whose gradient has a finite norm in float32.
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

    def exponent(self, vae: Variational, batch: Batch) -> Tensor:
        """The exponent for each sample of z, on a batch of known anomalies, ``(B, S)``."""
        mean, log_variance = vae.posterior(batch.x, anomalous=True)
        noise, drop = vae.noise_of(batch, self.samples)
        z = reparameterize(mean, log_variance, noise)
        log_ratio = 0.5 * (log_variance.unsqueeze(1) + noise.square() - z.square()).sum(dim=2)
        weight = self.beta if self.beta_on == "whole" else 1.0
        return -2 * weight * vae.error(z, batch.x, drop) + 2 * self.beta * log_ratio
