"""The conformal threshold and p-values: by hand, against each other, and their guarantee in a simulation."""

import math

import numpy as np
import pytest
from scipy.stats import false_discovery_control

from sad_lightning.errors import InputError
from sad_lightning.stats.threshold import (
    conformal_threshold,
    p_values,
    reached_by,
    threshold_at_fdr,
    threshold_at_fpr,
)


def test_no_score_has_no_threshold():
    with pytest.raises(InputError, match="at least one score"):
        threshold_at_fpr([], 0.05)
    assert conformal_threshold([], 0.05) == math.inf


def test_conformal_threshold_by_hand():
    scores = np.arange(1.0, 101)
    assert (
        conformal_threshold(scores, 0.05) == 96
    )  # s_(ceil(.95 * 101)) = s_(96): may flag 97 .. 100, four in a hundred
    assert conformal_threshold(scores[:19], 0.05) == 19  # s_(19): the least n that can promise 5 %
    assert conformal_threshold(scores[:18], 0.05) == math.inf
    assert conformal_threshold(scores, 0.0) == math.inf
    with pytest.raises(InputError, match="target_fpr"):
        conformal_threshold(scores, 1.0)


def test_p_values_by_hand():
    # of 1, 2, 2, 5: all reach 0, three reach 2, one reaches 5, none reaches 6
    assert p_values([5, 2, 1, 2], [0, 2, 2.5, 5, 6]).tolist() == [5 / 5, 4 / 5, 2 / 5, 2 / 5, 1 / 5]


def test_the_conformal_threshold_flags_what_has_a_small_p_value():
    generator = np.random.default_rng(0)
    for n in range(1, 80):
        normals = generator.integers(0, 9, n) / 3.0  # with ties
        scores = np.append(normals, generator.uniform(-1, 4, 50))
        for fpr in (0.05, 0.1, 0.25, 0.5):
            flagged = scores > conformal_threshold(normals, fpr)
            assert np.array_equal(flagged, p_values(normals, scores) <= fpr + 1e-12), (n, fpr)


@pytest.mark.parametrize("n", [20, 50, 199])
def test_a_new_normal_is_flagged_at_most_as_often_as_promised(n):
    """Over calibration rows and the new sample, exactly (n + 1 - k) / (n + 1); Algorithm 1 promises less."""
    generator = np.random.default_rng(n)
    normals = np.sort(generator.normal(size=(20_000, n)), axis=1)
    new = generator.normal(size=20_000)
    flagged = np.mean([x > conformal_threshold(rows, 0.05) for rows, x in zip(normals, new, strict=True)])
    expected = (n + 1 - math.ceil(0.95 * (n + 1) - 1e-9)) / (n + 1)
    assert expected <= 0.05
    assert abs(flagged - expected) < 4 * math.sqrt(expected / 20_000)


def test_the_two_thresholds_meet_for_many_rows():
    scores = np.random.default_rng(1).normal(size=100_000)
    assert abs(threshold_at_fpr(scores, 0.05) - conformal_threshold(scores, 0.05)) < 1e-3


def flagged_at(normals: np.ndarray, scores: np.ndarray, fdr: float) -> np.ndarray:
    return scores > threshold_at_fdr(normals, reached_by(normals, scores), fdr)


def test_the_discovery_threshold_flags_what_scipy_does():
    generator = np.random.default_rng(3)
    most = 0
    for n in range(1, 120):
        normals = generator.integers(0, 50, n) / 7.0  # with ties
        scores = np.concatenate([generator.uniform(-1, 8, 40), generator.uniform(6, 9, n % 30)])
        adjusted = false_discovery_control(p_values(normals, scores), method="bh")
        for fdr in (0.0, 0.011, 0.093, 0.317, 0.83):
            assert np.array_equal(flagged_at(normals, scores, fdr), adjusted <= fdr), (n, fdr)
            most = max(most, int((adjusted <= fdr).sum()))
    assert most > 20
    with pytest.raises(InputError, match=r"fdr must be a number in \[0, 1\)"):
        threshold_at_fdr(normals, reached_by(normals, scores), 1.0)


def test_the_discovery_threshold_by_hand():
    normals = np.arange(1.0, 10)  # p-values are tenths
    scores = [9.5, 9.5, 8.5, 0.5]  # .1, .1, .2, 1
    assert reached_by(normals, scores).tolist() == [2, 1, 0, 0, 0, 0, 0, 0, 0, 1]
    assert threshold_at_fdr(normals, reached_by(normals, scores), 0.2) == 9  # .1 <= .2 * 2/4, but .2 > .2 * 3/4
    assert threshold_at_fdr(normals, reached_by(normals, scores), 0.3) == 8  # .2 <= .3 * 3/4
    assert threshold_at_fdr(normals, reached_by(normals, scores), 0.19) == math.inf
    assert threshold_at_fdr(normals, reached_by(normals, [9.5, 9.5]), 0.1) == 9
    assert threshold_at_fdr([1.0], reached_by([1.0], [0.0]), 0.99) == math.inf
    parts = reached_by(normals, scores[:1]) + reached_by(normals, scores[1:])
    assert parts.tolist() == reached_by(normals, scores).tolist()


def test_of_what_is_flagged_the_promised_share_is_false():
    """Of 200 rows 160 are normal: at most .8 fdr, over calibration and new rows; at a rate of .1 it were a third."""
    generator = np.random.default_rng(5)
    shares, uncorrected, power = [], [], []
    for _ in range(3000):
        normals, new = generator.normal(size=499), generator.normal(size=200)
        new[:40] += 3
        flagged = flagged_at(normals, new, 0.1)
        shares.append(flagged[40:].sum() / max(flagged.sum(), 1))
        power.append(flagged[:40].mean())
        alone = p_values(normals, new) <= 0.1
        uncorrected.append(alone[40:].sum() / alone.sum())
    error = np.std(shares) / math.sqrt(len(shares))
    assert 0.07 < np.mean(shares) < 0.08 + 4 * error
    assert np.mean(power) > 0.7
    assert np.mean(uncorrected) > 0.25


@pytest.mark.parametrize(
    ("fpr", "threshold"), [(0.0, np.inf), (1e-12, np.inf), (0.49, np.inf), (0.5, 7.0), (0.99, 7.0)]
)
def test_one_calibration_row_promises_no_rate_below_a_half(fpr, threshold):
    assert conformal_threshold([7.0], fpr) == threshold
    assert p_values([7.0], [6.0, 7.0, 8.0]).tolist() == [1.0, 1.0, 0.5]
