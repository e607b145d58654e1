"""Time stamps: every form that people write, and the same sines from files, frames, model files and graphs."""

import datetime
import warnings

import numpy as np
import pytest
import torch
from support.tables import own, parquet, raw, text

from sad_lightning import Detector
from sad_lightning.data.own.frames import frame_rows, frame_table, is_mixed
from sad_lightning.data.own.tables import fit_schema
from sad_lightning.data.own.times import are_times, read_times, time_values
from sad_lightning.data.own.values import Values
from sad_lightning.data.preparation import Preparation
from sad_lightning.data.preprocess import Scaling
from sad_lightning.data.schema import DAY, WEEK, Column, TableSchema, schema_of
from sad_lightning.errors import InputError
from sad_lightning.model import Model
from sad_lightning.predict.scoring import predict

pa = pytest.importorskip("pyarrow", reason="CSV and parquet need the extra `table`")
NOON = 1769860800.0  # Saturday, 2026-01-31 12:00 UTC
FORMS = [
    "2026-01-31 12:00", "2026-01-31T12:00:00", "2026-01-31T13:00:00+01:00", "2026-01-31 12:00:00.000Z",
    "2026/1/31 12:00",
    "2026.01.31 12:00", "31.1.2026 12:00", "31/1/2026 12:00:00", "1/31/2026 12:00 PM", "1-31-26, 12:00",
    "31 Jan 2026 12:00", "31-JAN-2026 12:00:00", "January 31, 2026 12:00 p.m.", "31/Jan/2026:13:00:00 +0100",
    "Sat, 31 Jan 2026 12:00:00 GMT", "2026-01-31 07:00:00-0500",
]  # fmt: skip
HOURS = [datetime.datetime(2026, 1, 1) + datetime.timedelta(hours=5 * k) for k in range(60)]  # Thursday, for 12 days


@pytest.mark.parametrize("form", FORMS)
def test_a_time_stamp_is_read(form):
    times = read_times([form])
    assert times.seconds.tolist() == [NOON]
    assert are_times([form])
    assert times.span() == "2026-01-31 12:00:00 to 2026-01-31 12:00:00"


def test_what_is_none_is_not_read():
    words = ["2026-02-30", "10.0.19", "9.1.3", "May", "12", "1.5", "25:00", "13:00 pm", "2026-01-31x", "", "12:00 noon"]
    assert np.isnan(read_times(words).seconds).all()
    assert not any(are_times([word]) for word in words)


def test_plain_words_are_read_as_any_other():
    words = ["2026-01-31", "2026-01-31 12:34", "2025-12-31T23:59:59.25"]
    expected = [read_times([word, "1 May 2026"]).seconds[0] for word in words]
    assert read_times(words).seconds.tolist() == expected
    assert read_times([f"{word}Z" for word in words]).has_zone.all()


def test_the_order_of_day_and_month_is_told_by_the_words():
    assert read_times(["1/2/2026", "31/2/2026"]).day_first is True
    assert read_times(["1/2/2026", "2/31/2026", "12/31/2026"]).day_first is False
    assert read_times(["1.2.2026"]).day_first is True
    assert read_times(["2026-02-01"]).day_first is None
    with pytest.raises(InputError, match=r"dates such as 1/2/2026.* data.day_first=true or data.day_first=false"):
        read_times(["1/2/2026"])
    with pytest.raises(InputError, match="with the day first and dates with the month first"):
        read_times(["13/2/2026", "2/13/2026"])
    assert np.isnan(read_times(["13/2/2026", "2/13/2026"], True).seconds).tolist() == [False, True]


def test_sines_by_hand():
    """Tuesday 6:00 is a quarter of a day, and 30 hours of a week."""
    schema = TableSchema((Column("t", "time", periods=(DAY, WEEK)), Column("clock", "time", periods=(DAY,))))
    rows = np.float32([[DAY + 6 * 3600, 0], [np.nan, DAY / 2]])
    angle = 2 * np.pi * 30 / 168
    expected = [[1, 0, np.sin(angle), np.cos(angle), 0, 1], [np.nan, np.nan, np.nan, np.nan, 0, -1]]
    np.testing.assert_allclose(schema.expand(rows), expected, atol=2**-16)
    scaling = Scaling(np.ones(6, dtype=np.float32), np.zeros(6, dtype=np.float32), np.full(6, 9, dtype=np.float32))
    prepared = Preparation(schema, scaling)(torch.from_numpy(rows)).numpy()
    np.testing.assert_allclose(prepared, np.nan_to_num(expected, nan=9), atol=2**-16)
    np.testing.assert_allclose(schema.raw(schema.expand(rows)), rows, atol=2)
    assert schema_of(schema.plain()) == schema
    assert [column.spell(value) for column, value in zip(schema.columns, rows[0], strict=True)] == [
        "Tue 06:00",
        "00:00",
    ]


