"""Theorem 3 of ye2021, worked out by hand in both forms."""

import math

import pytest

from sad_lightning.errors import InputError
from sad_lightning.stats.sample_size import accuracy, samples_needed


def test_theorem_3_by_hand():
    """eps .1, delta .05, alpha .5, so that 8 / eps^2 = 800 and ((2 - alpha) / alpha)^2 = 9."""
    ones = (1.0, 1.0)
    # printed: log(2 / (1 - sqrt(.95))) = log(2 / .0253206) = 4.369283, log(40) = 3.688879; 2 x 2 x that
    assert (
        samples_needed(0.1, 0.05, 0.5, ones, ones, form="printed") == math.ceil(800 * (39.323547 + 14.755518)) == 43264
    )
    # corrected: delta / 4 = .0125: log(2 / (1 - sqrt(.9875))) = log(2 / .00626964) = 5.765176, log(160) = 5.075174
    assert samples_needed(0.1, 0.05, 0.5, ones, ones) == math.ceil(800 * (51.886584 + 20.300696)) == 57750
    # l_a 2 and l_0 1/2: the quotient is 4, the product 1
    steep = (2.0, 0.5)
    assert samples_needed(0.1, 0.05, 0.5, steep, steep) == 57750
    printed = samples_needed(0.1, 0.05, 0.5, steep, steep, form="printed")
    assert printed == math.ceil(800 * (39.323547 + 16 * 14.755518))


def test_the_corrected_theorem_has_no_unit_and_the_printed_one_has():
    first, second = (3.0, 0.2), (0.5, 1.5)
    in_thousandths = [(l_a / 1000, 1000 * l_0) for l_a, l_0 in (first, second)]
    assert samples_needed(0.05, 0.1, 0.2, *in_thousandths) == samples_needed(0.05, 0.1, 0.2, first, second)
    printed = [samples_needed(0.05, 0.1, 0.2, *pair, form="printed") for pair in ((first, second), in_thousandths)]
    assert printed[0] != printed[1]


def test_the_inverse_and_the_limits():
    pair = ((1.0, 2.0), (1.5, 1.0))
    for form in ("corrected", "printed"):
        n = samples_needed(0.07, 0.05, 0.1, *pair, form=form)
        assert accuracy(n, 0.05, 0.1, *pair, form=form) == pytest.approx(0.07, rel=1e-5)
        assert accuracy(n, 0.05, 0.1, *pair, form=form) <= 0.07
        assert accuracy(4 * n, 0.05, 0.1, *pair, form=form) == pytest.approx(0.035, rel=1e-5)
    for arguments, word in (((0.0, 0.05, 0.5), "epsilon"), ((0.1, 1.0, 0.5), "delta"), ((0.1, 0.05, 0.0), "alpha")):
        with pytest.raises(InputError, match=f"{word} must be a number in"):
            samples_needed(*arguments, *pair)
    with pytest.raises(InputError, match="l_a must be a positive number"):
        samples_needed(0.1, 0.05, 0.5, (0.0, 1.0), (1.0, 1.0))
    with pytest.raises(InputError, match="form must be one of corrected, printed"):
        samples_needed(0.1, 0.05, 0.5, *pair, form="paper")
