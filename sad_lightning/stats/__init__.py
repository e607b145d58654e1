"""Statistics of scores, numpy and scipy only."""
