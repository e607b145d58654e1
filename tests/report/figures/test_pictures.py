"""Samples by score and the representation, of cells that were trained."""

import numpy as np
import pytest
from support.cells import SHORT
from support.results import edited, write_cell

from sad_lightning.cell.run import run_cell
from sad_lightning.cell.values import Cell
from sad_lightning.errors import InputError
from sad_lightning.report.figures.pictures import draw_pictures, load_data
from sad_lightning.report.figures.projection import project
from sad_lightning.report.gather.groups import read
from sad_lightning.report.gather.ranking import rank_methods
from sad_lightning.report.gather.table import make_table


@pytest.mark.parametrize("method", ["deep_sad", "vae"])
def test_pictures_of_a_cell(settings, tmp_path, method):
    folder = tmp_path / method
    folder.mkdir()
    result = run_cell(Cell(settings(*SHORT, f"method={method}"), folder, "digits", method))
    rankings = rank_methods(make_table(read([tmp_path]).groups))
    (samples, representation), problems = draw_pictures(rankings, "middle")
    assert problems == []
    assert samples.svg.count("data:image/png;base64,") == 4
    assert f"of {method}" in samples.alt
    projection = project(folder, result.settings, load_data(result.settings["data"]))
    assert f"{100 * projection.explained:.0f} %" in representation.alt
    assert 0 < projection.explained <= 1
    assert projection.points.shape == (len(projection.target_class), 2)
    assert np.cov(projection.points.T)[0, 1] == pytest.approx(0, abs=1e-9)  # principal components do not covary


def test_the_median_cell_or_all_cells_are_drawn(settings, tmp_path):
    for seed in range(3):
        folder = tmp_path / str(seed)
        folder.mkdir()
        run_cell(Cell(settings(*SHORT, "method=ae", f"seed={seed}"), folder, "digits", "ae"))
    groups = read([tmp_path]).groups
    rankings = rank_methods(make_table(groups))
    every, problems = draw_pictures(rankings, "all")
    assert problems == []
    assert len({figure.name for figure in every}) == len(every) == 6
    median = sorted(groups[0].cells, key=lambda cell: cell.auroc)[1]
    assert all(median.result.key in figure.name for figure in draw_pictures(rankings, "middle")[0])


def test_a_result_that_says_nothing_of_its_data_is_a_problem(tmp_path):
    write_cell(tmp_path, "ae", 1.0)
    figures, (problem,) = draw_pictures(rank_methods(make_table(read([tmp_path]).groups)), "all")
    assert figures == []
    assert "no picture (data: pictures are drawn of the package's own sets" in problem


def test_what_can_not_be_drawn_is_a_problem(settings, tmp_path):
    folder = tmp_path / "cell"
    folder.mkdir()
    run_cell(Cell(settings(*SHORT, "method=ae"), folder, "digits", "ae"))
    (folder / "model.ckpt").write_bytes(b"")
    figures, problems = draw_pictures(rank_methods(make_table(read([tmp_path]).groups)), "middle")
    assert len(figures) == 1
    assert "must be the checkpoint of the cell" in problems[0]
    assert "\n" not in problems[0]
    with edited(folder / "result.json") as document:
        document["settings"]["data"]["_target_"] = "os.system"
    figures, problems = draw_pictures(rank_methods(make_table(read([tmp_path]).groups)), "middle")
    assert figures == []
    assert "the package's own sets" in problems[0]
    for target in ("os.system", "sad_lightning.data.sets.images.digits", "sad_lightning.data.own", "digits"):
        with pytest.raises(InputError, match="own sets"):  # public names of the package alone
            load_data({"_target_": target})


@pytest.mark.parametrize(
    "change",
    [
        {"method": {"_target_": "payload_7.Anything"}},
        {"method": {"_target_": "sad_lightning.methods.os"}},
        {"data": {"_target_": "sad_lightning.data.__main__.import_module", "name": "payload_7"}},
        {"data": {"_target_": "sad_lightning.data.digits", "evil": 1}},
        {"data": None},
        {"data": {"_target_": "sad_lightning.data.table", "path": "gone.csv"}},
        {"seed": "a word"},
        {"split": {"evil": 1}},
        {"preprocess": {"evil": 7}},
    ],
    ids=str,
)
def test_what_a_stored_result_says_is_never_run(change, settings, tmp_path, monkeypatch):
    (tmp_path / "payload_7.py").write_text("raise SystemExit('it was imported')")
    monkeypatch.syspath_prepend(tmp_path)
    result = write_cell(tmp_path / "runs", "ae", 1.0, data="digits")
    (path,) = tmp_path.rglob("result.json")
    with edited(path) as document:
        document["settings"] |= {"data": {"_target_": "sad_lightning.data.digits"}, "preprocess": {}} | change
    (tmp_path / "model.ckpt").touch()
    figures, problems = draw_pictures(rank_methods(make_table(read([tmp_path]).groups)), "middle")
    assert [figure.name.partition("-")[0] for figure in figures] in ([], ["samples"])
    (problem,) = problems
    assert problem.startswith(f"{path.parent}: no picture (")
    assert "\n" not in problem
    assert result.key
