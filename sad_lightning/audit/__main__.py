"""``python -m sad_lightning.audit data.path=x.csv data.label=label --groups kind``: do these labels help or hurt?

Trains a detector without the known anomalies and one with them on the same rows of your own data, and again with each
group of known anomalies held out where there are several. Says, group by group, whether recall at the target
false-positive rate goes up, down, or is undecided, with intervals; prints it and writes audit.md, .csv and .svg. Every
KEY=VALUE is a setting of a training, as for python -m sad_lightning, but for what an option here says.
"""

import argparse
import gc
import os
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from hydra import compose, initialize_config_dir
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, OmegaConf, open_dict
from tqdm import tqdm

from sad_lightning.audit.fold import ALL, column_of
from sad_lightning.audit.study import Finding, Floats, Training, judge
from sad_lightning.audit.text import as_csv, figure, table, words
from sad_lightning.cell.key import cell_key
from sad_lightning.checks import fraction, whole_number
from sad_lightning.config.location import CONF
from sad_lightning.config.mistakes import explain
from sad_lightning.data.arrays import Arrays
from sad_lightning.errors import InputError
from sad_lightning.files import whole_file
from sad_lightning.result import FILE
from sad_lightning.stats.threshold import conformal_threshold

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
    "pack": "an audit is no sweep",
    "plan_only": "an audit is no sweep",
}


class Cell(NamedTuple):
    """One training of an audit."""

    method: str
    held_out: str | None
    seed: int


