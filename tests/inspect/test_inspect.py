"""Looking at a person's data: tables and folders as they come, and a proposal that trains as it is printed."""

import gzip
import re
import shlex

import numpy as np
import pytest
from PIL import Image
from support.commands import run_main
from support.tables import own

from sad_lightning.data.schema import Dialect
from sad_lightning.inspect.columns import profile_table
from sad_lightning.inspect.dialect import guess_dialect
from sad_lightning.inspect.proposal import propose
from sad_lightning.inspect.text import table_text
from sad_lightning.model import Model

pa = pytest.importorskip("pyarrow", reason="CSV and parquet need the extra `table`")
FAST = ("trainer.max_epochs=2", "optimizer.milestones=[]", "logger=none")


def flows(path, n: int = 400):
    """A file in the layout of CIC-IDS2017: blanks in names, one name twice, addresses, time stamps, infinities."""
    path.parent.mkdir(exist_ok=True)
    generator = np.random.default_rng(0)
    attack = generator.choice(["BENIGN", "DDoS", "Web Attack \x96 XSS"], n, p=[0.85, 0.1, 0.05])
    odd = attack != "BENIGN"
    head = "Flow ID, Source IP, Protocol, Timestamp, Flow Duration, Fwd Header Length,Flow Bytes/s, Flags"
    lines = [f"{head}, Fwd Header Length, Label"]
    for k in range(n):
        rate = "Infinity" if k % 97 == 0 else "NaN" if k % 101 == 0 else f"{generator.exponential() + odd[k]:.3f}"
        length = generator.poisson(5 + 9 * odd[k])
        lines.append(
            f"10.0.0.{k % 250}-10.0.0.1-{k},10.0.0.{k % 250},{(6, 17)[k % 2]},{1 + k % 28}/7/2017 {k % 24}:30,"
            f"{generator.normal(100 + 30 * odd[k], 9):.2f},{length},{rate},0,{length},{attack[k]}"
        )
    path.write_text("\n".join(lines) + "\n", encoding="latin-1")
    return path


def test_from_a_file_as_it_comes_to_a_detector_in_commands_that_are_pasted(tmp_path):
    path = flows(tmp_path / "flows.csv")
    outcome = run_main("inspect", str(path))
    assert outcome.code == 0, outcome.err
    for words in (
        "400 rows, 10 columns, encoding 'cp1252'", "left out: another word in nearly every row",
        "many words: hashed into 64 columns", "time stamps: time of day and weekday",
        "Fwd Header Length.1 ", "left out: stands there before, with equal values",
        "left out: one value in every row", "numbers that are names", "5 infinite", "known normal   BENIGN (",
    ):  # fmt: skip
        assert words in outcome.out, words
    command = shlex.split(outcome.out.splitlines()[-1])
    assert command[:3] == ["python", "-m", "sad_lightning"]
    runs = f"runs={tmp_path / 'runs'}"
    trained = run_main(*command[3:], runs, *FAST)
    assert trained.code == 0, trained.err
    written = run_main("inspect", str(path), "--write", str(tmp_path / "conf"))
    assert "conf/data/flows.yaml" in written.out
    command = shlex.split(written.out.splitlines()[-1])
    again = run_main(*command[3:], runs, *FAST)
    assert again.code == 0, again.err
    models = [Model.load(file) for file in (tmp_path / "runs").rglob("model.pt")]
    assert len(models) == 2
    assert models[0].preparation.schema == models[1].preparation.schema
    assert models[0].preparation.schema.names == [
        "Source IP", "Protocol", "Timestamp", "Flow Duration", "Fwd Header Length", "Flow Bytes/s",
    ]  # fmt: skip
    voices = [model.card["settings"]["voices"] for model in models]
    assert voices[0] == voices[1]
    assert voices[0]["pu_svdd"]["balance"] == {"known_anomalies": 64, "mix": True}  # of pair/table_pu_svdd
    scores = tmp_path / "scores.csv"
    new = run_main("predict", str(next((tmp_path / "runs").rglob("model.pt"))), str(path), "--output", str(scores))
    assert new.code == 0, new.err
    assert len(scores.read_text().splitlines()) == 401


