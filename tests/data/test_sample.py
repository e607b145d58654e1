"""Tables of many files, and of more rows than memory should hold."""

import numpy as np
import pytest
from support.commands import run_main

from sad_lightning.cell import loading
from sad_lightning.cell.key import cell_key
from sad_lightning.cell.loading import load
from sad_lightning.data.own import sample

pa = pytest.importorskip("pyarrow", reason="parquet needs the extra `table`")
pq = pytest.importorskip("pyarrow.parquet")
pytestmark = pytest.mark.filterwarnings("ignore:.*word tells the label by itself")  # as k % 3 does
LABELED = 30  # of each 1,000 rows, a third of them anomalies


def write(path, start: int, rows: int, **others) -> None:
    """Rows that are numbered in the column ``row``."""
    number = np.arange(start, start + rows)
    label = [("anomaly" if k % 3 == 0 else "normal") if k % 1000 < LABELED else None for k in number.tolist()]
    columns = {"row": 2.0 * number, "half": number % 2 == 0, "word": [f"w{k % 3}" for k in number]}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({**columns, "label": label, **others}), path, row_group_size=400)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Three files of 1,000, 3,000 and 2,000 rows, read in stretches of 200."""
    monkeypatch.setattr("sad_lightning.data.own.arrow.ROWS", 200)
    for number, (start, rows) in enumerate(((0, 1000), (1000, 3000), (4000, 2000))):
        write(tmp_path / "rows" / f"day={number}" / "part.parquet", start, rows)
    return tmp_path / "rows"


@pytest.fixture
def read(settings):
    def rows_of(*overrides: str):
        return load(settings("data=table", "data.label=label", *overrides).data)

    return rows_of


def test_a_folder_and_a_pattern_are_one_table(folder, read):
    with pytest.warns(UserWarning, match=r"rows: 6,000 rows of 3 files"):
        arrays = read(f"data.path={folder}")
    assert arrays.x[:, 0].tolist() == list(range(0, 12000, 2))
    assert arrays.schema.names == ["row", "half", "word"]
    assert (arrays.labels.semi != 0).sum() == 6 * LABELED
    with pytest.warns(UserWarning, match="rows of 2 files"):
        assert len(read(f"data.path='{folder}/day=[12]/*.parquet'").x) == 5000


def test_a_sample_keeps_every_label_and_takes_its_share_of_every_stretch(folder, read):
    with pytest.warns(
        UserWarning, match=r"a sample of 1,200 of 6,000 rows \(data.rows\), .*: all 180 labeled ones, and 1,020"
    ):
        arrays = read(f"data.path={folder}", "data.rows=1200")
    rows, labeled = arrays.x[:, 0] // 2, arrays.labels.semi != 0
    assert rows[labeled].tolist() == [k for k in range(6000) if k % 1000 < LABELED]
    assert (np.diff(rows) > 0).all()
    share = (1200 - 180) / (6000 - 180)
    free = np.bincount((rows[~labeled] // 200).astype(int))
    expected = share * np.where(np.arange(30) % 5 == 0, 200 - LABELED, 200)
    assert np.abs(free - expected).max() < 1
    assert not np.array_equal(np.diff(rows[~labeled][:20]), np.diff(rows[~labeled][40:60]))  # drawn, not every n-th
    loading._loaded.cache_clear()
    with pytest.warns(UserWarning, match="a sample"):
        assert np.array_equal(read(f"data.path={folder}", "data.rows=1200").x, arrays.x)


def test_more_rows_than_there_are_leave_none_out(folder, read):
    with pytest.warns(UserWarning, match="a sample of 5,999 of 6,000"):
        assert len(read(f"data.path={folder}", "data.rows=5999").x) == 5999
    with pytest.warns(UserWarning, match="6,000 rows of 3 files"):
        assert len(read(f"data.path={folder}", "data.rows=6000").x) == 6000
    with pytest.warns(UserWarning, match="2,000 rows of 1 file"):
        assert len(read(f"data.path='{folder / 'day=2' / 'part.parquet'}'", "data.rows=9000").x) == 2000


def test_a_file_of_csv_is_sampled_alike(tmp_path, read):
    lines = ["a,label", *(f"{k},{'anomaly' if k < 50 else ''}" for k in range(3000))]
    (tmp_path / "x.csv").write_text("\n".join(lines))
    with pytest.warns(UserWarning, match="a sample of 100 of 3,000 rows"):
        arrays = read(f"data.path={tmp_path / 'x.csv'}", "data.rows=100")
    assert arrays.labels.semi.tolist() == 50 * [-1] + 50 * [0]


def test_a_column_that_folders_name_can_have_a_role(folder, read):
    with pytest.warns(UserWarning, match="rows of 3 files"):
        arrays = read(f"data.path={folder}", "data.group=day")
    assert np.unique(arrays.labels.group, return_counts=True)[1].tolist() == [1000, 3000, 2000]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (150, "data.rows=150: must hold every labeled row, and .* has 180 of 6000; raise it, or name the word"),
        (99, "data.rows must be a whole number"),
    ],
)
def test_too_few_rows_are_refused(rows, message, folder, read):
    with pytest.raises(Exception, match=message):
        read(f"data.path={folder}", f"data.rows={rows}")


def test_what_memory_does_not_hold_is_refused_with_a_size_that_fits(folder, read, monkeypatch):
    monkeypatch.setattr(sample, "_memory", lambda: 1_000_000)
    with pytest.raises(Exception, match=r"6000 rows of 4 columns take .* set data.rows=1000, .* up to 2500 fit"):
        read(f"data.path={folder}")


def test_files_that_differ_are_named(folder, read):
    write(folder / "day=3" / "part.parquet", 6000, 10, more=[0.0] * 10)
    with pytest.raises(Exception, match=r"day=3/part.parquet: must have the columns of .*, only one of both has more"):
        read(f"data.path={folder}")
    write(folder / "day=3" / "part.parquet", 6000, 10, row=["a"] * 10)
    with pytest.raises(Exception, match="a column must hold values of one kind in all files"):
        read(f"data.path={folder}")
    with pytest.raises(Exception, match="no file fits the pattern"):
        read(f"data.path='{folder}/day=9*/x.parquet'")


def test_the_key_of_a_cell_hangs_on_the_files_of_a_pattern(folder, settings):
    def key() -> str:
        return cell_key(settings("data=table", f"data.path='{folder}/*/*.parquet'", "data.label=label"))

    before = key()
    assert key() == before
    write(folder / "day=3" / "part.parquet", 6000, 10)
    assert key() != before


def test_a_training_begins_with_what_it_leaves_out(folder, tmp_path):
    given = (f"data.path={folder}", "data.label=label", "data.rows=1200", "method=iforest", f"runs={tmp_path / 'runs'}")
    outcome = run_main("data=table", *given, "logger=none", "trainer.accelerator=cpu")
    assert outcome.code == 0, outcome.err
    first = outcome.out.splitlines()[0]
    assert first.endswith("the same share of every stretch of rows")
    (result,) = (tmp_path / "runs").rglob("result.json")
    assert "a sample of 1,200 of 6,000 rows" in result.read_text()
    assert "python -m sad_lightning.predict" in outcome.out
    assert "python -m sad_lightning.explain" not in outcome.out  # it reads one file
