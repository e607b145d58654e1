"""Rows over one axis, and what lies on it."""

import math

import numpy as np
import pytest

from sad_lightning.drawing import svg


def test_a_row_stands_where_its_name_does():
    frame = svg.row_frame(["short", "a <long> name"], 0, 100, 600, "percent")
    assert frame.rows == [27, 57]
    assert frame.x(100) == 600
    assert frame.x.start == pytest.approx(24 + 7.1 * len("a <long> name"))
    names = "".join(frame.parts)
    assert f'y="{frame.rows[1] + 4:.1f}" class="strong end">a &lt;long&gt; name' in names
    assert frame.height > frame.rows[-1]


def test_an_interval_ends_where_the_axis_does():
    x = svg.linear(0, 10, 100, 200, "")
    assert 'd="M150.0 7H200.0"' in svg.interval(x, 7, 5, 99, series=0)
    assert svg.interval(x, 7, math.nan, math.nan, series=0) == ""


def test_labels_are_moved_apart():
    assert svg.spread_out([10, 11, 50], 5, 0, 100) == [10, 15, 50]
    assert svg.spread_out([99, 99], 5, 0, 100) == [95, 100]


# From linear RGB to what eyes without one kind of cone see (Machado et al. 2009, severity 1).
EYES = {
    "all cones": np.eye(3),
    "no red": np.array([
        [0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998],
    ]),
    "no green": np.array([
        [0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881],
    ]),
    "no blue": np.array([
        [1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900],
    ]),
}  # fmt: skip
# From linear RGB to Oklab, in which distances are those that eyes see (Ottosson 2020).
CONES = np.array([[0.412221, 0.536333, 0.051446], [0.211903, 0.680700, 0.107397], [0.088302, 0.281719, 0.629979]])
OKLAB = np.array([[0.210454, 0.793618, -0.004072], [1.977998, -2.428592, 0.450594], [0.025904, 0.782772, -0.808676]])


def linear_rgb(colours):
    rgb = np.array([[int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)] for colour in colours])
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


@pytest.mark.parametrize(("colours", "paper"), [(svg.LIGHT, "#ffffff"), (svg.DARK, "#151a23")], ids=["light", "dark"])
def test_colours_differ_for_all_eyes_and_from_the_paper(colours, paper):
    rgb = linear_rgb(colours)
    for eyes, matrix in EYES.items():
        seen = np.cbrt(np.clip(rgb @ matrix.T, 0, 1) @ CONES.T) @ OKLAB.T
        distances = np.linalg.norm(seen[:, None] - seen[None], axis=-1) + np.eye(len(seen))
        assert distances.min() > 0.06, eyes
    light = (rgb @ [0.2126, 0.7152, 0.0722], linear_rgb([paper]) @ [0.2126, 0.7152, 0.0722])
    assert ((np.maximum(*light) + 0.05) / (np.minimum(*light) + 0.05)).min() >= 3  # WCAG 1.4.11


def test_series_differ_in_shape_where_they_share_a_colour():
    def shape(series):
        drawn = svg.mark(0, 0, series)
        return drawn.partition(" ")[0], drawn.partition(' d="')[2]

    assert shape(0) != shape(1) != shape(2)
    assert all(shape(i) != shape(i + len(svg.LIGHT)) for i in range(len(svg.LIGHT)))
