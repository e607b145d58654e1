"""Relative scoring bias: by hand, Corollary 2 and the intervals' coverage in simulations."""

import math

import numpy as np
import pytest

from sad_lightning.errors import InputError
from sad_lightning.stats.bias import Gaussian, bootstrap_biases, dkw_radius, gaussian_bias, relative_scoring_bias


def test_equation_3_5_by_hand():
    normals = np.array([np.arange(1.0, 21), np.arange(20.0, 0, -1)])
    anomalies = np.array([[25.0, 20, 3, 19.5, 30], [25, 1, 2, 3, 4]])
    # both thresholds are s_(floor(.9 * 20) + 1) = 19: the first finds 25, 20, 19.5 and 30, the second 25
    found = relative_scoring_bias(normals, anomalies, fpr=0.1)
    assert found.recalls == (0.8, 0.2)
    # five rows and twenty promise nothing: delta / 4 leaves a band of sqrt(log(160) / 10) = .71
    assert found.dkw.low == -1
    assert found.dkw.high > 0
    biases = bootstrap_biases(normals, anomalies, fpr=0.1, resamples=50)
    assert np.quantile(biases, 0.025) <= -0.6 <= np.quantile(biases, 0.975)


def test_the_dkw_interval_by_hand():
    """10,000 normals, 2,000 anomalies, both uniform: off = sqrt(log(160) / 20000) = .0159, band = .0356."""
    n, m = 10_000, 2_000
    s, a = (np.arange(n) + 0.5) / n, (np.arange(m) + 0.5) / m
    found = relative_scoring_bias([s, s], [a, a**0.5], fpr=0.05)
    off, band = math.sqrt(math.log(160) / (2 * n)), math.sqrt(math.log(160) / (2 * m))
    # recall at t is 1 - t for the first and 1 - t^2 for the second, at quantiles .95 - off and .95 + off
    lows = [max(1 - t - band, 0) for t in (0.95 + off, (0.95 + off) ** 2)]
    highs = [1 - t + band for t in (0.95 - off, (0.95 - off) ** 2)]
    assert found.recalls[1] - found.recalls[0] == pytest.approx(0.95 - 0.95**2, abs=1e-3)
    assert found.dkw.low == pytest.approx(lows[1] - highs[0], abs=2e-3)
    assert found.dkw.high == pytest.approx(highs[1] - lows[0], abs=2e-3)


PAIRS = [
    (Gaussian(0, 1, 1, 1), Gaussian(0, 1, 2, 1)),
    (Gaussian(1, 0.5, 1.5, 2), Gaussian(-3, 2, 0, 0.7)),
    (Gaussian(0, 1, 3, 1), Gaussian(0, 1, 0.5, 3)),
]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_corollary_2_agrees_with_simulation_to_three_digits(first, second):
    generator = np.random.default_rng(3)
    recalls = []
    for scores in (first, second):
        normal = generator.normal(scores.mean, scores.deviation, 8_000_000)
        anomaly = generator.normal(scores.anomaly_mean, scores.anomaly_deviation, 8_000_000)
        recalls.append((anomaly > np.quantile(normal, 0.95)).mean())
    assert gaussian_bias(first, second, 0.05) == pytest.approx(recalls[1] - recalls[0], abs=5e-4)


def test_corollary_2_by_hand():
    # z = 1.644854: Phi(z - 1) - Phi(z - 2) = Phi(.644854) - Phi(-.355146) = .740489 - .361240
    assert gaussian_bias(*PAIRS[0], 0.05) == pytest.approx(0.379249, abs=2e-6)
    # as it is printed: Phi((sigma_0 z + mu_0 - mu_a) / sigma_a) of the first less that of the second
    z, phi = 1.6448536269514722, lambda x: (1 + math.erf(x / math.sqrt(2))) / 2
    for first, second in PAIRS:
        terms = [phi((s.deviation * z + s.mean - s.anomaly_mean) / s.anomaly_deviation) for s in (first, second)]
        assert gaussian_bias(first, second, 0.05) == pytest.approx(terms[0] - terms[1], abs=1e-12)
    with pytest.raises(InputError, match="deviation must be a positive number"):
        gaussian_bias(Gaussian(0, 0, 1, 1), PAIRS[0][0], 0.05)


@pytest.mark.parametrize("n", [50, 400])
def test_the_dkw_band_covers_at_its_nominal_rate(n):
    """Massart's constant is exact in the limit: of uniform samples, 95 % and hardly more stay within the band."""
    samples = np.sort(np.random.default_rng(n).uniform(size=(20_000, n)), axis=1)
    steps = np.arange(1, n + 1) / n
    off = np.maximum(steps - samples, samples - (steps - 1 / n)).max(axis=1)
    covered = (off <= dkw_radius(n, 0.05)).mean()
    assert 0.95 - 0.004 < covered < 0.975  # .004: two and a half standard errors


def test_both_intervals_of_the_bias_cover_the_truth():
    """The first for sure, the second about as often as it says; scores of a row go together."""
    first, second = PAIRS[0]
    truth, generator = gaussian_bias(first, second, 0.05), np.random.default_rng(7)
    covered = np.zeros(2)
    for run in range(300):
        shared = generator.normal(size=400)
        normals = [0.6 * shared + 0.8 * generator.normal(size=400) for _ in range(2)]
        anomalies = [each.anomaly_mean + generator.normal(size=300) for each in (first, second)]
        biases = bootstrap_biases(normals, anomalies, fpr=0.05, resamples=300, seed=run)
        intervals = relative_scoring_bias(normals, anomalies, fpr=0.05).dkw, np.quantile(biases, [0.025, 0.975])
        covered += [low <= truth <= high for low, high in intervals]
    assert covered[0] / 300 >= 0.99  # four events and two quantiles leave room
    assert 0.91 <= covered[1] / 300 <= 0.985


def test_the_bootstrap_draws_rows_with_both_their_scores():
    """Two equal scores differ nowhere, however they are drawn; against the plain loop its interval is the same."""
    generator = np.random.default_rng(0)
    normals, anomalies = generator.normal(size=(2, 150)), generator.normal(1, 1, size=(2, 90))
    assert not bootstrap_biases([normals[0]] * 2, [anomalies[0]] * 2, fpr=0.1, resamples=200).any()
    found = np.quantile(bootstrap_biases(normals, anomalies, fpr=0.1, resamples=4000), [0.025, 0.975])
    plain = []
    for _ in range(4000):
        rows, others = generator.integers(150, size=150), generator.integers(90, size=90)
        thresholds = np.sort(normals[:, rows], axis=1)[:, 135]
        recalls = (anomalies[:, others] > thresholds[:, None]).mean(axis=1)
        plain.append(recalls[1] - recalls[0])
    assert np.allclose(found, np.quantile(plain, [0.025, 0.975]), atol=0.025)


def test_what_does_not_fit_is_one_line():
    with pytest.raises(InputError, match=r"normals: both scores of each row are needed"):
        relative_scoring_bias([1, 2, 3], [[1], [2]], fpr=0.05)
    with pytest.raises(InputError, match=r"anomalies: scores must be finite, 1 are not"):
        relative_scoring_bias([[1, 2], [1, 2]], [[math.nan], [2]], fpr=0.05)
