"""PReNet: pairwise relations (Pang et al., KDD 2023, "Deep weakly-supervised anomaly detection", equations 1 to 4).

A network learns how many known anomalies a pair holds, from pairs of known anomalies a and unlabeled samples u:

    L = mean over pairs |y_ij - h(psi(x_i), psi(x_j))|,   y = 8 for (a, a'), 4 for (a, u) and (u, a), 0 for (u, u')
    S(x) = 1/2 (mean over a of h(psi(a), psi(x)) + mean over u of h(psi(x), psi(u)))

h is linear in both representations, so that the means over all training samples are those of their representations;
the paper draws 30 of each. The pairs of a batch are each row with the next one, and with the one a third of the batch
further on: of a balanced batch with half as many known anomalies as others about half are (u, u'), and a third mixed.
"""

from collections.abc import Iterable
from typing import Unpack

import torch
from torch import Tensor, nn

from sad_lightning.checks import positive
from sad_lightning.data.module import Batch
from sad_lightning.methods.method import ANY_LABEL, Method, Shared
from sad_lightning.methods.processes import gather
from sad_lightning.methods.steps import mode


class PReNet(Method):
    """Pairwise relation network; ``step`` is what a known anomaly adds to the relation of a pair, 4 in the paper."""

    trains_on = ANY_LABEL
    needs_anomalies = True
    step: float
    anomalous: Tensor
    normal: Tensor

    def __init__(self, *, step: float, **shared: Unpack[Shared]) -> None:
        super().__init__(step=positive("method.step", step), **shared)
        self.encoder = self.network.encoder()
        self.activation = nn.LeakyReLU(0.1)
        self.relation = nn.Linear(2 * self.network.rep_dim, 1)
        for name in ("anomalous", "normal"):
            self.register_buffer(name, torch.zeros(self.network.rep_dim))

    def loss(self, batch: Batch) -> Tensor:
        """The mean absolute error of the relations of the pairs of one batch."""
        z, anomalies = gather(self._represent(batch.x)), gather((batch.semi < 0).float())
        errors = [
            self._relate(z, z.roll(-offset, 0)) - self.step * (anomalies + anomalies.roll(-offset, 0))
            for offset in (1, max(2, len(z) // 3))
        ]
        return torch.stack(errors).abs().mean()

    @torch.no_grad()
    def finish(self, batches: Iterable[Batch]) -> None:
        """The mean representations of known anomalies and of all others."""
        sums, counts = torch.zeros(2, self.network.rep_dim, dtype=torch.float64), torch.zeros(2, 1, dtype=torch.float64)
        with mode(self, training=False):
            for batch in batches:
                of = torch.stack([batch.semi < 0, batch.semi >= 0]).cpu().double()  # not every device has float64
                sums += of @ self._represent(batch.x).cpu().double()
                counts += of.sum(dim=1, keepdim=True)
        for buffer, mean in zip((self.anomalous, self.normal), sums / counts.clamp(min=1), strict=True):
            buffer.copy_(mean)

    def score(self, x: Tensor) -> Tensor:
        """S(x), ``(B,)``; before training has finished the means over a and u are those of representations of 0."""
        z = self._represent(x)
        return (self._relate(self.anomalous.expand_as(z), z) + self._relate(z, self.normal.expand_as(z))) / 2

    def _represent(self, x: Tensor) -> Tensor:
        return self.activation(self.encoder(x)).float()  # type: ignore[no-any-return]

    def _relate(self, one: Tensor, other: Tensor) -> Tensor:
        return self.relation(torch.cat([one, other], dim=1)).squeeze(1).float()  # type: ignore[no-any-return]
