"""Semi-supervised deep generative model (SS-DGM): M2 and M1+M2 of Kingma et al. 2014 (ruff2020 appendix E).

A sample x comes from a class y (normal or anomalous, each with p(y) = 1/2) and a code z ~ N(0, I). With the bound

    L(x, y) = -log p(x|y,z) - log p(y) + KL(q(z|x,y) || N(0, I))        z ~ q(z|x,y)

training minimises

    mean over labeled (x, y)  L(x, y)
  + mean over unlabeled x     sum over y q(y|x) (L(x, y) + log q(y|x))
  - alpha mean over labeled (x, y) log q(y|x)

Unlabeled samples have no class here. S(x) = log q(anomalous|x) - log q(normal|x), which ranks as q(anomalous|x) does.
p(x|y,z) is Bernoulli for pixels and N(., I) for columns and codes. M1+M2 takes the mean code of a variational
autoencoder, trained before and then frozen, in place of x.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from sad_lightning.checks import at_least_zero, choice, true_or_false, whole_numbers
from sad_lightning.data.module import Batch
from sad_lightning.methods.adam import Adam
from sad_lightning.methods.functional import gaussian, gaussian_kl
from sad_lightning.methods.method import Method
from sad_lightning.networks import Network
from sad_lightning.networks.network import start_glorot


def ss_dgm_loss(bound: Tensor, log_q: Tensor, semi: Tensor, alpha: float) -> Tensor:
    """The objective on one batch, a scalar; a mean over no rows is 0.

    Args:
        bound: ``(B, 2)``, L(x, y) for y normal and anomalous.
        log_q: ``(B, 2)``, log q(y|x).
        semi: ``(B,)`` labels.
        alpha: weight of the classification.
    """

    def mean(values: Tensor, rows: Tensor) -> Tensor:
        return torch.where(rows, values, 0.0).sum() / rows.sum().clamp(min=1)

    labeled, unlabeled = semi != 0, semi == 0
    own = torch.where(semi < 0, bound[:, 1], bound[:, 0])
    own_log_q = torch.where(semi < 0, log_q[:, 1], log_q[:, 0])
    either = (log_q.exp() * (bound + log_q)).sum(dim=1)
    return mean(own, labeled) + mean(either, unlabeled) - alpha * mean(own_log_q, labeled)


class SSDGM(Method):
    """Semi-supervised deep generative model.

    Args:
        network: builds what q(y|x) stands on, and the encoder of M1; its ``rep_dim`` is the dimension of z.
        optimizer: learning rate, schedule and weight decay.
        stacked: whether this is M1+M2, on the codes of ``pretrain=vae``, or M2, on x itself.
        widths: units of the hidden layers of q(z|x,y), and in reverse of p(x|y,z).
        alpha: weight of the classification; 0.1 in the authors' code.
        initial_weights: ``glorot``, uniform, as the paper says, or ``torch``, PyTorch's own.

    Raises:
        InputError: a setting is out of range.
    """

    rows = frozenset({-1, 0, 1})
    needs_anomalies = True

    def __init__(
        self,
        *,
        network: Network | Mapping[str, Any],
        optimizer: Adam | Mapping[str, Any],
        stacked: bool,
        widths: Sequence[int],
        alpha: float,
        initial_weights: str,
    ) -> None:
        settings = {"stacked": stacked, "alpha": alpha, "initial_weights": initial_weights}
        widths = whole_numbers("method.widths", widths)
        super().__init__(network=network, optimizer=optimizer, widths=widths, **settings)
        self.alpha = at_least_zero("method.alpha", alpha)
        self.stacked = true_or_false("method.stacked", stacked)
        codes = self.network.rep_dim
        self.noise = (2, codes)
        if stacked:
            self.starts_from = ("encoder",)
            self.encoder = self.network.encoder(heads=2)
            self.classifier = _perceptron(codes, widths[0], 1)
            values = codes
        else:
            self.classifier = nn.Sequential(self.network.encoder(), nn.LeakyReLU(0.1), nn.Linear(codes, 1))
            values = math.prod(self.network.shape)
        self.inference = _perceptron(values + 2, *widths, 2 * codes)
        self.generation = _perceptron(codes + 2, *reversed(widths), values)
        if choice("method.initial_weights", initial_weights, ("glorot", "torch")) == "glorot":
            start_glorot(self)
        if stacked:
            self.encoder.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "SSDGM":
        """The mode of all parts but M1, which stays in eval mode."""
        super().train(mode)
        if self.stacked:
            self.encoder.eval()
        return self

    def loss(self, batch: Batch) -> Tensor:
        """The objective on one batch."""
        x = self._input(batch.x)
        values = x.flatten(start_dim=1)
        classes = torch.eye(2, device=x.device).expand(len(x), 2, 2)
        known = torch.cat([values.unsqueeze(1).expand(-1, 2, -1), classes], dim=2)
        mean, log_variance = gaussian(self.inference(known))
        z = mean + (0.5 * log_variance).exp() * batch.noise  # (B, 2, D), one sample a class
        rebuilt = self.generation(torch.cat([z, classes], dim=2)).float()
        bound = self._surprise(rebuilt, values.unsqueeze(1)) + math.log(2) + gaussian_kl(mean, log_variance, 0.0)
        logit = self._logit(x)
        return ss_dgm_loss(bound, torch.stack([logsigmoid(-logit), logsigmoid(logit)], dim=1), batch.semi, self.alpha)

    def score(self, x: Tensor) -> Tensor:
        """The logit of q(anomalous|x), ``(B,)``."""
        return self._logit(self._input(x))

    def _input(self, x: Tensor) -> Tensor:
        if not self.stacked:
            return x
        with torch.no_grad():
            return self.encoder(x).float().chunk(2, dim=1)[0]  # type: ignore[no-any-return]

    def _logit(self, x: Tensor) -> Tensor:
        return self.classifier(x).squeeze(1).float()  # type: ignore[no-any-return]

    def _surprise(self, rebuilt: Tensor, values: Tensor) -> Tensor:
        """-log p(x|y,z), ``(B, 2, D)`` and ``(B, 1, D)`` to ``(B, 2)``."""
        if self.stacked or len(self.network.shape) == 1:
            return 0.5 * (rebuilt - values).square().sum(dim=2)
        return binary_cross_entropy_with_logits(rebuilt, values.expand_as(rebuilt), reduction="none").sum(dim=2)


def _perceptron(*units: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(units):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
