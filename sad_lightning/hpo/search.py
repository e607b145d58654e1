"""A search for settings by Optuna, on the rows that train and their labels alone.

The training rows of the cell are dealt into folds, known anomalies evenly; equal rows and rows of one group stay
together. A point of the space is judged by how well models that were trained on the other folds, to the end, rank the
known anomalies of a fold above its other rows: the mean AUROC. Test rows, and the rows that set the threshold, are not
even handed to what trains and scores.
"""

import math
import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf

from sad_lightning.cell.in_memory import fit_rows
from sad_lightning.cell.key import cell_key
from sad_lightning.cell.loading import load
from sad_lightning.cell.prepare import split_of
from sad_lightning.checks import whole_number
from sad_lightning.config.compose import composed, told
from sad_lightning.config.location import CONF
from sad_lightning.data.own.labeled_split import row_hash, units
from sad_lightning.data.schema import ImageSchema, Schema, TableSchema
from sad_lightning.errors import InputError
from sad_lightning.seeding import derive
from sad_lightning.stats.ranking import auroc

try:
    import optuna
except ImportError as missing:
    raise InputError("the search needs optuna; `pip install 'sad_lightning[hpo]'`") from missing

_BY_LABELS = {  # the rows of a fold bring their labels, nothing is drawn
    "normal_class": None, "known_anomaly": None, "n_known": 0, "labeled_ratio": 0.0, "known_normal_ratio": 0.0,
    "pollution_ratio": 0.0, "test_ratio": 0.0, "validation_ratio": 0.0, "calibration": None, "scored": None,
}  # fmt: skip


class Found(NamedTuple):
    """The best point of a search.

    Attributes:
        value: its mean AUROC over the folds.
        overrides: the point, as it is typed.
        command: what trains with it.
    """

    value: float
    overrides: list[str]
    command: str


def search(typed: Sequence[str], *, trials: int, folds: int, storage: Path, say: Callable[[str], None]) -> Found:
    """Search until there are so many trials, those of an earlier run counted.

    Args:
        typed: overrides of a cell, as on the command line. One that is a sweep spans an axis of the space:
            ``key=choice(a,b)``, ``key=range(2,9)``, ``key=interval(0.1,10)``, ``key=tag(log,interval(0.1,10))``.
        trials: how many.
        folds: how many; at most the number of known anomalies.
        storage: the SQLite file of the study; it is made, or gone on with.
        say: told a line each trial.

    Raises:
        InputError: an override is wrong, the space is empty, labels are too few, or the storage holds another search.
    """
    fixed, axes = _parsed(typed)
    cfg = composed("logger=none", *fixed)
    for point in _corners(axes):
        try:
            composed("logger=none", *fixed, *point)
        except InputError as error:  # told before there is a study, which would refuse the right spelling
            raise InputError(f"{' '.join(point)}: {error}") from error
    with told():
        labeled = _training_rows(cfg)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    cut = list(_folds(labeled, folds, cfg.seed))
    varied = [text for text in typed if text not in fixed]
    study = _study(storage, {"cell": cell_key(cfg), "fixed": fixed, "varied": varied, "folds": folds}, cfg.seed)
    cache = storage.parent / "pretrained"
    for _ in range(len(_done(study)), trials):
        trial = study.ask()
        point = [f"{key}={axis.suggest(trial)}" for key, axis in axes.items()]
        try:
            one = composed("logger=none", *fixed, *point)
            with told():
                value = np.mean([_judged(one, labeled, rows, held, cache) for rows, held in cut])
        except InputError as error:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            say(f"trial {trial.number}: {' '.join(point)}: {error}")
            continue
        study.tell(trial, float(value))
        best = study.best_trial
        say(f"trial {trial.number}: AUROC {value:.4f}  {' '.join(point)}  (best {best.value:.4f}, trial {best.number})")
    if not any(trial.state is optuna.trial.TrialState.COMPLETE for trial in study.trials):
        raise InputError("no trial ended well, each is named above; narrow the space")
    best = study.best_trial
    point = [f"{key}={best.params[key]}" for key in axes]
    command = " ".join(map(shlex.quote, ["python", "-m", "sad_lightning", *fixed, *point]))
    return Found(float(best.value or 0.0), point, command)


class _Labeled(NamedTuple):
    """The training rows of a cell, and what is known of them."""

    raw: NDArray[Any]
    semi: NDArray[np.int8]
    schema: Schema
    group: NDArray[np.int64] | None


def _training_rows(cfg: DictConfig) -> _Labeled:
    arrays = load(cfg.data)
    split = split_of(cfg, arrays, whole_number("seed", cfg.seed, least=0))
    x, schema = arrays.x[split.train], arrays.schema
    if schema is None:
        schema = (
            ImageSchema(*x.shape[1:]) if x.ndim == 4 else TableSchema.of_numbers([f"x{k}" for k in range(x.shape[1])])
        )
    group = None if arrays.labels is None or arrays.labels.group is None else arrays.labels.group[split.train]
    return _Labeled(schema.raw(x), split.semi, schema, group)


