"""results/: its cells are those that the settings of today plan, and the pages are what its tables make of them."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from support.grids import cells_of
from support.results import edited, write_cell

from sad_lightning.grid.plan import PlannedCell
from sad_lightning.grid.store import Grid
from sad_lightning.result import Result

ROOT = Path(__file__).resolve().parent.parent
TABLES = sorted((ROOT / "results").glob("*.csv"))


@pytest.fixture(scope="module")
def evidence():
    sys.path.insert(0, str(ROOT / "docs"))
    import evidence

    sys.path.remove(str(ROOT / "docs"))
    return evidence


@pytest.fixture
def cell(evidence):
    """A cell of Deep SAD on cardio, with what is given instead; its key is of all of it."""
    usual = {
        "data": "cardio", "method": "deep_sad", "settings": "", "normal": "0", "known": "0", "labeled_ratio": "0.01",
        "pollution_ratio": "0", "n_known": "1", "ensemble": "1", "seed": "0", "auroc": "95", "average_precision": "50",
        "recall": "50", "seconds": "1", "version": "0", "torch": "2", "device": "cpu", "cores": "2",
        "commit": "a",
    }  # fmt: skip
    return lambda **given: evidence.Cell(**usual | given, key=str(given))


@pytest.fixture
def store(tmp_path):
    """A store with ten cells of a grid, from seed 0 on, one of them unfinished; and a cell of no experiment."""
    cells = []
    for seed in range(11):
        known = write_cell(tmp_path, "deep_sad", 2.0 + 0.1 * seed, data="cardio", ratio=0.01, seed=seed)
        (folder,) = (path.parent for path in tmp_path.rglob("result.json") if Result.read(path.parent).key == known.key)
        with edited(folder / "result.json") as document:
            document["environment"] = {
                "sad_lightning": "0.1.0", "torch": "2", "device": "cuda H", "cores": "2",
                "git_commit": "a" * 40 + "-dirty",
            }  # fmt: skip
        overrides = ("data=cardio", f"seed={seed}", f"runs={tmp_path}", "batch_size=64")
        experiment = "odds_deep" if seed < 10 else "scenario1"
        overrides += (f"+{'experiment' if seed < 10 else 'protocol'}={experiment}",)
        cells.append(
            PlannedCell(known.key, str(folder), "cardio", "deep_sad", experiment, overrides, {}, "", "", "", "")
        )
    (Path(cells[9].folder) / "result.json").unlink()
    Grid("g", "python -m sad_lightning +experiment=odds_deep", 11, "0", None, tuple(cells), ()).write(tmp_path)
    return tmp_path


def test_a_store_becomes_a_table(evidence, store, tmp_path):
    (path,) = evidence.write_tables([store], tmp_path / "results")
    cells = evidence.read_table(path)
    assert path.name == "odds_deep.csv"
    assert [cell.seed for cell in cells] == list("012345678")
    assert {cell.settings for cell in cells} == {"batch_size=64"}
    first = cells[0]
    where = (first.data, first.method, first.normal, first.known, first.labeled_ratio)
    assert where == ("cardio", "deep_sad", "0", "0", "0.01")
    where = (first.version, first.torch, first.device, first.cores, first.commit)
    assert where == ("0.1.0", "2", "H", "2", "a" * 12 + "-dirty")
    (folder,) = (p.parent for p in store.rglob("result.json") if Result.read(p.parent).key == first.key)
    assert float(first.auroc) == pytest.approx(100 * Result.read(folder).metrics["auroc"], abs=1e-4)
    assert first.seconds == "12.1"


def test_a_table_made_twice_is_the_same_and_keeps_what_the_store_has_no_more(evidence, store, tmp_path):
    (path,) = evidence.write_tables([store], tmp_path / "results")
    before = path.read_text()
    next(store.rglob("result.json")).unlink()
    evidence.write_tables([store], tmp_path / "results")
    assert path.read_text() == before


def test_a_row_of_part_of_a_grid_says_so(evidence, store, tmp_path):
    (path,) = evidence.write_tables([store], tmp_path / "results")
    (row,) = evidence.rows_of(path)
    assert row.count == "9 of 10"
    assert row.published.text == "95.0 ± 1.6"  # ruff2020 Table 6
    assert row.command == "python -m sad_lightning +experiment=odds_deep data=cardio method=deep_sad batch_size=64"
    assert "(9 of 10)" in evidence.other_settings([row])


@pytest.mark.parametrize(
    ("values", "inside"),
    [
        ([94.0, 95.0, 96.5], "yes"),  # 95.2 +- 3.1
        ([94.0, 94.1, 94.2], "by both deviations"),  # 94.1 +- 0.25 alone; print is the mean of ten of deviation 1.6
        ([90.0, 90.1, 90.2], "no"),
        ([95.0], ""),
    ],
)
def test_whether_print_lies_inside(evidence, cell, values, inside):
    cells = [cell(seed=str(seed), auroc=str(value)) for seed, value in enumerate(values)]
    assert evidence._row("odds_deep", cells).inside == inside


def test_without_a_deviation_of_print_only_ours_counts(evidence, cell):
    row = evidence._row("odds_deep", [cell(seed=str(k), auroc=str(94 + k)) for k in range(3)])
    assert row.inside == "yes"
    assert row._replace(published=row.published._replace(mean=80.0, deviation=None)).inside == "no"


def test_a_row_of_a_part_of_a_scenario_says_which(evidence, cell):
    where = {"data": "mnist", "labeled_ratio": "0.05"}
    cells = [cell(**where, normal=str(normal), known=known) for normal in range(10) for known in "02"]
    row = evidence._row("mnist_scenario1", cells)
    assert row.count == "20 of 90"
    assert row.published.text == "96.7 ± 2.4"  # ruff2020 Table 3
    split = "split.labeled_ratio=0.05 split.pollution_ratio=0 split.n_known=1 split.known_anomaly=0,2"
    assert row.command == f"python -m sad_lightning +experiment=mnist_scenario1 data=mnist method=deep_sad {split}"
    label_free = [cell(**where, normal=str(normal), known="", method="deep_svdd") for normal in range(10)]
    assert evidence._row("mnist_label_free", label_free).count == "10"


def test_a_command_names_no_method_of_a_mixture(evidence, cell):
    row = evidence._row("images_scenario1", [cell(data="mnist", method="mixture", labeled_ratio="0.05")])
    assert row.command.startswith("python -m sad_lightning +experiment=images_scenario1 data=mnist split.")


def test_an_ablation_stands_beside_its_own_number(evidence, cell):
    at = {"method": "dp_vae", "ensemble": "5"}
    usual = evidence._row("daniel2021_ablation", [cell(**at)])
    free = evidence._row("daniel2021_ablation", [cell(**at, settings="method.anomalies.frozen_decoder=false")])
    assert (usual.published.mean, free.published.mean) == (99.1, 98.8)  # daniel2021 Table 5


def test_where_the_paper_prints_recalls_each_class_has_a_line(evidence, cell, tmp_path):
    at = {"data": "landsat", "method": "deep_svdd", "classes": "very damp grey soil; damp grey soil"}
    some = [
        cell(**at, seed=str(seed), recalls=f"damp grey soil {number}; red soil 9; grey soil 45; cotton crop 95.6")
        for seed, number in enumerate((11, 12, 16))
    ]
    row = evidence._row("ye2021_landsat_scenario1", some)
    with pytest.raises(KeyError, match="vegetation stubble"):  # a class that print has and the cells do not
        list(evidence.recall_lines(row))
    some = [each._replace(recalls=f"{each.recalls}; vegetation stubble 60") for each in some]
    damp, red, _, _, cotton = evidence.recall_lines(evidence._row("ye2021_landsat_scenario1", some))
    assert damp[:4] == ["deep_svdd", "damp grey soil", "3", "13.0 ± 2.6"]
    assert damp[5:] == ["12.0 ± 5.0", "+1.0", "yes"]  # ye2021 Table 4
    assert red[7] == "no"
    assert cotton[7] == "yes"  # 95.6 beside 96: print is rounded to whole percents
    (tmp_path / "ye2021_landsat_scenario1.csv").write_text(evidence.csv_table(evidence.Cell._fields, some))
    text = evidence.all_tables(tmp_path)
    command = "python -m sad_lightning +experiment=ye2021_landsat_scenario1 data=landsat method=deep_svdd"
    assert f"`{command}`; published: ye2021 Table 4." in text
    assert text.count("| deep_svdd |") == 5


def test_the_recalls_of_a_result_are_those_that_print_has(evidence, tmp_path):
    seen = {"sad_lightning": "0", "torch": "2", "device": "cpu", "cores": "2", "git_commit": None}
    result = replace(write_cell(tmp_path, "deep_sad", 2.0), environment=seen)
    assert evidence._cell(result, ()).recalls == ""
    names = {"normal_classes": ["top"], "known_classes": ["shirt"], "data": "fashion_mnist"}
    printed = evidence.published_recall("fashion_mnist", "deep_sad", ["top"], ["shirt"])
    result = replace(result, **names, per_class={name: {"recall": 0.25} for name in (*printed, "another")})
    cell = evidence._cell(result, ())
    assert cell.classes == "top; shirt"
    assert cell.recalls.split("; ") == [f"{name} 25.0000" for name in printed]


def test_a_page_that_is_stale_is_told(evidence, store, tmp_path):
    (path,) = evidence.write_tables([store], tmp_path / "results")
    path.write_text(path.read_text().replace(",batch_size=64,", ",,"))
    page = "Text.\n<!-- made of results: all -->\nold\n<!-- end -->\nMore."
    made = evidence.made(page, path.parent)
    assert made.startswith("Text.\n")
    assert made.endswith("\n<!-- end -->\nMore.")
    assert "| cardio | deep_sad | 0.01 | 9 of 10 |" in made
    assert "`python -m sad_lightning +experiment=odds_deep data=cardio method=deep_sad`; published: ruff2020" in made
    assert "old" not in made
    assert evidence.made(made, path.parent) == made
    assert "9 of 10" in "\n".join(evidence.method_lines("deep_sad", path.parent))
    assert not list(evidence.method_lines("ae", path.parent))


@pytest.mark.parametrize("name", ["results.md", "README.md"])
def test_the_pages_are_made_of_the_tables(evidence, name):
    (page,) = (page for page in evidence.PAGES if page.name == name)
    assert page.read_text() == evidence.made(page.read_text()), "python docs/evidence.py pages"


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_the_cells_of_a_table_are_those_of_today(evidence, path):
    cells = evidence.read_table(path)
    for settings, ratio in {(cell.settings, cell.labeled_ratio) for cell in cells}:
        mine = [cell for cell in cells if (cell.settings, cell.labeled_ratio) == (settings, ratio)]
        part = [f"split.labeled_ratio={ratio}"] if "scenario1" in path.stem and "ye2021" not in path.stem else []
        part += [f"data={','.join(sorted({cell.data for cell in mine}))}"]
        planned = {cell.key for cell in cells_of(f"+experiment={path.stem}", *part, *settings.split())}
        stale = [cell.key for cell in mine if cell.key not in planned]
        assert not stale, f"{path.name}: other settings than when they were run; run them again"
