"""A baseline in a cell: its features, the selection of its settings, its scores."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import ParameterGrid
from torch import Tensor

from sad_lightning.baselines.baseline import Baseline
from sad_lightning.baselines.selection import Selection
from sad_lightning.cell.values import PreparedCell, Scores, timed
from sad_lightning.data.arrays import Arrays
from sad_lightning.data.module import DataModule, Rows
from sad_lightning.errors import InputError
from sad_lightning.methods.method import Method
from sad_lightning.model import OUT_OF_BAG, BaselineScore
from sad_lightning.result import write_arrays
from sad_lightning.seeding import derive
from sad_lightning.stats.ranking import auroc
from sad_lightning.stats.threshold import promises
from sad_lightning.training.trainer import Training

Floats = NDArray[np.float64]
_BATCH = 1000


@dataclass(frozen=True)
class _Fit:
    """A fitted baseline, its scores of the test rows and of those that set the threshold, its seconds and warnings."""

    baseline: Baseline
    tests: Floats
    normals: Floats
    seconds: Mapping[str, float]
    warnings: tuple[str, ...]


_MOST_FITS = 8  # of a data set, the last used: more than a mixture has voices that see no labels
_FITS: WeakKeyDictionary[Rows, dict[tuple[type, str], tuple[tuple[Tensor, ...], _Fit]]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Shallow:
    """A baseline, on raw rows or on the codes of a pretrained encoder.

    Attributes:
        baseline: not fitted.
        data: the rows that train, and those that are scored: the test rows, then the rows that set the threshold.
        selection: how its settings are chosen.
    """

    baseline: Baseline
    data: DataModule
    selection: Selection
    trainings: ClassVar[tuple[()]] = ()
    callbacks: ClassVar[tuple[()]] = ()
    voices: ClassVar[tuple[()]] = ()

    @property
    def trains_on(self) -> frozenset[int]:
        """The values of ``semi`` whose rows it is fitted on."""
        return self.baseline.trains_on

    def start(self, pretraining: Sequence[Training], device: torch.device) -> None:
        """Move the pretrained encoder to the device, where it computes features."""
        for training in pretraining:
            training.method.to(device).eval()

    def score(self, prepared: PreparedCell) -> Scores:
        """Fit it, score, and write ``model.npz``."""
        baseline, scores = self.fit(prepared)
        split, normal, notes = scores.split, scores.normal, scores.warnings
        if split.threshold_rows == "in-sample" and promises(len(normal), prepared.cfg.target_fpr):
            unseen = unseen_scores(baseline, self.data, split.calibration, normal)
            if unseen is not None:
                split, normal = replace(split, threshold_rows=OUT_OF_BAG), unseen
        # type(baseline).from_arrays(np.load(path)) reads it
        path, arrays, trainer = prepared.cell.folder / "model.npz", baseline.to_arrays(), prepared.score_trainer
        if trainer.is_global_zero:
            write_arrays(path, prepared.key, arrays, compress=False)
        if trainer.world_size > 1:
            notes += (f"trainer.devices: {type(baseline).__name__} was fitted by one process",)
        return replace(scores, split=split, normal=normal, warnings=notes)

    def fit(self, prepared: PreparedCell) -> tuple[Baseline, Scores]:
        """The baseline, fitted with chosen settings, and the scores of the test rows and of those of the threshold.

        Raises:
            InputError: a setting is out of range, or is not one of the baseline's.
        """
        self._check(prepared.arrays)
        split, selection, record = prepared.split, self.selection, {"rule": "none"}
        counted = np.ones(len(split.test), dtype=bool)
        if selection.rule == "test_holdout" and (selection.grid or selection.best_final):
            y = ~np.isin(prepared.arrays.target_class[split.test], split.normal_classes)
            held = holdout(y, selection.share, prepared.seed)
            counted[held] = selection.holdout_scored
            counts = {**split.counts, "test": int(counted.sum()), "test_anomaly": int(y[counted].sum())}
            split = replace(split, test=split.test[counted], counts=counts)
            fit, record = self._chosen(prepared, y, held, counted)
        else:
            fit = self._shared(prepared)
        scorer = BaselineScore(fit.baseline, prepared.pretraining[0].method if prepared.pretraining else None)
        return fit.baseline, Scores(
            split, fit.tests[counted], fit.normals, scorer, fit.seconds, selection=record, warnings=fit.warnings
        )

    def _shared(self, prepared: PreparedCell) -> "_Fit":
        """The fit of the cell before, if it saw the same rows: cells that differ in known anomalies alone share it."""
        if -1 in self.baseline.trains_on or prepared.pretraining or prepared.cfg.overwrite:
            return self._fitted(prepared)
        fits = _FITS.setdefault(self.data.all_rows, {})
        name = type(self.baseline), f"{self.baseline.get_params()} {self.data.contrast}"
        tests, data = torch.tensor(len(prepared.split.test)), self.data
        fill = torch.empty(0) if data.fill is None else data.fill
        seen = (data.rows, data.semi, data.scored, tests, data.scale, data.shift, fill)
        if name in fits and all(map(torch.equal, fits[name][0], seen)):
            fits[name] = fits.pop(name)  # the last used stands last
            return replace(fits[name][1], seconds={})
        fits.pop(name, None)
        fits[name] = seen, self._fitted(prepared)
        while len(fits) > _MOST_FITS:
            del fits[next(iter(fits))]
        return fits[name][1]

    def _fitted(self, prepared: PreparedCell) -> "_Fit":
        arrays, data = prepared.arrays, self.data
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with timed("train") as train_seconds:
                (x, tests, normals), semi = self._features(prepared), data.semi.cpu().numpy()
                masks = None if arrays.masks is None else arrays.masks[data.rows.cpu().numpy()]
                fitted = (
                    self.baseline.fit_patches(x, semi, arrays.shape, masks)
                    if arrays.patches
                    else self.baseline.fit(x, semi)
                )
            with timed("score") as score_seconds:
                scores = fitted.anomaly_score(tests) if len(tests) else np.empty(0)
                normal = fitted.anomaly_score(normals)
        notes = tuple(str(one.message) for one in caught)
        return _Fit(fitted, scores, normal, {**train_seconds, **score_seconds}, notes)

    def _chosen(
        self, prepared: PreparedCell, y: NDArray[np.bool_], held: NDArray[np.int64], counted: NDArray[np.bool_]
    ) -> tuple["_Fit", dict[str, Any]]:
        """The fit that is best on the test rows ``held``, and a record of the choice."""
        with warnings.catch_warnings(record=True) as caught, timed("train") as seconds:
            warnings.simplefilter("always")
            (x, tests, normals), semi = self._features(prepared), self.data.semi.cpu().numpy()
            fitted, scores, record = _choose(self.baseline, self.selection, x, semi, tests, y, held, counted)
            normal = fitted.anomaly_score(normals)
        return _Fit(fitted, scores, normal, seconds, tuple(str(one.message) for one in caught)), record

    def _features(self, prepared: PreparedCell) -> tuple[Floats, Floats, Floats]:
        """What the baseline sees of the rows that train, of the test rows and of those that set the threshold."""
        pretrained = prepared.pretraining[0].method if prepared.pretraining else None
        precision = torch.float32 if prepared.arrays.patches else torch.float64  # there are many patches
        x, scored = (features(self.data, rows, pretrained, precision) for rows in (self.data.rows, self.data.scored))
        return x, scored[: len(prepared.split.test)], scored[len(prepared.split.test) :]

    def _check(self, arrays: Arrays) -> None:
        settings, selection = self.baseline.get_params(), self.selection
        unknown = sorted({*selection.grid, *selection.best_final} - set(settings))
        if unknown:
            raise InputError(
                f"selection.grid must hold settings of the method, got {', '.join(unknown)}; there are "
                f"{', '.join(settings)}"
            )
        if arrays.patches and selection.rule != "none":
            raise InputError(f"selection.rule must be none for features=patches, got {selection.rule}; leave it out")


def unseen_scores(baseline: Baseline, data: DataModule, rows: NDArray[np.int64], seen: Floats) -> Floats | None:
    """The scores of training rows by the parts that have not seen them, ``(n,)``; None where there are no such parts.

    ``seen``, the scores by all parts, stand for those of a row that none or all have seen.
    """
    unseen = baseline.out_of_bag()
    if unseen is None:
        return None
    of_row = dict(zip(data.rows.tolist(), unseen.tolist(), strict=True))
    scores = np.array([of_row.get(row, np.nan) for row in rows.tolist()])
    return np.where(np.isnan(scores), seen, scores)


def _choose(
    baseline: Baseline,
    selection: Selection,
    x: Floats,
    semi: NDArray[np.int8],
    tests: Floats,
    y: NDArray[np.bool_],
    held: NDArray[np.int64],
    counted: NDArray[np.bool_],
) -> tuple[Baseline, Floats, dict[str, Any]]:
    """The baseline that is best on the rows ``held``, its scores of all test rows, and a record of the choice."""
    leaders: dict[str, tuple[float, Baseline]] = {}  # by the settings in best_final
    for candidate in baseline.candidates(x, semi, {**selection.grid, **selection.best_final}):
        group = str({name: candidate.get_params()[name] for name in selection.best_final})
        area = auroc(y[held], candidate.anomaly_score(tests[held]))
        if group not in leaders or area > leaders[group][0]:
            leaders[group] = (area, candidate)
    finals = []
    for area, leader in leaders.values():
        scores = leader.anomaly_score(tests)
        finals.append((auroc(y[counted], scores[counted]), area, leader, scores))
    _, _, chosen, scores = max(finals, key=lambda final: final[0])
    names = (*selection.grid, *selection.best_final)

    def settings_of(leader: Baseline) -> dict[str, Any]:
        return {name: leader.get_params()[name] for name in names}

    record = {
        "rule": "test_holdout",
        "holdout_rows": len(held),
        "holdout_scored": selection.holdout_scored,
        "tried": len(ParameterGrid({**selection.grid, **selection.best_final})),
        "chosen": settings_of(chosen),
        "finals": [{**settings_of(one), "holdout_auroc": area, "auroc": final} for final, area, one, _ in finals],
    }
    return chosen, scores, record


def holdout(y: NDArray[np.bool_], share: float, seed: int) -> NDArray[np.int64]:
    """Positions of a share of the normals and of the anomalies, at least one of each, ascending."""
    generator = np.random.default_rng(derive(seed, "holdout"))
    parts = []
    for kind in (False, True):
        members = np.flatnonzero(y == kind)
        parts.append(generator.choice(members, max(int(share * len(members)), min(1, len(members))), replace=False))
    return np.sort(np.concatenate(parts))


def features(
    data: DataModule, rows: Tensor, pretrained: Method | None, precision: torch.dtype = torch.float64
) -> Floats:
    """The scaled samples of ``rows``, or their codes by the encoder, flattened, ``(n, D)`` on the CPU."""
    parts, device = [], rows.device if pretrained is None else pretrained.device
    with torch.no_grad():
        for part in torch.split(rows.to(device), _BATCH if precision == torch.float64 else _BATCH // 10):
            x = data.samples(part)
            codes = x if pretrained is None else pretrained.get_encoder()(x)
            parts.append(codes.flatten(start_dim=1).to(precision).cpu())
    return torch.cat(parts).numpy()
