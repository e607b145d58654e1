"""The metrics of a cell against numbers worked out by hand."""

import tracemalloc

import numpy as np
import pytest

from sad_lightning.cell.evaluation import evaluate
from sad_lightning.data.arrays import Arrays
from sad_lightning.data.split import Split
from sad_lightning.errors import InputError
from sad_lightning.stats.threshold import conformal_threshold, threshold_at_fpr


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


def evaluated(scores: np.ndarray, y: np.ndarray, normal_scores: np.ndarray, fpr: float = 0.05, rule=threshold_at_fpr):
    rows = np.arange(len(y))
    arrays = Arrays(np.zeros((len(y), 1), dtype=np.float32), y.astype(np.int64), ("normal", "odd"))
    nothing = rows[:0]
    split = Split(nothing, nothing.astype(np.int8), nothing, rows, nothing, (0,), ())
    return evaluate(arrays, split, scores, normal_scores, fpr, rule)[0]


def test_one_anomaly_among_a_million_normal_rows():
    """The metrics are exact, and what they take of memory is a small multiple of the scores."""
    count = 10**6
    scores = np.random.default_rng(0).permutation(count + 1).astype(float)
    y = scores == count - 10  # ten normal rows score higher
    tracemalloc.start()
    metrics = evaluated(scores, y, scores[~y], fpr=1e-5)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert metrics["auroc"] == (count - 10) / count
    assert metrics["average_precision"] == pytest.approx(1 / 11)
    assert metrics["recall_at_target_fpr"] == 1  # ten of a million are allowed
    assert metrics["threshold"] == count - 11  # s_(ceil((1 - 1e-5) n)): the highest normal score below the anomaly
    assert (metrics["recall"], metrics["false_positive_rate"]) == (1, 10 / count)
    assert evaluated(scores, y, scores[~y], fpr=9e-6)["recall"] == 0
    assert most < 20 * scores.nbytes


@pytest.mark.parametrize("rule", [threshold_at_fpr, conformal_threshold])
def test_what_ties_with_the_threshold_is_not_flagged(rule):
    """Half of the scores are one value: to flag it would flag them all."""
    normal = np.r_[np.arange(50.0), np.full(50, 50.0)]
    metrics = evaluated(np.r_[normal, 50.0, 51.0], np.r_[np.zeros(100), 1, 1], normal, fpr=0.2, rule=rule)
    assert metrics["threshold"] == 50
    assert metrics["false_positive_rate"] == 0
    assert metrics["recall"] == 0.5
    assert metrics["recall_at_target_fpr"] == 0.5
    assert metrics["auroc"] == pytest.approx((75 + 100) / 200)


def test_one_row_sets_the_threshold():
    scores, y = np.array([1.0, 2.0, 3.0]), np.array([0, 0, 1])
    metrics = evaluated(scores, y, np.array([2.0]))
    assert (metrics["threshold"], metrics["recall"], metrics["false_positive_rate"]) == (2, 1, 0)
    promised = evaluated(scores, y, np.array([2.0]), rule=conformal_threshold)
    assert (promised["threshold"], promised["recall"], promised["false_positive_rate"]) == (np.inf, 0, 0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("which", ["test", "normal"])
def test_scores_that_are_not_finite_are_told(which, value):
    scores, y, normal = np.arange(3.0), np.array([0, 0, 1]), np.arange(4.0)
    (scores if which == "test" else normal)[1] = value
    with pytest.raises(InputError, match=r"scores: must be finite, 1 of .* trainer\.precision"):
        evaluated(scores, y, normal)
