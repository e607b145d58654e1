"""PatchCore by hand: the score, its weight, the coreset, the second bank, and where the defect is."""

import numpy as np
import pytest
import torch

from sad_lightning.baselines.patch_core import PatchCore, coreset, nearest_rows, on_grid
from sad_lightning.errors import InputError

GRID = (5, 4, 6)  # columns, height, width of the patches of an image


def patch_core(**settings) -> PatchCore:
    chosen = {"coreset": 1.0, "neighbors": 3, "max_patches": 10**6, "learns": True, "c": 1.0, "random_state": 0}
    return PatchCore(**{**chosen, **settings})


def pictures(count: int, seed: int = 0) -> np.ndarray:
    """Images as rows of patches, (count, D * h * w)."""
    return np.random.default_rng(seed).normal(size=(count, np.prod(GRID))).astype(np.float32)


def with_defect(x: np.ndarray, row: int, column: int, value: float) -> np.ndarray:
    x = x.copy().reshape(-1, *GRID)
    x[:, :, row, column] += value
    return x.reshape(len(x), -1)


def test_the_score_is_that_of_the_equations_in_the_docstring():
    train, test = pictures(3), pictures(2, seed=1)
    fitted = patch_core(learns=False).fit_patches(train, None, GRID, None)
    bank = train.reshape(3, 5, -1).transpose(0, 2, 1).reshape(-1, 5).astype(float)
    expected = []
    for image in test.reshape(2, 5, -1).transpose(0, 2, 1).astype(float):
        distances = np.array([[np.linalg.norm(p - m) for m in bank] for p in image])
        p = distances.min(axis=1).argmax()
        nearest = distances[p].argmin()
        around = np.argsort([np.linalg.norm(bank[nearest] - m) for m in bank])[:3]
        weight = 1 - np.exp(distances[p, nearest]) / np.exp(distances[p, around]).sum()
        expected.append(weight * distances[p, nearest])
        assert nearest in around
    np.testing.assert_allclose(fitted.anomaly_score(test), expected, rtol=1e-6)
    plain = patch_core(neighbors=1).fit_patches(train, None, GRID, None)
    np.testing.assert_allclose(plain.anomaly_score(test), plain.patch_scores(test).max(axis=(1, 2)))


def test_where_the_defect_is():
    fitted = patch_core().fit_patches(pictures(20), None, GRID, None)
    maps = fitted.patch_scores(with_defect(pictures(7, seed=1), 2, 3, 6.0))
    assert maps.shape == (7, 4, 6)
    assert np.all(maps.reshape(7, -1).argmax(axis=1) == 2 * 6 + 3)


@pytest.mark.parametrize("settings", [{}, {"neighbors": 1}, {"learns": False}, {"coreset": 0.1}])
def test_a_graph_scores_as_it_does(settings):
    train, semi = np.concatenate([pictures(9), with_defect(pictures(2, seed=2), 1, 1, 5.0)]), np.r_[np.zeros(9), -1, -1]
    masks = np.zeros((11, *GRID[1:]), dtype=np.uint8)
    masks[9:, 1, 1] = 1
    fitted = patch_core(**settings).fit_patches(train, semi, GRID, masks)
    test = with_defect(pictures(5, seed=3), 0, 0, 3.0)
    learned = {name: torch.from_numpy(np.array(getattr(fitted, name))) for name in fitted.learned}
    scores = fitted.torch_score(torch.from_numpy(test).double(), learned)
    np.testing.assert_allclose(scores, fitted.anomaly_score(test), rtol=1e-6)


def test_a_coreset_is_greedy_and_covers_what_chance_leaves_out():
    line = np.float32([[0], [1], [2], [3], [10]])
    for seed in range(5):
        first, second, third = coreset(line, 3, np.random.default_rng(seed))
        assert second == (0 if first == 4 else 4)  # the farthest from the first
        assert third == {0: 3, 1: 3, 2: 0, 3: 0, 4: 3}[int(first)]
    generator = np.random.default_rng(0)
    x = np.concatenate([generator.normal(size=(3000, 200)), 30 + generator.normal(size=(3, 200))]).astype(np.float32)
    chosen = coreset(x, 100, generator)
    assert len(np.unique(chosen)) == 100
    by_chance = generator.choice(len(x), 100, replace=False)
    assert nearest_rows(x, x[chosen])[0].max() < nearest_rows(x, x[by_chance])[0].max()
    assert len(np.unique(coreset(np.zeros((10, 2), np.float32), 4, generator))) == 4  # equal rows are chosen once each


