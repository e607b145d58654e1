"""The better of several trainings, where a paper prints one number for all of them."""

import pytest
from support.results import write_cell

from sad_lightning.report.gather.groups import read
from sad_lightning.report.gather.ranking import better_of, rank_methods
from sad_lightning.report.gather.table import make_table
from sad_lightning.report.text import markdown_better


def betters(folder):
    return better_of(rank_methods(make_table(read([folder]).groups)))


def write(folder, name, separation, **settings):
    for normal in range(3):
        write_cell(folder, name, separation, normal=normal, ratio=0.0, **settings)


def test_deep_svdd_is_the_better_of_two_methods_and_of_two_values_of_nu(tmp_path):
    write(tmp_path, "deep_svdd", 1.0)
    write(tmp_path, "soft_deep_svdd", 2.0, method={"nu": 0.01})
    write(tmp_path, "soft_deep_svdd", 0.5, method={"nu": 0.1})
    of = {each.published.paper: each for each in betters(tmp_path)}
    assert {paper: each.row.group.name for paper, each in of.items()} == {
        "ruff2020": "soft_deep_svdd (method.nu=0.01)",
        "ruff2019": "soft_deep_svdd (method.nu=0.01)",
    }
    assert [row.group.name for row in of["ruff2020"].others] == ["deep_svdd", "soft_deep_svdd (method.nu=0.1)"]
    assert [row.group.name for row in of["ruff2019"].others] == ["soft_deep_svdd (method.nu=0.1)"]
    assert of["ruff2020"].difference == pytest.approx(of["ruff2020"].row.auroc.mean - 92.8)
    assert "ruff2020 deep_svdd" in markdown_better(betters(tmp_path))


def test_one_alone_and_grids_of_other_sizes_are_not_compared(tmp_path):
    write(tmp_path, "deep_svdd", 1.0)
    assert betters(tmp_path) == []
    assert markdown_better([]) == ""
    write_cell(tmp_path, "soft_deep_svdd", 2.0, ratio=0.0)
    assert betters(tmp_path) == []
