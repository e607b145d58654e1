import numpy as np
import pytest
import torch

from sad_lightning.data.arrays import Arrays
from sad_lightning.data.preparation import to_network
from sad_lightning.data.preprocess import fit_scaling
from sad_lightning.data.schema import Column, TableSchema
from sad_lightning.data.split import Split
from sad_lightning.errors import InputError

X = np.array([[0, 5, 1], [4, 5, 3], [2, 5, 2], [100, 5, 50], [-100, 5, 0]], dtype=np.float32)


def split() -> Split:
    rows = np.arange(4)  # row 3 is a known anomaly, row 4 lies in the training half but does not train
    return Split(rows, np.array([0, 0, 1, -1], dtype=np.int8), rows[:0], rows, np.arange(5), (0,), (1,))


def scaled(**kwargs: str) -> np.ndarray:
    scaling = fit_scaling(Arrays(X, np.zeros(5, dtype=np.int64), ("a", "b")), split(), **kwargs)
    return X * scaling.scale + scaling.shift


def test_min_max_is_fitted_without_known_anomalies_and_constant_columns_map_to_zero():
    values = scaled(scaling="min_max", fit_rows="training")
    np.testing.assert_allclose(values[:3], [[0, 0, 0], [1, 0, 1], [0.5, 0, 0.5]], atol=1e-6)
    assert values[3, 0] == 25  # not clipped


def test_in_own_tables_what_normal_rows_never_show_is_evidence():
    """As if one of three normal rows had gone as far as the known anomaly did: 6 from the constant, or else 1."""
    x = np.float32([[0, 5, 7, 0, 0], [2, 5, 7, 0, 0], [4, 5, 7, 0, 0], [9, -1, 7, 1, 0]])
    words = Column("w", "category", ("a", "b"))  # b in no training row
    schema = TableSchema((Column("a"), Column("b"), Column("c"), words))
    rows = np.arange(4)
    drawn = Split(rows, np.int8([0, 0, 1, -1]), rows[:0], rows, rows, (0,), (1,))
    arrays = Arrays(x, np.zeros(4, dtype=np.int64), ("a", "b"), schema=schema)
    by_hand = {"standardize": np.sqrt(3) / np.array([6, 1, 1]), "min_max": 1 / np.array([6, 1, 1]), "none": np.ones(3)}
    for name, scale in by_hand.items():
        scaling = fit_scaling(arrays, drawn, scaling=name, fit_rows="training")
        np.testing.assert_allclose(scaling.scale[1:], [*scale, name == "none"], rtol=1e-6)
        if name != "none":
            np.testing.assert_allclose((x * scaling.scale + scaling.shift)[:3, 1:], 0, atol=1e-6)


def test_standardize():
    values = scaled(scaling="standardize", fit_rows="training")[:3]
    np.testing.assert_allclose(values.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(values.std(axis=0), [1, 0, 1], atol=1e-6)


def test_fit_rows_split_sees_the_whole_training_half():
    values = scaled(scaling="min_max", fit_rows="split")
    assert values[:, 0].min() == 0
    assert values[:, 0].max() == 1


def test_standardize_then_min_max_is_min_max():
    from sklearn.preprocessing import MinMaxScaler, StandardScaler

    both = MinMaxScaler().fit_transform(StandardScaler().fit_transform(X))
    np.testing.assert_allclose(scaled(scaling="min_max", fit_rows="split"), both, atol=1e-6)


def test_pixels_are_divided_by_255():
    pixels = np.full((5, 2, 2, 1), 255, dtype=np.uint8)
    scaling = fit_scaling(Arrays(pixels, np.zeros(5, np.int64), ("a",)), split(), scaling="none", fit_rows="training")
    np.testing.assert_allclose(pixels * scaling.scale + scaling.shift, 1, rtol=1e-6)


def test_images_of_one_contrast_lie_between_the_extremes_of_those_that_train():
    images = np.random.default_rng(0).integers(0, 60, (5, 3, 4, 1), dtype=np.uint8)
    images[2] = 7  # of one grey
    images[3] = np.arange(12, dtype=np.uint8).reshape(3, 4, 1) * 20  # the known anomaly does not count
    arrays = Arrays(images, np.zeros(5, np.int64), ("a",))
    scaling = fit_scaling(arrays, split(), scaling="none", fit_rows="training", pixels="contrast")
    found = to_network(
        torch.from_numpy(images), torch.from_numpy(scaling.scale), torch.from_numpy(scaling.shift), None, image=True,
        contrast=scaling.contrast,
    ).numpy()  # fmt: skip
    away = images[..., 0] - images.mean(axis=(1, 2, 3))[:, None, None]
    even = away / np.maximum(np.abs(away).mean(axis=(1, 2), keepdims=True), 1e-30)
    low, high = even[:3].min(), even[:3].max()
    np.testing.assert_allclose(found[:, 0], (even - low) / (high - low), atol=1e-5)
    assert (found[:3].min(), found[:3].max()) == (pytest.approx(0, abs=1e-6), pytest.approx(1, abs=1e-6))


def test_columns_have_no_contrast():
    with pytest.raises(InputError, match=r"preprocess\.pixels=contrast is for images"):
        scaled(scaling="none", fit_rows="training", pixels="contrast")


def test_patches_are_scaled_by_all_places_of_an_image():
    """A step through all patches that has a factor in common with the grid would meet some columns of it alone."""
    places = np.arange(28 * 28, dtype=np.float32).reshape(28, 28, 1) % 28  # 0 to 27 from left to right
    arrays = Arrays(np.tile(places, (1800, 1, 1, 1)), np.zeros(1800, np.int64), ("a",), patches=True)
    rows = np.arange(1800)
    of_all = Split(rows, np.zeros(1800, dtype=np.int8), rows[:0], rows, rows, (0,), ())
    scaling = fit_scaling(arrays, of_all, scaling="common", fit_rows="training")
    np.testing.assert_allclose(-scaling.shift / scaling.scale, 13.5, rtol=1e-3)
    np.testing.assert_allclose(1 / scaling.scale, np.arange(28).std(), rtol=1e-3)


def test_unknown_words_are_refused():
    with pytest.raises(InputError, match=r"preprocess\.scaling must be one of"):
        scaled(scaling="minmax", fit_rows="training")


@pytest.mark.parametrize("scaling", ["min_max", "standardize"])
@pytest.mark.parametrize("size", [1e-45, 1e-42, 1e-39, 1e-37, 1e-30, 1e30, 1e37])
def test_columns_of_any_size_become_finite_numbers(size, scaling):
    x = (X.astype(np.float64) / 100 * size).astype(np.float32)
    found = fit_scaling(Arrays(x, np.zeros(5, dtype=np.int64), ("a", "b")), split(), scaling=scaling, fit_rows="split")
    values = x * found.scale + found.shift
    assert np.isfinite(values).all()
    assert np.abs(values).max() < 10
    if size > 1e-37:
        expected = fit_scaling(
            Arrays(X, np.zeros(5, dtype=np.int64), ("a", "b")), split(), scaling=scaling, fit_rows="split"
        )
        np.testing.assert_allclose(values, X * expected.scale + expected.shift, atol=1e-4)
