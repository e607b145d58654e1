"""Scores of many days: quiet where nothing changed, exit code 3 and the column named where it did."""

import os
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from support.commands import Outcome, run_main
from support.detectors import rows_of, save_model
from support.pages import Page

from sad_lightning.data.own.parts import DataPart, find_parts
from sad_lightning.errors import InputError
from sad_lightning.model import Model
from sad_lightning.monitor.days import _day_of, watch
from sad_lightning.monitor.page import flagged_figure, martingale_figure

pa = pytest.importorskip("pyarrow", reason="CSV and parquet need the extra `table`")
from pyarrow import parquet  # noqa: E402

DAYS = [f"2026-01-{day:02}" for day in range(1, 9)]


@pytest.fixture
def model(make, tmp_path):
    return save_model(make("deep_sad", "table"), tmp_path)


def scores_of(model, folder, shift_from: int | None, *options: str, suffix: str = "parquet"):
    """Eight days of sixty rows; a column moves by two deviations from one of them on."""
    for k, day in enumerate(DAYS):
        columns = rows_of(100 + k, 60)
        if shift_from is not None and k >= shift_from:
            columns["x4"] = columns["x4"] + 2
        path = folder / "rows" / f"part-{day}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(pa.table({**columns, "when": [f"{day} 10:00"] * 60}), path)
    outcome = run_main(
        "predict", str(model), str(folder / "rows"), "--output", str(folder / "scores"), "--format", suffix, *options
    )
    assert outcome.code == 0, outcome.err
    return folder / "scores"


def monitor(model, scores, *options: object) -> Outcome:
    return run_main("monitor", str(model), str(scores), *map(str, options))


def test_nothing_changed_and_nothing_is_said(model, tmp_path):
    scores = scores_of(model, tmp_path, None, "--ignore", "when")
    outcome = monitor(model, scores, "--out", tmp_path / "monitor.html")
    assert outcome.code == 0, outcome.err
    assert "480 rows of 8 days, 2026-01-01 to 2026-01-08" in outcome.out
    assert "alarm " not in outcome.out.replace("an alarm at", "")
    page = (tmp_path / "monitor.html").read_text()
    assert "nothing against it" in page


def test_a_shift_is_an_alarm_on_its_day_and_the_column_is_named(model, tmp_path):
    scores = scores_of(model, tmp_path, 5, "--ignore", "when")
    outcome = monitor(model, f"{scores}/*.parquet", "--out", tmp_path / "monitor.html")
    assert outcome.code == 3
    assert re.search(r"alarm       on 2026-01-0[67]: rows are not as in training; columns that moved: x4", outcome.out)
    page = (tmp_path / "monitor.html").read_text()
    assert re.search("no, since 2026-01-0[67]", page)
    assert "<td>x4</td>" in page
    assert Page(page).faults == []
    assert "<script" not in page
    monitoring = watch(Model.load(model), find_parts([str(scores)]), None)
    assert [day.rows for day in monitoring.days] == [60] * 8
    assert [day.last for day in monitoring.days] == list(range(59, 480, 60))
    assert monitoring.columns[0].name == "x4"
    column = monitoring.columns[0]
    before, lately = (float(text.removeprefix("median ")) for text in (column.before, column.lately))
    assert lately > before + 1
    for figure in (flagged_figure(monitoring), martingale_figure(monitoring)):
        ET.fromstring(figure.file())
        assert all(day in figure.alt for day in DAYS) or "x4" in figure.alt


def test_days_may_come_from_a_column_and_csv_tells_of_scores_alone(model, tmp_path):
    scores = scores_of(model, tmp_path, None, "--keep", "when", suffix="csv")
    renamed = scores / "all"
    renamed.mkdir()
    for k, path in enumerate(sorted(scores.glob("*.csv"), reverse=True)):
        path.rename(renamed / f"{k}.csv")  # in another order than the days
    outcome = monitor(model, renamed, "--time", "when", "--out", tmp_path / "monitor.html")
    assert outcome.code == 0, outcome.err
    assert "8 days, 2026-01-01 to 2026-01-08" in outcome.out
    assert "warning: these scores do not tell of the columns" in outcome.out
    monitoring = watch(Model.load(model), find_parts([str(renamed)]), "when")
    first = np.array(parquet.ParquetFile(tmp_path / "rows" / "part-2026-01-01.parquet").read()["x0"])
    assert len(first) == monitoring.days[0].rows


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("2024-02-29/part-7.parquet", "2024-02-29"),
        ("of-20260131-to-20260201.parquet", "2026-02-01"),
        ("2026-01-31/serial-20260231.parquet", "2026-01-31"),
        ("serial-20261301.parquet", "2001-09-09"),  # no day: that of its last change
        ("part-2026-02-31.parquet", None),
        ("2023-02-29/part.parquet", None),
    ],
)
def test_a_day_is_one_that_there_is(name, day, tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"")
    os.utime(tmp_path / "x.parquet", (10**9, 10**9))
    part = DataPart(tmp_path / "x.parquet", name)
    if day is not None:
        assert _day_of(part) == day
        return
    with pytest.raises(InputError, match=r"its name must hold a day that there is, it holds 202\d-02-\d\d; rename it"):
        _day_of(part)


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        ("a,b\n1,2\n", ["--time", ""], "missing: score, "),
        ("score,when\n1,2026-02-31\n", ["--time", "when"], "column when must hold dates as 2026-01-31, it holds '2026"),
        ("score,anomaly\n1,0\n", ["--time", "when"], "missing: when"),
        ("a,b\n1,2\n", [], "missing: score"),
        ("score\n1\nnan\n", [], "score must hold a finite number a row"),
        ("score\nhigh\nlow\n", [], "score must hold a finite number a row"),
        ("score,when\n1,yesterday\n", ["--time", "when"], "it holds 'yesterday'"),
    ],
)
def test_what_is_no_scores_is_one_line(content, options, words, model, tmp_path):
    (tmp_path / "x.csv").write_text(content)
    outcome = monitor(model, tmp_path / "x.csv", *options, "--out", tmp_path / "m.html")
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert words in outcome.err
    assert not (tmp_path / "m.html").exists()


def test_the_page_replaces_nothing_that_is_read(model, tmp_path):
    (tmp_path / "s.csv").write_text("score\n1\n")
    (tmp_path / "folder").mkdir()
    before = model.read_bytes()
    for out, words in ((model, "must be another file"), (tmp_path / "s.csv", "must be another file"),
                       (tmp_path / "folder", "Is a directory")):  # fmt: skip
        outcome = monitor(model, tmp_path / "s.csv", "--out", out)
        assert (outcome.code, outcome.err.count("\n")) == (2, 1)
        assert words in outcome.err
    assert model.read_bytes() == before
    assert (tmp_path / "s.csv").read_text() == "score\n1\n"


@pytest.mark.parametrize("other", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")], ids=["pipe", "device"])
@pytest.mark.parametrize("verb", ["monitor", "predict", "inspect"])
def test_rows_that_may_never_end_are_refused(verb, other, model, tmp_path):
    other(tmp_path / "s.csv")
    outcome = run_main(verb, *([] if verb == "inspect" else [str(model)]), str(tmp_path / "s.csv"))
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "must be a file, it is a pipe, a socket or a device" in outcome.err
