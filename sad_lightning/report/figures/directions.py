"""What labels do to the recall of each class."""

from sad_lightning.drawing.arrows import Arrow, arrow_chart
from sad_lightning.drawing.svg import Figure
from sad_lightning.report.gather.directions import Directions


def directions_figure(directions: Directions) -> Figure:
    """The recall of each class without and with labels."""
    methods = (directions.label_free, directions.with_labels)
    where = f"{directions.data}, {' and '.join(directions.normal)} normal, {' and '.join(directions.known)} known"
    lines = [
        Arrow(
            change.name, change.before, change.after, change.interval, change.verdict,
            (change.published[0].mean, change.published[1].mean) if change.published else None,
        )
        for change in directions.changes
    ]  # fmt: skip
    name = "-".join(["directions", directions.data, *methods, *directions.normal, *directions.known])
    return arrow_chart(name, f"{' to '.join(methods)}, {where}", lines)
