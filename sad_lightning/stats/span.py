"""A range of numbers that is wide enough to be divided."""


def wide_span(low: float, high: float) -> tuple[float, float]:
    """The range, or a wider one where its ends are so near that no double lies between two steps of it."""
    size = max(abs(low), abs(high))
    if high - low > max(1e-9 * size, 1e-300):
        return low, high
    pad = max(1.0, 1e-6 * size)
    return low - pad, high + pad
