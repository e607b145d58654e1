"""What enters a page is text, whatever it says."""

import jinja2
import pytest

from sad_lightning.drawing.pages import environment


@pytest.fixture
def template(tmp_path):
    (tmp_path / "page.html").write_text('<td title="{{ name }}">{{ name }}</td>{{ difference|difference_words }}')
    return environment(tmp_path).get_template("page.html")


def test_values_are_escaped(template):
    page = template.render(name='"<b>', difference=-1.25)
    assert page == '<td title="&#34;&lt;b&gt;">&#34;&lt;b&gt;</td>\N{MINUS SIGN}1.2'


def test_a_value_that_is_not_given_is_an_error(template):
    with pytest.raises(jinja2.UndefinedError, match="difference"):
        template.render(name="a")
