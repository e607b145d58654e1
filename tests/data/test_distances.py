"""Distances between classes, by hand and against the tables of ye2021."""

import csv

import numpy as np
import pytest

from sad_lightning.data.arrays import Arrays
from sad_lightning.data.distances import class_distances
from sad_lightning.data.sets.images import fashion_mnist
from sad_lightning.data.sets.tabular import landsat
from sad_lightning.report.gather.published import _CLASSES, _FILE


def test_images_and_tables_by_hand():
    pixels = np.zeros((4, 1, 2, 1), dtype=np.uint8)
    pixels[2:] = 255
    pixels[3, 0, 0] = 0
    images = Arrays(pixels, np.array([0, 0, 1, 2]), ("black", "white", "half", "none"))
    # means (0, 0), (1, 1), (0, 1): half their pixels differ from either
    found = class_distances(images, (0, 1))
    assert found[:3].tolist() == [0, 0, 0.5]
    assert np.isnan(found[3])
    x = np.array([[0, 5], [2, 5], [4, 5], [6, 5]], dtype=np.float32)  # deviations sqrt(5) and none
    rows = Arrays(x, np.array([0, 0, 1, 1]), ("a", "b"))
    assert class_distances(rows, (0,)) == pytest.approx([0, 4 / np.sqrt(5)])


@pytest.mark.parametrize(
    ("name", "load", "known", "slack"),
    [("fashion_mnist", fashion_mnist, "shirt", 0.006), ("fashion_mnist", fashion_mnist, "sneaker", 0.016),
     ("statlog", landsat, "damp grey soil", 0.006), ("statlog", landsat, "red soil", 0.02)],
)  # fmt: skip
def test_they_are_those_of_the_paper(name, load, known, slack, real_data):
    arrays = load(real_data)
    found = dict(zip(arrays.classes, class_distances(arrays, (arrays.classes.index(known),)), strict=True))
    with open(_FILE, newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] == "l2" and row["dataset"] == name]
    printed = {
        _CLASSES.get(row["test_class"], row["test_class"]): float(row["mean"])
        for row in rows if row["train_anomaly_class"] == known and row["param_value"] == known
    }  # fmt: skip
    assert len(printed) == len(arrays.classes) - 1
    for other, value in printed.items():
        assert found[other] == pytest.approx(value, abs=slack), other
