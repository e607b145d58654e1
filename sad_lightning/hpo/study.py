"""A search for settings by Optuna, which uses only the training rows and their labels.

The training rows of the cell are divided into folds with equal numbers of known anomalies; equal rows and rows of one
group are in one fold. For each fold a model is trained on the other folds, and its AUROC is that of ranking the known
anomalies of the fold above its other rows; a point of the space is judged by the mean over folds. Test rows, and the
rows that set the threshold, take no part.
"""

import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf

from sad_lightning.cell.in_memory import fit_rows
from sad_lightning.cell.key import cell_key
from sad_lightning.cell.loading import load
from sad_lightning.cell.prepare import split_of
from sad_lightning.checks import whole_number
from sad_lightning.command import progress
from sad_lightning.config.compose import composed, one_line_errors
from sad_lightning.data.own.labeled_split import row_hash, units
from sad_lightning.data.schema import ImageSchema, Schema, TableSchema, TextSchema
from sad_lightning.data.vocabulary import renumber
from sad_lightning.errors import InputError, extra
from sad_lightning.hpo.space import corners, parse_space
from sad_lightning.seeding import derive
from sad_lightning.stats.ranking import auroc

if TYPE_CHECKING:
    from optuna import Study

_BY_LABELS = {  # settings of a split without draws: rows and labels come from the fold
    "normal_class": None, "known_anomaly": None, "n_known": 0, "labeled_ratio": 0.0, "known_normal_ratio": 0.0,
    "pollution_ratio": 0.0, "test_ratio": 0.0, "validation_ratio": 0.0, "calibration": None, "scored": None,
}  # fmt: skip


class Best(NamedTuple):
    """The best point of a search: its mean AUROC over the folds, what is typed for it, and the whole command."""

    value: float
    overrides: list[str]
    command: str


def search(typed: Sequence[str], *, trials: int, folds: int, storage: Path, say: Callable[[str], None]) -> Best:
    """Search until there are ``trials`` trials, including those of earlier runs.

    Args:
        typed: overrides of a cell, as on the command line. One that is a sweep is an axis of the space:
            ``key=choice(a,b)``, ``key=range(2,9)``, ``key=interval(0.1,10)``, ``key=tag(log,interval(0.1,10))``.
        trials: how many.
        folds: how many; at most the number of known anomalies.
        storage: the SQLite file of the study, which is created or continued.
        say: called with one line after each trial.

    Raises:
        InputError: optuna is missing, an override is wrong, the space is empty, labels are too few, or the storage
            holds another search.
    """
    with extra("hpo", "the search"):
        import optuna
    fixed, axes = parse_space(typed)
    cfg = composed("logger=none", *fixed)
    for point in corners(axes):
        try:
            composed("logger=none", *fixed, *point)
        except InputError as error:  # before there is a study, which would refuse the right spelling
            raise InputError(f"{' '.join(point)}: {error}") from error
    with one_line_errors():
        labeled = _training_rows(cfg)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    divisions = list(_folds(labeled, folds, cfg.seed))
    varied = [text for text in typed if text not in fixed]
    study = _open_study(storage, {"cell": cell_key(cfg), "fixed": fixed, "varied": varied, "folds": folds}, cfg.seed)
    cache = storage.parent / "pretrained"
    finished = sum(trial.state.is_finished() for trial in study.trials)
    for _ in progress(range(finished, trials), unit="trial"):
        trial = study.ask()
        point = [f"{key}={axis.suggest(trial)}" for key, axis in axes.items()]
        try:
            one = composed("logger=none", *fixed, *point)
            with one_line_errors():
                value = np.mean([_auroc_of_fold(one, labeled, rows, held, cache) for rows, held in divisions])
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
    return Best(float(best.value or 0.0), point, command)


class _LabeledRows(NamedTuple):
    """The training rows of a cell and their labels."""

    raw: NDArray[Any]
    semi: NDArray[np.int8]
    schema: Schema
    group: NDArray[np.int64] | None


def _training_rows(cfg: DictConfig) -> _LabeledRows:
    arrays = load(cfg.data)
    split = split_of(cfg, arrays, whole_number("seed", cfg.seed, least=0))
    x, schema = arrays.x[split.train], arrays.schema
    if schema is None:
        schema = (
            ImageSchema(*x.shape[1:]) if x.ndim == 4 else TableSchema.of_numbers([f"x{k}" for k in range(x.shape[1])])
        )
    group = None if arrays.labels is None or arrays.labels.group is None else arrays.labels.group[split.train]
    return _LabeledRows(schema.raw(x), split.semi, schema, group)


def _folds(labeled: _LabeledRows, folds: int, seed: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """The rows that train and the rows that judge, for each fold."""
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


def _auroc_of_fold(
    cfg: DictConfig, labeled: _LabeledRows, rows: NDArray[np.int64], held: NDArray[np.int64], cache: Path
) -> float:
    OmegaConf.update(cfg, "split", _BY_LABELS)
    cfg.patience = 0
    if (labeled.semi < 0).sum() > whole_number("few_known", cfg.few_known, least=0):
        cfg.few_known = 0  # the voices of the whole vote in each fold, which has fewer known anomalies
    if cfg.pretrain.method is not None:
        cfg.pretrain.cache = str(cache)
    if cfg.backbone is not None:
        cfg.backbone.cache = str(cache)
    model = fit_rows(cfg, labeled.raw[rows], labeled.semi[rows], labeled.schema, name="search")
    raw, words = labeled.raw[held], model.preparation.schema
    if isinstance(words, TextSchema) and isinstance(labeled.schema, TextSchema):
        raw = renumber(raw, labeled.schema, words.words)
    return auroc(labeled.semi[held] < 0, model.score_rows(raw))


def _open_study(storage: Path, search: dict[str, Any], seed: int) -> "Study":
    import optuna

    storage.parent.mkdir(parents=True, exist_ok=True)
    try:
        study = optuna.create_study(
            storage=f"sqlite:///{storage}", study_name="sad_lightning", direction="maximize", load_if_exists=True
        )
        stored = study.user_attrs.get("asked")
    except Exception as error:  # other files make SQLAlchemy raise many types of error
        raise InputError(
            f"{storage}: must be the SQLite file of a search, and is not; give another --storage"
        ) from error
    if stored not in (None, search):
        held = " ".join([*stored["fixed"], *stored["varied"]])
        raise InputError(f"{storage}: holds another search, {held}, of {stored['folds']} folds; give another --storage")
    study.set_user_attr("asked", search)
    study.sampler = optuna.samplers.TPESampler(seed=derive(seed, "search", len(study.trials)) % 2**32)
    return study
