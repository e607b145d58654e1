"""The trainings of an audit, without labels, with them, and with each group held out; equal ones are found again."""

import gc
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, OmegaConf, open_dict

from sad_lightning.audit.fold import ALL, column_of
from sad_lightning.audit.study import Finding, Floats, Training, judge
from sad_lightning.audit.text import as_csv, figure, table, words
from sad_lightning.cell.key import cell_key
from sad_lightning.checks import fraction, whole_number
from sad_lightning.command import progress
from sad_lightning.config.compose import composed
from sad_lightning.data.arrays import Arrays
from sad_lightning.errors import DamagedError, InputError
from sad_lightning.files import set_aside, whole_file
from sad_lightning.result import finished, read_arrays
from sad_lightning.stats.threshold import conformal_threshold

_READ = ("calibration.npz", "scores.npz")  # what an audit reads of a training
_OWN = {  # settings of a training that an audit does not take, and what it has instead
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
    """What an audit is asked.

    Attributes:
        settings: of a training, ``KEY=VALUE``.
        groups: the column that tells groups of known anomalies apart; None for their classes.
        label_free: the method without labels.
        with_labels: the method with them.
        trainings: of each detector, with other seeds.
        test: share of the normals and of each group that tests.
        calibrate: share of the other normals that sets thresholds.
        out: the folder of everything that is written.
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


class Scores(NamedTuple):
    """Scores of one training, by row.

    Attributes:
        calibration: of the normals that set the threshold.
        test: of the rows that did not train.
        target: the class of each of these, 0 normal, then the groups.
    """

    calibration: dict[int, float]
    test: dict[int, float]
    target: dict[int, int]


def audit(options: Audit) -> str:
    """Train what is not there yet, judge every group, and write audit.md, .csv and .svg; says what came out.

    Raises:
        InputError: an option, a setting or the data is wrong, or the rows are too few.
    """
    _check_options(options)
    _check_settings(options.settings)
    _check_methods(options)
    cfg = _settings(options, Fit(options.label_free, ALL, 0))
    if options.groups is not None:
        column_of(str(cfg.data.path), options.groups)  # data would name it as one to ignore
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # each training's result has them
        arrays: Arrays = instantiate(cfg.data, _convert_="all")
    _check_calibration(arrays, cfg.target_fpr)
    groups = arrays.classes[1:]
    folds = [None, *groups] if len(groups) > 1 else [None]
    findings = _judge_all(options, _train_all(options, folds), groups, folds, float(cfg.target_fpr))
    said = words(findings, options.label_free, options.with_labels, float(cfg.target_fpr))
    text = f"{said}\n\n{table(findings)}\n"
    svg = figure(findings, options.label_free, options.with_labels).file()
    for name, content in {"audit.md": text, "audit.csv": as_csv(findings), "audit.svg": svg}.items():
        with whole_file(options.out / name) as part:
            part.write_text(content, encoding="utf-8")
    return f"{text}\n{options.out / 'audit.svg'}"


def _train_all(options: Audit, folds: Sequence[str | None]) -> dict[Fit, Scores]:
    fits = []
    for seed in range(options.trainings):
        fits += [Fit(options.label_free, ALL, seed), *(Fit(options.with_labels, fold, seed) for fold in folds)]
    scores = {}
    with progress(fits, unit="training") as bar:
        for fit in bar:
            left_out = {None: "all groups", ALL: "no group"}.get(fit.held_out, f"without {fit.held_out}")
            bar.set_postfix_str(f"{fit.method}, {left_out}")
            scores[fit] = _scores(_settings(options, fit), fit, options.out)
    return scores


def _judge_all(
    options: Audit, scores: dict[Fit, Scores], groups: Sequence[str], folds: Sequence[str | None], fpr: float
) -> list[Finding]:
    """A finding on every group where it trained, and where it was held out."""
    lines = len(groups) + len(folds) - 1
    findings = []
    for held_out in folds:
        for number, group in enumerate(groups, start=1):
            if held_out not in (None, group):
                continue
            pairs = [
                _paired(
                    scores[Fit(options.label_free, ALL, seed)], scores[Fit(options.with_labels, held_out, seed)], number
                )
                for seed in range(options.trainings)
            ]
            findings.append(judge(group, pairs, seen=held_out is None, fpr=fpr, lines=lines))
    return findings


def _settings(options: Audit, fit: Fit) -> DictConfig:
    """The settings of one training: those of the command, with the fold around the data."""
    given = options.settings
    chosen = [] if any(setting.startswith("data=") for setting in given) else ["data=table"]
    cfg = composed(*chosen, *given, f"method={fit.method}", f"seed={fit.seed}", "logger=none")
    data = cfg.data.copy()
    if OmegaConf.is_missing(data, "path") or "path" not in data:
        raise InputError("data.path: name the file of your own data; for example data.path=x.csv")
    if options.groups is not None and "ignore" in data:
        data.ignore = [*data.ignore, options.groups]  # it names what is to be found
    with open_dict(cfg):
        cfg.runs = str(options.out)
        cfg.data = {
            "_target_": "sad_lightning.audit.hold_out_group", "data": data, "path": data.path, "column": options.groups,
            "held_out": fit.held_out, "test_ratio": options.test, "validation_ratio": options.calibrate, "seed": 0,
        }  # fmt: skip
    return cfg


def _scores(cfg: DictConfig, fit: Fit, out: Path) -> Scores:
    """Train, or find what an equal training left."""
    key = cell_key(cfg)
    folder = out / "trainings" / f"{fit.method}_seed{fit.seed}_{key}"
    if not _left(folder, key):
        from sad_lightning.cell.run import run  # torch and lightning take seconds to import
        from sad_lightning.cell.values import Cell

        folder.mkdir(parents=True, exist_ok=True)
        run(Cell(cfg, folder, "audit", fit.method))
        gc.collect()
    held, scored = (read_arrays(folder / name, key) for name in _READ)
    calibration = dict(zip(held["row"].tolist(), held["score"].tolist(), strict=True))
    rows = scored["row"].tolist()
    test = dict(zip(rows, scored["score"].tolist(), strict=True))
    target = dict(zip(rows, scored["target_class"].tolist(), strict=True))
    return Scores(calibration, test, target)


def _left(folder: Path, key: str) -> bool:
    """Whether an equal training left its result and all that is read of it; what is damaged is set aside."""
    for name in _READ:
        try:
            read_arrays(folder / name, key)
        except FileNotFoundError:
            return False
        except DamagedError as error:
            set_aside(folder / name, error)
            return False
    return finished(folder, key) is not None


def _check_options(options: Audit) -> None:
    whole_number("--trainings", options.trainings)
    fraction("--test", options.test)
    if not fraction("--calibrate", options.calibrate):
        raise InputError(
            "--calibrate must be above 0, got 0: rows that train set no threshold that holds; for example "
            "--calibrate 0.3"
        )


def _check_settings(settings: Sequence[str]) -> None:
    """Refuse settings that an audit would not heed."""
    for setting in settings:
        key, *below = re.split(r"[./@]", setting.lstrip("+~").split("=")[0])
        if key in _OWN and not (key == "method" and below):
            raise InputError(f"{setting}: {key} is not for an audit, {_OWN[key]}; leave it out")


def _check_calibration(arrays: Arrays, fpr: float) -> None:
    """Refuse too few rows to set a threshold on, before anything trains."""
    assert arrays.labels is not None  # fold has looked
    assert arrays.labels.part is not None
    n = int(((arrays.labels.part == 1) & (arrays.labels.semi >= 0)).sum())
    if np.isinf(conformal_threshold(np.zeros(n), fpr)):
        raise InputError(
            f"target_fpr={fpr} needs more than 1/target_fpr - 1 rows that set the threshold, there are {n}; raise "
            f"--calibrate or target_fpr, or lower --test"
        )


def _check_methods(options: Audit) -> None:
    """Refuse methods that do not do what their option says, before anything trains."""
    for key, name, uses in (("label-free", options.label_free, False), ("with-labels", options.with_labels, True)):
        method: Any = get_class(_settings(options, Fit(name, None, 0)).method["_target_"])
        if (-1 in method.rows) != uses:
            does = "trains" if uses else "does not train"
            raise InputError(f"--{key} must be a method that {does} on known anomalies, got {name}; choose another")


def _paired(without: Scores, labelled: Scores, group: int) -> Training:
    """The rows of a group that both scored, and the normals that both calibrate on."""
    rows = [row for row, kind in labelled.target.items() if kind == group and row in without.test]
    normals = sorted(without.calibration.keys() & labelled.calibration.keys())
    return Training(_both(without.calibration, labelled.calibration, normals), _both(without.test, labelled.test, rows))


def _both(first: dict[int, float], second: dict[int, float], rows: Sequence[int]) -> Floats:
    return np.array([[scores[row] for row in rows] for scores in (first, second)], dtype=np.float64).reshape(2, -1)
