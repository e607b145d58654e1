"""Histograms of scores: they are SVG, the threshold is drawn where it is finite, and a notebook shows them."""

import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from sad_lightning import Detector
from sad_lightning.drawing.scores import flagged_shares, score_histograms
from sad_lightning.errors import InputError


@pytest.mark.parametrize("threshold", [2.0, math.inf, -9.0])
def test_groups_below_each_other_with_the_threshold(threshold):
    groups = {"normal <rows>": np.arange(50.0) / 25, "one": np.array([7.0])}
    figure = score_histograms(groups, threshold, {"normal <rows>": 8, "one": 1}, "Scores")
    root = ET.fromstring(figure.file())
    texts = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert "normal <rows>, 50 rows" in texts
    assert "one, 1 rows" in texts
    assert any(text.startswith("threshold") for text in texts if text) == math.isfinite(threshold)
    assert "one 7" in figure.alt


@pytest.mark.parametrize(
    "scores", [[1.0, 1 + 1e-16 * 3], [-1.0, -1 - 3e-16], [1e17, 1e17 + 16], [1e300], [0.0, 5e-324]]
)
def test_scores_that_hardly_differ_are_drawn(scores):
    figure = score_histograms({"normal": np.array(scores * 20)}, scores[0], {"normal": 8}, "Scores")
    ET.fromstring(figure.file())
    assert "nan" not in figure.svg


def test_a_detector_shows_its_scores():
    x = np.random.default_rng(0).normal(size=(200, 3))
    detector = Detector("iforest").fit(x)
    figure = detector.plot_scores(x[:7] + 4)
    ET.fromstring(figure._repr_svg_())
    assert "new rows, 7 rows" in figure.svg
    assert "new rows" not in detector.plot_scores().svg
    assert "Detector" in detector._repr_html_()


def test_shares_above_each_threshold_by_hand():
    groups = {"normal rows": np.arange(100.0), "new rows": np.arange(50.0, 60.0)}
    figure = flagged_shares(groups, 54.0, {"normal rows": 8, "new rows": 0})
    assert figure.caption == "At the threshold of 54: 45 % of 100 normal rows, 50 % of 10 new rows."
    assert "nothing is flagged" in flagged_shares(groups, math.inf, {"normal rows": 8, "new rows": 0}).caption


def test_a_detector_shows_what_a_threshold_flags():
    x = np.random.default_rng(0).normal(size=(200, 3))
    detector = Detector("iforest").fit(x)
    new, y = np.concatenate([x[:5], x[:5] + 6]), np.repeat([0, 1], 5)
    figure = detector.plot_threshold(new, y)
    ET.fromstring(figure._repr_svg_())
    flagged = detector.anomaly_score(new) > -detector.offset_
    assert f"{100 * flagged[5:].mean():.3g} % of 5 new anomalies" in figure.caption
    assert f"{100 * flagged[:5].mean():.3g} % of 5 new normal rows" in figure.caption
    assert f"{100 * flagged.mean():.3g} % of 10 new rows" in detector.plot_threshold(new).caption
    assert "new rows" not in detector.plot_threshold().caption
    for rows, truth in ((None, y), (new, y - 1)):
        with pytest.raises(InputError, match="y "):
            detector.plot_threshold(rows, truth)
