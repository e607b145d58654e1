"""The page of a detector: what stands on it, and that it is there for every kind of own data."""

import re

import numpy as np
import pytest
from PIL import Image
from support.commands import run_main
from support.pages import Page

from sad_lightning.card.content import gather_card
from sad_lightning.cell.loading import load
from sad_lightning.config.compose import composed
from sad_lightning.result import Result
from sad_lightning.stats.ranking import auroc

FAST = ("logger=none", "method=mahalanobis")


def own_table(path, n: int = 400):
    """Two columns, of which the first one tells anomalies; a truth; labels of some."""
    generator = np.random.default_rng(0)
    odd = np.arange(n) % 10 == 0
    x = generator.normal(size=(n, 2)) + np.stack([5 * odd, 0 * odd], axis=1)
    status = np.where(np.arange(n) % 20 == 0, "anomaly", "")
    truth = np.where(odd, "<bad>", "fine")
    np.savez(path, X=x, columns=["speed", "noise"], status=status, truth=truth)
    return path


def trained(tmp_path, *arguments: str):
    outcome = run_main(f"runs={tmp_path / 'runs'}", *FAST, *arguments)
    assert outcome.code == 0, outcome.err
    (page,) = (tmp_path / "runs").rglob("detector.html")
    return outcome, page


def test_a_training_leaves_a_page_that_says_what_to_do(tmp_path):
    path = own_table(tmp_path / "parts.npz")
    settings = ("data=table", f"data.path={path}", "data.label=status", "data.truth=truth", "data.normal=[fine]")
    outcome, page = trained(tmp_path, *settings)
    assert re.search(r"page +.*detector.html", outcome.out)
    text = page.read_text()
    assert Page(text).faults == []
    words = " ".join(Page(text).texts)
    for phrase in (
        "What to label next",
        "Columns that matter",
        "Precision and recall",
        "Evaluated by the column of truth",
    ):
        assert phrase in words
    assert "<bad>" not in text
    assert "<script" not in text
    assert "python -m sad_lightning.predict" in words
    result = Result.read(page.parent)
    assert f"{100 * result.metrics['auroc']:.1f} %" in words
    content = gather_card(page.parent, load(composed("data=table", *settings[1:], "method=mahalanobis").data))
    assert content.columns[0][0] == "speed"
    assert [each.score for each in content.candidates] == sorted((e.score for e in content.candidates), reverse=True)
    hidden = [each for each in content.candidates if (each.row - 1) % 10 == 0]
    assert len(hidden) > 15  # of twenty unlabeled rows that are anomalies in truth
    assert all((each.row - 1) % 20 for each in content.candidates)  # none of which has a label
    assert all(each.why.startswith("speed = ") for each in hidden)
    assert {each.part for each in content.candidates} <= {"trained", "validation", "test"}
    assert sum(map(len, content.groups.values())) == result.counts["test"] + result.counts["validation"]
    assert auroc(content.y, content.scores) == pytest.approx(result.metrics["auroc"])
    assert [rate.fpr for rate in content.rates] == [0.001, 0.01, 0.05, 0.1]
    assert content.rates[2].threshold == content.model.threshold
    again = run_main(f"runs={tmp_path / 'runs'}", *FAST, *settings)
    assert "finished before" in again.out


def test_without_truth_without_labels_and_without_test_rows(tmp_path):
    path = own_table(tmp_path / "parts.npz")
    for k, settings in enumerate((
        ("data.label=status", "data.ignore=[truth]"),
        ("data.ignore=[status,truth]",),
        ("data.label=status", "data.ignore=[truth]", "split.test_ratio=0", "split.validation_ratio=0"),
    )):  # fmt: skip
        _, page = trained(tmp_path / str(k), "data=table", f"data.path={path}", *settings)
        words = " ".join(Page(page.read_text()).texts)
        assert "Evaluated by the labels" in words
        assert ("its rate is not promised" in words) == (k == 2)


def test_a_folder_of_images_has_a_page_with_small_pictures(tmp_path):
    generator = np.random.default_rng(0)
    for name, count, low in (("good", 60, 0), ("scratch", 8, 120)):
        (tmp_path / "images" / name).mkdir(parents=True)
        for k in range(count):
            pixels = generator.integers(low, low + 100, (8, 8, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{k}.png")
    _, page = trained(
        tmp_path, "data=folder", f"data.path={tmp_path / 'images'}", "data.known_anomaly=[scratch]", "data.size=8",
        "data.unlabeled=[good]", "target_fpr=0.2",
    )  # fmt: skip
    text = page.read_text()
    assert Page(text).faults == []
    assert text.count("data:image/png;base64,") == 20


def test_of_a_wide_table_columns_are_tried_that_lie_far_off(tmp_path):
    path, generator = tmp_path / "wide.npz", np.random.default_rng(0)
    odd = np.arange(200) % 10 == 0
    x = generator.normal(size=(200, 400)) * np.r_[np.full(399, 1000.0), 1.0]  # the widest are not the most unusual
    x[odd, 399] += 8
    np.savez(
        path, X=x, columns=[f"x{k}" for k in range(400)], status=np.where(odd & (np.arange(200) < 100), "anomaly", "")
    )
    settings = ("data=table", f"data.path={path}", "data.label=status", "method=iforest")
    _, page = trained(tmp_path, *settings)
    content = gather_card(page.parent, load(composed(*settings).data))
    assert content.columns[0][0] == "x399"
    assert len(content.columns) == 300
