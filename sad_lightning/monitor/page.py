"""The page of ``monitor``: flagged rows a day, the martingale, and the columns that moved."""

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sad_lightning.drawing import svg
from sad_lightning.drawing.pages import environment
from sad_lightning.files import write_texts
from sad_lightning.monitor.days import Monitoring
from sad_lightning.predict.comparison import BUDGET

_LOG10 = math.log(10)
_LINES = 5  # columns with a line in the figure
_TICKS = 7


def write_page(path: Path, monitoring: Monitoring, model: str) -> None:
    """Write the page: whole, or not at all."""
    template = environment(Path(__file__).parent).get_template("monitor.html")
    figures = [flagged_figure(monitoring), martingale_figure(monitoring)]
    page = template.render(title=f"Monitor of {model}", monitoring=monitoring, figures=figures, alarm_at=1 / BUDGET,
                           log_alarm=-math.log(BUDGET))  # fmt: skip
    write_texts(path.parent, {path.name: page})


def flagged_figure(monitoring: Monitoring) -> svg.Figure:
    """The share of flagged rows of each day, with its interval, beside what is to be expected."""
    days = monitoring.days
    highest = max(*(day.interval.high for day in days), monitoring.expected or 0.0)
    x = _days_axis(monitoring)
    y = svg.linear(0, min(105 * highest + 0.5, 100.0), 250, 30, "flagged rows, %")
    parts = svg.frame(x, y)
    if monitoring.expected is not None:
        at = y(100 * monitoring.expected)
        parts.append(f'<path class="rule" stroke-dasharray="4 4" d="M{x.start:g} {at:.1f}H{x.end:g}"/>')
        parts.append(svg.text(x.end - 4, at - 6, "as in training", "soft small end"))
    for k, day in enumerate(days):
        low, high = y(100 * day.interval.low), y(100 * min(day.interval.high, y.high / 100))
        css = f"interval s{1 if monitoring.expected is not None and day.interval.low > monitoring.expected else 0}"
        parts.append(f'<path class="{css}" d="M{x(k):.1f} {low:.1f}V{high:.1f}"/>')
        colour = 1 if "s1" in css else 0
        parts.append(svg.mark(x(k), y(100 * day.share), colour, hint=f"{day.name}: {day.flagged:,} of {day.rows:,}"))
    alt = "Flagged rows in percent: " + "; ".join(f"{day.name} {100 * day.share:.1f}" for day in days[-30:]) + "."
    caption = (
        "With intervals of 95 %; orange if the interval lies above the line: the promised share of normal rows, and "
        "the known anomalies of the training."
    )
    return svg.make_figure("flagged", (760, 298), parts, title="Flagged rows a day", alt=alt, caption=caption)


def martingale_figure(monitoring: Monitoring) -> svg.Figure:
    """The evidence against rows as in training after each day, with the line at which it alarms."""
    lines = {"all": monitoring.evidence.total, "scores": monitoring.evidence.scores, "flags": monitoring.evidence.flags}
    lines |= {column.name: column.capital for column in monitoring.columns[:_LINES] if _rises(column.capital)}
    ends = np.array([day.last for day in monitoring.days])
    of_day = {name: capital[ends] / _LOG10 for name, capital in lines.items() if len(capital)}
    limit = -math.log10(BUDGET)
    values = np.concatenate([*of_day.values(), [limit, 0.0]])
    x = _days_axis(monitoring, end=600)
    y = svg.linear(max(float(values.min()), -4.0) - 0.2, float(values.max()) + 0.4, 250, 30, "powers of ten")
    parts = svg.frame(x, y)
    at = y(limit)
    parts.append(f'<path class="rule" stroke-dasharray="4 4" d="M{x.start:g} {at:.1f}H{x.end:g}"/>')
    parts.append(svg.text(x.start + 4, at - 6, f"alarm at {1 / BUDGET:g}", "soft small"))
    series = {name: k for k, name in enumerate(of_day)}
    for name, line in of_day.items():
        points = [(x(k), y(svg.within(y, float(value)))) for k, value in enumerate(line)]
        parts.append(svg.curve(points, series[name], "" if name == "all" else "thin"))
    last = [
        (name if len(name) < 22 else f"{name[:21]}…", y(svg.within(y, float(line[-1]))))
        for name, line in of_day.items()
    ]
    short = {label: k for k, (label, _) in enumerate(last)}
    parts += svg.labels(last, 608, 15, y, short)
    alt = "Martingales after the last day, as powers of ten: " + "; ".join(
        f"{name} {line[-1]:.1f}" for name, line in of_day.items()
    )
    return svg.make_figure(
        "martingale", (760, 298), parts, title="Evidence that rows have changed", alt=f"{alt}.",
        caption="How much a bet that rows are not as in training has multiplied. Without any change it reaches "
        f"{1 / BUDGET:g} in at most one of {1 / BUDGET:g} streams.",
    )  # fmt: skip


def _rises(capital: NDArray[np.float64]) -> bool:
    return len(capital) > 0 and float(capital.max()) > math.log(2)


def _days_axis(monitoring: Monitoring, end: float = 740) -> svg.Axis:
    """A place for each day, a few of them named."""
    count = len(monitoring.days)
    step = math.ceil(count / _TICKS)
    ticks = tuple((float(k), monitoring.days[k].name) for k in range(0, count, step))
    return svg.Axis(-0.5, count - 0.5, 56, end, ticks, "day")
