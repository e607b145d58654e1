"""The page in a real browser, and everything else that the report writes."""

import csv
import html
import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest
from support.results import edited, write_cell, write_grid

from sad_lightning.drawing.numbers import p_value, signed, summary_words
from sad_lightning.files import read_json, write_json
from sad_lightning.report.__main__ import main
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
const column = name => [...table.tBodies[0].rows].filter(row => !row.hidden)
  .map(row => row.cells[heads.indexOf(name)].firstChild.textContent);
const click = name => table.tHead.rows[0].cells[heads.indexOf(name)].querySelector("button").click();
probe.initial = column("AUROC");
click("AUROC"); probe.down = column("AUROC");
click("AUROC"); probe.up = column("AUROC");
click("method"); probe.methods = column("method");
const filter = document.querySelector("input[data-for=results]");
filter.value = "ae 0.05"; filter.dispatchEvent(new Event("input")); probe.filtered = column("method");
const paper = () => getComputedStyle(document.body).backgroundColor, button = document.getElementById("theme");
button.click(); probe.light = paper(); button.click(); probe.dark = paper();
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
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    browser = subprocess.run([*command, profile, probed.as_uri()], capture_output=True, text=True, timeout=120)
    assert "CONSOLE" not in browser.stderr, browser.stderr
    probe = json.loads(html.unescape(re.search(r'<pre id="probe">(.*?)</pre>', browser.stdout, re.DOTALL)[1]))
    stored = [summary_words(row.auroc) for row in make_table(read([tmp_path / "runs"]).groups)]
    assert probe["initial"] == stored  # the numbers shown are the store's
    missing = "\N{EN DASH}"
    values = sorted((text for text in stored if text != missing), key=lambda text: float(text.split()[0]))
    assert [float(text.split()[0]) for text in probe["up"][:-1]] == [float(text.split()[0]) for text in values]
    assert probe["down"][:-1] == probe["up"][:-1][::-1]
    assert probe["up"][-1] == probe["down"][-1] == missing  # what has no number stays last
    assert probe["methods"] == sorted(probe["methods"])
    assert probe["filtered"] == ["ae"]
    assert probe["light"] != probe["dark"]
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
    sentence = (
        f"mnist, 5 % labeled anomalies of 1 classdeep_sad ranks best with an AUROC of {summary_words(best.auroc)} %;"
        f" {signed(comparison.difference)} points against ae on 8 common cells, a significant difference"
        f" (Wilcoxon p = {p_value(comparison.wilcoxon)}). Published: 96.7 ± 2.4 (ruff2020 Tables 3, 4),"
        f" ours {signed(best.difference)}, outside our interval. 1 cells are missing."
    )
    assert sentence in page
    assert "cells finished44 of 54" in page
    assert "Average ranks over 8 common cells" in page


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
    assert set(names) == {"results", "directions", "pairs", "cells"}
    heads = re.findall("<button[^>]*>([^<]*)", tables[names.index("results")])
    assert ("data" in heads, "pollution" in heads) == (len(sets) > 1, pollution > 0)
    for table in tables:
        head, *lines = (re.findall("<t[hd][ >]", line) for line in re.findall(r"<tr.*?</tr>", table, re.DOTALL))
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
    for kind in ("curve-mnist-labeled_ratio", "overview", "scatter", "roc", "scores-ae", "history-radius", "classes"):
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