def _folds(labeled: _Labeled, folds: int, seed: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Rows that train and rows that judge, for each fold."""
    unit = units(row_hash(labeled.raw), labeled.group)
    anomalous = np.unique(unit[labeled.semi < 0])
    if len(anomalous) < 2:
        raise InputError(
            f"the search needs at least 2 known anomalies among the training rows, there are {len(anomalous)}; "
            f"label more"
        )
    count = min(whole_number("--folds", folds, least=2), len(anomalous))
    generator, fold = np.random.default_rng(derive(seed, "search")), np.empty(unit.max() + 1, dtype=np.int64)
    for members in (anomalous, np.setdiff1d(unit, anomalous)):
        fold[generator.permutation(members)] = np.arange(len(members)) % count
    for number in range(count):
        yield np.flatnonzero(fold[unit] != number), np.flatnonzero(fold[unit] == number)


def _judged(cfg: DictConfig, labeled: _Labeled, rows: NDArray[np.int64], held: NDArray[np.int64], cache: Path) -> float:
    OmegaConf.update(cfg, "split", _BY_LABELS)
    cfg.patience = 0
    if cfg.pretrain.method is not None:
        cfg.pretrain.cache = str(cache)
    model = fit_rows(cfg, labeled.raw[rows], labeled.semi[rows], labeled.schema, name="search")
    return auroc(labeled.semi[held] < 0, model.score_rows(labeled.raw[held]))


class _Axis(NamedTuple):
    """One setting that varies.

    Attributes:
        values: to compose before the search: all choices of a group, one value of anything else.
        suggest: draws one for a trial.
    """

    values: Sequence[Any]
    suggest: Callable[[optuna.Trial], Any]


def _parsed(typed: Sequence[str]) -> tuple[list[str], dict[str, _Axis]]:
    """Overrides that stay, and the axes of the space."""
    try:
        overrides = OverridesParser.create().parse_overrides(list(typed))
    except HydraException as error:
        raise InputError(f"{' '.join(str(error).split())}; quote what the shell would read") from error
    fixed = [text for text, override in zip(typed, overrides, strict=True) if not override.is_sweep_override()]
    axes = {each.get_key_element(): _axis(each) for each in overrides if each.is_sweep_override()}
    if not axes:
        raise InputError(
            "a search needs a setting to vary, and none is; for example 'method.eta=tag(log,interval(0.1,10))' or "
            "'network.rep_dim=choice(4,8,16)'"
        )
    for key in axes:
        if key.lstrip("+").split(".")[0] in ("data", "split", "seed", "target_fpr"):
            raise InputError(f"{key} must not vary: the rows and labels that judge a setting would vary with it")
    return fixed, axes


def _corners(axes: dict[str, _Axis]) -> Iterator[list[str]]:
    """Points that between them hold every value that is to be composed."""
    first = {key: axis.values[0] for key, axis in axes.items()}
    for key, axis in axes.items():
        for value in axis.values:
            yield [f"{name}={chosen}" for name, chosen in {**first, key: value}.items()]


def _axis(override: Override) -> _Axis:
    name, value, line = override.get_key_element(), override.value(), override.input_line
    if isinstance(value, IntervalSweep):
        low, high, log = value.start, value.end, "log" in value.tags
        if low is None or high is None or not -math.inf < low <= high < math.inf:
            raise InputError(
                f"{line}: must go up to a number, got {low} to {high}; for example {name}=interval(0.1,10)"
            )
        if log and low <= 0:
            raise InputError(f"{line}: log must begin above 0, got {low}; for example {name}=tag(log,interval(0.1,10))")
        if isinstance(low, int) and isinstance(high, int):
            return _Axis([low], lambda trial: trial.suggest_int(name, low, high, log=log))
        return _Axis([low], lambda trial: trial.suggest_float(name, low, high, log=log))
    if isinstance(value, RangeSweep):
        start, stop, step = value.start or 0, value.stop or 0, value.step
        if not -math.inf < start < stop < math.inf or not step > 0:
            raise InputError(
                f"{line}: must go up by a step above 0, got {start} to {stop} by {step}; for example {name}=range(2,9)"
            )
        if isinstance(start, int) and isinstance(stop, int) and isinstance(step, int):
            last = range(start, stop, step)[-1]
            return _Axis([start], lambda trial: trial.suggest_int(name, start, last, step=step))
    elif not isinstance(value, ChoiceSweep):
        raise InputError(f"{line}: a search needs its choices by name; for example {name}=choice(a,b)")
    options = list(override.sweep_string_iterator())
    is_group = (CONF / override.key_or_group).is_dir()
    return _Axis(options if is_group else options[:1], lambda trial: trial.suggest_categorical(name, options))


def _study(storage: Path, asked: dict[str, Any], seed: int) -> optuna.Study:
    storage.parent.mkdir(parents=True, exist_ok=True)
    try:
        study = optuna.create_study(
            storage=f"sqlite:///{storage}", study_name="sad_lightning", direction="maximize", load_if_exists=True
        )
        stored = study.user_attrs.get("asked")
    except Exception as error:  # SQLAlchemy raises whatever foreign bytes lead it to
        raise InputError(
            f"{storage}: must be the SQLite file of a search, and is not; give another --storage"
        ) from error
    if stored not in (None, asked):
        held = " ".join([*stored["fixed"], *stored["varied"]])
        raise InputError(f"{storage}: holds another search, {held}, of {stored['folds']} folds; give another --storage")
    study.set_user_attr("asked", asked)
    study.sampler = optuna.samplers.TPESampler(seed=derive(seed, "search", len(study.trials)) % 2**32)
    return study


def _done(study: optuna.Study) -> list[Any]:
    return [trial for trial in study.trials if trial.state.is_finished()]
