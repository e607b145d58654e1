"""The distance ratio: both distances by hand, parts that have not seen a row, and what a single known anomaly tells."""

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf

from sad_lightning.baselines.distance_ratio import DistanceRatio
from sad_lightning.errors import InputError
from sad_lightning.stats.ranking import auroc

PLAIN = {
    "parts": 1, "centers": 1, "columns": 1.0, "sample": 1.0, "clip": 8.0, "max_rows": 10_000, "random_state": 0,
}  # fmt: skip


def table(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """600 correlated rows, a fifth of them anomalies that lie in one direction; 4 of these are known."""
    generator = np.random.default_rng(seed)
    y = np.arange(600) % 5 == 0
    x = generator.normal(size=(600, 6))
    x[:, 1] = x[:, 0] + 0.3 * x[:, 1] + y
    semi = np.zeros(600, dtype=np.int8)
    semi[np.flatnonzero(y)[:4]] = -1
    return x, semi, y


def test_one_part_and_one_center_are_two_mahalanobis_distances():
    x, semi, _ = table()
    others, scores = x[semi == 0], DistanceRatio(**PLAIN).fit(x, semi).anomaly_score(x)
    standard = (x - others.mean(axis=0)) / others.std(axis=0)
    covariance = LedoitWolf().fit(standard[semi == 0])
    offset = standard - standard[semi < 0].mean(axis=0)
    to_anomalies = (offset @ covariance.precision_ * offset).sum(axis=1)
    by_hand = np.log1p(covariance.mahalanobis(standard)) - np.log1p(to_anomalies)
    np.testing.assert_allclose(scores, by_hand, rtol=1e-9, atol=1e-12)


def test_the_nearest_center_counts():
    generator = np.random.default_rng(0)
    blobs = np.repeat([[-6.0, 0.0], [6.0, 0.0]], 200, axis=0) + generator.normal(size=(400, 2))
    x, semi = np.vstack([blobs, [[0.0, 0.0]]]), np.repeat(np.int8([0, -1]), [400, 1])
    areas = [
        auroc(semi < 0, DistanceRatio(**{**PLAIN, "centers": centers}).fit(x, semi).anomaly_score(x))
        for centers in (1, 2)
    ]
    assert areas[0] < 0.9 < areas[1]  # between the blobs is where one center lies, and where the anomaly does


def test_a_score_out_of_bag_is_by_the_parts_that_have_not_seen_the_row():
    x, semi, _ = table()
    baseline = DistanceRatio(**{**PLAIN, "sample": 0.5}).fit(x, semi)
    unseen = ~np.isnan(baseline.out_of_bag_)
    assert unseen.sum() == 298
    assert not unseen[semi < 0].any()
    np.testing.assert_allclose(baseline.out_of_bag_[unseen], baseline.anomaly_score(x)[unseen])
    far = x.copy()
    far[unseen] = far[unseen][::-1]  # what a part has not seen did not shape it, but for the scale of the columns
    np.testing.assert_allclose(DistanceRatio(**{**PLAIN, "sample": 0.5}).fit(far, semi).centers_, baseline.centers_)
    whole = DistanceRatio(**PLAIN).fit(x, semi)
    assert np.isnan(whole.out_of_bag_).all()


def test_parts_see_their_own_columns_and_at_most_300():
    x, semi, _ = table()
    baseline = DistanceRatio(**{**PLAIN, "parts": 8, "columns": 0.5}).fit(x, semi)
    assert baseline.columns_.shape == (8, 3)
    assert len({tuple(columns) for columns in baseline.columns_}) > 1
    wide = np.random.default_rng(0).normal(size=(60, 500))
    assert DistanceRatio(**PLAIN).fit(wide, semi[:60]).axes_.shape == (1, 300, 300)


def test_rows_beyond_the_most_shape_nothing():
    x, semi, _ = table()
    baseline = DistanceRatio(**{**PLAIN, "max_rows": 100}).fit(x, semi)
    beyond = ~np.isnan(baseline.out_of_bag_)
    assert beyond.sum() == 496
    far = x.copy()
    far[beyond] += 1e3
    np.testing.assert_array_equal(DistanceRatio(**{**PLAIN, "max_rows": 100}).fit(far, semi).mean_, baseline.mean_)


def test_a_column_is_clipped():
    x, semi, _ = table()
    baseline = DistanceRatio(**{**PLAIN, "clip": 2.0}).fit(x, semi)
    farther = baseline.mean_ + np.outer([2 * baseline.scale_[0], 1e6], [1, 0, 0, 0, 0, 0])
    np.testing.assert_allclose(*baseline.anomaly_score(farther))


def test_a_single_known_anomaly_points_the_way():
    areas = []
    for seed in range(3):
        x, semi, y = table(seed)
        x[y, 1] += 2
        semi[np.flatnonzero(semi)[1:]] = 0
        settings = {**PLAIN, "parts": 20, "centers": 5, "columns": 0.7, "sample": 0.5}
        areas.append(auroc(y, DistanceRatio(**settings).fit(x, semi).anomaly_score(x)))
    assert np.mean(areas) > 0.8


def test_rows_that_are_all_equal_score_finite():
    baseline = DistanceRatio(**{**PLAIN, "centers": 5}).fit(np.ones((9, 2)), [-1, *[0] * 8])
    assert np.isfinite(baseline.anomaly_score(np.zeros((3, 2)))).all()
    assert np.isfinite(DistanceRatio(**PLAIN).fit(np.eye(2), [-1, 0]).anomaly_score(np.eye(2))).all()


@pytest.mark.parametrize("name", ["parts", "centers", "columns", "sample", "clip", "max_rows"])
def test_settings_out_of_range_are_told(name):
    x, semi, _ = table()
    with pytest.raises(InputError, match=f"method.{name} must be"):
        DistanceRatio(**{**PLAIN, name: 0}).fit(x, semi)
