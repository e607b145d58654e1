import gzip
from pathlib import Path

import numpy as np
import pytest

from sad_lightning.data import sentences
from sad_lightning.data.arrays import Arrays
from sad_lightning.data.schema import TextSchema, schema_of
from sad_lightning.data.split import Split, draw_split
from sad_lightning.data.vocabulary import renumber, renumbered, with_vocabulary
from sad_lightning.data.words import BEGIN, END, MARKS, PAD, UNKNOWN, first_sentence, numbers_of, words_of
from sad_lightning.errors import InputError

GOOD = "A film of real charm. The end is weak."
BAD = "Dull from the first<br />to the last minute of it."
SETTINGS = {"path": "text", "text": "text", "label": "label", "least": 2, "most": 6}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's the 2nd film!", ["it's", "the", "2nd", "film"]),
        ("'so-so' -- rock\N{RIGHT SINGLE QUOTATION MARK}n'roll_", ["so", "so", "rock'n'roll"]),
        ("Caf\N{LATIN SMALL LETTER E WITH ACUTE} ...", ["caf\N{LATIN SMALL LETTER E WITH ACUTE}"]),
        ("?", []),
    ],
)
def test_words_of_a_text(text, words):
    assert words_of(text) == words


@pytest.mark.parametrize(
    ("text", "first"),
    [
        (GOOD, "A film of real charm."),
        (BAD, "Dull from the first"),
        ('He said "no!" and left', 'He said "no!'),  # a quotation mark belongs to what ends
        ("Version 2.5 is out\nwait", "Version 2.5 is out"),
        ("no end", "no end"),
    ],
)
def test_first_sentence(text, first):
    assert first_sentence(text) == first


def test_numbers_of_sentences_are_begin_words_end_and_padding():
    x = numbers_of([["a", "b"], [], ["b", "c", "a", "a"]], ("b", "a"), 3)
    assert x.tolist() == [
        [BEGIN, MARKS + 1, MARKS, END, PAD],
        [BEGIN, END, PAD, PAD, PAD],
        [BEGIN, MARKS, UNKNOWN, MARKS + 1, END],  # the fourth word is left out
    ]
    assert x.dtype == np.float32
    schema = TextSchema("text", ("b", "a"), 3)
    assert schema.shape == x.shape[1:]
    assert [schema.spell(row) for row in x] == ["a b", "", "b ... a"]
    assert schema_of(schema.plain()) == schema
    np.testing.assert_array_equal(schema.encode(["A b", "-", "B. C a a"]), x)


def imdb(folder: Path) -> None:
    for half, count in (("train", 2), ("test", 1)):
        for short, review in (("pos", GOOD), ("neg", BAD)):
            (folder / "text" / half / short).mkdir(parents=True)
            for number in range(count):
                (folder / "text" / half / short / f"{number}_7.txt").write_text(review)


def film_reviews(folder: Path) -> None:
    (folder / "text").mkdir()
    for short, lines in (("pos", "a film . of charm\ncaf\N{LATIN SMALL LETTER E WITH ACUTE} noir\n"),
                         ("neg", "dull and long , long , long , long\nno\ndull one\n")):  # fmt: skip
        (folder / "text" / f"rt-polarity.{short}.gz").write_bytes(gzip.compress(lines.encode("latin-1")))


def table(folder: Path) -> None:
    rows = [f'"{GOOD}",positive', f'"{BAD}",negative', "too short,", "one,positive"]
    (folder / "text.csv").write_text("\n".join(["text,label", *rows]))


