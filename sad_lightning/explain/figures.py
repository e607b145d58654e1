"""Figures of what adds to a score: bars for the columns of a table, heat maps for images. Imports no torch."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sad_lightning.drawing import svg
from sad_lightning.drawing.pixels import picture

_SHOWN = 8  # columns
_BAR, _SIDE = 110, 160  # pixels
_BINS = 60
Parts = Mapping[str, NDArray[np.float32]]


def bars(title: str, columns: Sequence[str], values: Sequence[str], parts: Parts) -> svg.Figure:
    """The columns that add most to the score of one row, by occlusion, with their values; parts are ``(C,)``."""
    order = leading(parts["occlusion"])[:_SHOWN]
    shapes = [svg.text(300 + (_BAR + 90) * i, 16, name, "soft") for i, name in enumerate(parts)]
    for line, column in enumerate(order):
        y = 44 + 24 * line
        shapes.append(svg.text(288, y, f"{_short(columns[column])} = {_short(values[column])}", "end"))
        for i, numbers in enumerate(parts.values()):
            largest = float(np.abs(numbers).max()) or 1.0
            x, length = 300 + (_BAR + 90) * i, _BAR * abs(float(numbers[column])) / largest
            css = f"bar s{i if numbers[column] >= 0 else 8}"
            shapes.append(f'<rect class="{css}" x="{x}" y="{y - 11}" width="{length:.1f}" height="14"/>')
            shapes.append(svg.text(x + length + 5, y, f"{numbers[column]:+.3g}", "soft small"))
    leaders = ", ".join(f"{columns[column]} = {values[column]} {parts['occlusion'][column]:+.3g}" for column in order)
    alt = f"{title}. By occlusion: {leaders}."
    width, height = 300 + (_BAR + 90) * len(parts), 36 + 24 * len(order)
    return svg.make_figure(f"row-{_word(title)}", (width, height), shapes, title=title, alt=alt)


def heat_map_figure(title: str, image: NDArray[np.uint8], parts: Parts) -> svg.Figure:
    """One image, ``(H, W, C)``, beside heat maps of what adds to its score: red adds, blue subtracts."""
    pictures = {"image": image, **{name: heat(values) for name, values in parts.items()}}
    shapes = []
    for i, (name, pixels) in enumerate(pictures.items()):
        x = (_SIDE + 14) * i
        shapes.append(svg.text(x, 14, name, "soft"))
        shapes.append(picture(pixels, x, 22, _SIDE, _SIDE))
    row, column = np.unravel_index(np.argmax(parts["occlusion"]), image.shape[:2])
    alt = f"{title}. By occlusion, what adds most lies around row {row}, column {column} of {image.shape[:2]} pixels."
    size = ((_SIDE + 14) * len(pictures), 30 + _SIDE)
    return svg.make_figure(f"image-{_word(title)}", size, shapes, title=title, alt=alt)


def heat(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """``(H, W)`` numbers as ``(H, W, 3)`` colours: white at 0, red at the largest absolute value, blue at minus it."""
    share = values / (float(np.abs(values).max()) or 1.0)
    fading = (255 * (1 - np.abs(share))).astype(np.uint8)
    full = np.full_like(fading, 255)
    warm = (share >= 0)[..., None]
    return np.where(warm, np.stack([full, fading, fading], axis=-1), np.stack([fading, fading, full], axis=-1))


def leading(numbers: NDArray[np.floating]) -> list[int]:
    """Positions of the numbers, the largest first."""
    order: list[int] = np.argsort(-numbers, kind="stable").tolist()
    return order


def score_overview(
    names: Sequence[str],
    scores: NDArray[np.floating],
    is_anomaly: NDArray[np.bool_],
    calibration: NDArray[np.float64],
    threshold: float,
) -> svg.Figure:
    """The scores of named rows over a histogram of the scores that set the threshold, which may be infinite."""
    marks = scores.tolist()
    ends = [*calibration, *marks, *([threshold] if math.isfinite(threshold) else [])]
    low, high = min(ends), max(ends)
    pad = 0.02 * (high - low) or 1.0
    x = svg.linear(low - pad, high + pad, 12, 748, "score", 8)
    counts = np.histogram(calibration, _BINS, (x.low, x.high))[0]
    parts = [svg.steps(counts / max(counts.max(), 1), 1.0, x, 92, 30, 8), '<path class="rule" d="M12 92H748"/>']
    parts += [svg.text(x(value), 108, words, "soft mid small") for value, words in x.ticks]
    if math.isfinite(threshold):
        parts.append(f'<path class="rule" stroke-dasharray="4 3" d="M{x(threshold):.1f} 14V92"/>')
        side = "end" if x(threshold) > 500 else ""
        at = x(threshold) + (-5 if side else 5)
        parts.append(svg.text(at, 22, f"threshold {threshold:.4g}", f"soft small {side}"))
    for name, score, odd in zip(names, marks, is_anomaly.tolist(), strict=True):
        parts.append(svg.mark(x(score), 92, int(odd), hint=f"{name}: {score:.4g}"))
    alt = f"Scores of the rows, {min(marks):.4g} to {max(marks):.4g}, and the threshold {threshold:.4g}."
    caption = "Marks: the rows, orange squares where called anomalies. Grey: normal rows."
    return svg.make_figure("overview", (760, 116), parts, title="Where these rows lie", alt=alt, caption=caption)


def _short(text: str) -> str:
    return text if len(text) <= 24 else f"{text[:23]}…"


def _word(title: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in title)
