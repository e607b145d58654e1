"""Supervised deep binary classifier (ruff2019 appendix C, ruff2020 appendix E).

    -1/(n+m) (sum over normal x log(1 - p(x)) + sum over known anomalies x log p(x))

p(x) is the probability of an anomaly. Unlabeled samples count as normal, as most of them are. S(x) is the logit of
p(x), which ranks as p(x) does and never saturates. The network is that of the other methods, with leaky ReLU and a
linear unit behind the representation.
"""

from typing import Unpack

from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from sad_lightning.checks import choice
from sad_lightning.data.module import Batch
from sad_lightning.methods.method import ANY_LABEL, Method, Shared
from sad_lightning.networks.network import start_glorot


class Classifier(Method):
    """Supervised deep binary classifier.

    Args:
        initial_weights: ``glorot``, uniform, as in the paper, or ``torch``, PyTorch's own.
    """

    trains_on = ANY_LABEL
    needs_anomalies = True

    def __init__(self, *, initial_weights: str, **shared: Unpack[Shared]) -> None:
        super().__init__(initial_weights=initial_weights, **shared)
        choice("method.initial_weights", initial_weights, ("glorot", "torch"))
        self.encoder = self.network.encoder()
        self.head = nn.Sequential(nn.LeakyReLU(0.1), nn.Linear(self.network.rep_dim, 1))
        if initial_weights == "glorot":
            start_glorot(self)

    def loss(self, batch: Batch) -> Tensor:
        """The binary cross-entropy of one batch."""
        return binary_cross_entropy_with_logits(self.score(batch.x), (batch.semi < 0).float())

    def score(self, x: Tensor) -> Tensor:
        """The logit of p(anomaly given x), ``(B,)``."""
        return self.head(self.encoder(x)).squeeze(1).float()  # type: ignore[no-any-return]
