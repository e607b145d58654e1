"""Every number held to scipy.stats or to brute force."""

import itertools

import numpy as np
import pytest
import scipy
from scipy import stats

from sad_lightning.errors import InputError
from sad_lightning.stats.compare import average_ranks, compare_paired, holm, paired_t, signed_rank, summarize


def pairs():
    generator = np.random.default_rng(0)
    for _ in range(100):
        n = int(generator.integers(2, 80))
        first, second = generator.normal(0.3, 1, n), generator.normal(0, 1, n)
        if generator.random() < 0.5:
            first, second = np.round(first, 1), np.round(second, 1)  # ties among the differences, and none at all
        yield first, second


def test_the_signed_rank_test_is_that_of_scipy():
    for first, second in pairs():
        if (first == second).all():
            continue
        differences = np.round(first - second, 12)  # what rounding leaves must tie for both alike
        tied = 0 in differences or len(np.unique(np.abs(differences))) < len(differences)
        if tied and len(differences) <= 50 and scipy.__version__ < "1.15":
            continue  # its exact test overlooks ties; the test below counts all signs
        expected = stats.wilcoxon(differences).pvalue
        assert signed_rank(differences, np.zeros_like(differences)) == pytest.approx(expected, rel=1e-9)


def test_the_exact_signed_rank_test_counts_all_signs():
    differences = np.array([0.5, -0.5, 1.0, 2.0, 2.0, 3.0])
    ranks = np.array([1.5, 1.5, 3.0, 4.5, 4.5, 6.0])
    sums = np.array([ranks[list(signs)].sum() for signs in itertools.product([False, True], repeat=6)])
    seen = ranks[differences > 0].sum()
    expected = 2 * min((sums <= seen).mean(), (sums >= seen).mean())
    assert signed_rank(differences, np.zeros(6)) == pytest.approx(expected)


def test_the_paired_t_test_is_that_of_scipy():
    for first, second in pairs():
        assert paired_t(first, second) == pytest.approx(stats.ttest_rel(first, second).pvalue, rel=1e-9)


def test_a_planted_difference_is_significant_and_a_planted_tie_is_not():
    generator = np.random.default_rng(1)
    base, noise = generator.normal(90, 3, 90), generator.normal(0, 1, 90)
    better = compare_paired(base + 1 + noise, base)
    assert better.wilcoxon < 1e-6
    assert better.paired_t < 1e-6
    assert better.difference == pytest.approx(1 + noise.mean())
    assert better.wins > better.losses
    tie = compare_paired(base + noise - noise.mean(), base)
    assert tie.wilcoxon > 0.2
    assert tie.paired_t == pytest.approx(1.0)


def test_no_difference_at_all_and_no_pairs():
    same = compare_paired([1.0, 2.0], [1.0, 2.0])
    assert (same.wilcoxon, same.paired_t, same.wins, same.losses) == (1.0, 1.0, 0, 0)
    assert np.isnan(compare_paired([], []).wilcoxon)
    assert np.isnan(compare_paired([1.0], [0.0]).paired_t)
    assert compare_paired([1.0, 2.0], [0.0, 1.0]).paired_t == 0.0  # the same difference twice
    with pytest.raises(InputError, match="pairs"):
        compare_paired([1.0, 2.0], [1.0])


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, np.nan]) == pytest.approx([0.03, 0.06, 0.06, np.nan], nan_ok=True)
    assert holm([0.6, 0.5]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_rejects_what_the_step_down_rule_rejects():
    generator = np.random.default_rng(2)
    for _ in range(100):
        p = generator.random(6) ** 3
        order, rejected = np.argsort(p), set()
        for k, i in enumerate(order):
            if p[i] * (6 - k) > 0.05:
                break
            rejected.add(int(i))
        assert {i for i, q in enumerate(holm(p.tolist())) if q <= 0.05} == rejected


def test_average_ranks_are_those_of_scipy():
    values = np.round(np.random.default_rng(3).random((40, 5)), 1)
    assert average_ranks(values) == pytest.approx(stats.rankdata(-values, axis=1).mean(axis=0))
    assert np.isnan(average_ranks(np.empty((0, 3)))).all()


def test_the_interval_of_the_mean_is_that_of_scipy():
    values = np.random.default_rng(4).normal(90, 3, 12)
    summary = summarize(values)
    low, high = stats.t.interval(0.95, 11, loc=values.mean(), scale=stats.sem(values))
    assert summary.interval == pytest.approx((low, high))
    assert summary[:3] == pytest.approx((12, values.mean(), values.std(ddof=1)))
    assert np.isnan(summarize([1.0]).deviation)
    assert np.isnan(summarize([]).mean)
