"""The trainings of an audit: without labels, with them, and with each group held out; finished ones are read again."""

import gc
import re
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, OmegaConf, open_dict

from sad_lightning.audit.fold import ALL, column_of
from sad_lightning.audit.study import Finding, Floats, PairScores, judge_group
from sad_lightning.audit.text import as_csv, as_markdown, figure, words
from sad_lightning.cell.key import cell_key
from sad_lightning.checks import fraction, whole_number
from sad_lightning.command import progress
from sad_lightning.config.compose import composed
from sad_lightning.data.arrays import Arrays
from sad_lightning.errors import InputError
from sad_lightning.files import unless_damaged, write_texts
from sad_lightning.result import finished, read_arrays
from sad_lightning.stats.threshold import promises

_FILES = ("calibration.npz", "scores.npz")  # the files of a training that an audit reads
_OWN = {  # settings of a training that an audit refuses, and why
    "method": "--label-free and --with-labels choose the methods",
    "seed": "--trainings says how many seeds there are, from 0",
    "split": "--test and --calibrate say how large the parts are",
    "patience": "no labels are held out to choose an epoch by",
    "runs": "--out names the folder",
    "hydra": "--out names the folder",
    "overwrite": "a new folder, --out, trains anew",
    "logger": "its trainings do not log",
    "experiment": "an audit is no sweep",
    "protocol": "an audit is no sweep",
    "pack": "an audit is no sweep",
    "plan_only": "an audit is no sweep",
}


class Audit(NamedTuple):
    """The options of an audit.

    Attributes:
        settings: of a training, ``KEY=VALUE``.
        groups: the column of the groups of known anomalies; None for their classes.
        label_free: the method without labels.
        with_labels: the method with labels.
        trainings: how many of each detector, with different seeds.
        test: share of the normals and of each group that tests.
        calibrate: share of the other normals that sets thresholds.
        out: the folder of all files.
    """

    settings: Sequence[str]
    groups: str | None
    label_free: str
    with_labels: str
    trainings: int
    test: float
    calibrate: float
    out: Path


class Fit(NamedTuple):
    """One training of an audit."""

    method: str
    held_out: str | None
    seed: int


class ScoresByRow(NamedTuple):
    """Scores of one training, by row: of the normals that set the threshold, and of the test rows.

    The target is the class of each test row: 0 normal, then the groups.
    """

    calibration: dict[int, float]
    test: dict[int, float]
    target: dict[int, int]


def run_audit(options: Audit) -> str:
    """Run the trainings, judge every group, and write audit.md, audit.csv and audit.svg; returns the text to print.

    Raises:
        InputError: an option, a setting or the data is wrong, or there are too few rows.
    """
    _check_options(options)
    _check_settings(options.settings)
    _check_methods(options)
    cfg = _settings(options, Fit(options.label_free, ALL, 0))
    if options.groups is not None:
        column_of(str(cfg.data.path), options.groups)  # an error of data would name it as a column to ignore
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the result of each training has them
        arrays: Arrays = instantiate(cfg.data, _convert_="all")
    _check_calibration(arrays, cfg.target_fpr)
    groups = arrays.classes[1:]
    folds = [None, *groups] if len(groups) > 1 else [None]
    findings = _judge_all(options, _train_all(options, folds), groups, folds, float(cfg.target_fpr))
    summary = words(findings, options.label_free, options.with_labels, float(cfg.target_fpr))
    text = f"{summary}\n\n{as_markdown(findings)}\n"
    svg = figure(findings, options.label_free, options.with_labels).file()
    write_texts(options.out, {"audit.md": text, "audit.csv": as_csv(findings), "audit.svg": svg})
    return f"{text}\n{options.out / 'audit.svg'}"


def _train_all(options: Audit, folds: Sequence[str | None]) -> dict[Fit, ScoresByRow]:
    fits = []
    for seed in range(options.trainings):
        fits += [Fit(options.label_free, ALL, seed), *(Fit(options.with_labels, fold, seed) for fold in folds)]
    scores = {}
    with progress(fits, unit="training") as bar:
        for fit in bar:
            groups = {None: "all groups", ALL: "no group"}.get(fit.held_out, f"without {fit.held_out}")
            bar.set_postfix_str(f"{fit.method}, {groups}")
            scores[fit] = _scores(_settings(options, fit), fit, options.out)
    return scores


def _judge_all(
    options: Audit, scores: dict[Fit, ScoresByRow], groups: Sequence[str], folds: Sequence[str | None], fpr: float
) -> list[Finding]:
    """Two findings on every group: one where it trained, one where it was held out."""
    lines = len(groups) + len(folds) - 1
    findings = []
    for held_out in folds:
        for number, group in enumerate(groups, start=1):
            if held_out not in (None, group):
                continue
            pairs = [
                _pair_scores(
                    scores[Fit(options.label_free, ALL, seed)], scores[Fit(options.with_labels, held_out, seed)], number
                )
                for seed in range(options.trainings)
            ]
            findings.append(judge_group(group, pairs, in_training=held_out is None, fpr=fpr, lines=lines))
    return findings


