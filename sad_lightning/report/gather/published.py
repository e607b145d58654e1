"""What the four papers print, keyed so that any grid finds its own row; with what is doubtful about it.

``published_results.csv`` holds every number of their result tables, one a line, AUROC in percent, recall as a share.
The papers repeat their numbers from table to table, not always the same ones: the first table counts here, and what
another prints instead is a note (ruff2020 SSAD raw in Tables 3 and 4; daniel2021 MML-VAE on cardio in Tables 4 and 8,
DP-VAE on satellite in Tables 4 and 5). daniel2021 Table 9 is illegible in print: it was read by hand.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from sad_lightning.drawing.numbers import with_deviation
from sad_lightning.report.gather.setting import Setting

_FILE = Path(__file__).with_name("published_results.csv")
_PAPERS = ("ruff2020", "daniel2021", "ruff2019", "ye2021")  # whose number stands first
# Theirs -> ours, where they differ.
_OURS = {
    "one_class_deep_svdd": ("deep_svdd",),
    "soft_boundary_deep_svdd": ("soft_deep_svdd",),
    "one_class_ss_dsvdd": ("deep_sad", "one_class_ss_dsvdd"),
    "deep_sad": ("deep_sad", "one_class_ss_dsvdd"),
    "soft_boundary_ss_dsvdd": ("soft_deep_sad",),
    "supervised_classifier": ("classifier",),
    "cae": ("ae",),
    "ocsvm_raw": ("ocsvm",),
    "iforest_raw": ("iforest",),
    "kde_raw": ("kde",),
    "ssad_raw": ("ssad",),
}
# One name for the better of several: of two methods (ruff2020 appendix E), and of nu 0.01 and 0.1 (there, and ruff2019
# appendix C).
BETTER = {
    ("ruff2020", "deep_svdd"): ("deep_svdd", "soft_deep_svdd"),
    ("ruff2020", "ss_dgm"): ("ss_dgm", "ss_dgm_m1m2"),
    ("ruff2019", "soft_boundary_deep_svdd"): ("soft_deep_svdd",),
    ("ruff2019", "soft_boundary_ss_dsvdd"): ("soft_deep_sad",),
}
_VARIATIONAL = ("vae", "dp_vae", "mml_vae", "mml_dp_vae")
_ENSEMBLE = 5  # daniel2021 section 5: of all its variational methods, unless a table says otherwise
_DATA = {"statlog": "landsat", "spectrum_misuse": "spectrograms"}
_CLASSES = {"boot": "ankle boot", "vegetable soil": "vegetation stubble"}
_BASELINES = {"deep_sad": "deep_svdd", "hsc": "deep_svdd", "sae": "ae", "abc": "ae"}  # ye2021 Table 2
_WORDS = {
    "labels_unused": "",  # says which methods the papers' ratios do not matter to
    "copied_from_ruff2020": "copied from ruff2020",
    "copied_from_golan_elyaniv2018": "copied from Golan and El-Yaniv 2018",
    "plain_vae_ensemble": "without anomalies an ensemble of plain VAEs",
    "avg_over_2_normal_classes": "the mean over two normal classes",
    "n_runs_not_stated": "the number of runs is not stated",
    "mean_over_positive_and_negative": "the mean over both sentiments",
    "hand_read": "printed illegibly, read by hand",
}


class PublishedNumber(NamedTuple):
    """A number of a paper.

    Attributes:
        paper: its name in this package.
        table: the number of the table, or of several that agree.
        method: its name in the paper.
        mean: AUROC in percent, or recall in percent.
        deviation: the standard deviation behind it, in percent; None where it is not printed.
        runs: how many runs it is the mean of; None where the paper does not say.
        notes: what is doubtful about it, in words.
    """

    paper: str
    table: str
    method: str
    mean: float
    deviation: float | None
    runs: int | None
    notes: tuple[str, ...]

    @property
    def source(self) -> str:
        """Where it stands."""
        return f"{self.paper} Table{'s' if ',' in self.table else ''} {self.table}"

    @property
    def text(self) -> str:
        """The number as it is printed, with one decimal."""
        return with_deviation(self.mean, self.deviation)


class _Line(NamedTuple):
    """A line of the file, and the settings of ours that make the same experiment."""

    published: PublishedNumber
    ensemble: int | None
    encoder: str
    decoder: str
    pretrain_epochs: int | None
    label_free: bool


_Key = tuple[str, str, Setting]  # data set, our name of the method, setting


def published_auroc(data: str, method: str, setting: Setting, settings: Mapping[str, Any]) -> list[PublishedNumber]:
    """The papers' AUROC of one experiment, the first choice first, one a paper.

    The size of the ensemble, the encoder and the pretraining in all settings of a cell tell variants of a method apart.
    """
    anomalies = settings.get("method", {}).get("anomalies") or {}
    ours = (
        "same" if anomalies.get("shared_encoder", True) else "separate",
        "freeze" if anomalies.get("frozen_decoder", True) else "unfreeze",
    )
    ensemble = int(settings.get("ensemble", 1))
    pretrain_epochs = (settings.get("pretrain") or {}).get("epochs")
    lines = _lines().get((data, method, setting), [])
    if not lines:  # what uses no labels is printed once, at ratio 0
        unlabeled = _lines().get((data, method, Setting(0.0, setting.pollution_ratio, 0)), [])
        lines = [line for line in unlabeled if line.label_free]
    lines = [line for line in lines if (line.encoder, line.decoder) == ours]
    short = [line for line in lines if line.pretrain_epochs == pretrain_epochs]
    lines = short or [line for line in lines if line.pretrain_epochs is None]
    by_paper = [[line for line in lines if line.published.paper == paper] for paper in _PAPERS]
    numbers = [_one_number(some, ensemble) for some in by_paper if some]
    return sorted(numbers, key=lambda each: any(note.startswith("copied") for note in each.notes))


def best_published(data: str, setting: Setting) -> PublishedNumber | None:
    """The highest AUROC that the papers print of any method under a setting; None where they print none.

    Where a paper prints a method twice, its first table counts.
    """
    first: dict[tuple[str, str], PublishedNumber] = {}
    for (name, _, at), lines in _lines().items():
        for line in lines if (name, at) == (data, setting) else ():
            first.setdefault((line.published.paper, line.published.method), line.published)
    return max(first.values(), key=lambda each: each.mean, default=None)


def published_recall(
    data: str,
    method: str,
    normal_classes: Sequence[str],
    known_classes: Sequence[str],
    weights: Sequence[float] | None = None,
) -> dict[str, PublishedNumber]:
    """ye2021's recall of each test class at a false-positive rate of 5 %, in percent (Tables 3 to 11).

    Its baselines, deep_svdd and ae, see no known anomalies. Known classes weigh equally, or in proportion to
    ``weights``.
    """
    recalls = _recalls().get((data, method, tuple(normal_classes), _mixture(known_classes, weights)), {})
    return {name: number for name, (number, _) in recalls.items()}


def published_change(
    data: str,
    label_free: str,
    with_labels: str,
    normal_classes: Sequence[str],
    known_classes: Sequence[str],
    weights: Sequence[float] | None = None,
) -> tuple[dict[str, PublishedNumber], dict[str, PublishedNumber], dict[str, str]]:
    """ye2021's recalls without and with labels, and the arrow it prints: ``up``, ``down`` or ``none``.

    Empty but for the pairs of its Table 2. Where arrow and number contradict each other, as for ABC on damp grey soil
    in Table 4, the arrow stays as printed.
    """
    if _BASELINES.get(with_labels) != label_free:
        return {}, {}, {}
    who = (normal_classes, known_classes, weights)
    recalls = _recalls().get((data, with_labels, tuple(normal_classes), _mixture(known_classes, weights)), {})
    arrows = {name: arrow for name, (_, arrow) in recalls.items()}
    return published_recall(data, label_free, *who), published_recall(data, with_labels, *who), arrows


_Mixture = tuple[tuple[str, float], ...]
_RecallKey = tuple[str, str, tuple[str, ...], _Mixture]  # data set, method, normal classes, known classes


def _mixture(known_classes: Sequence[str], weights: Sequence[float] | None) -> _Mixture:
    """Names and shares, sorted by name."""
    shares = [1.0] * len(known_classes) if weights is None else list(weights)
    total = sum(shares)
    return tuple(sorted((name, round(each / total, 6)) for name, each in zip(known_classes, shares, strict=True)))


def illegible(data: str, method: str, setting: Setting) -> str | None:
    """Where a paper prints the number of an experiment, and nobody can read it; None elsewhere.

    daniel2021 Table 9 has each pollution ratio of ruff2020's scenario (ii) for three sets and three methods.
    """
    table = [row for row in _rows() if (row["paper"], row["table"]) == ("daniel2021", "9")]
    axes = {(row["dataset"], row["method"], row["pollution_ratio"]) for row in table}
    sets, methods, ratios = ({key[i] for key in axes} for i in range(3))
    if setting.labeled_ratio != 0.05 or setting.n_known != 1 or data not in sets or method not in methods:
        return None
    ratio = f"{setting.pollution_ratio:g}"
    return "illegible in daniel2021 Table 9" if ratio in ratios and (data, method, ratio) not in axes else None


def _one_number(lines: list[_Line], ensemble: int) -> PublishedNumber:
    """One paper's lines on one experiment: the first line counts, and notes say where others differ."""
    sizes = [line.ensemble for line in lines]
    size = ensemble if ensemble in sizes else sizes[0]
    same = [line.published for line in lines if line.ensemble == size]
    published = same[0]
    number = (published.mean, published.deviation)
    tables = sorted({each.table for each in same if (each.mean, each.deviation) == number}, key=int)
    others: dict[str, list[str]] = {}
    for each in same:
        if (each.mean, each.deviation) != number:
            others.setdefault(each.text, []).append(each.table)
    notes = list(published.notes)
    for text, where in others.items():
        plural = len(set(where)) > 1
        where_words = ", ".join(sorted(set(where), key=int))
        notes.append(f"contradicted: Table{'s' * plural} {where_words} print{'s' * (not plural)} {text}")
    if size is not None and size != ensemble:
        notes.append(
            f"the paper's is an ensemble of {size}, ours {'of ' + str(ensemble) if ensemble > 1 else 'is not'}"
        )
    return published._replace(table=", ".join(tables), notes=tuple(notes))


