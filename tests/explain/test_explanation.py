"""Explanations of a detector in memory: of deep methods, baselines and mixtures, as a frame and as figures."""

import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from sad_lightning import Detector
from sad_lightning.data.schema import TableSchema
from sad_lightning.errors import InputError
from sad_lightning.explain.explanation import Explanation

SHORT = {"trainer.max_epochs": 3, "optimizer.milestones": [2], "trainer.accelerator": "cpu"}
VOICES = {
    "voices": {"spread": ["method=mahalanobis"], "trees": ["method=extra_trees", "method.trees=5"]},
    **SHORT,
}


@pytest.fixture(scope="module")
def rows():
    """Normal rows, and one whose second column makes it an anomaly."""
    x = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    odd = np.zeros((1, 3), dtype=np.float32)
    odd[0, 1] = 9
    return x, odd


def test_of_four_columns_the_three_that_add_most_are_named():
    rows, adds = np.float32([[1, 2, 3, 4]]), {"occlusion": np.array([[0.1, -3, 2, 0.5]])}
    explanation = Explanation(TableSchema.of_numbers(list("abcd")), rows, np.ones(1), np.ones(1), 0.5, adds)
    assert explanation.why(0) == "c = 3 (+2), d = 4 (+0.5), a = 1 (+0.1)"


@pytest.mark.parametrize(
    ("method", "settings", "parts"),
    [
        ("mahalanobis", SHORT, {"occlusion", "contribution"}),
        ("iforest", SHORT, {"occlusion"}),
        ("ae", SHORT, {"occlusion", "gradient", "error"}),
        ("label_free", VOICES, {"occlusion"}),
    ],
    ids=["sum", "forest", "deep", "mixture"],
)
def test_the_column_that_makes_the_anomaly_adds_most(method, settings, parts, rows):
    pandas = pytest.importorskip("pandas")
    x, odd = rows
    semi = np.zeros(len(x), dtype=int)
    semi[:5] = -1
    frame = pandas.DataFrame(x, columns=["speed", "heat", "flow"])
    detector = Detector(method, settings=settings).fit(frame, semi)
    odd_frame = pandas.DataFrame(odd, columns=frame.columns)
    explanation = detector.explain(odd_frame)
    assert set(explanation.parts) == parts
    np.testing.assert_allclose(explanation.scores, detector.anomaly_score(odd_frame), rtol=1e-5)
    np.testing.assert_allclose(explanation.p_values, detector.p_value(odd_frame))
    table = explanation.frame()
    assert list(table.columns) == ["score", "p_value", "anomaly", "speed", "heat", "flow"]
    assert table[["speed", "heat", "flow"]].iloc[0].idxmax() == "heat"
    assert explanation.why(0).startswith("heat = 9")
    drawn = ET.fromstring(explanation.figure(0, "valve 7").file())
    assert drawn.get("aria-label").startswith("valve 7: score ")
    for part in parts:
        assert explanation.frame(part).shape == (1, 6)
    with pytest.raises(InputError, match="must be one of occlusion"):
        explanation.frame("magic")


def test_images_have_a_figure_and_no_frame():
    pixels = np.random.default_rng(0).integers(0, 99, (200, 8, 8), dtype=np.uint8)
    explanation = Detector("mahalanobis", settings=SHORT).fit(pixels).explain(pixels[:2])
    assert explanation.parts["occlusion"].shape == (2, 8, 8)
    assert explanation.figure(1).svg.count("data:image/png;base64,") == 1 + len(explanation.parts)
    with pytest.raises(InputError, match="images have no columns"):
        explanation.frame()


def test_without_pandas_a_frame_says_so(rows, monkeypatch):
    explanation = Detector("mahalanobis", settings=SHORT).fit(rows[0]).explain(rows[1])
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InputError, match="pip install pandas"):
        explanation.frame()
