"""CUBO of a Gaussian in one dimension (daniel2021 Figure 2).

With L_R = 0 and the prior p = N(0, 1), for q = N(mu, s^2) and a = 2 beta,

    2 CUBO = log E_q (p / q)^a = a log s - 1/2 log D - 1/2 a (1 - a) mu^2 / D,   D = a s^2 + 1 - a

and infinite where D <= 0. For beta = 1 it is least at q = p: minimised exactly it pulls q towards the prior, which is
the opposite of what the paper's figure shows. Estimated from few samples of q, as training does, it falls far from
the prior; the exact value falls with |mu| for beta < 1/2, which all values of Table 12 are but that of arrhythmia, 1/2.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sad_lightning.drawing import svg
from sad_lightning.seeding import derive

Floats = NDArray[np.float64]
VARIANCES = (0.6, 1.0, 2.0)
_SAMPLES, _REPEATS = 4, 4000


def two_cubo(mu: ArrayLike, variance: float, beta: float) -> Floats:
    """The exact 2 CUBO for each mean; inf where the expectation is."""
    a = 2 * beta
    means, d = np.asarray(mu, dtype=np.float64), a * variance + 1 - a
    if d <= 0:
        return np.full(means.shape, np.inf)
    return np.asarray(0.5 * a * np.log(variance) - 0.5 * np.log(d) - 0.5 * a * (1 - a) * means**2 / d)


def estimate_two_cubo(mu: ArrayLike, variance: float, beta: float, samples: int, repeats: int) -> Floats:
    """The mean of 2 CUBO as so many samples of q estimate it, for each mean."""
    means = np.asarray(mu, dtype=np.float64)
    noise = np.random.default_rng(derive(0, "illustrate", "cubo")).standard_normal((repeats, samples, 1))
    z = means + np.sqrt(variance) * noise
    exponent = beta * (np.log(variance) + noise**2 - z**2)
    highest = exponent.max(axis=1, keepdims=True)
    log_mean = np.log(np.exp(exponent - highest).mean(axis=1)) + highest[:, 0]
    return np.asarray(log_mean.mean(axis=0))


def cubo_figure() -> svg.Figure:
    """Exact and estimated, for beta = 1 and for a small beta."""
    mu = np.linspace(-2, 2, 81)
    panels = [
        ("exact, beta = 1", [two_cubo(mu, variance, 1.0) for variance in VARIANCES]),
        (f"from {_SAMPLES} samples, beta = 1", [estimate_two_cubo(mu, v, 1.0, _SAMPLES, _REPEATS) for v in VARIANCES]),
        ("exact, beta = 0.05", [two_cubo(mu, variance, 0.05) for variance in VARIANCES]),
    ]
    parts = []
    for k, (title, curves) in enumerate(panels):
        left = 52 + k * 250
        low, high = min(float(c.min()) for c in curves), max(float(c.max()) for c in curves)
        x = svg.linear(-2, 2, left, left + 190, "mean of q")
        y = svg.linear(low, min(high, 6.0), 250, 40, "2 CUBO")
        parts += svg.frame(x, y)
        parts.append(svg.text((x.start + x.end) / 2, 16, title, "mid strong"))
        for colour, curve in enumerate(curves):
            points = [
                (x(a), y(b) if b <= y.high else float("nan")) for a, b in zip(mu.tolist(), curve.tolist(), strict=True)
            ]
            parts.append(svg.curve(points, colour))
    for colour, variance in enumerate(VARIANCES):
        parts.append(svg.text(60 + 150 * colour, 310, f"variance {variance:g}", f"label s{colour}"))
    caption = (
        "The bound of a Gaussian q with the prior N(0, 1) and without reconstruction error. Exactly, it is least at "
        "the prior for beta = 1; an estimate from few samples, or a small beta, falls away from it."
    )
    title = "CUBO of a Gaussian"
    return svg.make_figure("cubo", (780, 324), parts, title=title, alt=f"{title}. {caption}", caption=caption)
