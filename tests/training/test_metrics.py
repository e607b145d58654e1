"""The metrics of held-out rows are those of ``stats.ranking``, whatever the scale of the scores."""

import numpy as np
import pytest
import torch

from sad_lightning.errors import InputError
from sad_lightning.stats.ranking import auroc, average_precision, recall_at_fpr
from sad_lightning.training.metrics import ranks, validation_metrics


@pytest.mark.parametrize("target_fpr", [0.0, 0.05, 0.1, 0.5])
@pytest.mark.parametrize("offset", [0.0, 30.0, -1e4, 1e7])
def test_torchmetrics_and_the_exact_statistics_agree(offset, target_fpr):
    generator = np.random.default_rng(0)
    for n in (2, 20, 100, 3000):
        for scale in (1e-3, 1.0, 1e3):
            y = generator.permutation(np.arange(n) < max(1, n // 10)).astype(np.int64)
            scores = offset + np.round(scale * (generator.normal(size=n) + y), 2)  # with ties
            metrics = validation_metrics(target_fpr)
            metrics.update(ranks(torch.from_numpy(scores)), torch.from_numpy(y))
            values = {name: float(value) for name, value in metrics.compute().items()}
            assert values == pytest.approx(
                {
                    "validation_auroc": auroc(y, scores),
                    "validation_average_precision": average_precision(y, scores),
                    "validation_recall_at_target_fpr": recall_at_fpr(y, scores, target_fpr),
                },
                abs=1e-6,
            )


def test_raw_scores_would_be_blurred():
    """Why ranks: if torchmetrics stops squashing scores, they can go."""
    y, scores = torch.tensor([0, 0, 1, 1]), torch.tensor([20.0, 25.0, 35.0, 40.0])
    metrics = validation_metrics(0.05)
    metrics.update(scores, y)
    assert metrics.compute()["validation_auroc"] == 0.5
    metrics.reset()
    metrics.update(ranks(scores), y)
    assert metrics.compute()["validation_auroc"] == 1.0


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_scores_that_are_not_finite_are_one_line(bad):
    with pytest.raises(InputError, match=r"optimizer\.lr must .* 1 of 3 scores of held-out rows are not finite"):
        ranks(torch.tensor([0.0, bad, 1.0]))