@pytest.mark.parametrize(
    ("write", "path", "spelt"),
    [
        (imdb, "text", ["a film of real charm"] * 3 + ["dull from the first"] * 3),
        (film_reviews, "text", ["a film of charm", "caf\N{LATIN SMALL LETTER E WITH ACUTE} noir",
                                "dull and long long long long", "dull one"]),
        (table, "text.csv", ["a film of real charm", "dull from the first"]),
    ],
)  # fmt: skip
def test_every_layout_is_read(write, path, spelt, tmp_path):
    write(tmp_path)
    arrays = sentences(str(tmp_path), **{**SETTINGS, "path": path})
    assert [arrays.schema.spell(row) for row in arrays.x] == spelt
    assert arrays.classes == ("positive", "negative")
    assert arrays.target_class.tolist() == [0] * (len(spelt) // 2) + [1] * (len(spelt) // 2)
    assert arrays.n_train is None
    assert arrays.shape == (8,)


def broken(folder: Path) -> None:
    (folder / "text").mkdir()
    (folder / "text" / "rt-polarity.pos.gz").write_bytes(gzip.compress(b"a film . of charm")[:-9])


MISTAKES = {
    "nothing there": (lambda _: None, {}, "text: is not there; put a folder of train/pos"),
    "another folder": (lambda folder: (folder / "text").mkdir(), {}, "has nothing of positive; put it there"),
    "half a file": (broken, {}, "must be a whole gzip file"),
    "no sentence so long": (imdb, {"least": 5}, "5 to 6 words of both classes, it holds no negative one"),
    "no range": (imdb, {"most": 1}, "data.most must be a whole number >= 2"),
    "no such column": (table, {"path": "text.csv", "text": "review"}, "data.text=review: "),
    "stars": (lambda folder: (folder / "s.csv").write_text("text,label\na b c,5\n"), {"path": "s.csv"},
              "must hold positive and negative, it holds '5'"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_one_line(mistake, tmp_path):
    write, changes, words = MISTAKES[mistake]
    write(tmp_path)
    with pytest.raises(InputError) as raised:
        sentences(str(tmp_path), **{**SETTINGS, **changes})
    assert words in str(raised.value)


def spelt_arrays(*texts: str) -> Arrays:
    words = tuple(sorted({word for text in texts for word in text.split()}))
    x = numbers_of([text.split() for text in texts], words, 4)
    return Arrays(x, np.zeros(len(texts), dtype=np.int64), ("positive", "negative"), schema=TextSchema("t", words, 4))


def split_of(train: list[int], semi: list[int]) -> Split:
    rows = np.array(train)
    nothing = np.empty(0, dtype=np.int64)
    return Split(rows, np.array(semi, dtype=np.int8), nothing, nothing, rows, (0,), (1,))


def test_the_vocabulary_is_that_of_training_rows_that_are_no_known_anomalies():
    arrays = spelt_arrays("b b a", "a b c", "d d d", "e e e c")
    split = split_of([0, 1, 2], [0, 1, -1])  # the third is a known anomaly, the fourth tests
    all_of_it = with_vocabulary(arrays, split, seen=1, words=10)
    assert all_of_it.schema.words == ("b", "a", "c")  # by frequency
    assert [all_of_it.schema.spell(row) for row in all_of_it.x] == ["b b a", "a b c", "... ... ...", "... ... ... c"]
    assert with_vocabulary(arrays, split, seen=2, words=10).schema.words == ("b", "a")
    assert with_vocabulary(arrays, split, seen=1, words=1).schema.words == ("b",)
    rare = [
        with_vocabulary(arrays, split, seen=seen, words=words).schema.rare for seen, words in ((1, 9), (2, 9), (1, 1))
    ]
    assert rare == [0, 1, 2]  # of a, b and c
    assert arrays.schema.words == ("a", "b", "c", "d", "e")
    with pytest.raises(InputError, match="most frequent of them stands there 3 times; lower it"):
        with_vocabulary(arrays, split, seen=4, words=10)
    with pytest.raises(InputError, match=r"network\.seen must be a whole number"):
        with_vocabulary(arrays, split, seen=0, words=10)


def test_rows_of_one_vocabulary_as_those_of_another():
    arrays = spelt_arrays("b b a", "a c")
    x = renumber(arrays.x, arrays.schema, ("c", "z", "a"))
    assert x.tolist() == [
        [BEGIN, UNKNOWN, UNKNOWN, MARKS + 2, END, PAD],
        [BEGIN, MARKS + 2, MARKS, END, PAD, PAD],
    ]
    assert x.dtype == np.float32
    assert renumbered(arrays, ("c",)).schema.spell(renumbered(arrays, ("c",)).x[1]) == "... c"


def test_the_film_reviews(real_data):
    arrays = sentences(real_data, **{**SETTINGS, "least": 5, "most": 20})
    assert np.bincount(arrays.target_class).tolist() == [2976, 2945]
    ratios = {"labeled_ratio": 0.01, "known_normal_ratio": 0.0, "pollution_ratio": 0.0, "validation_ratio": 0.0}
    split = draw_split(arrays, normal_class=0, known_anomaly=0, n_known=1, test_ratio=0.3, seed=0, **ratios)
    assert split.counts["train"] == 2083 + 21
    assert split.counts["known_anomaly"] == 21
    x = with_vocabulary(arrays, split, seen=2, words=20_000).x
    assert ((x != PAD).sum(axis=1) >= 7).all()
