"""Texts from a file to a model file: training, new texts, what is shared, and what is refused."""

import csv
import pickletools
import zipfile

import numpy as np
import pytest
import torch
from hydra.errors import InstantiationException
from support.commands import run_main
from support.pages import Page

from sad_lightning.cell.in_memory import fit_rows
from sad_lightning.cell.key import cell_key
from sad_lightning.cell.run import run_cell, run_cells
from sad_lightning.cell.values import Cell
from sad_lightning.data.schema import TextSchema
from sad_lightning.data.words import MARKS, UNKNOWN
from sad_lightning.detector import Detector
from sad_lightning.errors import InputError
from sad_lightning.explain.top_rows import explain_rows
from sad_lightning.export.__main__ import export_model
from sad_lightning.model import Model
from sad_lightning.predict.scoring import Options, predict

GOOD, BAD = "the film is warm and funny with charm and heart", "a dull mess of boring plot and awful waste"
SMALL = ("network.width=16", "network.embedding=8", "network.rep_dim=4")
FAST = ("logger=none", "trainer.accelerator=cpu", "network=sentence", *SMALL)


@pytest.fixture
def reviews(tmp_path):
    generator = np.random.default_rng(0)
    rows = [("id", "review", "status")]
    for number in range(160):
        odd = number % 10 == 0
        words = generator.permutation((BAD if odd else GOOD).split())[:7]
        rows.append((str(number), f"{' '.join(words).capitalize()}, {number}!", "anomaly" if odd else ""))
    with open(tmp_path / "reviews.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)
    return tmp_path / "reviews.csv"


def of_reviews(path, *arguments: str) -> tuple[str, ...]:
    return ("data=table", f"data.path={path}", "data.label=status", "data.text=review", *FAST, *arguments)


def test_a_column_of_texts_trains_a_detector_that_scores_new_ones(reviews, tmp_path):
    steps = ("method=mml_vae", "method.cubo.objective=log", "method.anomalies.warm_up=10", "trainer.max_epochs=25",
             "batch_size=16", "optimizer.lr=5e-3")  # fmt: skip
    outcome = run_main(f"runs={tmp_path / 'runs'}", *of_reviews(reviews, *steps))
    assert outcome.code == 0, outcome.err
    assert "reviews.csv: the texts of review train alone, without id" in outcome.out
    assert "sad_lightning.predict" in outcome.out
    assert "sad_lightning.explain" not in outcome.out
    (page,) = (tmp_path / "runs").rglob("detector.html")
    assert Page(page.read_text()).faults == []
    assert "charm" in page.read_text()  # the texts to label next
    model = Model.load(page.parent / "model.pt")
    schema = model.preparation.schema
    assert isinstance(schema, TextSchema)
    assert schema.names == ["review"]
    assert {"film", "charm"} <= set(schema.words)
    assert "7" not in schema.words  # a word that stands in one row is unknown
    assert model.scorer.network.vocabulary.split() == list(schema.words)
    new = [("review", "id"), (GOOD, "x"), (BAD.upper(), "y"), ("", "z"), ("qqq zzz", "w")]
    with open(tmp_path / "new.csv", "w", newline="") as file:
        csv.writer(file).writerows(new)
    summary = predict(model, tmp_path / "new.csv", tmp_path / "scores.csv", Options(keep=["id"]))
    assert summary.scored.rows == 4
    with open(tmp_path / "scores.csv") as file:
        scored = list(csv.DictReader(file))
    assert [row["id"] for row in scored] == ["x", "y", "z", "w"]
    scores = [float(row["score"]) for row in scored]
    assert scores[1] > scores[0] + 1
    raw = schema.encode([GOOD, BAD, "", "qqq zzz"])
    assert raw[3, 1:3].tolist() == [UNKNOWN, UNKNOWN]
    np.testing.assert_allclose(model.score_rows(raw), scores, rtol=1e-6)


def test_a_model_file_holds_its_words_as_data_and_says_what_it_can_not_do(reviews, settings, tmp_path):
    arguments = of_reviews(reviews, "method=vae", "trainer.max_epochs=1")
    run_cell(Cell(settings(*arguments), tmp_path / "cell", "table", "vae"))
    path = tmp_path / "cell" / "model.pt"
    with zipfile.ZipFile(path) as file:
        (pickled,) = (name for name in file.namelist() if name.endswith("data.pkl"))
        named = [arg for code, arg, _ in pickletools.genops(file.read(pickled)) if code.name == "GLOBAL"]
    assert not [name for name in named if not name.startswith(("torch", "collections"))]
    assert torch.load(path, weights_only=True)["schema"]["words"]
    with pytest.raises(InputError, match="reads texts, whose words are not explained"):
        explain_rows(path, reviews, 1)
    with pytest.raises(InputError, match="reads texts, which a graph can not turn into numbers"):
        export_model(path, "onnx")
    with pytest.raises(InputError, match="reads texts; score them with"):
        Detector.load(path)
    with pytest.raises(InputError, match="can not tell where an image is anomalous"):
        predict(Model.load(path), reviews, tmp_path / "s.csv", Options(maps=tmp_path / "maps"))
    (tmp_path / "other.csv").write_text("text\na film\n")
    with pytest.raises(InputError, match="missing: review"):
        predict(Model.load(path), tmp_path / "other.csv", tmp_path / "s.csv")


def test_a_classifier_reads_texts_too(reviews, settings, tmp_path):
    arguments = of_reviews(reviews, "method=classifier", "trainer.max_epochs=40", "optimizer.lr=1e-2", "batch_size=16")
    assert run_cell(Cell(settings(*arguments), tmp_path / "cell", "table", "classifier")).metrics["auroc"] > 0.9


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("network=mlp",), "network must be one that reads words, for the rows are texts; choose network=sentence"),
        (("method=knn", "pretrain=none"), "takes rows of values, and the rows are texts; choose network=sentence"),
        (("method=ae", "pretrain=none"), "reads words, which a squared error of reconstruction does not compare"),
        (("method=classifier", "balance={known_anomalies: 4, mix: true}"), "balance.mix must be false for texts"),
        (("method=classifier", "trim=0.1"), "trim must be 0 for texts"),
        (("method=vae", "network.seen=999"), "network.seen must be so small"),
        (("method=vae", "data.text=status"), "data.text=status: is the column of the labels"),
        (("method=vae", "data.text=nothing"), "data.text=nothing: "),
        (("method=vae", "data.length=0"), "data.length must be a whole number"),
    ],
)  # fmt: skip
def test_what_texts_can_not_be_is_one_line(arguments, words, reviews, settings, tmp_path):
    small = () if arguments[0] == "network=mlp" else SMALL
    typed = [each for each in of_reviews(reviews) if each not in SMALL and each.split("=")[0] not in
             {one.split("=")[0] for one in arguments}]  # fmt: skip
    with pytest.raises((InputError, InstantiationException)) as raised:
        run_cell(Cell(settings(*typed, *small, *arguments), tmp_path / "cell", "table", "some"))
    error = raised.value if isinstance(raised.value, InputError) else raised.value.__cause__
    assert isinstance(error, InputError)
    assert words in str(error)


