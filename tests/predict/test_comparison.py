"""What a prediction says of its rows beside those of the training."""

from types import SimpleNamespace

import numpy as np

from sad_lightning.data.schema import Column
from sad_lightning.predict.comparison import known_anomalies, middle_of


def test_the_middle_of_a_column_is_a_median_or_its_most_frequent_word():
    values = np.array([0, 1, 1, np.nan, 1], dtype=np.float32)
    assert middle_of(Column("length"), np.array([3, np.nan, 1, 2.5], dtype=np.float32)) == "median 2.5"
    assert middle_of(Column("kind", "category", ("a", "b")), values) == "75 % b"
    assert middle_of(Column("open", "boolean"), values) == "75 % true"
    assert middle_of(Column("length"), values[3:4]) == "missing"


def test_rows_that_calibrate_voices_are_rows_of_the_training():
    counts = {"known_anomaly": 4, "train": 60, "validation": 20, "voices": 20, "test": 50}
    assert known_anomalies(SimpleNamespace(card={"counts": counts})) == (4, 100)
    assert known_anomalies(SimpleNamespace(card={})) == (0, 0)
