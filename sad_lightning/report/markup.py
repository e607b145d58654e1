"""Markup in which everything that comes from results is escaped."""

import math
from collections.abc import Iterable, Sequence
from html import escape

from sad_lightning.drawing.svg import Figure


class Html(str):
    """Text that is markup already; any other text is escaped on its way into the page."""

    __slots__ = ()


def tag(name: str, *inner: str | None, **attributes: str | float | None) -> Html:
    """An element; what is not ``Html`` is escaped. ``css`` is its class, other names have dashes for underscores."""
    attributes = {"class" if key == "css" else key.replace("_", "-"): value for key, value in attributes.items()}
    said = "".join(f' {key}="{escape(str(value))}"' for key, value in attributes.items() if value is not None)
    return Html(f"<{name}{said}>{joined(inner)}</{name}>")


def joined(parts: Iterable[str | None]) -> Html:
    """The parts one after the other; what is not ``Html`` is escaped."""
    return Html("".join(part if isinstance(part, Html) else escape(part) for part in parts if part))


def entry(value: float, *words: str | None) -> Html:
    """A number in a table, which sorts by ``value``."""
    return tag("td", *words, css="n", data_value=_key(value))


def _key(value: float) -> str | None:
    return None if math.isnan(value) else f"{value:.6g}"


def filter_box(table: str) -> Html:
    """Where a person types which rows of a table to see."""
    label = "Filter: words that a row must hold"
    return Html(
        f'<div class="filter"><input type="search" data-for="{table}" placeholder="{label}" aria-label="{label}">'
        f'<span data-count="{table}" class="hint" role="status"></span></div>'
    )


def sortable(name: str, columns: Sequence[tuple[str, str]], lines: Sequence[Html]) -> Html:
    """A table that sorts by any column; ``columns`` are words and ``n`` where they are numbers."""
    head = [
        tag("th", Html(f'<button type="button">{escape(words)}</button>'), css=kind or None, scope="col")
        for words, kind in columns
    ]
    body = tag("table", tag("thead", tag("tr", *head)), tag("tbody", *lines), id=f"table-{name}", css="sortable")
    return tag("div", body, css="scroll", tabindex=0, role="region", aria_label=f"{name}, scrolls sideways")


def gallery(drawn: Iterable[Figure], css: str = "gallery") -> Html:
    """Figures side by side."""
    return tag("div", *map(_figure, drawn), css=css)


def _figure(figure: Figure) -> Html:
    caption = tag("figcaption", tag("strong", figure.title), " ", figure.caption)
    return tag("figure", Html(figure.svg), caption)
