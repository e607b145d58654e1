"""Martingales: counts against brute force, capital by hand, means of exactly one, and how often an alarm is false."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import kstest

from sad_lightning.stats.martingale import (
    flag_martingale,
    flag_prior,
    gather_evidence,
    larger_before,
    log_mean,
    online_p_values,
    simple_jumper,
)
from sad_lightning.stats.threshold import conformal_rank, conformal_threshold


@pytest.mark.parametrize("n", [1, 2, 3, 8, 9, 100, 257])
def test_larger_before_counts_as_brute_force_does(n):
    ranks = np.random.default_rng(n).permutation(n)
    expected = [sum(ranks[:k] > ranks[k]) for k in range(n)]
    assert larger_before(ranks).tolist() == expected


def test_p_values_by_hand():
    class Half:
        def random(self, count):
            return np.full(count, 0.5)

    # of 1, 2, 3 none is larger than 4; of 1, 2, 3, 4 three are larger than 1.5; a missing one is the largest
    p = online_p_values([3.0, 1.0, 2.0], [4.0, 1.5, math.nan], Half())
    assert p.tolist() == [0.5 / 4, 3.5 / 5, 0.5 / 6]


def test_p_values_are_uniform_and_independent_whatever_the_distribution_and_the_ties():
    generator = np.random.default_rng(0)
    p = np.stack([
        online_p_values(values[:5], values[5:], generator) for values in generator.poisson(1.0, (4000, 8))
    ])  # fmt: skip
    for k in range(3):
        assert kstest(p[:, k], "uniform").pvalue > 0.001
    assert np.abs(np.corrcoef(p.T) - np.eye(3)).max() < 4 / math.sqrt(4000)


def test_the_jumper_by_hand():
    # three accounts of 1/3 bet 1 - (p - 1/2), 1, 1 + (p - 1/2); a hundredth moves evenly before each bet
    first = np.array([1.5 - 0.1, 1.0, 0.5 + 0.1]) / 3
    second = (0.99 * first + 0.01 * first.sum() / 3) * np.array([1.5 - 0.2, 1.0, 0.5 + 0.2])
    np.testing.assert_allclose(np.exp(simple_jumper([[0.1], [0.2]]))[:, 0], [first.sum(), second.sum()])


def test_the_jumper_is_a_martingale():
    grid = (np.arange(200) + 0.5) / 200
    pairs = np.array(list(itertools.product(grid, grid))).T
    assert math.isclose(np.exp(simple_jumper(pairs))[-1].mean(), 1, rel_tol=1e-9)


@pytest.mark.parametrize(("n", "fpr"), [(19, 0.05), (50, 0.1)])
def test_the_bet_on_flags_is_a_martingale_over_the_draw_of_the_threshold(n, fpr):
    """Given the rate, Beta(n + 1 - k, k), flags are independent: the mean over all sequences is one."""
    above = n + 1 - conformal_rank(n, fpr)
    mean = 0.0
    for flags in itertools.product((0, 1), repeat=5):
        chance, seen = 1.0, 0
        for t, flag in enumerate(flags):
            rate = (above + seen) / (n + 1 + t)
            chance *= rate if flag else 1 - rate
            seen += flag
        mean += chance * math.exp(flag_martingale(flags, n, fpr)[-1])
    assert math.isclose(mean, 1, rel_tol=1e-12)


def test_as_many_anomalies_as_in_training_are_expected():
    """The chance of a flag: mean and variance of base + (1 - base) rate over both draws, by simulation."""
    generator = np.random.default_rng(0)
    above, total = flag_prior(200, 0.05, (60, 600))
    base, rate = generator.binomial(600, 0.1, 100_000) / 600, generator.beta(10, 191, 100_000)
    chance = base + (1 - base) * rate
    mean = above / total
    assert mean == pytest.approx(chance.mean(), rel=0.01)
    assert mean * (1 - mean) / (total + 1) == pytest.approx(chance.var(), rel=0.05)
    flags = generator.random(500) < 0.15
    assert flag_martingale(flags, 200, 0.05, (60, 600)).max() < math.log(20)
    assert flag_martingale(flags, 200, 0.05).max() > math.log(20)


def test_more_flags_than_promised_are_seen():
    flags = np.random.default_rng(0).random(1000) < 0.15
    assert flag_martingale(flags, 500, 0.05).max() > math.log(20)


def test_a_mean_of_logarithms():
    np.testing.assert_allclose(np.exp(log_mean(np.log([[1.0, 4.0], [3.0, 8.0]]), [0.75, 0.25])), [1.5, 5.0])
    assert log_mean(np.array([[900.0], [0.0]]), [0.5, 0.5])[0] == pytest.approx(900 - math.log(2))


def stream(seed: int, rows: int, shift: float, held_out: bool = True):
    generator = np.random.default_rng(seed)
    known, new = generator.normal(size=(150, 4)), generator.normal(size=(rows, 4))
    new[:, 2] += shift
    calibration = (known**2).sum(axis=1)
    threshold = conformal_threshold(calibration, 0.05)
    return gather_evidence(
        (new**2).sum(axis=1), new, calibration=calibration, reference=known[calibration < threshold],
        threshold=threshold, fpr=0.05, held_out=held_out, seed=seed,
    )  # fmt: skip


def test_false_alarms_are_rare_and_a_shift_is_found():
    quiet = [stream(seed, 200, 0.0).alarm(0.05) for seed in range(100)]
    assert sum(alarm is not None for alarm in quiet) <= 11  # of 100 at 5 %: more has a chance of 1 %
    found = [stream(seed, 200, 1.5) for seed in range(10)]
    assert all(evidence.alarm(0.05) is not None for evidence in found)
    assert all(evidence.columns[-1].argmax() == 2 for evidence in found)


def test_scores_of_training_rows_are_not_bet_on():
    evidence = stream(0, 50, 0.0, held_out=False)
    assert not evidence.scores.any()
    assert not evidence.flags.any()
    np.testing.assert_allclose(np.exp(evidence.total), np.exp(evidence.columns).mean(axis=1))


def test_without_columns_only_scores_and_flags_are_bet_on():
    scores = np.random.default_rng(0).normal(size=300)
    evidence = gather_evidence(
        scores[200:], np.empty((100, 0)), calibration=scores[:200], reference=np.empty((0, 0)),
        threshold=conformal_threshold(scores[:200], 0.05), fpr=0.05, held_out=True,
    )  # fmt: skip
    np.testing.assert_allclose(np.exp(evidence.total), (np.exp(evidence.scores) + np.exp(evidence.flags)) / 2)
