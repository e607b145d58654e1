"""The metrics of a cell against numbers worked out by hand."""

import csv
import tracemalloc

import numpy as np
import pytest

from sad_lightning.cell.evaluation import class_distances, evaluate
from sad_lightning.data.arrays import Arrays
from sad_lightning.data.schema import TextSchema
from sad_lightning.data.sets.images import fashion_mnist
from sad_lightning.data.sets.tabular import landsat
from sad_lightning.data.split import Split
from sad_lightning.errors import InputError
from sad_lightning.report.gather.published import _CLASSES, _FILE
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


def test_classes_of_texts_have_no_distance():
    """Words have numbers that say nothing, and so does their mean."""
    rows = np.arange(4)
    texts = Arrays(
        np.ones((4, 2), dtype=np.int64), np.array([0, 0, 1, 2]), ("a", "b", "c"), schema=TextSchema("text", ("x",), 2)
    )
    split = Split(rows[:0], np.zeros(0, dtype=np.int8), rows[:0], rows, rows[:0], (0,), (1,))
    _, per_class = evaluate(texts, split, np.arange(4.0), np.arange(2.0), 0.2)
    assert all("distance" not in one for one in per_class.values())


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


def test_images_and_tables_by_hand():
    pixels = np.zeros((4, 1, 2, 1), dtype=np.uint8)
    pixels[2:] = 255
    pixels[3, 0, 0] = 0
    images = Arrays(pixels, np.array([0, 0, 1, 2]), ("black", "white", "half", "none"))
    # means (0, 0), (1, 1), (0, 1): half their pixels differ from either
    found = class_distances(images, (0, 1))
    assert found[:3].tolist() == [0, 0, 0.5]
    assert np.isnan(found[3])
    x = np.array([[0, 5], [2, 5], [4, 5], [6, 5]], dtype=np.float32)  # deviations sqrt(5) and none
    rows = Arrays(x, np.array([0, 0, 1, 1]), ("a", "b"))
    assert class_distances(rows, (0,)) == pytest.approx([0, 4 / np.sqrt(5)])


@pytest.mark.parametrize(
    ("name", "load", "known", "slack"),
    [("fashion_mnist", fashion_mnist, "shirt", 0.006), ("fashion_mnist", fashion_mnist, "sneaker", 0.016),
     ("statlog", landsat, "damp grey soil", 0.006), ("statlog", landsat, "red soil", 0.02)],
)  # fmt: skip
def test_they_are_those_of_the_paper(name, load, known, slack, real_data):
    arrays = load(real_data)
    found = dict(zip(arrays.classes, class_distances(arrays, (arrays.classes.index(known),)), strict=True))
    with open(_FILE, newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] == "l2" and row["dataset"] == name]
    printed = {
        _CLASSES.get(row["test_class"], row["test_class"]): float(row["mean"])
        for row in rows if row["train_anomaly_class"] == known and row["param_value"] == known
    }  # fmt: skip
    assert len(printed) == len(arrays.classes) - 1
    for other, value in printed.items():
        assert found[other] == pytest.approx(value, abs=slack), other
