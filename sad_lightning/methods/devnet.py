"""DevNet: deviation networks (Pang et al., KDD 2019, "Deep anomaly detection with deviation networks").

The score phi(x) of a network is compared with the scores r_1 ... r_l of a normal prior, l = 5,000:

    dev(x) = (phi(x) - mean of r) / deviation of r,   r_i drawn from N(0, 1)
    L = 1/(n+m) (sum over normal x |dev(x)| + sum over known anomalies x max(0, a - dev(x))),   a = 5

so that normal samples score as the prior does, and known anomalies at least a deviations above it. Unlabeled samples
count as normal. S(x) = phi(x). Half of a batch of the paper are known anomalies: ``balance.known_anomalies``. The
prior is drawn when the network is built, not in every step.
"""

from typing import Unpack

import torch
from torch import Tensor, nn

from sad_lightning.checks import positive
from sad_lightning.data.module import Batch
from sad_lightning.methods.method import ANY_LABEL, Method, Shared

_PRIOR = 5000


class DevNet(Method):
    """Deviation network; ``margin`` is a, in standard deviations of the prior."""

    trains_on = ANY_LABEL
    needs_anomalies = True
    margin: float
    prior: Tensor

    def __init__(self, *, margin: float, **shared: Unpack[Shared]) -> None:
        super().__init__(margin=positive("method.margin", margin), **shared)
        self.encoder = self.network.encoder()
        self.head = nn.Sequential(nn.LeakyReLU(0.1), nn.Linear(self.network.rep_dim, 1))
        draws = torch.randn(_PRIOR)
        self.register_buffer("prior", torch.stack([draws.mean(), draws.std()]))

    def loss(self, batch: Batch) -> Tensor:
        """The deviation loss of one batch."""
        deviation = (self.score(batch.x) - self.prior[0]) / self.prior[1]
        return torch.where(batch.semi < 0, (self.margin - deviation).relu(), deviation.abs()).mean()

    def score(self, x: Tensor) -> Tensor:
        """phi(x), ``(B,)``."""
        return self.head(self.encoder(x)).squeeze(1).float()  # type: ignore[no-any-return]
