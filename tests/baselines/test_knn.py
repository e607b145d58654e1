"""Nearest neighbours against brute force."""

import numpy as np
import pytest
import torch

from sad_lightning.baselines.knn import KNN


@pytest.mark.parametrize("columns", [3, 40])  # a tree of rows, and all distances
@pytest.mark.parametrize("neighbors", [1, 5, 999])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_scores_by_hand(metric, neighbors, columns):
    generator = np.random.default_rng(0)
    x, others = generator.normal(size=(60, columns)), generator.normal(size=(20, columns)) + 1
    baseline = KNN(neighbors=neighbors, metric=metric, max_rows=100, random_state=0).fit(x)
    if metric == "euclidean":
        distances = np.linalg.norm(others[:, None] - x, axis=2)
    else:
        norms = np.linalg.norm(others, axis=1)[:, None] * np.linalg.norm(x, axis=1)
        distances = 1 - others @ x.T / norms
    expected = np.sort(distances, axis=1)[:, :neighbors].mean(axis=1)
    np.testing.assert_allclose(baseline.anomaly_score(others), expected, rtol=1e-9)


def test_cosine_sees_no_length_and_a_row_of_zeros_is_at_a_right_angle():
    x = np.random.default_rng(0).normal(size=(50, 4))
    baseline = KNN(neighbors=3, metric="cosine", max_rows=100, random_state=0).fit(x)
    np.testing.assert_allclose(baseline.anomaly_score(7 * x), baseline.anomaly_score(x), atol=1e-12)
    assert baseline.anomaly_score(np.zeros((1, 4))).tolist() == [1.0]


def test_of_many_rows_some_are_kept_by_chance():
    x = np.random.default_rng(0).normal(size=(100, 3))
    kept = []
    for seed in (0, 0, 1):
        with pytest.warns(UserWarning, match=r"fitted on 40 of 100 rows.*method.max_rows"):
            kept.append(KNN(neighbors=5, metric="euclidean", max_rows=40, random_state=seed).fit(x).rows_)
    assert kept[0].shape == (40, 3)
    assert np.array_equal(kept[0], kept[1])
    assert not np.array_equal(kept[0], kept[2])


def test_out_of_bag_a_row_is_no_neighbour_of_its_own():
    x = np.random.default_rng(0).normal(size=(40, 3))
    baseline = KNN(neighbors=4, metric="euclidean", max_rows=100, random_state=0).fit(x)
    for row in (0, 17):
        others = KNN(neighbors=4, metric="euclidean", max_rows=100, random_state=0).fit(np.delete(x, row, axis=0))
        np.testing.assert_allclose(baseline.out_of_bag()[row], others.anomaly_score(x[[row]]))
    with pytest.warns(UserWarning, match="max_rows"):
        some = KNN(neighbors=4, metric="euclidean", max_rows=30, random_state=0).fit(x)
    assert np.isnan(some.out_of_bag()).sum() == 10


def test_rows_that_are_single_are_kept_so():
    x = np.random.default_rng(0).normal(size=(40, 3))
    assert KNN(neighbors=4, metric="euclidean", max_rows=100, random_state=0).fit(x).rows_.dtype == np.float64
    single = KNN(neighbors=4, metric="euclidean", max_rows=100, random_state=0).fit(x.astype(np.float32))
    assert single.rows_.dtype == np.float32
    np.testing.assert_array_equal(single.rows_, x.astype(np.float32))
    scores = single.torch_score(torch.from_numpy(x), {"rows_": torch.from_numpy(single.rows_)})
    np.testing.assert_allclose(scores, single.anomaly_score(x), rtol=1e-6, atol=1e-7)


def test_from_a_file_it_scores_as_before_and_knows_no_row_of_its_own():
    x = np.random.default_rng(0).normal(size=(30, 20))
    baseline = KNN(neighbors=3, metric="euclidean", max_rows=100, random_state=0).fit(x)
    again = KNN.from_arrays(baseline.to_arrays())
    assert again.out_of_bag() is None
    np.testing.assert_array_equal(again.anomaly_score(x + 1), baseline.anomaly_score(x + 1))
    np.testing.assert_allclose(baseline.fit(2 * x).anomaly_score(x), np.sort(pairs(x, 2 * x), axis=1)[:, :3].mean(1))


def pairs(x: np.ndarray, others: np.ndarray) -> np.ndarray:
    return np.linalg.norm(x[:, None] - others, axis=2)