def main() -> None:
    """Run the audit; a mistake of the user's is one line on stderr and exit code 2."""
    parser = argparse.ArgumentParser(
        prog="python -m sad_lightning.audit", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("settings", nargs="+", metavar="KEY=VALUE", help="data.path=, data.label=, ... of a training")
    parser.add_argument("--groups", metavar="COLUMN", help="the column that tells groups of known anomalies apart")
    parser.add_argument("--label-free", default="deep_svdd", metavar="METHOD", help="without labels (deep_svdd)")
    parser.add_argument("--with-labels", default="deep_sad", metavar="METHOD", help="with them (deep_sad)")
    parser.add_argument("--trainings", type=int, default=3, help="of each detector, with other seeds (3)")
    parser.add_argument("--test", type=float, default=0.3, help="share of normals and of each group that tests (0.3)")
    parser.add_argument("--calibrate", type=float, default=0.3, help="of the other normals, for thresholds (0.3)")
    parser.add_argument("--out", type=Path, default=Path("runs/audit"), metavar="FOLDER", help="(runs/audit)")
    options = parser.parse_intermixed_args()
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        whole_number("--trainings", options.trainings)
        fraction("--test", options.test)
        if not fraction("--calibrate", options.calibrate):
            raise InputError(
                "--calibrate must be above 0, got 0: rows that train set no threshold that holds; for example "
                "--calibrate 0.3"
            )
        _refuse(options.settings)
        print(_audit(options))
    except KeyboardInterrupt:
        print("sad_lightning.audit: interrupted; the same command goes on where it was", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        if (line := explain(error)) is None:
            raise
        print(f"sad_lightning.audit: {line}", file=sys.stderr)
        sys.exit(2)


def _audit(options: argparse.Namespace) -> str:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        _check(options)
        first = _settings(options, Cell(options.label_free, ALL, 0))
        if options.groups is not None:
            column_of(str(first.data.path), options.groups)  # data would name it as one to ignore
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # each training's result has them
            arrays: Arrays = instantiate(first.data, _convert_="all")
        _check_calibration(arrays, first.target_fpr)
        groups = arrays.classes[1:]
        folds = [None, *groups] if len(groups) > 1 else [None]
        planned = [
            cell
            for seed in range(options.trainings)
            for cell in (
                Cell(options.label_free, ALL, seed),
                *(Cell(options.with_labels, each, seed) for each in folds),
            )
        ]
        scores = {cell: _scores(_settings(options, cell), cell, options.out) for cell in _shown(planned)}
    fpr = float(first.target_fpr)

    def trainings(group: int, held_out: str | None) -> list[Training]:
        pairs = (
            (scores[Cell(options.label_free, ALL, seed)], scores[Cell(options.with_labels, held_out, seed)])
            for seed in range(options.trainings)
        )
        return [_paired(without, labelled, group) for without, labelled in pairs]

    findings: list[Finding] = []
    for held_out in folds:
        for k, name in enumerate(groups, start=1):
            if held_out in (None, name):
                seen = held_out is None
                judged = judge(name, trainings(k, held_out), seen=seen, fpr=fpr, lines=len(groups) + len(folds) - 1)
                findings.append(judged)
    said = words(findings, options.label_free, options.with_labels, fpr)
    drawn = figure(findings, options.label_free, options.with_labels)
    text = f"{said}\n\n{table(findings)}\n"
    for name, content in {"audit.md": text, "audit.csv": as_csv(findings), "audit.svg": drawn.file()}.items():
        with whole_file(options.out / name) as part:
            part.write_text(content, encoding="utf-8")
    return f"{text}\n{options.out / 'audit.svg'}"


def _shown(planned: Sequence[Cell]) -> Iterator[Cell]:
    bar = tqdm(planned, unit="training", disable=None, file=sys.stderr)
    for cell in bar:
        bar.set_postfix_str(f"{cell.method}, {_fold_words(cell)}")
        yield cell


def _fold_words(cell: Cell) -> str:
    return {None: "all groups", ALL: "no group"}.get(cell.held_out, f"without {cell.held_out}")


def _settings(options: argparse.Namespace, cell: Cell) -> DictConfig:
    """The settings of one training: those of the command, with the fold around the data."""
    given = options.settings
    chosen = [] if any(setting.startswith("data=") for setting in given) else ["data=table"]
    cfg = compose("config", overrides=[*chosen, *given, f"method={cell.method}", f"seed={cell.seed}", "logger=none"])
    data = cfg.data.copy()
    if OmegaConf.is_missing(data, "path") or "path" not in data:
        raise InputError("data.path: name the file of your own data; for example data.path=x.csv")
    if options.groups is not None and "ignore" in data:
        data.ignore = [*data.ignore, options.groups]  # it names what is to be found
    with open_dict(cfg):
        cfg.runs = str(options.out)
        cfg.data = {
            "_target_": "sad_lightning.audit.fold.fold", "data": data, "path": data.path, "column": options.groups,
            "held_out": cell.held_out, "test_ratio": options.test, "validation_ratio": options.calibrate, "seed": 0,
        }  # fmt: skip
    return cfg


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


def _scores(cfg: DictConfig, cell: Cell, out: Path) -> Scores:
    """Train, or find what an equal training left."""
    folder = out / "trainings" / f"{cell.method}_seed{cell.seed}_{cell_key(cfg)}"
    if not (folder / FILE).exists():
        from sad_lightning.cell.run import run
        from sad_lightning.cell.values import Cell as Training  # torch and lightning take seconds to import

        folder.mkdir(parents=True, exist_ok=True)
        run(Training(cfg, folder, "audit", cell.method))
        gc.collect()
    with np.load(folder / "calibration.npz") as file:
        calibration = dict(zip(file["row"].tolist(), file["score"].tolist(), strict=True))
    with np.load(folder / "scores.npz") as file:
        rows = file["row"].tolist()
        test = dict(zip(rows, file["score"].tolist(), strict=True))
        target = dict(zip(rows, file["target_class"].tolist(), strict=True))
    return Scores(calibration, test, target)


def _refuse(settings: Sequence[str]) -> None:
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


def _check(options: argparse.Namespace) -> None:
    """Refuse methods that do not do what their option says, before anything trains."""
    for key, name, uses in (("label-free", options.label_free, False), ("with-labels", options.with_labels, True)):
        method: Any = get_class(_settings(options, Cell(name, None, 0)).method["_target_"])
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


if __name__ == "__main__":
    main()
