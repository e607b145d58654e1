"""Calibrations against values worked out by hand."""

from math import log, log1p, sqrt

import numpy as np
import pytest

from sad_lightning.errors import InputError
from sad_lightning.stats.calibration import fit_calibration


def test_four_scores_by_hand():
    """Half of each score counts as at or below: shares 1/8, 3/8, 5/8, 7/8; none is beyond nine tenths."""
    found = fit_calibration([4, 1, 3, 2])
    assert found.scores.tolist() == [1, 2, 3, 4]
    np.testing.assert_allclose(found.values, [-log(7 / 8), -log(5 / 8), -log(3 / 8), -log(1 / 8)])
    assert (found.share, found.below, found.above) == (1 / 8, 1.5, sqrt(1.25))  # of four, no tail has a mean excess


def test_the_tail_begins_at_nine_tenths():
    """Of 1 to 20 the eighteenth has share 17.5/20; 19 and 20 exceed it by 1.5 in the mean."""
    found = fit_calibration(np.arange(1, 21))
    assert (found.scores[0], found.scores[-1], found.above, found.below) == (1, 18, 1.5, 9.5)
    assert found.values[-1] == pytest.approx(-log(2.5 / 20))
    assert len(found.scores) == 18


@pytest.mark.parametrize(
    ("scores", "knots", "shares", "below", "above"),
    [
        ([7], [7], [1 / 2], 1, 1),
        ([3, 3, 3], [3], [1 / 2], 1, 1),
        ([0, 0, 0, 1], [0, 1], [3 / 8, 7 / 8], sqrt(3) / 4, sqrt(3) / 4),
        ([0] * 19 + [5], [0], [9.5 / 20], sqrt(25 / 20 - 1 / 16), 5),
    ],
    ids=["one", "equal", "ties", "a tie and one above"],
)
def test_few_distinct_scores_by_hand(scores, knots, shares, below, above):
    found = fit_calibration(scores)
    assert found.scores.tolist() == knots
    np.testing.assert_allclose(found.values, [-log1p(-share) for share in shares])
    np.testing.assert_allclose((found.share, found.below, found.above), (shares[0], below, above))


def test_many_scores_have_few_knots_and_both_ends():
    scores = np.random.default_rng(0).lognormal(size=5000)
    found = fit_calibration(scores)
    assert len(found.scores) == len(found.values) == 64
    assert (np.diff(found.scores) > 0).all()
    assert (np.diff(found.values) > 0).all()
    assert found.scores[0] == scores.min()
    assert found.scores[-1] == pytest.approx(np.quantile(scores, 0.9), rel=0.01)


@pytest.mark.parametrize("scores", [[], [1.0, np.inf], [np.nan]])
def test_scores_that_calibrate_nothing_are_told(scores):
    with pytest.raises(InputError, match=f"got {len(scores)}, of them {len(scores) // 2} finite"):
        fit_calibration(scores)