def words_of(form: str) -> list[str]:
    return [hour.strftime(form) for hour in HOURS]


FILES = {
    "iso.csv": lambda path: text(path, "t\n" + "\n".join(words_of("%Y-%m-%d %H:%M:%S")) + "\n"),
    "day first.csv": lambda path: text(path, "t\n" + "\n".join(words_of("%d/%m/%Y %H:%M")) + "\n"),
    "words.parquet": lambda path: parquet(path, t=words_of("%d %b %Y %H:%M")),
    "stamps.parquet": lambda path: parquet(path, t=pa.array(HOURS, pa.timestamp("ns"))),
    "zone.parquet": lambda path: parquet(path, t=pa.array(HOURS, pa.timestamp("us", "UTC"))),
    "Paris.parquet": lambda path: parquet(path, t=pa.array(HOURS, pa.timestamp("us", "Europe/Paris"))),
    "x.npz": lambda path: np.savez(path, X=np.zeros((60, 1)), t=np.array(HOURS, "M8[s]")),
}


@pytest.mark.parametrize("name", FILES)
def test_all_kinds_of_files_give_equal_rows(name, tmp_path):
    path = tmp_path / name
    FILES[name](path)
    arrays = own(path, ignore=["x0"] if name == "x.npz" else [])
    column = arrays.schema.columns[0]
    assert (column.kind, column.periods) == ("time", (DAY, WEEK))
    assert column.has_zone == (name in ("zone.parquet", "Paris.parquet"))
    seconds = np.float64([(hour - datetime.datetime(2025, 12, 29)).total_seconds() % WEEK for hour in HOURS])
    angles = 2 * np.pi * seconds[:, None] / [DAY, WEEK]
    expected = np.stack([np.sin(angles), np.cos(angles)], axis=2).reshape(60, 4)
    np.testing.assert_allclose(arrays.x, expected, atol=2**-15)
    if name != "x.npz":
        np.testing.assert_array_equal(raw(path, column)[:, 0], seconds)  # at prediction


def test_one_road_for_frames_and_files(tmp_path):
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    columns = {"t": HOURS, "soil": ["clay", "sand", None] * 20, "a": np.arange(60.0) ** 2, "wet": [True, False] * 30}
    arrays = own(parquet(tmp_path / "x.parquet", **columns))
    for frame in (pandas.DataFrame(columns), polars.DataFrame(columns, strict=False)):
        assert is_mixed(frame)
        table = frame_table(frame)
        assert fit_schema(tmp_path, table, [], 100, 64, "median") == arrays.schema
        np.testing.assert_array_equal(arrays.schema.expand(frame_rows(frame, arrays.schema)), arrays.x)
    assert not is_mixed(pandas.DataFrame({"a": [1.0], "b": [True]}))
    assert not is_mixed(polars.DataFrame({"a": [1.0], "b": [True]}))
    with pytest.raises(InputError, match="X: must hold the columns of the training, by name; missing: wet"):
        frame_rows(pandas.DataFrame(columns).drop(columns="wet"), arrays.schema)
    with pytest.raises(InputError, match="X must be a data frame with the columns of the training, of which t is not"):
        frame_rows(np.zeros((3, 4)), arrays.schema)


@pytest.mark.parametrize("periods", [(DAY,), (DAY, WEEK)])
@pytest.mark.parametrize("has_zone", [False, True])
def test_a_raw_value_has_a_word(periods, has_zone):
    column = Column("t", "time", periods=periods, has_zone=has_zone)
    seconds = [0.0, 3_600.0, 80_000.0] if WEEK not in periods else [0.0, 90_000.0, 604_799.0]
    words = Values.categories(np.arange(3.0), [column.word(second) for second in seconds])
    assert time_values("x", words, column)[0].tolist() == seconds


def test_only_what_comes_back_is_used(tmp_path):
    for words, periods in (
        ([f"2026-01-{1 + k % 20:02}" for k in range(60)], (WEEK,)),
        ([f"2026-01-0{1 + k % 3} {k % 24}:00" for k in range(60)], (DAY,)),
        ([f"{k % 24}:{k % 60:02}" for k in range(60)], (DAY,)),
    ):
        schema = own(text(tmp_path / "x.csv", "t\n" + "\n".join(words) + "\n")).schema
        assert schema.columns == (Column("t", "time", periods=periods),)


