"""Attributions by hand on a score that can be read, and the files of the command."""

import csv
import re
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from support.pages import Page
from torch import nn

from sad_lightning import Detector
from sad_lightning.data.preparation import Preparation
from sad_lightning.data.preprocess import Scaling
from sad_lightning.data.schema import Column, ImageSchema, TableSchema
from sad_lightning.explain import __main__ as command
from sad_lightning.explain.attribution import attribute, typical_row
from sad_lightning.explain.figures import bars, heat, leading
from sad_lightning.model import BaselineScore, Model

SHORT = {"trainer.max_epochs": 3, "optimizer.milestones": [2], "trainer.accelerator": "cpu"}


class Readable(nn.Module):
    """score = 2 x_0 + x_1^2 + 3 x_2, the last one a column of the second word."""

    def score(self, x):
        return 2 * x[:, 0] + x[:, 1] ** 2 + 3 * x[:, 3]


class Brightness(nn.Module):
    def score(self, x):
        return x.flatten(start_dim=1).sum(dim=1)


def model_of(scorer, schema, scaling) -> Model:
    return Model(
        Preparation(schema, scaling), scorer, calibration=torch.arange(100.0), calibration_rows="validation",
        target_fpr=0.05, card={},
    )  # fmt: skip


def test_columns_of_a_table_by_hand():
    schema = TableSchema((Column("a"), Column("b"), Column("soil", "category", ("clay", "sand"))))
    model = model_of(Readable(), schema, Scaling(np.float32([2, 1, 1, 1]), np.float32([0, 0, 0, 0])))
    raw = torch.tensor([[3.0, 2.0, 1.0], [1.0, 5.0, 0.0]])
    typical = torch.tensor([1.0, 1.0, 0.0])
    attribution = attribute(model, raw, typical)
    np.testing.assert_allclose(attribution.scores, [12 + 4 + 3, 4 + 25])
    np.testing.assert_allclose(attribution.parts["occlusion"], [[8, 3, 3], [0, 24, 0]])
    np.testing.assert_allclose(attribution.parts["gradient"], [[8, 4, 3], [0, 40, 0]])  # (x - t) ds/dx: 1 * 4, 4 * 10
    assert set(attribution.parts) == {"occlusion", "gradient"}


def test_pixels_of_an_image_by_hand():
    model = model_of(Brightness(), ImageSchema(8, 8, 1), Scaling(np.float32([1]), np.float32([0])))
    raw = torch.zeros(1, 8, 8, 1, dtype=torch.uint8)
    raw[0, 2, 5] = 9
    attribution = attribute(model, raw, torch.zeros(8, 8, 1, dtype=torch.uint8))
    expected = np.zeros((8, 8))
    expected[2, 5] = 9
    np.testing.assert_allclose(attribution.parts["gradient"][0], expected)
    occluded = attribution.parts["occlusion"][0]
    assert occluded[2, 5] == occluded.max() == 9  # every 2x2 window over it takes all of it away
    assert occluded[1, 4] == pytest.approx(9 / 4)  # one of its four windows does
    assert occluded[5, 5] == 0


def test_the_error_of_each_column_adds_up_to_the_score_of_an_autoencoder():
    x = np.random.default_rng(0).normal(size=(100, 5)).astype(np.float32)
    detector = Detector("ae", settings=SHORT).fit(x)
    raw = torch.from_numpy(x[:7])
    attribution = attribute(detector.model_, raw, typical_row(raw, detector.model_.preparation.schema))
    np.testing.assert_allclose(attribution.parts["error"].sum(axis=1), detector.anomaly_score(x[:7]), rtol=1e-5)
    pair = Detector("ae", settings={**SHORT, "ensemble": 2}).fit(x)
    attribution = attribute(pair.model_, raw, raw[0])
    np.testing.assert_allclose(attribution.parts["error"].sum(axis=1), pair.anomaly_score(x[:7]), rtol=1e-5)


def test_a_baseline_has_no_gradient_and_is_occluded_all_the_same():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(100, 3)).astype(np.float32)
    model = Detector("iforest").fit(x).model_
    assert isinstance(model.scorer, BaselineScore)
    attribution = attribute(model, torch.tensor([[0.0, 0.0, 9.0]]), torch.zeros(3))
    assert set(attribution.parts) == {"occlusion"}
    assert attribution.parts["occlusion"][0].argmax() == 2


def test_a_mixture_is_occluded():
    x = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    model = Detector("iforest", settings={"voices": {"a": ["method=iforest"], "b": ["method=knn"]}}).fit(x).model_
    attribution = attribute(model, torch.tensor([[0.0, 0.0, 9.0]]), torch.zeros(3))
    assert set(attribution.parts) == {"occlusion"}
    assert attribution.parts["occlusion"][0].argmax() == 2


@pytest.mark.parametrize("method", ["extra_trees", "logistic", "mahalanobis"])
def test_a_score_that_is_a_sum_is_told_by_its_terms(method):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(200, 3)).astype(np.float32)
    x[:9, 2] += 4
    detector = Detector(method).fit(x, np.repeat([-1, 0], [9, 191]))
    found = attribute(detector.model_, torch.from_numpy(x[:7]), torch.zeros(3))
    assert set(found.parts) == {"occlusion", "contribution"}
    apart = detector.anomaly_score(x[:7]) - found.parts["contribution"].sum(axis=1)
    np.testing.assert_allclose(apart, apart[0], atol=1e-4)
    assert set(found.parts["contribution"].argmax(axis=1)) == {2}


