"""The page in a real browser, and everything else that the report writes."""

import csv
import html
import itertools
import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest
from support.pages import Page, Sheets, printed_sheets
from support.results import edited, write_cell, write_grid

from sad_lightning.drawing.numbers import difference_words, p_value_words, summary_words
from sad_lightning.files import read_json, write_json
from sad_lightning.report.__main__ import main, write
from sad_lightning.report.gather.groups import read
from sad_lightning.report.gather.ranking import rank_methods
from sad_lightning.report.gather.table import make_table
from sad_lightning.result import read_arrays, write_arrays

EVIL = "<script>alert(1)</script>"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PROBE = """
<script>{
const probe = {}, table = document.getElementById("table-results");
const heads = [...table.tHead.rows[0].cells].map(head => head.textContent);
const column = name => [...table.tBodies].map(body => [...body.rows].slice(1).filter(row => !row.hidden)
  .map(row => row.cells[heads.indexOf(name)].firstChild.textContent));
const click = name => table.tHead.rows[0].cells[heads.indexOf(name)].querySelector("button").click();
probe.initial = column("AUROC");
click("AUROC"); probe.down = column("AUROC");
click("AUROC"); probe.up = column("AUROC");
click("method"); probe.methods = column("method");
const filter = document.querySelector("input[data-for=results]");
filter.value = "deep_sad 8/9"; filter.dispatchEvent(new Event("input")); probe.filtered = column("method");
const isWide = each => each.scrollWidth > each.parentElement.clientWidth;
probe.wide = [...document.querySelectorAll("table")].filter(isWide).map(each => each.id);
probe.images = [...document.querySelectorAll("svg")].every(image => image.getAttribute("aria-label"));
probe.outside = document.querySelectorAll("[src],link,iframe").length;
const element = document.createElement("pre"); element.id = "probe"; element.textContent = JSON.stringify(probe);
document.body.append(element);
}</script>"""


def report(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["report", *map(str, arguments)])
    main()
    return capsys.readouterr()


@pytest.mark.skipif(CHROMIUM is None, reason="the page in a browser: there is no chromium on the path")
def test_the_page_in_a_browser(tmp_path, monkeypatch, capsys):
    write_grid(tmp_path / "runs")
    report(monkeypatch, capsys, tmp_path / "runs")
    page = (tmp_path / "runs/report/report.html").read_text()
    probed = tmp_path / "probed.html"
    probed.write_text(page.replace("</body>", PROBE + "</body>"))
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom"]
    window = ["--window-size=1200,900", f"--user-data-dir={tmp_path / 'profile'}"]
    browser = subprocess.run([*command, *window, probed.as_uri()], capture_output=True, text=True, timeout=120)
    assert "CONSOLE" not in browser.stderr, browser.stderr
    probe = json.loads(html.unescape(re.search(r'<pre id="probe">(.*?)</pre>', browser.stdout, re.DOTALL)[1]))
    rankings = rank_methods(make_table(read([tmp_path / "runs"]).groups))
    stored = [[summary_words(row.auroc) for row in (*each.rows, *each.absent)] for each in rankings]
    assert probe["initial"] == stored  # the numbers shown are the store's, the best of each setting on top
    missing = "\N{EN DASH}"
    for texts, up, down in zip(stored, probe["up"], probe["down"], strict=True):
        there = sorted((text for text in texts if text != missing), key=lambda text: float(text.split()[0]))
        absent = [missing] * (len(texts) - len(there))  # what has no number stays last
        assert (up, down) == (there + absent, there[::-1] + absent)
    assert probe["methods"] == [sorted(names) for names in probe["methods"]]
    assert probe["filtered"] == [[], ["deep_sad"]]
    assert probe["wide"] == []
    assert probe["images"]
    assert probe["outside"] == 0


def text_of(page):
    return " ".join(html.unescape(re.sub(r"<[^>]*>", "", page)).split())


