"""Box plots against n, one panel for each alpha (ye2021 Figure 2)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sad_lightning.convergence.study import Design, Runs
from sad_lightning.drawing import svg

Floats = NDArray[np.float64]
_WIDTH, _HEIGHT, _BOX = 186, 250, 26


def box_plots(runs: Runs, design: Design, names: Sequence[str], free: int, labels: int) -> svg.Figure:
    """The bias of the method with labels against the one without for each alpha, and its false-positive rate."""
    biases = runs.recall[..., labels] - runs.recall[..., free]  # (sizes, alphas, R)
    panels = [(f"bias, alpha = {alpha:.3g}", biases[:, i]) for i, alpha in enumerate(design.alphas)]
    parts = _panels(panels, design, 0)
    parts += _panels([("false-positive rate", runs.fpr[..., labels])], design, len(panels), target=design.fpr)
    title = f"{names[free]} against {names[labels]}"
    means = "; ".join(
        f"n = {n}: bias {biases[i, -1].mean():.3f}, false-positive rate {runs.fpr[i, :, labels].mean():.4f}"
        for i, n in enumerate(design.sizes)
    )
    caption = (
        "Box: quartiles and median over the runs; whiskers: 1.5 times as far as the box is wide, or to the last"
        " run; triangle: mean; dashed: the target rate."
    )
    alt = f"{title}, by the number of validation normals. {means}."
    size = (_WIDTH * (len(panels) + 1) + 20, _HEIGHT + 50)
    return svg.make_figure(f"{names[free]}-{names[labels]}", size, parts, title=title, alt=alt, caption=caption)


def _panels(panels: Sequence[tuple[str, Floats]], design: Design, place: int, target: float | None = None) -> list[str]:
    """Panels side by side with one scale, from ``place`` on; each holds ``(sizes, R)`` values."""
    values = np.concatenate([sizes.ravel() for _, sizes in panels])
    parts = []
    for i, (title, sizes) in enumerate(panels):
        left = 62 + _WIDTH * (place + i)
        x = svg.ordinal([str(n) for n in design.sizes], left, left + _WIDTH - 64, "n")
        y = svg.linear(*svg.with_margin([float(values.min()), float(values.max())], np.inf), _HEIGHT, 30, "")
        parts += svg.frame(x, y)
        parts.append(svg.text((x.start + x.end) / 2, 16, title, "mid strong"))
        if target is not None:
            parts.append(f'<path class="curve thin s1" d="M{x.start:g} {y(target):.1f}H{x.end:g}"/>')
        for k, some in enumerate(sizes):
            parts.append(_box(x(k), some, y))
    return parts


def _box(at: float, values: Floats, y: svg.Axis) -> str:
    low, median, high = np.quantile(values, [0.25, 0.5, 0.75])
    reach = 1.5 * (high - low)
    inside = values[(values >= low - reach) & (values <= high + reach)]
    ends = [y(float(inside.min())), y(float(inside.max()))]
    box = _BOX / 2
    return (
        f'<path class="rule" d="M{at:.1f} {ends[0]:.1f}V{y(low):.1f}M{at:.1f} {y(high):.1f}V{ends[1]:.1f}"/>'
        f'<rect class="bar s0" x="{at - box:.1f}" y="{y(high):.1f}" width="{_BOX}" height="{y(low) - y(high):.1f}"/>'
        f'<path class="rule" d="M{at - box:.1f} {y(median):.1f}h{_BOX}"/>'
        f'<path class="mark s1" d="{_triangle(at, y(float(values.mean())))}"/>'
    )


def _triangle(x: float, y: float) -> str:
    return f"M{x:.1f} {y - 5:.1f}l4.5 8h-9Z"
