"""Columns of any type as words, names that must be quoted, and values that are not what training knew."""

import datetime
import gzip
import re
import shlex
import warnings
import zipfile
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from support.tables import own, parquet, raw, text

from sad_lightning.data.own.image_folder import read_images
from sad_lightning.data.own.reading import check_columns, raw_rows, read_batches, read_table
from sad_lightning.data.own.values import Values, check_names_once, numbered, setting
from sad_lightning.data.schema import Column, ImageSchema, TableSchema, schema_of
from sad_lightning.errors import InputError

pa = pytest.importorskip("pyarrow", reason="CSV and parquet need the extra `table`")
BIG = 1234567890123456789
NOON = datetime.datetime(2026, 1, 2, 12)
DAY = datetime.date(2026, 1, 2)


def kept(path: Path, name: str) -> list[str | None]:
    """A column as ``predict --keep`` writes it."""
    batches = read_batches(path, TableSchema((Column("a"),)), keep=[name])
    return [word for batch in batches for word in batch[name].as_words().texts()]


TYPES = {
    "binary": (pa.array([b"anomaly", None, b"caf\xc3\xa9"]), ["anomaly", "", "café"]),
    "large binary": (pa.array([b"x", None, b"y"], pa.large_binary()), ["x", "", "y"]),
    "binary of a size": (pa.array([b"x1", None, b"y2"], pa.binary(2)), ["x1", "", "y2"]),
    "a view": (pa.array([b"x", None, b"y"], pa.binary_view()), ["x", "", "y"]),
    "a dictionary of numbers": (pa.array([BIG, None, 7]).dictionary_encode(), [str(BIG), "", "7"]),
    "64 bits": (pa.array([BIG, None, BIG + 1]), [str(BIG), "", str(BIG + 1)]),
    "without a sign": (pa.array([2**64 - 1, None, 0], pa.uint64()), [str(2**64 - 1), "", "0"]),
    "decimals": (pa.array([Decimal("1.50"), None, Decimal("2.00")]), ["1.50", "", "2.00"]),
    "floats": (pa.array([1.0, None, 0.25]), ["1.0", "", "0.25"]),
    "booleans": (pa.array([True, None, False]), ["True", "", "False"]),
    "days": (pa.array([DAY, None, DAY]), ["2026-01-02", "", "2026-01-02"]),
    "times": (pa.array([NOON, None, NOON]), ["2026-01-02 12:00:00", "", "2026-01-02 12:00:00"]),
    "hours": (pa.array([NOON.time(), None, datetime.time(1, 2, 3, 500)]), ["12:00:00", "", "01:02:03.000500"]),
    "words like dates": (pa.array(["10.0.19", None, "10.1.22"]), ["10.0.19", "", "10.1.22"]),
    "nothing": (pa.nulls(3), ["", "", ""]),
}


@pytest.mark.parametrize("name", TYPES)
def test_words_of_any_type_are_those_of_the_csv(name, tmp_path):
    values, spelt = TYPES[name]
    csv = text(tmp_path / "x.csv", "a,b\n" + "".join(f"1,{word}\n" for word in spelt))
    path = parquet(tmp_path / "x.parquet", a=[1, 1, 1], b=values)
    expected, found = (read_table(file, ["b"])["b"].as_words() for file in (csv, path))
    assert (found.words, found.texts().tolist()) == (expected.words, expected.texts().tolist())
    assert kept(path, "b") == kept(csv, "b")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.array([b"anomaly", b"", "café".encode()]), ["anomaly", None, "café"]),
        (np.array([BIG, BIG + 1, 0]), [str(BIG), str(BIG + 1), "0"]),
        (np.array([2**64 - 1, 1, 0], dtype=np.uint64), [str(2**64 - 1), "1", "0"]),
        (np.array([1.0, np.nan, 0.5]), ["1", None, "0.5"]),
        (np.array([True, False, True]), ["true", "false", "true"]),
        (np.array(["2026-01-02", "NaT", "2026-01-03"], "M8[D]"), ["2026-01-02", None, "2026-01-03"]),
        (np.array([NOON, None, NOON], "M8[ns]"), ["2026-01-02 12:00:00", None, "2026-01-02 12:00:00"]),
    ],
)
def test_words_of_an_npz(values, words, tmp_path):
    np.savez(tmp_path / "x.npz", X=np.zeros((3, 1)), columns=["a"], b=values)
    assert read_table(tmp_path / "x.npz", ["b"])["b"].as_words().texts().tolist() == words
    assert kept(tmp_path / "x.npz", "b") == words


