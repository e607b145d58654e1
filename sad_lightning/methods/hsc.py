"""Hypersphere classifier (HSC; Ruff et al. 2020, "Rethinking assumptions in deep anomaly detection"; ye2021 Table 2).

    1/(n+m) (sum over normal x h(phi(x)) - sum over known anomalies x log(1 - exp(-h(phi(x)))))

a binary cross-entropy with p(normal given x) = exp(-h). h(z) is the squared norm, as in the code of ye2021, or the
pseudo-Huber norm sqrt(||z||^2 + 1) - 1 of the method's own paper; there is no center. Unlabeled samples count as
normal. S(x) = h(phi(x)); the probability 1 - exp(-h) ranks alike but saturates.
"""

from typing import Unpack

from torch import Tensor

from sad_lightning.checks import choice
from sad_lightning.data.module import Batch
from sad_lightning.methods.cross_entropy import exponential_cross_entropy
from sad_lightning.methods.method import ANY_LABEL, Method, Shared


class HSC(Method):
    """Hypersphere classifier; ``norm`` is ``squared`` or ``pseudo_huber``."""

    trains_on = ANY_LABEL
    scores_are_distances = True
    needs_anomalies = True
    starts_pretrained = True
    norm: str

    def __init__(self, *, norm: str, **shared: Unpack[Shared]) -> None:
        super().__init__(norm=choice("method.norm", norm, ("squared", "pseudo_huber")), **shared)
        self.encoder = self.network.encoder()

    def loss(self, batch: Batch) -> Tensor:
        """The cross-entropy of one batch."""
        return exponential_cross_entropy(self.score(batch.x), batch.semi).mean()

    def watch(self, batch: Batch) -> dict[str, Tensor]:
        """The deviation of the scores over their mean."""
        scores = self.score(batch.x)
        return {"score_spread": scores.std(correction=0) / scores.mean()}

    def score(self, x: Tensor) -> Tensor:
        """h(phi(x)), ``(B,)``."""
        squared: Tensor = self.encoder(x).float().square().sum(dim=1)
        return squared if self.norm == "squared" else (squared + 1).sqrt() - 1