def test_distances_hold_where_all_rows_lie_far_from_zero():
    generator = np.random.default_rng(0)
    bank, x = (1000 + generator.normal(size=(count, 8)) for count in (50, 40))
    distances, _ = nearest_rows(x.astype(np.float32), bank.astype(np.float32))
    exact = np.linalg.norm(x[:, None] - bank[None], axis=2).min(axis=1)
    np.testing.assert_allclose(distances, exact, rtol=1e-3)


def with_known() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Normal images and two with a known defect, their labels and their masks."""
    x = np.concatenate([pictures(20), with_defect(pictures(2, seed=1), 1, 2, 4.0)])
    masks = np.zeros((22, 16, 24), dtype=np.uint8)
    masks[20:, 4:8, 8:12] = 1
    return x, np.r_[np.zeros(20), -1, -1], masks


def test_known_defects_raise_what_is_like_them_and_lower_nothing():
    x, semi, masks = with_known()
    plain = patch_core(learns=False).fit_patches(x, semi, GRID, masks)
    shown = patch_core().fit_patches(x, semi, GRID, masks)
    np.testing.assert_array_equal(shown.bank_, plain.bank_)
    like, other = (with_defect(pictures(9, seed=2), 3, 3, value) for value in (4.0, -4.0))
    assert np.all(shown.patch_scores(like) >= plain.patch_scores(like))
    raised = shown.patch_scores(like) / plain.patch_scores(like)
    assert raised[:, 3, 3].mean() > 1.8
    assert np.median(raised) < 1.1
    assert (shown.patch_scores(other) / plain.patch_scores(other))[:, 3, 3].mean() < 1.05
    assert not plain.weights_.any()


def test_known_defects_that_nobody_has_marked_do_not_train_and_it_is_said():
    x, semi, masks = with_known()
    masks[20] = 255
    with pytest.warns(UserWarning, match="1 known anomalies have no mask of where the defect is, and do not train"):
        one = patch_core().fit_patches(x, semi, GRID, masks)
    assert one.weights_.any()
    with pytest.warns(UserWarning, match="2 known anomalies have no mask"):
        none = patch_core().fit_patches(x, semi, GRID, None)
    np.testing.assert_array_equal(
        none.anomaly_score(x), patch_core(learns=False).fit_patches(x, semi, GRID, None).anomaly_score(x)
    )


def test_the_patches_of_a_mask():
    mask = np.zeros((8, 12), dtype=np.uint8)
    mask[2:4, 3:6] = 1
    found = on_grid(mask, (4, 6))
    assert np.argwhere(found).tolist() == [[1, 1], [1, 2]]  # of the first half is marked
    mask[:] = 0
    mask[7, 11] = 1
    assert np.argwhere(on_grid(mask, (4, 6))).tolist() == [[3, 5]]  # small as it is
    assert on_grid(np.ones((4, 6), np.uint8), (8, 12)).all()  # a mask that is coarser than the grid


def test_of_too_many_patches_some_are_drawn_and_it_is_said():
    with pytest.warns(
        UserWarning, match=r"fitted on 100 of 240 normal patches, drawn by chance \(method.max_patches\)"
    ):
        fitted = patch_core(max_patches=100).fit_patches(pictures(10), None, GRID, None)
    assert len(fitted.bank_) == 100
    with pytest.warns(UserWarning, match="drawn by chance"):
        again = patch_core(max_patches=100).fit_patches(pictures(10), None, GRID, None)
    np.testing.assert_array_equal(again.bank_, fitted.bank_)


def test_wrong_settings_are_one_line():
    for settings, words in (
        ({"coreset": 0.0}, r"method.coreset must be"), ({"neighbors": 0}, r"method.neighbors must be"),
        ({"max_patches": 0}, r"method.max_patches must be"), ({"learns": "all"}, r"method.learns must be"),
        ({"c": 0.0}, r"method.c must be"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=words):
            patch_core(**settings).fit(pictures(5))
