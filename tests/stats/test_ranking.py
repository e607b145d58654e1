import numpy as np
import pytest
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from sad_lightning.errors import InputError
from sad_lightning.stats import ranking
from sad_lightning.stats.ranking import auroc, auroc_interval, average_precision, midranks, recall_at_fpr
from sad_lightning.stats.threshold import threshold_at_fpr


def cases():
    generator = np.random.default_rng(0)
    for _ in range(200):
        n = int(generator.integers(2, 60))
        y = generator.integers(0, 2, n)
        y[:2] = 0, 1
        scores = generator.normal(0, 10.0 ** generator.integers(-3, 6), n) + 1e3 * generator.integers(0, 2)
        if generator.random() < 0.5:
            scores = np.round(scores / scores.std())  # ties
        yield y, scores


def test_auroc_counts_pairs():
    for y, scores in cases():
        pairs = scores[y == 1][:, None] - scores[y == 0]
        assert auroc(y, scores) == pytest.approx(np.mean((pairs > 0) + 0.5 * (pairs == 0)), abs=1e-12)
        assert auroc(y, scores) == pytest.approx(roc_auc_score(y, scores), abs=1e-12)


def test_average_precision_is_that_of_scikit_learn():
    for y, scores in cases():
        assert average_precision(y, scores) == pytest.approx(average_precision_score(y, scores), abs=1e-12)


def test_recall_at_fpr_is_the_best_point_of_the_roc_curve():
    for y, scores in cases():
        fpr, tpr, _ = roc_curve(y, scores, drop_intermediate=False)
        for target in (0.0, 0.05, 0.3, 1.0):
            assert recall_at_fpr(y, scores, target) == pytest.approx(tpr[fpr <= target + 1e-12].max())
    y, scores = np.repeat([0, 1, 0], [71, 1, 29]), np.arange(101)
    assert 0.29 * 100 < 29  # and yet 29 of 100 are 29 %
    assert recall_at_fpr(y, scores, 0.29) == 1


def test_midranks_are_those_of_scipy():
    for _, scores in cases():
        assert midranks(scores).tolist() == rankdata(scores).tolist()


def test_the_roc_curve_is_that_of_scikit_learn():
    for y, scores in cases():
        fpr, tpr = ranking.roc_curve(y, scores)
        expected = roc_curve(y, scores, drop_intermediate=False)
        assert fpr == pytest.approx(expected[0])
        assert tpr == pytest.approx(expected[1])
        assert np.trapezoid(tpr, fpr) == pytest.approx(auroc(y, scores))
    assert len(ranking.roc_curve([0, 0], [1, 2])[0]) == 0


def test_the_interval_of_the_auroc_is_delongs_over_all_pairs():
    for y, scores in cases():
        anomalies, normals = scores[y == 1], scores[y == 0]
        if min(len(anomalies), len(normals)) < 2:
            assert np.isnan(auroc_interval(y, scores)).all()
            continue
        above = (anomalies[:, None] > normals) + 0.5 * (anomalies[:, None] == normals)
        variance = above.mean(1).var(ddof=1) / len(anomalies) + above.mean(0).var(ddof=1) / len(normals)
        half = 1.959963984540054 * np.sqrt(variance)
        expected = np.clip([above.mean() - half, above.mean() + half], 0, 1)
        assert auroc_interval(y, scores) == pytest.approx(expected, abs=1e-9)


def test_the_interval_holds_the_true_auroc_as_often_as_it_says():
    generator = np.random.default_rng(5)
    y = np.repeat([0, 1], [150, 60])
    held = 0
    for _ in range(400):
        low, high = auroc_interval(y, np.round(generator.normal(1.2 * y), 1))
        held += low <= 0.8019 <= high  # Phi(1.2 / sqrt 2)
    assert 0.92 <= held / 400 <= 0.98


def test_separated_distances_far_from_one_score_one():
    """What a sigmoid in float32 would flatten to 0.5."""
    assert auroc([0, 0, 1, 1], [20, 25, 30, 40]) == 1.0
    assert auroc([0, 1], [1e30, 1e30]) == 0.5


def test_one_kind_missing_is_nan_and_bad_input_is_told():
    assert np.isnan(auroc([0, 0], [1, 2]))
    assert np.isnan(average_precision([0, 0], [1, 2]))
    assert np.isnan(recall_at_fpr([1, 1], [1, 2], 0.1))
    with pytest.raises(InputError, match="finite"):
        auroc([0, 1], [1, np.nan])
    with pytest.raises(InputError, match="one score a row"):
        auroc([0, 1], [[1], [2]])
    with pytest.raises(InputError, match="0 normal or 1 anomaly"):
        auroc([-1, 1], [1, 2])


def test_threshold_flags_at_most_the_target_share():
    scores = np.random.default_rng(0).permutation(np.arange(100.0))
    assert threshold_at_fpr(scores + 1, 0.05) == 95  # s_(95): flags 96 .. 100
    assert threshold_at_fpr(scores + 1, 0.041) == 96  # s_(ceil(95.9)): five would be more than 4.1 %
    assert threshold_at_fpr(scores + 1, 0.0) == 100
    for n in range(1, 80):
        for fpr in (0.01, 0.05, 0.1, 0.5):
            values = np.arange(n)
            threshold = threshold_at_fpr(values, fpr)
            assert (values > threshold).sum() <= fpr * n + 1e-9
            lower = values[values < threshold]  # F0 below it keeps q
            assert len(lower) / n <= 1 - fpr + 1e-9
            assert (values > threshold - 1).sum() > fpr * n + 1e-9  # a smaller one flags more than the target
    with pytest.raises(InputError, match="target_fpr"):
        threshold_at_fpr(scores, 1.0)
