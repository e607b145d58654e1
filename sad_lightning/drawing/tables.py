"""Tables as Markdown and as CSV."""

import csv
import io
import math
from collections.abc import Iterable, Sequence
from html import escape


def markdown_text(words: str) -> str:
    """Words on one line, with Markdown, HTML and links escaped."""
    return escape(" ".join(words.split()), quote=False).replace("|", "\\|").replace("](", "]\\(")


def markdown_table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table with escaped text; empty without lines."""
    rows = [f"| {' | '.join(map(markdown_text, line))} |" for line in (head, *lines)]
    return "\n".join([rows[0], "|---" * len(head) + "|", *rows[1:]]) if len(rows) > 1 else ""


def csv_table(head: Sequence[str], lines: Iterable[Iterable[object]]) -> str:
    """A CSV table with every number in full; nan and None are empty, and no text is a formula to a spreadsheet."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(head)
    for line in lines:
        writer.writerow(map(_field, line))
    return file.getvalue()


def _field(value: object) -> object:
    if isinstance(value, float):
        return "" if math.isnan(value) else value
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@")):
        try:
            float(value)
        except ValueError:
            return f"'{value}"  # how a spreadsheet is told that it is text
    return value
