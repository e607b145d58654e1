"""What a page must hold for everybody who reads it, and how many sheets of paper it takes."""

import math
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import ClassVar

VOID = {"meta", "br", "input", "path", "rect", "circle", "polygon", "image", "link"}


class Page(HTMLParser):
    """A page, read as a keyboard and a screen reader would.

    Attributes:
        texts: its texts, in order.
        faults: the rules that it breaks, a line each: WCAG's that need no browser.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.faults: list[str] = []
        self._open: list[tuple[str, dict[str, str | None]]] = []
        self._children: list[set[str]] = [set()]  # tags inside each open element
        self._ids: set[str] = set()
        self._levels = [0]
        self._seen: set[str] = set()
        self._words: list[str] = []  # texts of the open elements
        self.feed(text)
        self._must(not self._open, f"{self._open} must be closed")
        self._must({"title", "main", "h1", "viewport"} <= self._seen, "needs a title, main, h1 and viewport")

    def _must(self, holds: object, rule: str) -> None:
        if not holds:
            self.faults.append(rule)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        parents = [name for name, _ in self._open]
        if "id" in attributes:
            self._must(attributes["id"] not in self._ids, f"id {attributes['id']!r} twice")
            self._must(" " not in attributes["id"], f"id {attributes['id']!r} must hold no space")
            self._ids.add(attributes["id"])
        self._must(int(attributes.get("tabindex") or 0) <= 0, "a positive tabindex")
        if tag == "html":
            self._must(attributes.get("lang"), "html needs lang")
        elif tag == "meta" and attributes.get("name") == "viewport":
            self._seen.add("viewport")
            self._must("user-scalable" not in attributes["content"], "zoom must not be forbidden")
        elif tag in ("h1", "h2", "h3", "h4"):
            self._must(int(tag[1]) <= self._levels[-1] + 1, f"{tag} after h{self._levels[-1]}")
            self._must(tag != "h1" or "h1" not in self._seen, "one h1")
            self._levels.append(int(tag[1]))
        elif tag == "th":
            self._must(attributes.get("scope"), "th needs scope")
        elif tag == "table":
            around = self._open[-1][1]
            named = around.get("tabindex") == "0" and around.get("role") == "region" and around.get("aria-label")
            self._must(named, "a table needs a region around it that has a name and scrolls by keyboard")
        elif tag == "svg":
            self._must(attributes.get("role") == "img" and attributes.get("aria-label"), "svg needs role and name")
            scrolls = parents[-1] != "figure" or self._open[-1][1].get("tabindex") == "0"
            self._must(scrolls or "big" not in (attributes.get("class") or ""), "a wide figure must scroll by keyboard")
        elif tag == "input":
            self._must(attributes.get("aria-label"), "input needs a name")
        elif tag == "pre":
            self._must(attributes.get("tabindex") == "0", "pre must scroll by keyboard")
        elif tag == "img":
            self._must(attributes.get("alt") is not None, "img needs alt")
        self._seen.add(tag)
        self._children[-1].add(tag)
        if tag not in VOID:
            self._open.append((tag, attributes))
            self._children.append(set())
            self._words.append("")

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        opened, words = self._open.pop()[0], self._words.pop()
        assert opened == tag, f"{opened} closed by {tag}"
        if tag in ("title", "desc", "summary", "button", "th", "figcaption", "a", "h1", "h2", "h3"):
            self._must(words.strip(), f"an empty {tag}")
        if self._words:
            self._words[-1] += words
        needs = {"figure": "figcaption", "details": "summary"}
        if self._open and self._open[-1][0] == "figure":
            needs["svg"] = "desc"
        children = self._children.pop()
        self._must(needs.get(tag, "") in {"", *children}, f"{tag} needs {needs.get(tag)}")

    def handle_data(self, data):
        self.texts.append(data)
        if self._words:
            self._words[-1] += data


class Sheets(HTMLParser):
    """How many sheets of A4 a page prints on, by rules: lines of text, rows of tables and heights of drawings.

    A line of text holds 130 letters and is 16 pixels high, a row of a table 17, a heading 45, a summary 34, the frame
    of a figure 30. Two figures stand side by side unless they are ``whole``, and one that does not fit begins a sheet.
    What is folded does not print.
    """

    _WIDTH, _HEIGHT = 688, 1017  # pixels of A4 without margins of 14 mm
    _TALL: ClassVar = {"tr": 17, "h1": 45, "h2": 45, "h3": 45, "summary": 34}
    _TEXTS: ClassVar = {"p", "figcaption", "li", "dd"}

    def __init__(self, text: str) -> None:
        super().__init__()
        self._pixels, self._folded, self._letters = 0.0, 0, 0
        self._figure: float | None = None  # the height of the open figure
        self._columns = 1
        self.feed(text.partition("<main>")[2].partition("</main>")[0])

    @property
    def count(self) -> int:
        return math.ceil(self._pixels / self._HEIGHT)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag == "figure":
            self._columns = 1 if attributes.get("class") == "whole" else 2
            self._figure = 30.0
        elif tag == "svg":
            _, _, width, height = map(float, attributes["viewbox"].split())
            self._add(height * min(1, self._WIDTH / self._columns / width))
        elif tag in self._TEXTS:
            self._letters = 0
        elif tag in self._TALL:
            self._add(self._TALL[tag], folded=int(tag == "summary"))  # the summary of what is folded shows
        if tag == "details" and "open" not in attributes:
            self._folded += 1

    def handle_data(self, data):
        self._letters += len(data)

    def handle_endtag(self, tag):
        if tag in self._TEXTS:
            self._add(16 * math.ceil(self._letters * self._columns / 130))
        elif tag == "figure":
            tall, self._figure = self._figure / self._columns, None
            left = -self._pixels % self._HEIGHT
            self._columns = 1
            self._add(tall + left if tall > left else tall)
        elif tag == "details":
            self._folded -= 1

    def _add(self, pixels: float, folded: int = 0) -> None:
        if self._figure is not None:
            self._figure += pixels
        elif self._folded <= folded:
            self._pixels += pixels


def printed_sheets(file: Path, chromium: str) -> int:
    """How many a browser prints."""
    pdf = file.with_suffix(".pdf")
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={file.parent / 'profile'}"]
    subprocess.run([*command, f"--print-to-pdf={pdf}", file.as_uri()], capture_output=True, timeout=120, check=True)
    return len(re.findall(rb"/Type\s*/Page\b", pdf.read_bytes()))
