"""Rows over one axis, and what lies on it."""

import math

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
    assert svg.apart([10, 11, 50], 5, 0, 100) == [10, 15, 50]
    assert svg.apart([99, 99], 5, 0, 100) == [95, 100]
