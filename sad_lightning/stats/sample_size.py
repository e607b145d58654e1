"""How many samples tell the relative scoring bias how well (ye2021 Theorem 3), and the inverse.

Of n samples, a share alpha of them anomalous, the empirical bias lies within epsilon of the true one but for a chance
delta. Each of the two scores has two events that may fail: its distribution over anomalies is off by epsilon / 4, or
its quantile over normals by epsilon / (4 l_a), where l_a bounds the slope of F_a and l_0 that of the quantile function
F_0^-1. By equations B.2 and B.1 they need

    8 / epsilon^2 log(2 / (1 - sqrt(1 - delta))) ((2 - alpha) / alpha)^2        anomalies
    8 / epsilon^2 log(2 / delta) (l_a l_0)^2 / (1 - alpha)                      normals

samples, and the sum over both scores does for all. As printed the theorem has (l_a / l_0)^2, which a change of the
scores' unit would change, where its own proof gives the product, which has no unit; and it spends delta on each of the
four events, whose union may fail with 4 delta. ``corrected`` has the product, and delta / 4 for each event.
"""

import math

from sad_lightning.checks import choice, positive
from sad_lightning.errors import InputError

_FORMS = ("corrected", "printed")


def samples_needed(
    epsilon: float,
    delta: float,
    alpha: float,
    before: tuple[float, float],
    after: tuple[float, float],
    *,
    form: str = "corrected",
) -> int:
    """How many samples bring the empirical within ``epsilon`` of the true bias, but for a chance ``delta``.

    Args:
        epsilon: in (0, 1).
        delta: in (0, 1).
        alpha: share of anomalies among the samples, in (0, 1).
        before: Lipschitz constants (l_a, l_0) of one score: of F_a, and of the quantile function F_0^-1.
        after: those of the other score.
        form: ``corrected``, or ``printed`` as the theorem stands in the paper.

    Raises:
        InputError: a number is out of range.
    """
    return math.ceil(_constant(delta, alpha, before, after, form) / _within("epsilon", epsilon) ** 2 - 1e-9)


def accuracy(
    n: int,
    delta: float,
    alpha: float,
    before: tuple[float, float],
    after: tuple[float, float],
    *,
    form: str = "corrected",
) -> float:
    """The inverse of ``samples_needed``: the epsilon that n samples buy; 1 or more says nothing."""
    return math.sqrt(_constant(delta, alpha, before, after, form) / positive("n", n))


def _constant(delta: float, alpha: float, before: tuple[float, float], after: tuple[float, float], form: str) -> float:
    """What n epsilon^2 must reach."""
    for name, value in (("delta", delta), ("alpha", alpha)):
        _within(name, value)
    pairs = [(positive("l_a", l_a), positive("l_0", l_0)) for l_a, l_0 in (before, after)]
    if choice("form", form, _FORMS) == "corrected":
        each, slopes = delta / 4, [(l_a * l_0) ** 2 for l_a, l_0 in pairs]
    else:
        each, slopes = delta, [(l_a / l_0) ** 2 for l_a, l_0 in pairs]
    anomalies = math.log(2 / (1 - math.sqrt(1 - each))) * ((2 - alpha) / alpha) ** 2
    return 8 * (anomalies + math.log(2 / each) / (1 - alpha) * sum(slopes))


def _within(name: str, value: float) -> float:
    if not 0 < value < 1:
        raise InputError(f"{name} must be a number in (0, 1), got {value!r}; for example {name}=0.05")
    return value
