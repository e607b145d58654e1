"""The part of the page that says what labels do to recall."""

from collections.abc import Iterator

from sad_lightning.drawing.arrows import SIGNS
from sad_lightning.drawing.numbers import DASH, interval_words, signed
from sad_lightning.report.directions import Directions
from sad_lightning.report.figures import Drawn
from sad_lightning.report.markup import Html, entry, gallery, joined, sortable, tag
from sad_lightning.stats.bias import DOWN, UNDECIDED, UP

_MANY = 600  # lines of a table that a page still bears


def changes(drawn: Drawn) -> Iterator[Html]:
    """Which classes labels help and hurt, in words, as arrows and as a table."""
    found = drawn.directions
    pairs: dict[tuple[str, str, str], list[Directions]] = {}
    for each in found:
        pairs.setdefault((each.data, each.label_free, each.with_labels), []).append(each)
    items = []
    for (data, label_free, with_labels), some in pairs.items():
        counts = {which: sum(len(each.named(which)) for each in some) for which in (UP, DOWN, UNDECIDED)}
        told = ", ".join(f"{which} {count}" for which, count in counts.items())
        where = tag("span", f"{data}, {label_free} to {with_labels}", css="where")
        agree, arrows = (sum(each.agreement[i] for each in some) for i in range(2))
        beside = f" The means move as ye2021's arrows say {agree} of {arrows} times." if arrows else ""
        items.append(tag("li", where, some[0].words if len(some) == 1 else f"Classes: {told}.{beside}"))
    yield tag("ul", *items, css="answers")
    yield gallery(drawn.arrows, "wide")
    lines = [_direction(each, i) for each in found for i in range(len(each.changes))]
    if len(lines) > _MANY:
        yield tag("p", f"The {len(lines)} changes stand in directions.csv.", css="hint")
        return
    columns = (("data", ""), ("without labels", ""), ("with", ""), ("normal", ""), ("known", ""), ("class", ""),
               ("without", "n"), ("with", "n"), ("difference", "n"), ("interval", "n"), ("verdict", ""),
               ("published", "n"), ("arrow", ""), ("runs", "n"))  # fmt: skip
    hint = (
        "Recall in percent at the threshold of each cell. Intervals hold for all classes of a comparison together:"
        " Student's over seeds, or Newcombe's over test rows where there is one seed."
    )
    inner = joined([sortable("directions", columns, lines), tag("p", hint, css="hint")])
    yield tag("details", tag("summary", f"All changes ({len(lines)})"), inner, css="setting")


def _direction(each: Directions, i: int) -> Html:
    change = each.changes[i]
    theirs = " to ".join(f"{number.mean:.0f}" for number in change.published) if change.published else DASH
    arrow = change.arrow or DASH
    if change.agrees is not None:
        arrow = tag("span", arrow, css="good" if change.agrees else "bad")
    return tag(
        "tr", tag("td", each.data), tag("td", each.label_free), tag("td", each.with_labels),
        tag("td", ", ".join(each.normal)), tag("td", ", ".join(each.known)), tag("td", change.name),
        entry(change.before, f"{change.before:.1f}"), entry(change.after, f"{change.after:.1f}"),
        entry(change.difference, signed(change.difference)), tag("td", interval_words(change.interval), css="n"),
        tag("td", f"{SIGNS.get(change.verdict, '')} {change.verdict}"), tag("td", theirs, css="n"), tag("td", arrow),
        entry(each.runs, str(each.runs)),
    )  # fmt: skip