@cache
def _lines() -> Mapping[_Key, list[_Line]]:
    rows = [row for row in _rows() if row["metric"] == "auroc" and row["labeled_ratio"]]
    uses_labels = {(row["paper"], row["method"]) for row in rows if "labels_unused" not in row["note"]}
    lines: dict[_Key, list[_Line]] = {}
    for row in rows:
        label_free = (row["paper"], row["method"]) not in uses_labels
        setting = Setting(float(row["labeled_ratio"]), float(row["pollution_ratio"]), int(row["known_classes"]))
        for method in _names(row):
            key = (_DATA.get(row["dataset"], row["dataset"]), method, setting)
            lines.setdefault(key, []).append(_line(row, label_free))
    return lines


@cache
def _recalls() -> Mapping[_RecallKey, dict[str, tuple[PublishedNumber, str]]]:
    """The number and the arrow of each class."""
    recalls: dict[_RecallKey, dict[str, tuple[PublishedNumber, str]]] = {}
    for row in _rows():
        if row["metric"] == "tpr":
            known = [_CLASSES.get(name, name) for name in row["train_anomaly_class"].split("+")]
            weights = [float(weight) for weight in row["param_value"].split("|")] if row["param_value"] else None
            data = _DATA.get(row["dataset"], row["dataset"])
            key = (data, row["method"], (row["normal_class"],), _mixture(known, weights))
            number = _number({**row, "note": ""}, scale=100)  # its notes are the arrows of the paper
            name = _CLASSES.get(row["test_class"], row["test_class"])
            recalls.setdefault(key, {})[name] = (number, row["note"] or "none")
    return recalls


