"""CalibrationLayer scores and their mean, against values worked out by hand."""

from math import log

import numpy as np
import pytest
import torch
from torch import nn

from sad_lightning.stats.calibration import Calibration, fit_calibration
from sad_lightning.training.mixture import CalibrationLayer, Mixture

INF = float("inf")


def values(calibration: Calibration, *scores: float) -> list[float]:
    return CalibrationLayer(calibration)(torch.tensor(scores, dtype=torch.float64)).tolist()


def test_values_by_hand():
    """Linear between the knots (1, 0.5), (2, 1) and (4, 3); outside they grow with the logarithm of the distance."""
    calibration = Calibration(np.array([1.0, 2, 4]), np.array([0.5, 1, 3]), below=2, above=0.5, share=0.25)
    found = values(calibration, 1, 1.5, 2, 3, 4, 4.5, 5.5, -1, -5)
    expected = [0.5, 0.75, 1, 2, 3, 3 + log(2), 3 + log(4), 0.5 - 0.25 * log(2), 0.5 - 0.25 * log(4)]
    np.testing.assert_allclose(found, expected)
    assert values(calibration, INF, -INF) == [INF, -INF]


@pytest.mark.parametrize(
    "scores", [[7], [3, 3, 3], [0, 0, 0, 1], [0] * 19 + [5], np.random.default_rng(0).standard_cauchy(300), [0, 1e-300]]
)
def test_values_increase_wherever_scores_do(scores):
    at = np.unique(np.concatenate([np.linspace(-50, 50, 3001), np.asarray(scores, dtype=float)]))
    found = values(fit_calibration(scores), *at)
    assert np.isfinite(found).all()
    apart = np.diff(at) > 1e-9
    assert (np.diff(found)[apart] > 0).all()
    assert (np.diff(found) >= 0).all()


def test_a_value_says_how_rare_a_score_is():
    generator = np.random.default_rng(0)
    for draw in (generator.normal, generator.exponential, generator.standard_cauchy):
        calibration = fit_calibration(draw(size=20_000))
        fresh = draw(size=20_000)
        found = np.array(values(calibration, *fresh))
        for rate in (0.5, 0.2, 0.1):
            assert (found > -log(rate)).mean() == pytest.approx(rate, abs=0.01)


class Column(nn.Module):
    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def score(self, x):
        return x[:, self.number]


def test_a_mixture_is_the_mean_of_values_whatever_the_order_of_its_voices():
    generator = np.random.default_rng(0)
    x = torch.from_numpy(generator.normal(size=(50, 3)) * [1, 100, 0.01]).float()
    voices = {name: Column(number) for number, name in enumerate("abc")}
    calibrations = {name: CalibrationLayer(fit_calibration(x[:, k])) for k, name in enumerate("abc")}
    found = Mixture(voices, calibrations).score(x)
    by_hand = np.mean([values(fit_calibration(x[:, k]), *x[:, k].tolist()) for k in range(3)], axis=0)
    np.testing.assert_allclose(found, by_hand, rtol=1e-12)
    again = Mixture(dict(reversed(voices.items())), dict(reversed(calibrations.items())))
    assert torch.equal(again.score(x), found)
    assert found.dtype == torch.float64
