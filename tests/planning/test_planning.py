"""The planning study by hand and from trainings on few maps."""

import sys

import numpy as np
import pytest
from support.commands import run_main

from sad_lightning.data.sets.motion_planning import Task
from sad_lightning.planning.__main__ import main
from sad_lightning.planning.study import Design, UnseenMap, measure, roadmap, uniform_samples, unseen_maps

WALL = np.array([[[0.4, 0.0], [0.6, 0.9]]])  # open at the top
TASK = Task(WALL, np.array([0.2, 0.5, 0.0]), np.array([0.8, 0.5, 0.0]))
PATH = np.array([[0.2, 0.5], [0.4, 0.95], [0.6, 0.95], [0.8, 0.5]])


def test_a_roadmap_needs_samples_that_see_each_other():
    assert not roadmap(np.empty((0, 2)), TASK, 1.0)
    assert roadmap(PATH[1:3], TASK, 1.0)
    assert not roadmap(PATH[1:3], TASK, 0.4)  # too far from the start
    assert not roadmap(np.array([[0.5, 0.5]]), TASK, 1.0)  # in the wall
    assert roadmap(np.empty((0, 2)), TASK._replace(walls=np.empty((0, 2, 2))), 1.0)


def test_shares_by_hand():
    design = Design(samples=4, sizes=(2, 4), radius=1.0)
    one = UnseenMap(0, TASK, PATH)
    samples = np.array([[[0.5, 0.5], [0.41, 0.95], [-0.1, 0.5], [0.2, 0.52]]])
    measures = measure(samples, [one], design)
    assert measures.collision.tolist() == [0.5]
    assert measures.near.tolist() == [0.5]
    assert measures.coverage.tolist() == [0.5]
    assert measures.success.shape == (2, 1)
    through = measure(np.repeat(PATH[None, 1:3], 2, axis=1), [one], design)
    assert through.collision.tolist() == [0.0]


def test_uniform_samples_collide_as_often_as_walls_are_wide():
    maps = unseen_maps(seed=0, maps=0, test_maps=8, states=8)
    design = Design(samples=4000, sizes=(50,))
    measures = measure(uniform_samples(maps, design), maps, design)
    for each, share in zip(maps, measures.collision, strict=True):
        fine = np.stack(np.meshgrid(*2 * [np.linspace(0, 1, 801)]), axis=-1).reshape(-1, 2)
        area = ((fine[:, None] > each.task.walls[:, 0]) & (fine[:, None] < each.task.walls[:, 1])).all(axis=2)
        assert share == pytest.approx(area.any(axis=1).mean(), abs=0.025)


def test_from_trainings_to_tables_and_pages(tmp_path, monkeypatch, capsys):
    few = ("data=motion_planning", "data.maps=12", "data.test_maps=4", "data.states=8", "network.widths=[16]",
           "network.rep_dim=3", "trainer.max_epochs=3", "optimizer.milestones=[2]", f"runs={tmp_path}")  # fmt: skip
    for more in (("method=vae",), ("method=dp_vae", "method.anomalies.warm_up=1")):
        out = run_main(*few, *more, path=tmp_path)
        assert out.code == 0, out.err
    monkeypatch.setattr(sys, "argv", ["planning", str(tmp_path), "--samples", "500"])
    main()
    text = capsys.readouterr().out
    assert "4 unseen maps, 500 samples a map" in text
    lines = text.splitlines()
    assert sum(line.startswith(("| uniform", "| vae", "| dp_vae")) for line in lines) == 3 + 7
    assert (tmp_path / "planning" / "planning.csv").read_text().count("\n") == 1 + 3 * 7
    page = (tmp_path / "planning" / "maps1.svg").read_text()
    assert page.startswith("<svg")
    assert page.count('class="mark s0"') == 6  # starts: three maps, two methods
    monkeypatch.setattr(sys, "argv", ["planning", str(tmp_path / "planning")])
    with pytest.raises(SystemExit, match="2"):
        main()
