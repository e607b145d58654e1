"""Synthetic data: the nine Gaussian columns of ye2021 section 4.2, and bursts in spectrograms for tests.

Normal samples are N(0, 1) in every column. In an anomaly three columns (with probability .4) or four (.6), which are
drawn uniformly, are N(1.6, .8) instead. The paper does not say whether .8 is a deviation or a variance; here it is a
deviation.
"""

import numpy as np
from numpy.typing import NDArray

from sad_lightning.checks import positive, whole_number
from sad_lightning.data.arrays import Arrays
from sad_lightning.data.sets.spectrum import CLASSES, SHAPE
from sad_lightning.seeding import derive

COLUMNS = 9
_SHIFTED = (3, 4)
_CHANCE_OF_FOUR = 0.6
_MEAN = 1.6

Floats = NDArray[np.float32]


def gaussians(
    seed: int,
    deviation: float,
    n_train: int,
    n_train_anomalies: int,
    n_test: int,
    n_test_anomalies: int,
) -> Arrays:
    """Nine Gaussian columns, normal samples and two kinds of anomalies, with a test half of its own."""
    positive("data.deviation", deviation)
    sizes = {"n_train": n_train, "n_train_anomalies": n_train_anomalies, "n_test": n_test,
             "n_test_anomalies": n_test_anomalies}  # fmt: skip
    for name, size in sizes.items():
        whole_number(f"data.{name}", size)
    generator = np.random.default_rng(derive(seed, "synthetic"))
    halves = []
    for normal, anomalous in ((n_train, n_train_anomalies), (n_test, n_test_anomalies)):
        x, shifted = draw_anomalies(generator, anomalous, deviation)
        kinds = np.concatenate([np.zeros(normal, dtype=np.int64), 1 + (shifted == _SHIFTED[1])])
        order = generator.permutation(normal + anomalous)
        halves.append((np.concatenate([draw_normals(generator, normal), x])[order], kinds[order]))
    (x, kinds), (x_test, kinds_test) = halves
    classes = ("normal", "three shifted", "four shifted")
    return Arrays(np.concatenate([x, x_test]), np.concatenate([kinds, kinds_test]), classes, n_train=len(x))


def draw_normals(generator: np.random.Generator, n: int) -> Floats:
    """``(n, 9)`` normal samples."""
    return generator.standard_normal((n, COLUMNS), dtype=np.float32)


def draw_anomalies(generator: np.random.Generator, n: int, deviation: float) -> tuple[Floats, NDArray[np.int64]]:
    """``(n, 9)`` anomalies, and ``(n,)`` how many columns of each are shifted."""
    shifted = np.where(generator.uniform(size=n) < _CHANCE_OF_FOUR, _SHIFTED[1], _SHIFTED[0])
    ranks = generator.uniform(size=(n, COLUMNS)).argsort(axis=1).argsort(axis=1)  # a random order of the columns
    x = draw_normals(generator, n)
    return np.where(ranks < shifted[:, None], np.float32(_MEAN) + np.float32(deviation) * x, x), shifted


def synthetic_spectrograms(seed: int, rows: int) -> Arrays:
    """Synthetic spectrograms in the layout of ``data.spectrograms``, for tests; they are no measurement of anything.

    The background is traffic: a few slots of random subcarriers and times. A wideband burst raises most subcarriers at
    all times, and by less behind a blockage (nlos); a narrowband burst raises a few, for 10 or 5 of every 25 time
    steps.
    """
    whole_number("data.rows", rows)
    generator = np.random.default_rng(derive(seed, "synthetic", "spectrograms"))
    images, classes = [], np.repeat(np.arange(len(CLASSES)), rows)
    for kind in classes:
        power = _traffic(generator)
        if kind:
            _burst(generator, power, CLASSES[kind])
        images.append(np.clip(power, 0, 255).astype(np.uint8))
    return Arrays(np.stack(images)[..., None], classes.astype(np.int64), CLASSES)


def _traffic(generator: np.random.Generator) -> NDArray[np.float64]:
    power = generator.normal(40, 8, SHAPE)
    for _ in range(generator.integers(4, 9)):
        start, band = generator.integers(SHAPE[0] - 20), generator.integers(SHAPE[1] - 12)
        power[start : start + generator.integers(5, 20), band : band + 12] += generator.normal(90, 10)
    return power


def _burst(generator: np.random.Generator, power: NDArray[np.float64], name: str) -> None:
    """Add a burst to ``power``, in place."""
    if name.startswith("WB"):
        band = generator.integers(0, 16)
        power[:, band : band + 112] += generator.normal(60 if name == "WB-los" else 25, 5, (SHAPE[0], 112))
        return
    band, steps = generator.integers(SHAPE[1] - 4), 10 if name == "NB-10ms" else 5
    for start in range(int(generator.integers(25)), SHAPE[0], 25):
        power[start : start + steps, band : band + 4] += generator.normal(80, 8)
