"""What a detector asks for scores of prepared rows: a method, an ensemble, a mixture or a baseline."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn
from torch.nn import functional

from sad_lightning.methods.method import Method
from sad_lightning.training.ensemble import Ensemble
from sad_lightning.training.mixture import Mixture

if TYPE_CHECKING:
    from sad_lightning.baselines.baseline import Baseline

_SMOOTH = 4 / 224  # of the side of an image


class BaselineScore(nn.Module):
    """A fitted baseline with the ``score`` of a method, computed on the CPU.

    Args:
        baseline: fitted.
        first: the method whose encoder computes its features; None for the prepared rows themselves.
    """

    def __init__(self, baseline: "Baseline", first: Method | None = None) -> None:
        super().__init__()
        self.baseline, self.first = baseline, first

    def score(self, x: Tensor) -> Tensor:
        """The baseline's anomaly score of each row, ``(B,)`` float64."""
        features = x if self.first is None else self.first.get_encoder()(x)
        scores = self.baseline.anomaly_score(features.detach().flatten(start_dim=1).double().cpu().numpy())
        return torch.from_numpy(np.ascontiguousarray(scores)).to(x.device)

    def patch_scores(self, x: Tensor) -> NDArray[np.float64] | None:
        """The score of each patch of prepared images, ``(B, h, w)``; None where the baseline looks at no patch."""
        return self.baseline.patch_scores(x.detach().flatten(start_dim=1).cpu().numpy())


Scorer = Method | Ensemble | BaselineScore | Mixture


def heat_maps(scorer: Scorer, x: Tensor, size: Sequence[int]) -> NDArray[np.float32] | None:
    """Where prepared images are anomalous, ``(B, H, W)``, higher = more anomalous; None where the scorer can not tell.

    The scores of patches, enlarged and smoothed as PatchCore does, by 4 pixels of 224.

    Args:
        scorer: of patches, or another.
        x: ``(B, D, h, w)``.
        size: ``(H, W)``.
    """
    patches = scorer.patch_scores(x) if isinstance(scorer, BaselineScore) and x.ndim == 4 else None
    if patches is None:
        return None
    height, width = size
    scores = torch.from_numpy(patches).float()[:, None]
    enlarged = functional.interpolate(scores, (height, width), mode="bilinear", align_corners=False)[:, 0].numpy()
    return np.asarray(gaussian_filter(enlarged, (0, _SMOOTH * height, _SMOOTH * width)), dtype=np.float32)
