"""HTML pages from Jinja2 templates, which lie beside the code that fills them; every value is escaped."""

import math
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from sad_lightning.drawing import svg
from sad_lightning.drawing.numbers import difference_words, interval_words, p_value_words, seconds_words


def environment(folder: Path) -> Environment:
    """The templates of a folder, with filters for numbers and the colours of figures; an unknown name is an error."""
    templates = Environment(
        loader=FileSystemLoader([folder, Path(__file__).parent]),  # frame.html is what pages may extend
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters.update(
        difference_words=difference_words,
        seconds_words=seconds_words,
        p_value_words=p_value_words,
        interval_words=interval_words,
    )
    templates.tests["nan"] = math.isnan
    templates.globals.update(
        infinite=math.inf,
        light=Markup(svg.LIGHT_COLOURS), dark=Markup(svg.DARK_COLOURS), dark_ink=Markup(svg.DARK_INK),
        figure_style=Markup(svg.STYLE),
    )  # fmt: skip
    return templates
