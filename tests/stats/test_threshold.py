"""The conformal threshold and p-values: by hand, against each other, and their guarantee in a simulation."""

import math

import numpy as np
import pytest

from sad_lightning.errors import InputError
from sad_lightning.stats.threshold import conformal_threshold, p_values, threshold_at_fpr


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