def test_whole_numbers_of_x_are_exact_as_words(tmp_path):
    np.savez(tmp_path / "x.npz", X=np.array([[1, BIG], [2, BIG + 1]]), columns=np.array([b"a", b"id"]))
    assert kept(tmp_path / "x.npz", "id") == [str(BIG), str(BIG + 1)]


@pytest.mark.parametrize(
    ("values", "held"),
    [
        (pa.array([[1], [2]]), "list<"),
        (pa.array([{"c": 1}, {"c": 2}]), "struct<c: int64>"),
        (pa.array([b"\xff", b"x"]), "text that is not UTF-8"),
        (np.array([1j, 2]), "complex128"),
        (np.array([b"\xff", b"x"]), "text that is not UTF-8"),
        (np.array([1, 2], "m8[s]"), "durations"),
    ],
)
def test_a_type_without_words_is_refused_where_words_are_asked_for(values, held, tmp_path):
    path = tmp_path / ("x.npz" if isinstance(values, np.ndarray) else "x.parquet")
    if path.suffix == ".npz":
        np.savez(path, X=np.array([[1], [2]]), columns=["a"], b=values)
    else:
        parquet(path, a=[1, 2], b=values)
    for read in (lambda: read_table(path, ["b"]), lambda: kept(path, "b"), lambda: own(path, group="b")):
        with pytest.raises(InputError) as told:
            read()
        assert f"column b must hold words, numbers or dates, it holds {held}" in str(told.value)
        assert "\n" not in str(told.value)
    assert own(path, ignore=["b"]).x.shape == (2, 1)


def test_labels_of_bytes_are_labels(tmp_path):
    labels = [b"anomaly", b"normal", None] * 4
    path = parquet(tmp_path / "x.parquet", a=list(range(12)), status=pa.array(labels, pa.binary()))
    assert own(path, label="status").labels.semi.tolist() == [-1, 1, 0] * 4
    np.savez(tmp_path / "x.npz", X=np.arange(12.0)[:, None], status=np.array([word or b"" for word in labels]))
    assert own(tmp_path / "x.npz", label="status").labels.semi.tolist() == [-1, 1, 0] * 4


@pytest.mark.parametrize("suffix", ["csv", "parquet", "npz"])
def test_blanks_are_missing_in_every_kind_of_file(suffix, tmp_path):
    words = ["anomaly", "", "normal", "  ", " normal "]
    path = tmp_path / f"x.{suffix}"
    if suffix == "csv":
        text(path, "a,soil,status\n" + "".join(f"{k},{'clay' if k else ' '},{word}\n" for k, word in enumerate(words)))
    elif suffix == "parquet":
        parquet(path, a=[*range(5)], soil=[" ", *4 * ["clay"]], status=words)
    else:
        np.savez(path, X=np.arange(5.0)[:, None], columns=["a"], soil=[" ", *4 * ["clay"]], status=words)
    arrays = own(path, label="status")
    assert arrays.labels.semi.tolist() == [-1, 0, 1, 0, 1]
    assert arrays.schema.columns[1] == Column("soil", "category", ("clay",))
    assert arrays.x[:, 1].tolist() == [0, 1, 1, 1, 1]


def test_a_column_of_bytes_is_one_of_words(tmp_path):
    path = parquet(tmp_path / "x.parquet", a=[1, 2, 3], soil=[b"clay", b"sand", b"clay"])
    assert own(path).schema.columns[1] == Column("soil", "category", ("clay", "sand"))


def test_groups_are_those_of_the_csv(tmp_path):
    days = [datetime.date(2026, 1, 1 + k % 10) for k in range(300)]
    ids = [2**60 + k % 30 for k in range(300)]
    path = parquet(tmp_path / "x.parquet", a=list(range(0, 600, 2)), day=days, id=ids)
    np.savez(tmp_path / "x.npz", X=np.arange(0, 600, 2)[:, None], day=np.array(days, "M8[D]"), id=np.array(ids))
    for file in (path, tmp_path / "x.npz"):
        for name, count in (("day", 10), ("id", 30)):
            other = "id" if name == "day" else "day"
            assert len(set(own(file, group=name, ignore=[other]).labels.group.tolist())) == count


def test_an_array_of_an_npz_does_not_replace_a_column_of_x(tmp_path):
    np.savez(tmp_path / "x.npz", X=np.ones((4, 3)), columns=["a", "b", "c"], a=np.zeros(4))
    with pytest.raises(InputError, match="must name every column once, a stands there twice"):
        read_table(tmp_path / "x.npz")


