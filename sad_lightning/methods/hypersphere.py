"""The center of a hypersphere method."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from sad_lightning.data.module import Batch
from sad_lightning.functional import away_from_zero

_LEAST_COORDINATE = 0.1


@torch.no_grad()
def initial_center(encoder: nn.Module, batches: Iterable[Batch]) -> Tensor:
    """The mean representation of unlabeled and known normal rows, ``(D,)`` (ruff2020 appendix C).

    Known anomalies are left out. The encoder runs in eval mode and comes back in the mode it had. Coordinates closer
    to zero than 0.1 are pushed to +-0.1: a coordinate at zero is matched trivially by zero weights.
    """
    training = encoder.training
    encoder.eval()
    total = count = torch.zeros((), dtype=torch.float64)
    for batch in batches:
        keep = (batch.semi >= 0).cpu().double()
        total = total + keep @ encoder(batch.x).cpu().double()  # on the CPU: not every device has float64
        count = count + keep.sum()
    encoder.train(training)
    return away_from_zero((total / count).float(), _LEAST_COORDINATE)
