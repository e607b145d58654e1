"""The metrics of a cell against numbers worked out by hand."""

import numpy as np
import pytest

from sad_lightning.cell.evaluation import evaluate
from sad_lightning.data.arrays import Arrays
from sad_lightning.data.split import Split


def test_metrics_overall_and_for_each_class():
    # rows 0 to 3 are normal (class 1), 4 and 5 class 0, 6 to 8 class 2
    classes = np.array([1, 1, 1, 1, 0, 0, 2, 2, 2])
    arrays = Arrays(np.zeros((9, 1), dtype=np.float32), classes, ("a", "b", "c"))
    rows = np.arange(9)
    split = Split(rows[:0], np.zeros(0, dtype=np.int8), rows[:0], rows, rows[:0], (1,), (0,))
    scores = np.array([1.0, 2, 3, 9, 8, 10, 0, 2.5, 2])
    metrics, per_class = evaluate(arrays, split, scores, np.array([1.0, 2, 3, 4, 5]), 0.2)
    assert metrics["threshold"] == 4  # s_(ceil(.8 * 5))
    assert metrics["false_positive_rate"] == 1 / 4  # the 9
    assert metrics["recall"] == 2 / 5  # 8 and 10
    # pairs won of 4 normals: 8 wins 3, 10 wins 4, 0 none, 2.5 wins 2, 2 wins 1 and ties 1
    assert metrics["auroc"] == pytest.approx((3 + 4 + 0 + 2 + 1.5) / 20)
    assert metrics["recall_at_target_fpr"] == 1 / 5  # no normal may be flagged: 10 alone lies above the 9
    assert per_class == {
        "a": {"auroc": pytest.approx(7 / 8), "recall": 1.0, "count": 2, "distance": 0.0},
        "c": {"auroc": pytest.approx(3.5 / 12), "recall": 0.0, "count": 3, "distance": 0.0},  # every row is zero
    }