def test_the_page_says_who_ranks_best(tmp_path, monkeypatch, capsys):
    write_grid(tmp_path)
    report(monkeypatch, capsys, tmp_path)
    page = text_of((tmp_path / "report/report.html").read_text())
    _, ranking = rank_methods(make_table(read([tmp_path]).groups))
    best, comparison = ranking.rows[0], ranking.best.comparison
    low, high = best.auroc.interval
    row = (
        f"5 % labeled, 1 known class1 cell missingdeep_sad{summary_words(best.auroc)}{low:.1f} to {high:.1f}"
        f"ae{difference_words(comparison.difference)}{p_value_words(comparison.wilcoxon)}★ yes"
        f"96.7 ± 2.4{difference_words(best.difference)}, outside"
    )
    assert row in page
    assert "Everywhere mnist, 0 % pollution." in page
    assert "cells finished44 of 54" in page
    assert "Average ranks over 8 common cells" in page


def twelve_settings(runs, methods=("deep_sad", "hsc", "deep_svdd", "ae"), ratios=(0.01, 0.05, 0.1, 0.2), **options):
    """A grid of each ratio with three pollutions, which each method is trained for."""
    for ratio, pollution, name in itertools.product(ratios, (0.0, 0.05, 0.1), methods):
        labels = [-1, 0, 1] if name in ("deep_sad", "hsc") else [0, 1]
        for normal in range(2):
            at = runs / f"{ratio}-{pollution}-{name}-{normal}"
            write_cell(at, name, 1 + 2 * ratio - pollution + 0.1 * len(name), ratio=ratio, pollution=pollution,
                       normal=normal, trained_on=labels, **options)  # fmt: skip


@pytest.fixture(scope="module")
def twelve(tmp_path_factory):
    """The report over twelve settings."""
    folder = tmp_path_factory.mktemp("twelve")
    twelve_settings(folder / "runs")
    grids = read([folder / "runs"])
    table = make_table(grids.groups)
    write(folder, grids, table, rank_methods(table), [], title="twelve settings")
    return folder / "report.html"


def test_twelve_settings_print_on_four_pages(twelve):
    assert Sheets(twelve.read_text()).count <= 4
    assert " open" not in re.findall("<details[^>]*>", twelve.read_text())


@pytest.mark.skipif(CHROMIUM is None, reason="printing: there is no chromium on the path")
def test_a_browser_prints_no_more(twelve):
    assert printed_sheets(twelve, CHROMIUM) <= Sheets(twelve.read_text()).count


def test_one_figure_a_question_stands_open(twelve):
    """All methods, AUROC against each of two axes, and what labels do: whatever the number of pairs and classes."""
    shown = re.sub("<details.*</details>", "", twelve.read_text(), flags=re.DOTALL)
    titles = re.findall("<figcaption><strong>(.*?)</strong>", shown)
    assert len(titles) == len(set(titles)) == 4
    assert shown.count("<svg") == 4


def test_everybody_can_read_it(twelve):
    assert Page(twelve.read_text()).faults == []


def test_the_page_stays_under_three_megabytes(tmp_path, monkeypatch):
    """And says what it leaves out, and where that is."""
    methods = ("deep_sad", "hsc", *(f"method_{i}" for i in range(9)))
    twelve_settings(tmp_path, methods, [0.01 * i for i in range(1, 15)], rows=60)
    grids = read([tmp_path])
    table = make_table(grids.groups)
    page = write(tmp_path / "out", grids, table, rank_methods(table), [], title="large")["report.html"]
    assert 1_000_000 < len(page.encode()) < 3_000_000
    assert "of 42 settings; all are in results.csv" in page
    assert "The first 300 of 924 finished cells" in page
    assert re.search(r"The first \d+ of 42 settings; the figures of all are in the folder figures", page)


