"""A setting as a reader says it."""

import pytest

from sad_lightning.report.gather.setting import Setting, short_words


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        (Setting(0.05, 0.1, 1), "5 % labeled anomalies of 1 class, 10 % pollution"),
        (Setting(0.01, 0.0, 5), "1 % labeled anomalies of 5 classes"),
        (Setting(0.05, 0.0, 0), "no labeled anomalies"),
        (Setting(0.0, 0.2, 1), "no labeled anomalies, 20 % pollution"),
    ],
)
def test_words(setting, words):
    assert setting.words == words


def test_texts_are_what_files_are_named_by():
    assert Setting(0.05, 0.0, 1).texts == ["0.05", "0", "1"]


def test_short_words_say_what_differs():
    words, shared = short_words([Setting(0.05, 0.0, 1), Setting(0.05, 0.1, 1), Setting(0.05, 0.1, 1)])
    assert list(words.values()) == ["0 % pollution", "10 % pollution"]
    assert shared == "5 % labeled, 1 known class"
    assert short_words([Setting(0.05, 0.0, 1)]) == ({Setting(0.05, 0.0, 1): "5 % labeled anomalies of 1 class"}, "")
