"""PRO by hand, and against a loop over thresholds."""

import math

import numpy as np
import pytest

from sad_lightning.stats.overlap import region_overlap

# two defects of four pixels and one in one image, and eleven other pixels
MASK = np.array([[[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]])


def test_by_hand():
    scores = np.zeros((1, 4, 4))
    scores[0, :2, :2] = 3.0  # all of the large defect, nothing else: half of the overlap at a rate of 0
    scores[0, 2, 0] = 2.0  # then one of eleven others
    scores[0, 3, 3] = 1.0  # then the small defect
    # overlap 1/2 up to a rate of 1/11, and 1 from there
    assert region_overlap(MASK, scores, 1.0) == pytest.approx(1 - 0.5 / 11)
    assert region_overlap(MASK, scores, 0.3) == pytest.approx((0.3 - 0.5 / 11) / 0.3)
    assert region_overlap(MASK, MASK.astype(float), 0.3) == 1.0
    assert region_overlap(MASK, -MASK.astype(float), 0.3) == 0.0


def test_a_large_defect_counts_as_much_as_a_small_one():
    large, small = (np.where(MASK, 0.0, 0.0) for _ in range(2))
    large[0, :2, :2], small[0, 3, 3] = 1.0, 1.0
    assert region_overlap(MASK, large, 0.3) == pytest.approx(region_overlap(MASK, small, 0.3))


def test_equal_scores_are_one_threshold():
    assert region_overlap(MASK, np.ones((1, 4, 4)), 1.0) == pytest.approx(0.5)  # a line from (0, 0) to (1, 1)
    assert region_overlap(MASK, np.ones((1, 4, 4)), 0.3) == pytest.approx(0.15)


def test_pixels_that_touch_in_a_corner_are_one_defect():
    diagonal, apart = np.zeros((2, 1, 4, 4))
    diagonal[0, [0, 1], [0, 1]] = apart[0, [0, 3], [0, 3]] = 1
    scores = np.zeros((1, 4, 4))
    scores[0, 0, 0] = 1.0
    assert region_overlap(diagonal, scores, 0.3) == region_overlap(apart, scores, 0.3)  # half of one, or one of two
    three = apart.copy()
    three[0, 2, 3] = 1  # beside one of them
    assert region_overlap(three, scores, 0.3) == region_overlap(apart, scores, 0.3)
    diagonal[0, 2, 2] = 1
    assert region_overlap(diagonal, scores, 1e-9) == pytest.approx(1 / 3)
    diagonal[0, 2, 2], diagonal[0, 3, 3] = 0, 1  # half of one of two defects; were they three, a third
    assert region_overlap(diagonal, scores, 1e-9) == pytest.approx(1 / 4)


def test_as_a_loop_over_thresholds():
    generator = np.random.default_rng(0)
    masks = np.zeros((3, 20, 20), dtype=np.uint8)
    masks[0, 2:6, 2:9], masks[0, 12:14, 3:5], masks[1, 8:18, 8:18] = 1, 1, 1
    maps = np.round(masks + generator.normal(size=masks.shape), 1)
    regions = [(0, slice(2, 6), slice(2, 9)), (0, slice(12, 14), slice(3, 5)), (1, slice(8, 18), slice(8, 18))]
    points = [(0.0, 0.0)]
    for threshold in np.unique(maps)[::-1]:
        above = maps >= threshold
        points.append((above[masks == 0].mean(), np.mean([above[region].mean() for region in regions])))
    rates, overlaps = np.array(points).T
    fine = np.linspace(0, 0.3, 200_001)
    expected = np.trapezoid(np.interp(fine, rates, overlaps), fine) / 0.3
    assert region_overlap(masks, maps, 0.3) == pytest.approx(expected, abs=1e-5)


def test_without_defects_or_without_anything_else_it_is_not_defined():
    scores = np.ones((1, 4, 4))
    assert math.isnan(region_overlap(np.zeros((1, 4, 4), int), scores, 0.3))
    assert math.isnan(region_overlap(np.ones((1, 4, 4), int), scores, 0.3))