@pytest.mark.parametrize("pollution", [0.0, 0.1])
@pytest.mark.parametrize("sets", [("mnist",), ("mnist", "cardio")])
def test_every_line_of_a_table_has_an_entry_for_each_column(pollution, sets, tmp_path, monkeypatch, capsys):
    labels = {"trained_on": [-1, 0, 1], "pollution": pollution}
    for data in sets:
        for seed in range(2):
            write_cell(tmp_path, "ae", 1.0, data=data, seed=seed, trained_on=[0, 1], pollution=pollution)
            write_cell(tmp_path, "abc", 1.2, data=data, seed=seed, **labels)
        write_cell(tmp_path, "abc", 1.2, data=data, normal=1, **labels)
    report(monkeypatch, capsys, tmp_path)
    tables = re.findall(r"<table.*?</table>", (tmp_path / "report/report.html").read_text(), re.DOTALL)
    names = [re.search('id="table-([a-z]+)', table)[1] for table in tables]
    assert set(names) == {"best", "results", "directions", "classes", "pairs", "cells"}
    assert ("mnist, 5 %" in tables[0]) == (len(sets) > 1)  # one data set is named once
    for table in tables:
        rows = [row for row in re.findall(r"<tr.*?</tr>", table, re.DOTALL) if "rowgroup" not in row]
        head, *lines = (re.findall("<t[hd][ >]", row) for row in rows)
        assert lines
        assert {len(line) for line in lines} == {len(head)}


def test_names_from_results_show_as_text(tmp_path, monkeypatch, capsys):
    write_cell(tmp_path, EVIL, 1.0, method={"note": f'"{EVIL}'})
    write_cell(tmp_path, EVIL, 1.0, method={"note": "x"})
    write_cell(tmp_path, "a|b & c_d", 1.0, data=f"{EVIL.replace('/', '')}")
    for path in tmp_path.rglob("result.json"):
        with edited(path) as document:
            document["normal_classes"] = [EVIL]
            document["per_class"] = {EVIL: {"auroc": 0.9, "recall": 0.5, "count": 3}, "b": {"auroc": None, "count": 1}}
    printed = report(monkeypatch, capsys, tmp_path, "--out", tmp_path / "out").out
    page = (tmp_path / "out/report.html").read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert page.count("<script>") == 1  # its own
    assert "<script>" not in printed + (tmp_path / "out/report.md").read_text()
    assert r"a\textbar" not in (tmp_path / "out/results.tex").read_text()
    assert r"a|b \& c\_d" in (tmp_path / "out/results.tex").read_text()
    assert r"a\|b &amp; c_d" in printed
    for path in (tmp_path / "out/figures").iterdir():
        tree = ElementTree.parse(path)
        assert not [each for each in tree.iter() if each.tag.endswith("script")]
        assert tree.getroot().get("aria-label")


def test_the_page_needs_no_network(tmp_path, monkeypatch, capsys):
    write_grid(tmp_path)
    report(monkeypatch, capsys, tmp_path)
    page = (tmp_path / "report/report.html").read_text()
    assert not re.findall(r'(?:src|href)="(?!#)', page)
    assert "http" not in page.replace("http-equiv", "")
    assert "default-src 'none'" in page


def test_every_figure_says_what_it_shows(tmp_path, monkeypatch, capsys):
    write_grid(tmp_path)
    report(monkeypatch, capsys, tmp_path)
    names = sorted(path.name for path in (tmp_path / "report/figures").iterdir())
    for kind in ("curve-mnist-labeled_ratio", "overview", "scatter", "roc", "scores-ae"):
        assert any(name.startswith(kind) for name in names), kind
    curve = next((tmp_path / "report/figures").glob("curve-*")).read_text()
    (row,) = [
        r
        for r in make_table(read([tmp_path]).groups)
        if (r.group.method, r.group.setting.labeled_ratio) == ("deep_sad", 0.05)
    ]
    assert f"0.05: {summary_words(row.auroc)}" in curve


def test_sensitivity_to_a_setting(tmp_path, monkeypatch, capsys):
    for eta in (0.1, 1.0, 10.0):
        for seed in range(2):
            write_cell(tmp_path, "deep_sad", 1 + eta / 10, seed=seed, method={"eta": eta})
    report(monkeypatch, capsys, tmp_path)
    (figure,) = (tmp_path / "report/figures").glob("sensitivity-*")
    assert "against method.eta" in figure.read_text()