def _names(row: Mapping[str, str]) -> Iterable[str]:
    method = row["method"]
    yield from BETTER.get((row["paper"], method), _OURS.get(method, (method,)))
    if "plain_vae_ensemble" in row["note"] and method == "mml_vae":
        yield "vae"


def _line(row: Mapping[str, str], label_free: bool) -> _Line:
    encoder, decoder, ensemble, pretrain_epochs = "same", "freeze", None, None
    if row["param"] == "encoder|decoder|ensemble_size":
        encoder, decoder, size = row["param_value"].split("|")
        ensemble = int(size)
    elif row["param"] == "ensemble_size":
        ensemble = int(row["param_value"])
    elif row["param"] == "ae_pretrain_epochs":
        pretrain_epochs = int(row["param_value"])
    if row["paper"] == "daniel2021" and ensemble is None:
        ensemble = _ENSEMBLE if row["method"] in _VARIATIONAL else 1
    return _Line(_number(row), ensemble, encoder, decoder, pretrain_epochs, label_free)


def _number(row: Mapping[str, str], scale: float = 1) -> PublishedNumber:
    readings = "ocr_passes_agreeing="
    notes = [
        f"{name.removeprefix(readings)} machine readings agree" if name.startswith(readings) else _WORDS[name]
        for name in row["note"].split(";")
        if _WORDS.get(name, name)
    ]
    if (row["paper"], row["method"]) in BETTER:
        notes.append("the better of several")
    return PublishedNumber(
        paper=row["paper"],
        table=row["table"],
        method=row["method"],
        mean=round(scale * float(row["mean"]), 9),
        deviation=round(scale * float(row["std"]), 9) if row["std"] else None,
        runs=int(row["n_runs"]) if row["n_runs"] else None,
        notes=tuple(notes),
    )


@cache
def _rows() -> list[dict[str, str]]:
    with open(_FILE, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