def test_a_network_of_sentences_refuses_other_rows(settings, tmp_path):
    with pytest.raises(InputError, match="the one of sentences reads texts, and the data set has none"):
        run_cell(Cell(settings("data=digits", "method=vae", *FAST), tmp_path / "cell", "digits", "vae"))


def test_a_search_judges_texts_by_the_words_of_the_rows_that_trained(reviews, settings, tmp_path, monkeypatch):
    pytest.importorskip("optuna")
    from sad_lightning.hpo import study

    scored = []

    def fit_and_watch(*arguments, **options):
        model = fit_rows(*arguments, **options)
        monkeypatch.setattr(model, "score_rows", lambda raw: scored.append((model, raw)) or np.arange(float(len(raw))))
        return model

    monkeypatch.setattr(study, "fit_rows", fit_and_watch)
    cfg = settings(*of_reviews(reviews, "method=vae", "trainer.max_epochs=1", "data.ignore=[id]"))
    labeled = study._training_rows(cfg)
    for rows, held in study._folds(labeled, 2, 0):
        study._auroc_of_fold(cfg, labeled, rows, held, tmp_path)
        model, raw = scored[-1]
        words = model.preparation.schema
        assert words.words != labeled.schema.words
        texts = [labeled.schema.spell(row) for row in labeled.raw[held]]
        np.testing.assert_array_equal(raw, words.encode(texts))


def film_reviews(folder) -> None:
    (folder / "text").mkdir()
    for short, words in (("pos", GOOD), ("neg", BAD)):
        lines = [f"{words} {'abcdefgh'[k % 8]}" for k in range(40)]
        (folder / "text" / f"rt-polarity.{short}").write_text("\n".join(lines))


def test_cells_with_other_labels_share_the_training_on_unlabeled_sentences(settings, tmp_path):
    film_reviews(tmp_path)

    def cell(ratio: float, seed: int) -> Cell:
        cfg = settings(
            "data=sentences", "method=mml_vae", f"data.root={tmp_path}", "pretrain.epochs=2", "trainer.max_epochs=2",
            f"split.labeled_ratio={ratio}", f"seed={seed}", "trainer.accelerator=cpu", *SMALL,
        )  # fmt: skip
        return Cell(cfg, tmp_path / f"cell{ratio}{seed}", "sentences", "mml_vae")

    without, few, more, other = run_cells([cell(0.0, 0), cell(0.1, 0), cell(0.2, 0), cell(0.1, 1)])
    assert [result.pretraining for result in (without, few, more, other)] == ["trained", "cached", "cached", "trained"]
    assert [result.counts["known_anomaly"] for result in (without, few, more)] == [0, 3, 7]
    assert len(list((tmp_path / "pretrained").glob("*.pt"))) == 2
    assert without.history["pretrain"] == few.history["pretrain"] != other.history["pretrain"]
    assert "anomaly_loss" in few.history["train"]
    assert "anomaly_loss" not in without.history["train"]
    model = Model.load(tmp_path / "cell0.10" / "model.pt")
    assert (model.preparation.schema.encode([GOOD])[0, 1:12] >= MARKS).sum() == len(GOOD.split())
    (again,) = run_cells([cell(0.3, 0)])
    assert again.pretraining == "cached"


def test_the_file_of_vectors_is_part_of_the_key(settings, tmp_path):
    vectors = tmp_path / "v.txt"
    vectors.write_text("film 1 2 3 4 5 6 7 8\n")
    named = ("data=sentences", "method=vae", f"network.vectors={vectors}")
    first = cell_key(settings(*named))
    assert first != cell_key(settings(*named[:2]))
    vectors.write_text("film 8 7 6 5 4 3 2 1\nmore")
    assert cell_key(settings(*named)) != first
