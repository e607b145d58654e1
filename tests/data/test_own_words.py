"""Columns of many words: hashed alike in every kind of file, in frames, model files and graphs."""

import zlib

import numpy as np
import pytest
from support.tables import own, parquet, raw, text

from sad_lightning import Detector
from sad_lightning.data.own.frames import frame_rows
from sad_lightning.data.own.values import odd_numbers
from sad_lightning.data.schema import Column, TableSchema, schema_of
from sad_lightning.errors import InputError
from sad_lightning.model import Model
from sad_lightning.predict.scoring import predict

pytest.importorskip("pyarrow", reason="CSV and parquet need the extra `table`")
HOSTS = [f"10.0.{k % 150}.7" for k in range(450)]


def test_a_word_is_in_its_bucket_by_hand():
    """The CRC-32 of 123456789 is cbf43926, the check value of its definition."""
    column = Column("ip", "hash", buckets=16)
    assert column.codes(["123456789", "caf\N{LATIN SMALL LETTER E WITH ACUTE}"]).tolist() == [
        0xCBF43926 % 16, zlib.crc32(b"caf\xc3\xa9") % 16
    ]  # fmt: skip
    schema = TableSchema((Column("a"), column))
    rows = np.float32([[2, 6], [3, np.nan]])
    expected = np.zeros((2, 17), dtype=np.float32)
    expected[:, 0], expected[0, 7] = [2, 3], 1
    np.testing.assert_array_equal(schema.expand(rows), expected)
    np.testing.assert_array_equal(schema.raw(expected), rows)
    assert schema_of(schema.plain()) == schema
    assert column.spell(6) == "bucket 6"
    assert [int(column.codes([column.word(bucket)])[0]) for bucket in range(16)] == list(range(16))


def test_many_words_are_hashed_alike_in_every_kind_of_file(tmp_path):
    pandas = pytest.importorskip("pandas")
    np.savez(tmp_path / "x.npz", X=np.zeros((450, 1)), ip=np.array(HOSTS))
    files = [
        text(tmp_path / "x.csv", "ip\n" + "\n".join(HOSTS) + "\n"),
        parquet(tmp_path / "x.parquet", ip=HOSTS),
        tmp_path / "x.npz",
    ]
    expected = [zlib.crc32(host.encode()) % 64 for host in HOSTS]
    for path in files:
        arrays = own(path, ignore=["x0"] if path.suffix == ".npz" else [])
        assert arrays.schema.columns == (Column("ip", "hash", buckets=64),)
        assert arrays.x.argmax(axis=1).tolist() == expected
        assert (arrays.x.sum(axis=1) == 1).all()
    for path in files[:2]:
        assert raw(path, *arrays.schema.columns)[:, 0].tolist() == expected
    assert frame_rows(pandas.DataFrame({"ip": HOSTS}), arrays.schema)[:, 0].tolist() == expected
    assert own(files[0], hash_buckets=8).x.shape == (450, 8)
    assert own(files[0], max_categories=150).schema.columns[0].kind == "category"
    with pytest.raises(InputError, match=r"at most 100 words \(data.max_categories\).*holds 150 in 450 rows"):
        own(files[0], hash_buckets=0)


def test_words_that_never_come_back_are_identifiers(tmp_path):
    path = text(tmp_path / "x.csv", "id,a\n" + "".join(f"n{k},1\n" for k in range(200)))
    with pytest.raises(InputError, match=r"column id must hold at most 100 words .*leave it out with 'data.ignore="):
        own(path)


def test_a_detector_takes_words_that_it_never_saw(tmp_path):
    pandas = pytest.importorskip("pandas")
    generator = np.random.default_rng(0)
    frame = pandas.DataFrame({"ip": HOSTS, "a": generator.normal(size=450), "soil": ["clay", "sand", None] * 150})
    detector = Detector("knn").fit(frame)
    new = frame[:40].assign(ip=[f"never seen {k}" for k in range(40)])
    scores = detector.anomaly_score(new)
    detector.save(tmp_path / "model.pt")
    np.testing.assert_array_equal(Detector.load(tmp_path / "model.pt").anomaly_score(new), scores)
    model = Model.load(tmp_path / "model.pt")
    new.to_csv(tmp_path / "new.csv", index=False)
    assert predict(model, tmp_path / "new.csv", tmp_path / "scores.npz").scored.unknown == {}
    np.testing.assert_allclose(np.load(tmp_path / "scores.npz")["score"], scores, rtol=1e-6)


