"""Tables hold what they are given, and nothing of it is markup."""

import math

from sad_lightning.drawing.tables import csv_table, markdown_table


def test_markdown():
    assert markdown_table(("a", "b|c"), [("<i>", "x\ny")]) == "| a | b\\|c |\n|---|---|\n| &lt;i&gt; | x y |"
    assert markdown_table(("a",), []) == ""
    assert "](" not in markdown_table(("a",), [("[x](javascript:alert(1))",)])


def test_csv_leaves_out_what_is_no_number():
    assert csv_table(("a", "b"), [(math.nan, None), (0.1, "x,y")]) == 'a,b\n,\n0.1,"x,y"\n'


def test_no_text_is_a_formula_to_a_spreadsheet():
    texts = ("=1+1", "@SUM(1)", "+0.5", "-x", "a=b")
    assert csv_table(("a",), [(text,) for text in texts]).splitlines()[1:] == [
        "'=1+1",
        "'@SUM(1)",
        "+0.5",
        "'-x",
        "a=b",
    ]