def test_a_row_that_is_no_time_stamp_is_missing(tmp_path):
    words = words_of("%Y-%m-%d %H:%M")
    words[5], words[7] = "soon", "2026-02-30"
    path = text(tmp_path / "x.csv", "t\n" + "\n".join(words) + "\n")
    with pytest.warns(UserWarning, match="column t holds time stamps, '2026-02-30' and 1 others are none and count"):
        arrays = own(path)
    assert np.flatnonzero(np.isnan(arrays.x).all(axis=1)).tolist() == [5, 7]
    assert np.flatnonzero(np.isnan(raw(path, *arrays.schema.columns))[:, 0]).tolist() == [5, 7]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["2026-01-01 10:00", "2026-01-20 10:00Z"], "column t has a time zone in some rows and none in others"),
        (["2026-01-01 10:00", "10:00"], "column t holds dates in some rows and times of day alone in others"),
        (["2026-01-01 10:00", "2026-01-01 13:00"], "column t spans 3 hours, in which no time of day and no weekday"),
        (["2026-01-01", "2026-01-04"], "column t spans 3 days, in which"),
        (["1/2/2026", "2/3/2026"], "column t holds dates such as 1/2/2026, in which day or month may come first"),
    ],
)
def test_what_can_not_be_used_is_refused(words, says, tmp_path):
    with pytest.raises(InputError, match=says):
        own(text(tmp_path / "x.csv", "t\n" + "\n".join(words) + "\n"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["31/1/2026"], "must begin with the year or name the month, as in training, it holds '31/1/2026'"),
        (["2026-01-31 10:00Z"], "must have no time zone, as in training"),
        (["10:00"], "must hold dates, as in training, it holds '10:00'"),
        (["soon", "later"], "must hold dates, as in training, it holds 'later'"),
    ],
)
def test_another_form_at_prediction_is_refused(words, says, tmp_path):
    with pytest.raises(InputError, match=says):
        raw(text(tmp_path / "x.csv", "t\n" + "\n".join(words) + "\n"), Column("t", "time", periods=(DAY, WEEK)))


def test_a_setting_says_which_number_is_the_day(tmp_path):
    path = text(tmp_path / "x.csv", "t\n" + "\n".join(f"{1 + k % 12}/{1 + k % 11}/2026" for k in range(60)) + "\n")
    days, months = own(path, day_first=True).schema, own(path, day_first=False).schema
    assert (days.columns[0].day_first, months.columns[0].day_first) == (True, False)
    assert not np.array_equal(raw(path, *days.columns), raw(path, *months.columns))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert schema_of(days.plain()) == days


def test_a_detector_of_time_stamps_in_frames_and_files(tmp_path):
    """Work by day, Monday to Friday; a row at night is an anomaly, a row of another year is none."""
    pandas = pytest.importorskip("pandas")
    stamps = [datetime.datetime(2026, 1, 5 + k % 28, 9 + k % 8, k % 60) for k in range(560) if k % 7 < 5]
    soil = ["clay", "sand"] * (len(stamps) // 2)
    frame = pandas.DataFrame({"t": stamps, "soil": soil, "a": np.random.default_rng(0).normal(size=len(stamps))})
    detector = Detector("knn").fit(frame)
    new = frame[:60].reset_index(drop=True)
    new.loc[:29, "t"] += datetime.timedelta(hours=14)
    scores = detector.anomaly_score(new)
    assert scores[:30].min() > scores[30:].max()
    later = new.assign(t=new["t"] + datetime.timedelta(weeks=520))
    np.testing.assert_allclose(detector.anomaly_score(later), scores, rtol=1e-5)
    assert detector.explain(new[:1]).values(0)[0] == "Mon 23:00"
    more = Detector("knn").fit(frame).fit_more(frame)
    assert more.model_.preparation.schema == detector.model_.preparation.schema
    assert more.anomaly_score(new)[:30].min() > more.anomaly_score(new)[30:].max()

    detector.save(tmp_path / "model.pt")
    np.testing.assert_array_equal(Detector.load(tmp_path / "model.pt").anomaly_score(new), scores)
    model = Model.load(tmp_path / "model.pt")
    new.to_parquet(tmp_path / "new.parquet", index=False)
    new.to_csv(tmp_path / "new.csv", index=False)
    for name in ("new.parquet", "new.csv"):
        assert predict(model, tmp_path / name, tmp_path / "scores.npz").scored.unknown == {}
        np.testing.assert_allclose(np.load(tmp_path / "scores.npz")["score"], scores, rtol=1e-6)