def test_true_and_false_are_no_other_numbers(tmp_path):
    wet = Column("wet", "boolean")
    np.savez(tmp_path / "x.npz", X=np.array([[0.0], [7.5]]), columns=["wet"])
    for path in (parquet(tmp_path / "x.parquet", wet=[0.0, 7.5]), tmp_path / "x.npz"):
        with pytest.raises(InputError, match=r"column wet must hold true and false, .* it holds 7\.5 in row 2"):
            raw(path, wet)
    path = parquet(tmp_path / "y.parquet", wet=[0, 1, None])
    np.testing.assert_array_equal(raw(path, wet)[:, 0], [0, 1, np.nan])


def test_many_words_keep_their_order():
    names = [f"n{k:06}" for k in range(32_000)]
    values = Values.categories(np.arange(32_000.0)[::-1], names)
    assert values.texts().tolist() == names[::-1]


@pytest.mark.parametrize("suffix", ["csv", "parquet", "npz"])
def test_ignored_columns_are_there_and_not_read(suffix, tmp_path):
    path = tmp_path / f"x.{suffix}"
    if suffix == "csv":
        text(path, "id,a,status\nx,1,anomaly\ny,2,\n")
    elif suffix == "parquet":
        parquet(path, id=["x", "y"], a=[1, 2], status=["anomaly", None])
    else:
        np.savez(path, X=np.array([[1.0], [2.0]]), columns=["a"], id=["x", "y"], status=["anomaly", ""])
    assert read_table(path, ["status"], ["id"])["id"].kind == "values that are not read"
    arrays = own(path, label="status", ignore=["id", "status"])  # what says something of a row is read
    assert arrays.labels.semi.tolist() == [-1, 0]
    assert set(arrays.schema.aside) == {"id", "status"}
    with pytest.raises(InputError, match="must hold a column beside status, id, a"):
        own(path, label="status", ignore=["id", "a"])


def test_line_breaks_in_quotes_may_stand_anywhere(tmp_path, monkeypatch):
    monkeypatch.setattr("sad_lightning.data.own.arrow.BLOCK", 1000)  # bytes
    notes = [f"{'long ' * (k % 40)}first\nsecond {k}" for k in range(500)]
    path = text(tmp_path / "x.csv", "a,note\n" + "".join(f'{k},"{note}"\n' for k, note in enumerate(notes)))
    assert read_table(path)["note"].texts().tolist() == notes
    assert read_table(path)["a"].numbers.tolist() == list(range(500))
    assert kept(path, "note") == notes


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_trained_category_may_look_like_a_date(suffix, tmp_path):
    names = ["9.1.3", "10.0.19", "10.1.22"]
    path = parquet(tmp_path / "x.parquet", a=[1, 2, 3], version=names)
    version = own(path, categorical=["version"]).schema.columns[1]
    assert version == Column("version", "category", ("10.0.19", "10.1.22", "9.1.3"))
    dated = own(parquet(tmp_path / "y.parquet", a=[1, 2], version=names[1:]), categorical="version").schema.columns[1]
    assert dated == Column("version", "category", ("10.0.19", "10.1.22"))
    new = tmp_path / f"new.{suffix}"
    new = text(new, "version\n10.0.19\n") if suffix == "csv" else parquet(new, version=["10.0.19"])
    assert raw(new, version).tolist() == [[0]]


@pytest.mark.parametrize("kind", ["null", "string", "date32", "double"])
def test_a_column_without_a_value_is_missing_as_in_a_csv(kind, tmp_path):
    columns = (Column("a"), Column("wet", "boolean"), Column("soil", "category", ("clay", "sand")))
    nothing = pa.nulls(3, kind)
    path = parquet(tmp_path / "x.parquet", a=nothing, wet=nothing, soil=nothing)
    assert np.isnan(raw(path, *columns)).all()
    assert np.isnan(raw(text(tmp_path / "x.csv", "a,wet,soil\n,,\n,,\n"), *columns)).all()
    with pytest.raises(InputError, match="column a must have a value in every row"):
        raw(path, *columns, missing="refuse")
    with pytest.raises(InputError, match="column a must hold numbers or words, it holds no value"):
        own(path)


