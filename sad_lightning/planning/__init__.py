"""Samples of conditional autoencoders for a planner, judged on maps that no training saw (daniel2021 section 5.4)."""