def test_pollution_and_known_classes_are_axes_too(tmp_path, monkeypatch, capsys):
    for pollution in (0.0, 0.1):
        for seed in range(2):
            write_cell(tmp_path / "ii", "deep_sad", 1.0, pollution=pollution, seed=seed)
    for n_known in (0, 1, 5):
        for seed in range(2):
            write_cell(tmp_path / "iii", "deep_sad", 1.0, pollution=0.1, n_known=n_known, known=None, seed=seed)
    report(monkeypatch, capsys, tmp_path / "ii")
    report(monkeypatch, capsys, tmp_path / "iii")
    assert len(list((tmp_path / "ii/report/figures").glob("curve-mnist-pollution_ratio-0.05-1*"))) == 1
    (known,) = (tmp_path / "iii/report/figures").glob("curve-*")
    assert known.name == "curve-mnist-n_known-0.05-0.1.svg"
    assert "deep_sad 0:" in known.read_text()


def test_the_tables_as_files(tmp_path, monkeypatch, capsys):
    write_grid(tmp_path)
    printed = report(monkeypatch, capsys, tmp_path).out
    assert "| mnist | deep_sad | 0.05 | 0 | 1 | 150 | 8/9, 1 missing |" in printed
    with open(tmp_path / "report/results.csv", newline="") as file:
        table = list(csv.DictReader(file))
    (row,) = [row for row in table if (row["method"], row["labeled_ratio"]) == ("deep_sad", "0.05")]
    assert (row["planned"], row["finished"], row["published_mean"]) == ("9", "8", "96.7")
    with open(tmp_path / "report/cells.csv", newline="") as file:
        cells = list(csv.DictReader(file))
    assert sum(cell["status"] == "missing" for cell in cells) == 1 + 9
    assert sum(cell["status"] == "finished" for cell in cells) == 9 + 8 + 9 + 9 + 9
    assert all(float(cell["auroc_low"]) < float(cell["auroc"]) for cell in cells if cell["status"] == "finished")
    tex = (tmp_path / "report/results.tex").read_text()
    assert tex.count(r"\textbf") == 2
    assert r"$^\star$" in tex
    assert "missing" in tex


def test_one_cell_is_a_report_too(tmp_path, monkeypatch, capsys):
    write_cell(tmp_path, "ae", 1.0, data="digits", scores=False)
    assert "| digits | ae | 0.05 | 0 | 1 | 150 | 1 |" in report(monkeypatch, capsys, tmp_path).out
    assert "scores.npz that can be read" in (tmp_path / "report/report.html").read_text()


@pytest.mark.parametrize("folder", ["", "nothing"])
def test_no_results_is_one_line(folder, tmp_path):
    command = [sys.executable, "-m", "sad_lightning.report", str(tmp_path / folder)]
    outcome = subprocess.run(command, capture_output=True, text=True)
    assert outcome.returncode == 2
    assert outcome.stderr.count("\n") == 1


def test_four_hundred_and_fifty_cells_open_without_what_is_slow_to_import(tmp_path):
    write_cell(tmp_path, "ae", 1.0)
    (source,) = tmp_path.rglob("result.json")
    document, scores = read_json(source), read_arrays(source.with_name("scores.npz"), read_json(source)["key"])
    for i in range(450):
        document["coordinates"].update(normal_class=[i % 10], known_anomaly=[i // 10 % 9])
        document.update(method=("deep_sad", "ae", "hsc", "sae", "abc")[i // 90], key=str(i))
        folder = tmp_path / "grid" / str(i)
        folder.mkdir(parents=True)
        write_json(folder / "result.json", document)
        write_arrays(folder / "scores.npz", str(i), scores)
    command = [sys.executable, "-X", "importtime", "-m", "sad_lightning.report", str(tmp_path / "grid")]
    outcome = subprocess.run(command, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip() for line in outcome.stderr.splitlines()}
    assert not imported & {"torch", "lightning", "scipy.stats", "matplotlib", "pandas", "sklearn", "wandb"}
    for name in ("deep_sad", "ae", "hsc", "sae", "abc"):
        assert f"| {name} |" in outcome.stdout