def test_typical_rows():
    schema = TableSchema((Column("a"), Column("soil", "category", ("clay", "sand"))))
    rows = torch.tensor([[1.0, 0.0], [torch.nan, 1.0], [3.0, 1.0], [8.0, 1.0]])
    assert typical_row(rows, schema).tolist() == [3, 1]
    images = torch.tensor([[[[10]]], [[[21]]]], dtype=torch.uint8)
    assert typical_row(images, ImageSchema(1, 1, 1)).tolist() == [[[16]]]  # 15.5, rounded to even


def test_colours_of_a_heat_map():
    colours = heat(np.float32([[0, 2], [-1, 1]]))
    assert colours.tolist() == [[[255, 255, 255], [255, 0, 0]], [[127, 127, 255], [255, 127, 127]]]
    assert leading(np.float32([1, 3, -5, 3])) == [1, 3, 0, 2]


def test_names_are_text_whatever_they_say():
    figure = bars("row 1", ["<script>"], ["a&b"], {"occlusion": np.float32([1])})
    assert "<script>" not in figure.svg
    assert "&lt;script&gt;" in figure.svg


def run(monkeypatch, *arguments) -> int:
    monkeypatch.setattr(sys, "argv", ["explain", *map(str, arguments)])
    try:
        command.main()
    except SystemExit as stop:
        return int(stop.code)
    return 0


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A table whose flow is what makes anomalies, its model, and its rows as npz."""
    generator, folder = np.random.default_rng(0), tmp_path_factory.mktemp("table")
    x = generator.normal(size=(200, 4)).astype(np.float32)
    x[150:170, 2] += 12
    semi = np.zeros(200, dtype=np.int64)
    semi[150:170] = -1
    names = np.array(["temperature", "pressure", "flow", "volume"])
    pandas = pytest.importorskip("pandas")
    Detector("ae", settings=SHORT).fit(pandas.DataFrame(x, columns=names), semi).save(folder / "model.pt")
    np.savez(folder / "rows.npz", X=x, columns=names)
    return folder


def test_the_command_names_what_makes_the_anomaly(table, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    assert run(monkeypatch, table / "model.pt", table / "rows.npz", "--top", 3, "--out", out) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert all(re.match(r"row 1(5[1-9]|6\d|70): score \S+, an anomaly: flow = ", line) for line in lines[:3])
    with open(out / "explain.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 4
    assert list(rows[0]) == ["row", "score", "column", "value", "occlusion", "gradient", "error"]
    occlusion = {row["column"]: float(row["occlusion"]) for row in rows[:4]}
    assert max(occlusion, key=occlusion.get) == "flow"
    page = (out / "explain.html").read_text()
    assert Page(page).faults == []
    assert page.count('id="sample') == 3
    assert page.count('<td><a href="#sample') == 3
    assert "Where these rows lie" in page
    assert not re.search(r"(src|href)=.?http", page)


def test_images_become_heat_maps(tmp_path, monkeypatch, capsys):
    pixels = np.random.default_rng(0).integers(0, 99, (60, 8, 8), dtype=np.uint8)
    Detector("ae", settings={**SHORT, "split.validation_ratio": 0.4}).fit(pixels).save(tmp_path / "model.pt")
    (tmp_path / "images").mkdir()
    for number in range(4):
        Image.fromarray(pixels[number]).save(tmp_path / "images" / f"{number}.png")
    assert run(monkeypatch, tmp_path / "model.pt", tmp_path / "images", "--rows", 3, 1) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[:2]] == ["file 2.png", "file 0.png"]
    page = (tmp_path / "explain" / "explain.html").read_text()
    assert page.count("data:image/png;base64,") == 2 * 4  # the image, occlusion, gradient, error
    assert not (tmp_path / "explain" / "explain.csv").exists()


def test_what_is_wrong_is_one_line(table, tmp_path, monkeypatch, capsys):
    names = "temperature,pressure,flow,volume\n"
    (tmp_path / "none.csv").write_text(names)
    (tmp_path / "large.csv").write_text(names + "1,2,3,4\n1,2,1e30,4\n")
    np.savez(tmp_path / "other.npz", X=np.zeros((3, 1)), columns=np.array(["depth"]))
    for arguments, words in (
        ((table / "model.pt", table / "rows.npz", "--rows", 0), "has rows 1 to 200, got 0"),
        ((table / "model.pt", tmp_path / "other.npz"), "missing: temperature, pressure, flow, volume"),
        ((table / "model.pt", tmp_path / "nothing.csv"), "there is no such file"),
        ((table / "rows.npz", table / "rows.npz"), "must be a model file"),
        ((table / "model.pt", tmp_path / "none.csv"), "must hold at least one row"),
        ((table / "model.pt", tmp_path / "large.csv"), "large.csv: row 2: must hold values that the network can take"),
        ((table / "model.pt", table / "rows.npz", "--import", "nowhere_7"), "--import nowhere_7"),
        ((table / "model.pt", table / "rows.npz", "--top", 0), "--top must be a whole number >= 1, got 0"),
    ):
        assert run(monkeypatch, *arguments, "--out", tmp_path / "out") == 2
        error = capsys.readouterr().err
        assert words in error
        assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