@pytest.mark.parametrize(
    ("header", "row", "names"),
    [
        ('"a, x";"b, y";status', "1;2;3", ["a, x", "b, y", "status"]),
        ('"a, x, z, w";"b, y, q, r"', "1;2", ["a, x, z, w", "b, y, q, r"]),
        ('"a;b;c;d",e', "1,2", ["a;b;c;d", "e"]),
        ('"a ""in, out""";b', "1;2", ['a "in, out"', "b"]),
        ('"a\nof x",b', "1,2", ["a of x", "b"]),
        ('"a\r\n\r\nof x";"b, c"', "1;2", ["a of x", "b, c"]),
        ('length 5",b', "1,2", ['length 5"', "b"]),
        ('length 5",b 3",c', '1,"2",3', ['length 5"', 'b 3"', "c"]),
        ("a\tb", "1\t2", ["a", "b"]),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_header_may_quote(header, row, names, end, tmp_path):
    found = read_table(text(tmp_path / "x.csv", f"{header}{end}{row}{end}{row}{end}"))
    assert list(found) == names
    assert [values.numbers.tolist() for values in found.values()] == [[k + 1, k + 1] for k in range(len(names))]


def test_a_first_line_that_is_no_header_is_one_line(tmp_path):
    with pytest.raises(InputError, match="must be text in UTF-8 that begins with column names"):
        read_table(text(tmp_path / "x.csv", "{" + 200_000 * "x"))


def test_columns_are_named_as_they_are_spelt(tmp_path):
    path = parquet(tmp_path / "x.parquet", **{"a": [1, 2], "1.0": [1, 2], "True": [1, 2], " b ": [1, 2], "2": [1, 2]})
    schema = own(path, ignore=[1.0, "True", " b "], categorical=2).schema
    assert schema.columns == (Column("a"), Column("2", "category", ("1", "2")))
    assert schema.aside == ("1.0", "True", " b ")


def test_a_path_is_a_name_whatever_it_looks_like(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"^2024: there is no such file; give the path of one that is there$"):
        own(2024)
    for wrong in (None, ["a", "b"], {"a": 1}):
        with pytest.raises(InputError, match=r"^data\.path must name a file"):
            own(wrong)


DIALECTS = {
    "semicolons and commas": (b"a;b;soil\n1,5;2;clay\n-3,25;4;sand\n", {"decimal": ","}),
    "a line that names the separator": (b"sep=;\na;b;soil\n1.5;2;clay\n-3.25;4;sand\n", {"skip_rows": 1}),
    "UTF-16": ("a,b,soil\n1.5,2,clay\n-3.25,4,sand\n".encode("utf-16"), {"encoding": "utf-16"}),
    "a caret": (b"a^b^soil\n1.5^2^clay\n-3.25^4^sand\n", {"delimiter": "^"}),
    "packed": (gzip.compress(b"a,b,soil\n1.5,2,clay\n-3.25,4,sand\n"), {}),
    "blanks": (b"a  b soil\n 1.5    2 clay \r\n  -3.25 4  sand\n", {"delimiter": " "}),
    "a delimiter that ends each line": (b"a,b,soil,\n1.5,2,clay,\n-3.25,4,sand,\n", {}),
    "a delimiter that ends each row": (b"a,b,soil\n1.5,2,clay,\n-3.25,4,sand,\n", {}),
    "units": (b"a,b,soil\n1.5,2,clay\n-3.25,4,sand\nmm,bar,\n", {"missing_values": ["mm", "bar"]}),
    "blanks for missing values": (b"a,b,soil\n1.5,2,clay\n-3.25,4,sand\n ,   ,  \n", {}),
    "infinite": (b"a,b,soil\n1.5,2,clay\n-3.25,4,sand\nInfinity,-inf,clay\n", {"infinite": "missing"}),
    "question marks": (b"a,b,soil\n1.5,2,clay\n-3.25,4,sand\n?,-,?\n", {"missing_values": ["?", "-"]}),
}


@pytest.mark.parametrize("name", DIALECTS)
def test_a_dialect_is_read_at_training_and_at_prediction(name, tmp_path):
    content, settings = DIALECTS[name]
    path = tmp_path / ("x.csv.gz" if name == "packed" else "x.csv")
    path.write_bytes(content)
    arrays = own(path, **settings)
    np.testing.assert_array_equal(arrays.x[:2], [[1.5, 2, 1, 0], [-3.25, 4, 0, 1]])
    assert np.isnan(arrays.x[2:, :2]).all()
    schema = schema_of(arrays.schema.plain())
    assert schema == arrays.schema
    again = np.concatenate([raw_rows(path, batch, schema, 1)[0] for batch in read_batches(path, schema)])
    np.testing.assert_array_equal(schema.expand(again), arrays.x)


def test_a_row_of_names_that_the_header_lacks_shifts_no_column(tmp_path):
    rows = "".join(f"{k},{k % 7},{'normal' if k > 30 else ''}\n" for k in range(60))  # as R writes them
    with pytest.raises(InputError, match="as many fields in each row as names in its header, some have one more"):
        own(text(tmp_path / "x.csv", f"a,status\n{rows}"), label="status")


def test_a_file_that_is_no_table_names_the_command_that_looks_at_it(tmp_path):
    with pytest.raises(InputError, match=r"or look at it with python -m sad_lightning\.inspect"):
        own(text(tmp_path / "x.csv", "Export of line 3\na,b\n1,2\n"))


def test_without_a_header_columns_are_numbered(tmp_path):
    arrays = own(text(tmp_path / "x.csv", "1,2\n3,4\n"), header=False)
    assert arrays.schema.names == ["x0", "x1"]
    assert arrays.x.tolist() == [[1, 2], [3, 4]]


def test_words_that_mean_missing_do_so_in_every_kind_of_file(tmp_path):
    path = parquet(tmp_path / "x.parquet", a=[1.0, 2.0, np.inf], soil=["clay", "unknown", "sand"])
    arrays = own(path, missing_values=["unknown"], infinite="missing")
    assert arrays.schema.columns[1].categories == ("clay", "sand")
    np.testing.assert_array_equal(arrays.x, [[1, 1, 0], [2, 0, 0], [np.nan, 0, 1]])


def test_a_name_that_stands_twice_can_be_left_out(tmp_path):
    path = text(tmp_path / "x.csv", "a,len (s),b,len (s)\n1,2,3,4\n2,3,4,4\n")
    with pytest.raises(InputError, match=re.escape("""'data.ignore=["len (s)"]'""")):
        own(path)
    assert own(path, ignore=["len (s)"]).x.tolist() == [[1, 3], [2, 4]]
    assert own(path, ignore=["len (s).1"]).x.tolist() == [[1, 2, 3], [2, 3, 4]]
    with pytest.raises(InputError, match="len \\(s\\) stands there twice"):
        own(path, ignore=["len (s).2"])
    with pytest.raises(InputError, match="leave all of that name out with --ignore 'len \\(s\\)'"):
        raw(path, Column("a"))


def test_of_three_columns_of_a_name_one_can_be_kept(tmp_path):
    """The numbers are those of pandas, and go on where a column has such a name."""
    path = text(tmp_path / "x.csv", "a,a.1,b,a,a\n1,2,3,4,5\n2,3,4,5,6\n")
    assert own(path, ignore=["a.2", "a.3"]).x.tolist() == [[1, 2, 3], [2, 3, 4]]
    with pytest.raises(InputError, match="a stands there twice"):
        own(path, ignore=["a.1", "a.2"])
    arrays = own(path, ignore=["a.2", "a.3", "b"])
    assert set(arrays.schema.aside) == {"a.2", "a.3", "b"}
    (new,) = read_batches(path, arrays.schema)
    assert [values.numbers.tolist() for values in new.values()] == [[1, 2], [2, 3]]


class Counted(str):
    """A name that counts how often one is looked at."""

    looks = 0

    def __hash__(self) -> int:
        Counted.looks += 1
        return super().__hash__()

    def __eq__(self, other: object) -> bool:
        Counted.looks += 1
        return super().__eq__(other)


def test_names_of_twice_as_many_columns_take_twice_as_many_looks(monkeypatch):
    looks = []
    for count in (200, 400):
        names, others = ([Counted(f"x{k}") for k in range(count)] for _ in range(2))
        schema = TableSchema(tuple(Column(name) for name in names))
        monkeypatch.setattr(Counted, "looks", 0)
        check_names_once(Path("x.csv"), others)
        check_columns(Path("x.csv"), others, schema)
        assert numbered([*others, *names])[count] == "x0.1"
        looks.append(Counted.looks)
    assert looks[1] < 3 * looks[0]


def test_addresses_of_computers_are_words(tmp_path):
    """Whose first three numbers may have three digits each, as a number in thousands has."""
    addresses = [f"205.174.165.{k}" for k in (7, 68, 131)]
    path = text(tmp_path / "x.csv", "a,from\n" + "".join(f"{k},{each}\n" for k, each in enumerate(4 * addresses)))
    (column,) = (each for each in own(path).schema.columns if each.name == "from")
    assert column.categories == tuple(sorted(addresses))
    thousands = text(tmp_path / "y.csv", "a,from\n1,1.234.567\n2,12.345.678\n3,1.234\n")
    with pytest.raises(InputError, match="column from must hold numbers"):
        own(thousands)


def test_a_zip_of_other_files_is_no_table(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as file:
        file.writestr("a.txt", "hello")
    with pytest.raises(InputError, match=r"must be a whole npz file of plain arrays, .*\(a.txt is no array\)"):
        own(tmp_path / "x.npz")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"delimiter": ";;"}, "data.delimiter must be one character"),
        ({"delimiter": "\0"}, "data.delimiter must be one character"),
        ({"delimiter": "ü"}, "data.delimiter must be one character of ASCII"),
        ({"encoding": "rot13"}, "data.encoding must name an encoding"),
        ({"encoding": "base64"}, "data.encoding must name an encoding"),
        ({"encoding": 5}, "data.encoding must name an encoding"),
        ({"max_categories": 2, "hash_buckets": 10**9}, "data.hash_buckets must be a whole number >= 0 and <= 65536"),
        ({"decimal": "x"}, "data.decimal must be one of"),
        ({"encoding": "latin-99"}, "data.encoding must name an encoding"),
        ({"skip_rows": -1}, "data.skip_rows must be a whole number"),
        ({"infinite": "large"}, "data.infinite must be one of refuse, missing"),
        ({"header": "no"}, "data.header must be true or false"),
    ],
)
def test_a_wrong_dialect_is_told(settings, words, tmp_path):
    with pytest.raises(InputError, match=words):
        own(text(tmp_path / "x.csv", "a,b\n1,2\n3,4\n"), **settings)