def _settings(options: Audit, fit: Fit) -> DictConfig:
    """The settings of one training: those of the command, with the data set replaced by its fold."""
    data_choice = [] if any(setting.startswith("data=") for setting in options.settings) else ["data=table"]
    cfg = composed(*data_choice, *options.settings, f"method={fit.method}", f"seed={fit.seed}", "logger=none")
    data = cfg.data.copy()
    if OmegaConf.is_missing(data, "path") or "path" not in data:
        raise InputError("data.path: name the file of your own data; for example data.path=x.csv")
    if options.groups is not None and "ignore" in data:
        data.ignore = [*data.ignore, options.groups]  # the groups must not be a feature
    with open_dict(cfg):
        cfg.runs = str(options.out)
        cfg.data = {
            "_target_": "sad_lightning.audit.hold_out_group", "data": data, "path": data.path, "column": options.groups,
            "held_out": fit.held_out, "test_ratio": options.test, "validation_ratio": options.calibrate, "seed": 0,
        }  # fmt: skip
    return cfg


def _scores(cfg: DictConfig, fit: Fit, out: Path) -> ScoresByRow:
    """Train, or read the scores of a finished training."""
    key = cell_key(cfg)
    folder = out / "trainings" / f"{fit.method}_seed{fit.seed}_{key}"
    if not _is_finished(folder, key):
        from sad_lightning.cell.run import run_cell  # torch and lightning take seconds to import
        from sad_lightning.cell.values import Cell

        folder.mkdir(parents=True, exist_ok=True)
        run_cell(Cell(cfg, folder, "audit", fit.method))
        gc.collect()
    normals, tests = (read_arrays(folder / name, key) for name in _FILES)
    calibration = dict(zip(normals["row"].tolist(), normals["score"].tolist(), strict=True))
    rows = tests["row"].tolist()
    test = dict(zip(rows, tests["score"].tolist(), strict=True))
    target = dict(zip(rows, tests["target_class"].tolist(), strict=True))
    return ScoresByRow(calibration, test, target)


def _is_finished(folder: Path, key: str) -> bool:
    """Whether the training has its result and the files that are read; damaged files are set aside."""
    files = (folder / name for name in _FILES)
    are_whole = all(unless_damaged(path, partial(read_arrays, path, key)) is not None for path in files)
    return are_whole and finished(folder, key) is not None


def _check_options(options: Audit) -> None:
    whole_number("--trainings", options.trainings)
    fraction("--test", options.test)
    if not fraction("--calibrate", options.calibrate):
        raise InputError(
            "--calibrate must be above 0, got 0: rows that train set no threshold that holds; for example "
            "--calibrate 0.3"
        )


def _check_settings(settings: Sequence[str]) -> None:
    """Refuse settings that an audit decides itself."""
    for setting in settings:
        key, *below = re.split(r"[./@]", setting.lstrip("+~").split("=")[0])
        if key in _OWN and not (key == "method" and below):
            raise InputError(f"{setting}: {key} is not for an audit, {_OWN[key]}; leave it out")


def _check_calibration(arrays: Arrays, fpr: float) -> None:
    """Refuse too few rows for a threshold, before anything trains."""
    assert arrays.labels is not None  # for mypy: hold_out_group has checked it
    assert arrays.labels.part is not None
    n = int(((arrays.labels.part == 1) & (arrays.labels.semi >= 0)).sum())
    if not promises(n, fpr):
        raise InputError(
            f"target_fpr={fpr} needs more than 1/target_fpr - 1 rows that set the threshold, there are {n}; raise "
            f"--calibrate or target_fpr, or lower --test"
        )


def _check_methods(options: Audit) -> None:
    """Refuse a label-free method that uses labels, or the other way round, before anything trains."""
    for key, name, uses in (("label-free", options.label_free, False), ("with-labels", options.with_labels, True)):
        method: Any = get_class(_settings(options, Fit(name, None, 0)).method["_target_"])
        if (-1 in method.trains_on) != uses:
            does = "trains" if uses else "does not train"
            raise InputError(f"--{key} must be a method that {does} on known anomalies, got {name}; choose another")


def _pair_scores(without: ScoresByRow, labels: ScoresByRow, group: int) -> PairScores:
    """The scores of the rows of a group and of the normals that both detectors scored."""
    rows = [row for row, kind in labels.target.items() if kind == group and row in without.test]
    normals = sorted(without.calibration.keys() & labels.calibration.keys())
    return PairScores(_stack(without.calibration, labels.calibration, normals), _stack(without.test, labels.test, rows))


def _stack(first: dict[int, float], second: dict[int, float], rows: Sequence[int]) -> Floats:
    return np.array([[scores[row] for row in rows] for scores in (first, second)], dtype=np.float64).reshape(2, -1)