ODD = {
    "km": ["12 km", "13.5km", "-1,200 km", "unknown"],
    "%": ["1%", "2 %", "3.5e-1 %"],
    "$": ["$1", "$ 2.50", "-$3"],
    "m/s": ["1 m/s", "2 m/s", "3 m/s", "4", "5"],
    "m2": ["1 m2", "2 m2", "3 m2"],
    "\N{DEGREE SIGN}C": ["20 \N{DEGREE SIGN}C", "21 \N{DEGREE SIGN}C", "22.5\N{DEGREE SIGN}C"],
    "(": ["(1)", "(2)", "(3.5)", "4"],
    "-": ["1-", "2-", "3.5-", "4"],
    "\N{MINUS SIGN}": ["\N{MINUS SIGN}1", "\N{MINUS SIGN}2.5", "\N{MINUS SIGN}3", "4", "5"],
    "\N{NO-BREAK SPACE}": [f"1\N{NO-BREAK SPACE}{k}00" for k in range(3)],
    "'": ["1'000", "2'000'000.5", "3'100"],
}
PLAIN = {
    "two": ["2 doors", "4 doors"],
    "two units": ["1 km", "2 km", "500 m", "700 m"],
    "names": ["A1", "A2", "A3", "10.0.0.1", "1st", "2nd", "3rd"],
    "codes": ["1A", "1B", "1C", "1D"],
    "numbers": ["1", "2", "1,5"],
    "words": ["a", "b", "1 km", "2 km", "3 km", "c", "d"],
    "nothing": [],
}


@pytest.mark.parametrize("sign", ODD)
def test_numbers_in_words_are_found_by_what_most_of_them_have(sign):
    assert odd_numbers(ODD[sign]) == f"{ODD[sign][0]!r}, with {sign!r}"


@pytest.mark.parametrize("name", PLAIN)
def test_words_with_numbers_are_words(name):
    assert odd_numbers(PLAIN[name]) is None


def test_a_long_word_takes_no_time():
    assert odd_numbers(["1 " * 100_000 + "?"] * 3 + ["1" * 100_000 + "a?"] * 3) is None


def test_numbers_with_a_unit_are_words_which_a_warning_says(tmp_path):
    pandas = pytest.importorskip("pandas")
    words = [f"{k % 30} km" for k in range(200)]
    path = text(tmp_path / "x.csv", "way,a\n" + "".join(f"{word},{k * k % 7}\n" for k, word in enumerate(words)))
    told = "way holds numbers such as '0 km', with 'km', which train as words; write them as -1.5, or say "
    with pytest.warns(UserWarning, match=f"x.csv: {told}'?data.categorical="):
        assert own(path).schema.columns[0].kind == "category"
    own(path, categorical=["way"])  # a warning would be an error
    with pytest.warns(UserWarning, match=told):
        Detector("knn").fit(pandas.DataFrame({"way": words, "a": range(200)}))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            [f"${k}.50" for k in range(200)],
            r"numbers such as '\$0.50', with '\$'; write them as -1.5, or leave",
        ),
        (["\N{ARABIC-INDIC DIGIT ONE}", "\N{ARABIC-INDIC DIGIT TWO}"] * 100, "must hold numbers in the digits 0 to 9"),
    ],
)
def test_numbers_that_no_reader_takes_for_some_are_told(words, told, tmp_path):
    path = text(tmp_path / "x.csv", "way,a\n" + "".join(f"{word},{k}\n" for k, word in enumerate(words)))
    with pytest.raises(InputError, match=told):
        own(path)
