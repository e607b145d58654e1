"""Semi-supervised deep generative model (SS-DGM): M2 and M1+M2 of Kingma et al. 2014 (ruff2020 appendix E).

A sample x comes from a class y (normal or anomalous, each with p(y) = 1/2) and a code z ~ N(0, I). With the bound

    L(x, y) = -log p(x|y,z) - log p(y) + KL(q(z|x,y) || N(0, I))        z ~ q(z|x,y)

training minimises

    mean over labeled (x, y)  L(x, y)
  + mean over unlabeled x     sum over y q(y|x) (L(x, y) + log q(y|x))
  - alpha mean over labeled (x, y) log q(y|x)

Unlabeled samples have no class here. S(x) = log q(anomalous|x) - log q(normal|x), which ranks as q(anomalous|x) does.
p(x|y,z) is Bernoulli for pixels and N(., I) for columns and codes. In M1+M2 x is replaced by its mean code from a
variational autoencoder, which is trained before and then frozen.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Unpack

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from sad_lightning.checks import at_least_zero, choice, true_or_false, whole_numbers
from sad_lightning.data.module import Batch
from sad_lightning.methods.method import ANY_LABEL, Method, Shared
from sad_lightning.methods.processes import gather
from sad_lightning.methods.variational import gaussian, gaussian_kl
from sad_lightning.networks.mlp import MLP
from sad_lightning.networks.network import Network, check_squares, start_glorot


def ss_dgm_loss(bound: Tensor, log_q: Tensor, semi: Tensor, alpha: float) -> Tensor:
    """The objective on one batch, a scalar; a mean over no rows is 0.

    L(x, y) and log q(y|x) are ``(B, 2)``, for y normal and anomalous; alpha is the weight of the classification.
    """

    def mean(values: Tensor, rows: Tensor) -> Tensor:
        everywhere = gather(rows)  # a process may have more labeled rows than another
        count = everywhere.sum().clamp(min=1) * (len(rows) / len(everywhere))
        return torch.where(rows, values, 0.0).sum() / count

    labeled, unlabeled = semi != 0, semi == 0
    own = torch.where(semi < 0, bound[:, 1], bound[:, 0])
    own_log_q = torch.where(semi < 0, log_q[:, 1], log_q[:, 0])
    either = (log_q.exp() * (bound + log_q)).sum(dim=1)
    return mean(own, labeled) + mean(either, unlabeled) - alpha * mean(own_log_q, labeled)


class SSDGM(Method):
    """Semi-supervised deep generative model.

    Args:
        stacked: whether this is M1+M2, on the codes of ``pretrain=vae``, or M2, on x itself.
        widths: units of the hidden layers of q(z|x,y), and in reverse order of p(x|y,z); None uses the widths of the
            network for rows, and 128 and 64 for images and codes.
        alpha: weight of the classification; 0.1 in the authors' code.
        initial_weights: ``glorot``, uniform, as in the paper, or ``torch``, PyTorch's own.

    Attributes:
        encoder: M1, frozen; only M1+M2 has it.
        classifier: the logit of q(anomalous|x), ``(B, 1)``.
        inference: q(z|x,y), the mean and the log-variance of z, which has as many dimensions as the representation.
        generation: p(x|y,z), its mean or its logits.
    """

    trains_on = ANY_LABEL
    needs_anomalies = True
    stacked: bool
    widths: tuple[int, ...]
    alpha: float

    def __init__(
        self,
        *,
        stacked: bool,
        widths: Sequence[int] | None,
        alpha: float,
        initial_weights: str,
        **shared: Unpack[Shared],
    ) -> None:
        if widths is None:  # as in the authors' code
            network = Network.build(shared["network"])
            widths = network.widths if isinstance(network, MLP) and not stacked else (128, 64)
        super().__init__(
            stacked=true_or_false("method.stacked", stacked),
            widths=whole_numbers("method.widths", widths),
            alpha=at_least_zero("method.alpha", alpha),
            initial_weights=choice("method.initial_weights", initial_weights, ("glorot", "torch")),
            **shared,
        )
        codes = self.network.rep_dim
        values = codes if stacked else math.prod(self.network.shape)
        self.noise = (2, codes)
        if not stacked:
            check_squares(self.network)
        if stacked:
            self.starts_pretrained = True
            self.encoder = self.network.encoder(heads=2)
            self.classifier = _perceptron(codes, self.widths[0], 1)
        else:
            self.classifier = nn.Sequential(self.network.encoder(), nn.LeakyReLU(0.1), nn.Linear(codes, 1))
        self.inference = _perceptron(values + 2, *self.widths, 2 * codes)
        self.generation = _perceptron(codes + 2, *reversed(self.widths), values)
        if initial_weights == "glorot":
            start_glorot(self)
        if stacked:
            self.encoder.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "SSDGM":
        """Set the mode of everything but M1, which stays in eval mode."""
        super().train(mode)
        if self.stacked:
            self.encoder.eval()
        return self

    def loss(self, batch: Batch) -> Tensor:
        """The objective on one batch."""
        x = self._observed(batch.x)
        logit = self._logit(x)
        log_q = torch.stack([logsigmoid(-logit), logsigmoid(logit)], dim=1)
        return ss_dgm_loss(self._bound(x.flatten(start_dim=1), batch.noise), log_q, batch.semi, self.alpha)

    def score(self, x: Tensor) -> Tensor:
        """The logit of q(anomalous|x), ``(B,)``."""
        return self._logit(self._observed(x))

    def _observed(self, x: Tensor) -> Tensor:
        """What the model generates: x itself, or its mean code, ``(B, D)``."""
        if not self.stacked:
            return x
        with torch.no_grad():
            return gaussian(self.encoder(x))[0]

    def _logit(self, x: Tensor) -> Tensor:
        return self.classifier(x).squeeze(1).float()  # type: ignore[no-any-return]

    def _bound(self, values: Tensor, noise: Tensor) -> Tensor:
        """L(x, y) for both classes y, from one sample of z each, ``(B, D)`` and ``(B, 2, K)`` to ``(B, 2)``."""
        classes = torch.eye(2, device=values.device).expand(len(values), 2, 2)
        both = values.unsqueeze(1).expand(-1, 2, -1)
        mean, log_variance = gaussian(self.inference(torch.cat([both, classes], dim=2)))
        z = mean + (0.5 * log_variance).exp() * noise
        rebuilt = self.generation(torch.cat([z, classes], dim=2)).float()
        if self.stacked or len(self.network.shape) == 1:
            surprise = 0.5 * (rebuilt - both).square().sum(dim=2)
        else:
            surprise = binary_cross_entropy_with_logits(rebuilt, both, reduction="none").sum(dim=2)
        bound: Tensor = surprise + math.log(2) + gaussian_kl(mean, log_variance, 0.0)
        return bound


def _perceptron(*units: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(units):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