def test_a_folder_of_files_is_one_table(tmp_path):
    """As CIC-IDS2017 comes, a file a day; only one of them has a letter that is not ASCII."""
    day = flows(tmp_path / "week" / "Friday.csv")
    lines = day.read_text(encoding="latin-1").splitlines()
    day.write_text("\n".join(lines[:201]), encoding="latin-1")
    plain = [line for line in lines[201:] if "Web" not in line]
    (tmp_path / "week" / "Monday.csv").write_text("\n".join([lines[0], *plain]))
    outcome = run_main("inspect", str(tmp_path / "week"))
    assert outcome.code == 0, outcome.err
    assert f"week: {200 + len(plain)} rows, 10 columns, encoding 'cp1252'" in outcome.out
    command = shlex.split(outcome.out.splitlines()[-1])
    trained = run_main(*command[3:], f"runs={tmp_path / 'runs'}", *FAST)
    assert trained.code == 0, trained.err
    assert len(list((tmp_path / "runs").rglob("detector.html"))) == 1
    assert run_main("inspect", str(tmp_path / "week" / "*.csv")).out.count("cp1252") == 2
    (tmp_path / "week" / "Tuesday.csv").write_text("a,b\n1,2\n")
    unlike = run_main("inspect", str(tmp_path / "week"))
    assert unlike.code == 2
    assert "Tuesday.csv: must have the columns of" in unlike.err
    (tmp_path / "week" / "Tuesday.csv").write_text("\n".join(["Export of Tuesday", lines[0], *plain]))
    assert "must be spelt as" in run_main("inspect", str(tmp_path / "week")).err


DIALECTS = {
    "plain": (b"a,b\n1.5,x\n2.5,y\n", Dialect()),
    "semicolons": (b"a;b\n1,5;x\n2,5;y\n", Dialect(decimal=",")),
    "a line that names the separator": (b"sep=;\na;b\n1.5;x\n2.5;y\n", Dialect(skip_rows=1)),
    "a title": (b"Export of line 3, 2 May\n\na;b;c\n1;2;x\n3;4;y\n5;6;z\n", Dialect(skip_rows=2)),
    "commas in the header's words": (b"a, in m;b, in s\n1.5;2\n2.5;3\n1;2\n", Dialect(delimiter=";")),
    "UTF-16": ("a\tb\n1.5\tx\n".encode("utf-16"), Dialect(encoding="utf-16")),
    "latin-1": (b"a,b\n1.5,caf\xe9\x81\n", Dialect(encoding="latin-1")),
    "a dash of Windows": (b"a,b\n1.5,Web Attack \x96 XSS\n", Dialect(encoding="cp1252")),
    "no header": (b"1.5,2\n2.5,3\n", Dialect(header=False)),
    "blanks": (b"a   b\n 1.5  x \r\n2.5 y\n", Dialect(delimiter=" ")),
    "a delimiter that ends each line": (b"a,b,\n1.5,x,\n2.5,y,\n", Dialect()),
    "a delimiter that ends each row": (b"a;b\n1.5;x;\n2.5;y;\n", Dialect()),
    "units": (b"a,b\nmm,\n1.5,x\n2.5,y\n", Dialect()),
    "UTF-16 without a mark": ("a,b\n1.5,x\n".encode("utf-16-le"), Dialect(encoding="utf-16-le")),
    "UTF-16 of the other order": ("a,b\n1.5,x\n".encode("utf-16-be"), Dialect(encoding="utf-16-be")),
    "UTF-32": ("a,b\n1.5,x\n".encode("utf-32"), Dialect(encoding="utf-32")),
    "a mark of UTF-8": ("a,b\n1.5,x\n2.5,y\n".encode("utf-8-sig"), Dialect()),
    "line ends of an old Mac": (b"a,b\r1.5,x\r2.5,y\r", Dialect()),
    "carets": (b"a^b\n1.5^x\n2.5^y\n", Dialect(delimiter="^")),
    "tildes": (b"a~b\n1.5~x, y\n2.5~y\n", Dialect(delimiter="~")),
    "pipes": (b"a|b\n1.5|x\n2.5|y\n", Dialect()),
    "no header, and words that come back": (b"1.5,ok,2\n2.5,bad,3\n3.5,ok,4\n", Dialect(header=False)),
    "numbers in the header": (b"400.5,401.0,status\n1.5,2,ok\n2.5,3,bad\n", Dialect()),
    "a header of words that come back": (b"a,b\n1.5,x\na,b\n", Dialect()),
    "a name of two lines": (b'"a\n(mm)",b\n1.5,x\n2.5,y\n', Dialect()),
    "a title above a name of two lines": (b'Made by x\n"a\n(mm)",b\n1.5,x\n2.5,y\n3.5,z\n', Dialect(skip_rows=1)),
    "comments": (b"# a\n# b\na,b\n1.5,x\n2.5,y\n3.5,z\n", Dialect(skip_rows=2)),
    "packed": (gzip.compress(b"a|b\n1.5|x\n2.5|y\n"), Dialect()),
}


