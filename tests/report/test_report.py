"""From cells as they are trained to the table beside the published numbers."""

from support.cells import SHORT

from sad_lightning.cell.run import run_cell
from sad_lightning.cell.values import Cell
from sad_lightning.report.gather.groups import read
from sad_lightning.report.gather.table import make_table
from sad_lightning.report.text import markdown


def test_means_beside_the_published_numbers(settings, tmp_path):
    for name, *overrides in (
        ("a", "seed=0"),
        ("b", "seed=1"),
        ("c", "method.eta=2.0"),
        ("d", "split.labeled_ratio=0.0"),
    ):
        folder = tmp_path / name
        folder.mkdir()
        run_cell(Cell(settings(*SHORT, *overrides), folder, "mnist", "deep_sad"))  # posing as MNIST
    unlabeled, row, other = make_table(read([tmp_path]).groups)
    assert (unlabeled.published[0].mean, unlabeled.published[0].deviation) == (92.8, 4.9)
    assert (len(other.group.cells), other.group.variant) == (1, "method.eta=2")  # another eta is another row
    assert len(row.group.cells) == 2
    assert (row.published[0].mean, row.published[0].deviation) == (96.7, 2.4)  # ruff2020 Table 3, Deep SAD, MNIST, .05
    assert "| mnist | deep_sad (method.eta=1) | 0.05 | 0 | 1 | 2 | 2 |" in markdown([row])
    assert all(cell.roc is not None for cell in row.group.cells)
