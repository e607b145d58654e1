"""Histograms of scores: they are SVG, the threshold is drawn where it is finite, and a notebook shows them."""

import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from sad_lightning import Detector
from sad_lightning.drawing.scores import score_histograms


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


def test_a_detector_shows_its_scores():
    x = np.random.default_rng(0).normal(size=(200, 3))
    detector = Detector("iforest").fit(x)
    figure = detector.plot_scores(x[:7] + 4)
    ET.fromstring(figure._repr_svg_())
    assert "new rows, 7 rows" in figure.svg
    assert "new rows" not in detector.plot_scores().svg
    assert "Detector" in detector._repr_html_()