@pytest.mark.parametrize("name", DIALECTS)
def test_the_dialect_of_a_file_is_guessed(name, tmp_path):
    content, dialect = DIALECTS[name]
    path = tmp_path / ("x.csv.gz" if name == "packed" else "x.csv")
    path.write_bytes(content)
    assert guess_dialect(path) == dialect
    look = profile_table(path)
    assert look.columns[0].values.kind == "number" or name == "a header of words that come back"
    three = ("a title", "commas in the header's words", "units", "comments", "a title above a name of two lines")
    three += ("no header, and words that come back",)
    assert look.rows == (3 if name in three else 2 - (dialect.encoding != "utf-8"))
    assert look.dialect.missing_values == (("mm",) if name == "units" else ())
    assert not look.ragged


def test_numbers_with_a_unit_are_to_be_looked_at(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("way,a\n" + "".join(f"{k % 30} km,{k * k % 7}\n" for k in range(200)))
    (problem,) = (each for each in propose(profile_table(path)).problems if "numbers" in each)
    assert problem == "way holds numbers such as '0 km', with 'km', which are read as words; write them as -1.5"


NO_TABLES = {
    "a workbook": (b"PK\x03\x04...", "a workbook or a zip archive; save it as CSV or parquet"),
    "an old workbook": (b"\xd0\xcf\x11\xe0...", "a workbook or a zip archive; save it as CSV or parquet"),
    "a parquet": (b"PAR1...", "a parquet; name it .parquet"),
    "gzip": (gzip.compress(b"a,b\n1,2\n"), "packed by gzip; name it .csv.gz"),
    "bzip2": (b"BZh91AY...", "packed; unpack it"),
    "HDF5": (b"\x89HDF\r\n...", "no text; write it as CSV or parquet"),
    "a page of an error": (b"\n<!DOCTYPE html><p>404", "HTML or XML; save it as CSV or parquet"),
    "JSON": (b'[\n {"a": 1}]', "JSON; write it as CSV or parquet"),
    "lines of JSON": (b'{"a": 1}\n{"a": 2}\n', "JSON; write it as CSV or parquet"),
}


@pytest.mark.parametrize("name", NO_TABLES)
def test_a_file_that_is_no_text_is_told(name, tmp_path):
    content, words = NO_TABLES[name]
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    outcome = run_main("inspect", str(path))
    assert outcome.code == 2
    assert outcome.err == f"sad_lightning.inspect: {path}: must be a table as text, and is {words}\n"


ODD_NUMBERS = {
    "apostrophes": lambda k: f"{k}'{100 + k}.5",
    "blanks": lambda k: f"{k} {100 + k}",
    "no-break blanks": lambda k: f"{k}\xa0000",
    "a true minus": lambda k: k % 2 * "\u2212" + f"{k}.5",
    "losses": lambda k: f"({k}.25)" if k % 3 else f"{k}",
    "Fortran": lambda k: f"{k}.5D+01",
}


@pytest.mark.parametrize("name", ODD_NUMBERS)
def test_numbers_of_another_spelling_are_told(name, tmp_path):
    """They would be words, of which none is near another."""
    path = tmp_path / "x.csv"
    path.write_text("way,a\n" + "".join(f"{ODD_NUMBERS[name](1 + k % 30)},{k * k % 7}\n" for k in range(200)))
    (problem,) = (each for each in propose(profile_table(path)).problems if "numbers" in each)
    assert re.fullmatch(r"way holds numbers such as .*, with .*, which are read as words; write them as -1\.5", problem)
    names = tmp_path / "names.csv"
    names.write_text(
        "way,a\n" + "".join(f"{('A 100', '2 doors', '0.5', 'x')[k % 4]},{k * k % 7}\n" for k in range(200))
    )
    assert not [each for each in propose(profile_table(names)).problems if "numbers" in each]


def test_a_number_that_means_missing_is_noted(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("a,b\n" + "".join(f"{-999 if k % 9 == 4 else k % 31},{k % 37 - 999}\n" for k in range(200)))
    notes = propose(profile_table(path)).notes
    assert notes["a"] == ["-999 for missing? 'data.missing_values=[-999]'"]
    assert notes["b"] == []  # values go on from there
    read = own(path, missing_values=[-999], ignore=["b"])
    assert np.nanmin(read.x) == 0


LABELS = {
    "words": (["fraud", "ok", ""] * 40, {"label": "status", "known_anomaly": ["fraud"], "known_normal": ["ok"]}),
    "the usual words": (["anomaly", "normal", ""] * 40, {"label": "status"}),
    "0 and 1": (["0", "1", "0"] * 40, {"label": "status", "known_anomaly": ["1"], "known_normal": ["0"]}),
    "semi": (
        ["-1", "0", "1"] * 40,
        {"label": "status", "known_anomaly": ["-1"], "known_normal": ["1"], "unlabeled": ["0"]},
    ),
    "attacks": (
        ["BENIGN", "DoS", "Bot"] * 40,
        {"label": "status", "known_anomaly": ["Bot", "DoS"], "known_normal": ["BENIGN"]},
    ),
    "true and false": (
        ["true", "false", "false"] * 40, {"label": "status", "known_anomaly": ["true"], "known_normal": ["false"]}),
    "words that say nothing": (["red", "green", "blue"] * 40, {}),
}  # fmt: skip


@pytest.mark.parametrize("name", LABELS)
def test_labels_are_recognised_by_their_words(name, tmp_path):
    words, settings = LABELS[name]
    generator = np.random.default_rng(0)
    path = tmp_path / "x.csv"
    path.write_text("a,status\n" + "".join(f"{generator.normal():.4f},{word}\n" for word in words))
    look = profile_table(path)
    proposal = propose(look)
    found = proposal.settings(look)
    assert {key: value for key, value in found.items() if key != "path"} == settings
    assert proposal.preset() == ("recommended" if settings else "label_free")
    assert any("no column looks like labels" in problem for problem in proposal.problems) == (not settings)


def test_a_column_that_tells_the_label_is_left_out_or_noted(tmp_path):
    generator = np.random.default_rng(0)
    lines = ["a,attack_name,alarm_count,label"]
    for k in range(200):
        odd = k % 5 == 0
        name = ("worm", "scan")[k % 2] if odd else "nothing"
        lines.append(
            f"{generator.normal():.4f},{name},{100 * odd + generator.random():.3f},{('benign', 'attack')[odd]}"
        )
    (tmp_path / "x.csv").write_text("\n".join(lines) + "\n")
    proposal = propose(profile_table(tmp_path / "x.csv"))
    assert proposal.label is not None
    assert proposal.label.column == "label"
    assert "tells the label" in proposal.ignore["attack_name"]
    assert any("tells the label" in note for note in proposal.notes["alarm_count"])
    assert not proposal.notes["a"]


def test_words_for_missing_numbers_are_proposed_and_broken_rows_counted(tmp_path):
    lines = [f"{k * k % 37 + 0.5},{'?' if k % 9 == 0 else k % 7}" for k in range(150)]
    (tmp_path / "x.csv").write_text("\n".join(["a,b", *lines, "1,2,3", "4"]) + "\n")
    look = profile_table(tmp_path / "x.csv")
    assert look.ragged == 2
    assert look.dialect.missing_values == ("?",)
    assert look.columns[1].missing == 17
    assert "2 rows have more or fewer fields" in propose(look).problems[0]


def test_parquet_and_npz_are_looked_at_too(tmp_path):
    from pyarrow import parquet

    parquet.write_table(pa.table({"a": [1.0, float("inf")] * 60, "y": [0, 1] * 60}), tmp_path / "x.parquet")
    look = profile_table(tmp_path / "x.parquet")
    assert propose(look).settings(look) | {"path": ""} == {
        "path": "", "label": "y", "known_anomaly": ["1"], "known_normal": ["0"], "infinite": "missing"
    }  # fmt: skip
    np.savez(tmp_path / "x.npz", X=np.random.default_rng(0).normal(size=(120, 2)), y=np.arange(120) % 2)
    look = profile_table(tmp_path / "x.npz")
    assert propose(look).settings(look)["label"] == "y"


def test_a_folder_of_images(tmp_path):
    for name, count in (("good", 3), ("scratch", 2)):
        (tmp_path / "parts" / name).mkdir(parents=True)
        for k in range(count):
            Image.fromarray(np.zeros((40, 50), dtype=np.uint8)).save(tmp_path / "parts" / name / f"{k}.png")
    (tmp_path / "parts" / "good" / "cut.png").write_bytes(b"\x89PNG")
    outcome = run_main("inspect", str(tmp_path / "parts"), "--write", str(tmp_path / "conf" / "data" / "mine.yaml"))
    assert outcome.code == 0, outcome.err
    assert "6 images, 50 x 40" in outcome.out
    assert "good/cut.png can not be read" in outcome.out
    text = (tmp_path / "conf" / "data" / "mine.yaml").read_text()
    for line in ("size: 32", "channels: 1", 'known_anomaly: ["scratch"]', 'known_normal: ["good"]'):
        assert line in text
    shown = run_main(*shlex.split(outcome.out.splitlines()[-1])[3:], "--cfg", "job")
    assert shown.code == 0, shown.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["gone.csv"], "gone.csv: there is no such file"),
        (["x.xlsx"], "must end in one of .csv"),
        (["x.csv", "--label", "y"], "--label y: "),
        (["x.csv", "--write", "conf/table.yaml"], "must have a name that no data set has"),
        (["empty.csv"], "it is empty"),
        (["cut.csv.gz"], "must be a whole gzip file"),
        (["line.csv"], "must be a table, but has a line of 200,000 letters"),
    ],
)
def test_a_mistake_is_one_line(arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.csv").write_text("a,b\n1,2\n3,4\n")
    (tmp_path / "x.xlsx").write_text("")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n" * 99)[:30])
    (tmp_path / "line.csv").write_text("a" * 200_000)
    outcome = run_main("inspect", *arguments)
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert words in outcome.err


def test_time_stamps_are_told_with_what_is_used_of_them(tmp_path):
    from pyarrow import parquet

    hours = np.datetime64("2026-01-01", "us") + 3_600_000_000 * np.arange(400)
    columns = {
        "index": pa.array(hours, pa.timestamp("us")), "noon": pa.array((hours[::-1]).astype("M8[D]")),
        "minutes": [f"2026-01-01 10:{k % 60:02}" for k in range(400)],
        "mixed": [f"{1 + k % 9}/{1 + k % 8}/2026" for k in range(400)],
        "late": ["?" if k % 50 == 7 else "soon" if k % 50 == 8 else f"{k % 24}:{k % 60:02}" for k in range(400)],
        "host": [f"10.0.{k % 150}.1" for k in range(400)],
    }  # fmt: skip
    parquet.write_table(pa.table(columns), tmp_path / "x.parquet")
    look = profile_table(tmp_path / "x.parquet")
    proposal = propose(look)
    assert [column.values.kind for column in look.columns] == ["time"] * 5 + ["category"]
    assert proposal.notes["index"] == [
        "time stamps: time of day and weekday",
        "one a row, in order: their date is not used",
    ]
    assert proposal.notes["noon"] == ["time stamps: weekday"]
    assert proposal.notes["late"] == ["time stamps: time of day", "2 other values count as missing"]
    assert proposal.notes["host"] == ["many words: hashed into 64 columns"]
    assert proposal.ignore["minutes"].startswith("time stamps: spans 0.983 hours, in which no time of day")
    assert proposal.ignore["mixed"].startswith("time stamps: holds dates such as 1/1/2026")
    assert "set data.day_first=true or data.day_first=false" in proposal.problems[0]
    text = table_text(look, proposal)
    assert "2026-01-01 00:00:00 to" in text
    assert "00:00:00 to 23:59:00" in text
