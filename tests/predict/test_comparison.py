"""What a prediction says of its rows beside those of the training."""

import numpy as np

from sad_lightning.data.schema import Column
from sad_lightning.predict.comparison import middle_of


def test_the_middle_of_a_column_is_a_median_or_its_most_frequent_word():
    values = np.array([0, 1, 1, np.nan, 1], dtype=np.float32)
    assert middle_of(Column("length"), np.array([3, np.nan, 1, 2.5], dtype=np.float32)) == "median 2.5"
    assert middle_of(Column("kind", "category", ("a", "b")), values) == "75 % b"
    assert middle_of(Column("open", "boolean"), values) == "75 % true"
    assert middle_of(Column("length"), values[3:4]) == "missing"