@pytest.mark.parametrize("name", ["Temp (C)", "CPU %", "a,b", 'say "x"', "it's", "null", "3", "-3", "ü", "a=b", "a\\b"])
def test_a_setting_that_is_pasted_says_what_it_should(name, tmp_path):
    (argument,) = shlex.split(setting("data.ignore", [name, "other"]))
    (override,) = OverridesParser.create().parse_overrides([argument])
    assert [str(each) for each in override.value()] == [name, "other"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([*range(299), 1e30], "a hold values so far from the others that these become one value"),
        ([1e-42 * k for k in range(300)], "a differ by less than single precision holds and map to 0"),
        ([*range(7, 307)], r"a counts the rows; .* leave it out with 'data\.ignore=\[a\]'"),
    ],
    ids=["one value of 1e30", "subnormal", "row numbers"],
)
def test_columns_that_do_not_say_what_they_seem_to_are_told(values, words, tmp_path):
    path = text(tmp_path / "x.csv", "a,b\n" + "".join(f"{value!r},{k % 7}\n" for k, value in enumerate(values)))
    with pytest.warns(UserWarning, match=words):
        own(path, label=None)


@pytest.mark.parametrize("others", ["normal", ""])
def test_columns_that_tell_the_label_are_told(others, tmp_path):
    generator = np.random.default_rng(0)
    lines = ["a,attack,alarms,wet,again,tag,status"]
    for k in range(400):
        odd = k % 8 == 0
        name = ("worm", "scan")[k % 16 == 0] if odd else "none"
        lines.append(
            f"{generator.normal() + odd:.4f},{name},{100 - 90 * odd + generator.random():.3f},"
            f"{str(odd).lower()},{2 + odd if k % 9 else ''},{generator.choice(['x', 'y'])},"
            f"{'anomaly' if odd else others}"
        )
    path = text(tmp_path / "x.csv", "\n".join(lines))
    with pytest.warns(UserWarning, match=r"attack, wet, again tells the label by itself; .*'data.ignore=\[attack,wet,"):
        own(path, label="status")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        own(path, label="status", ignore=["attack", "wet", "again"])


def test_whole_numbers_that_are_kept_are_those_of_the_file(tmp_path):
    path = text(tmp_path / "x.csv", f"a,id\n1,{BIG}\n2,{BIG + 1}\n")
    assert kept(path, "id") == [str(BIG), str(BIG + 1)]


def test_postscript_by_the_name_of_a_picture_starts_no_program(tmp_path, monkeypatch):
    file = tmp_path / "x.png"
    file.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n")
    monkeypatch.setattr("subprocess.check_call", lambda *_, **__: pytest.fail("Ghostscript was started"))
    with pytest.raises(InputError, match="must be a whole image"):
        list(read_images([file], ImageSchema(8, 8, 3)))
