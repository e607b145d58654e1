"""A detector in scikit-learn's style, trained as the command line trains.

    Detector("deep_sad").fit(X, semi).anomaly_score(X_new)

``semi`` holds -1 for a known anomaly, 0 for an unlabeled row, +1 for a known normal one. ``anomaly_score`` is higher
for what is more anomalous; ``score_samples``, ``decision_function`` and ``predict`` have scikit-learn's sign: lower is
more anomalous, and below zero an anomaly.
"""

import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from sad_lightning.cell.in_memory import fit_rows
from sad_lightning.config.compose import composed, method_name, one_line_errors, typed
from sad_lightning.config.options import options_of
from sad_lightning.data.own.frames import frame_rows, frame_table, is_mixed
from sad_lightning.data.own.tables import fit_schema
from sad_lightning.data.own.values import FRAME
from sad_lightning.data.schema import ImageSchema, Schema, TableSchema, TextSchema
from sad_lightning.detector.rows import (
    as_array,
    as_frame,
    centered_rows,
    default_names,
    plain,
    semi_of_labels,
    truth_of,
)
from sad_lightning.drawing.scores import flagged_shares, score_histograms
from sad_lightning.drawing.svg import Figure
from sad_lightning.errors import InputError
from sad_lightning.explain.explanation import Explanation, explain_scores
from sad_lightning.model import Model
from sad_lightning.stats.ranking import auroc
from sad_lightning.stats.threshold import promises

Floats = NDArray[np.float64]
_TABLE, _IMAGES = "data=table", "data=folder"
# settings that the estimator decides
_OWN = ("data", "split", "logger", "seed", "target_fpr", "runs", "overwrite", "method", "warm_start")


class Detector(OutlierMixin, BaseEstimator):
    """A semi-supervised anomaly detector.

    Args:
        method: a method of ``conf/method`` or a preset of ``conf/preset``, as on the command line. None takes what is
            recommended: on tables the preset ``recommended``, or ``label_free`` without known anomalies, on images
            ``images``, or ``images_label_free``, which need the extra ``images``.
        settings: settings to change, by their names on the command line: ``{"method.eta": 2.0, "ensemble": 5}``.
        target_fpr: the share of normal rows that ``predict`` may call anomalies.
        random_state: the seed of weights, order of rows and noise.
        labels: what the labels mean, where they are not -1, 0 and 1: ``{"attack": -1, "ok": 1, "?": 0}``, or
            ``{1: -1, 0: 0}`` where 1 is an anomaly.

    Attributes:
        model_: the trained model, as ``save`` writes it.
        offset_: minus the threshold.
        n_features_in_: columns seen in ``fit``.
        feature_names_in_: their names, where they had any.
    """

    def __init__(
        self,
        method: str | None = None,
        *,
        settings: Mapping[str, Any] | None = None,
        target_fpr: float = 0.05,
        random_state: int = 0,
        labels: Mapping[Any, int] | None = None,
    ) -> None:
        self.method = method
        self.settings = settings
        self.target_fpr = target_fpr
        self.random_state = random_state
        self.labels = labels

    def fit(self, X: Any, semi: ArrayLike | None = None) -> Self:
        """Train.

        Args:
            X: rows as ``(N, D)`` numbers, NaN where one is missing: an array or a tensor; or a data frame of pandas or
                polars, a structured array or a list of dictionaries, which may hold words and time stamps too; or
                images as ``(N, H, W)`` or ``(N, H, W, C)`` uint8.
            semi: ``(N,)`` labels, missing for an unlabeled row; None where there are none.

        Raises:
            InputError: a setting, a label or the shape of the rows is wrong, or 0 and 1 may mean two things.
        """
        X = as_frame(X)
        rows, schema = self._frame(X) if is_mixed(X) else self._numbers(X)
        return self._train(rows, schema, semi)

    def fit_more(self, X: Any, semi: ArrayLike | None = None) -> Self:
        """Go on from what was learnt, with more labels or more rows.

        Networks start from their weights and train for a fifth of the epochs; everything else, trees and neighbours, is
        fitted anew, and so are calibration and threshold, on rows that no network has seen. Columns keep their scaling.
        ``model_.card["warm_start"]`` says what went on and what was fitted anew, and a warning which voices are new
        where so many known anomalies ask for others.

        Args:
            X: all rows that shall count, those of ``fit`` too, for a model stores none; in its columns.
            semi: ``(N,)`` their labels; None where there are none.

        Raises:
            InputError: as ``fit``; the model was trained on the command line, or settings have been changed so that
                its networks do not fit.
        """
        check_is_fitted(self)
        if "detector" not in self.model_.card:
            raise InputError(
                "fit_more: this model was trained on the command line; go on there, with warm_start=model.pt"
            )
        return self._train(self._raw_rows(X), self.model_.preparation.schema, semi, self.model_)

    def _train(self, rows: NDArray[Any], schema: Schema, semi: ArrayLike | None, before: Model | None = None) -> Self:
        labels = semi_of_labels(semi, len(rows), self.labels)
        with one_line_errors():
            cfg = composed(*self._typed(images=rows.ndim == 4, labeled=bool((labels < 0).any())))
            count, chosen = int((labels >= 0).sum()), "split.validation_ratio" in (self.settings or {})
            if not chosen and not promises(round(cfg.split.validation_ratio * count), self.target_fpr):
                cfg.split.validation_ratio = 0.0
                warnings.warn(
                    f"{count} rows are too few to hold some out: the threshold is set on training rows and promises no "
                    f"rate",
                    stacklevel=3,
                )
            name = method_name(cfg, self._chosen(images=rows.ndim == 4, labeled=bool((labels < 0).any())))
            self.model_ = fit_rows(cfg, rows, labels, schema, name=name, before=before)
        self.model_.card["detector"] = {
            "method": self.method,
            "settings": None if self.settings is None else dict(self.settings),
            "random_state": self.random_state,
            "labels": None if self.labels is None else [[plain(name), int(sign)] for name, sign in self.labels.items()],
        }
        for note in self.model_.card["warnings"]:
            warnings.warn(note, stacklevel=3)
        self.offset_ = -self.model_.threshold
        return self

    def anomaly_score(self, X: Any) -> Floats:
        """The anomaly score of each row, ``(B,)``, higher = more anomalous."""
        check_is_fitted(self)
        return self.model_.score_rows(self._raw_rows(X))

    def p_value(self, X: Any) -> Floats:
        """The conformal p-value of each row, ``(B,)`` in (0, 1], lower = more anomalous."""
        return self.model_.p_value(torch.from_numpy(self.anomaly_score(X))).numpy()

    def score_samples(self, X: Any) -> Floats:
        """The score in scikit-learn's sign, ``(B,)``, lower = more anomalous."""
        return -self.anomaly_score(X)

    def decision_function(self, X: Any) -> Floats:
        """``score_samples`` minus ``offset_``, ``(B,)``; negative for anomalies."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any, *, fdr: float | None = None) -> NDArray[np.int64]:
        """``(B,)``: +1 normal, -1 anomaly.

        Args:
            X: rows.
            fdr: the false-discovery rate, instead of ``target_fpr``: at most this share of the rows that are flagged is
                expected to be normal. The decision on a row then depends on all rows of ``X``.

        Raises:
            InputError: ``fdr`` is not in [0, 1), or no rows were held out.
        """
        if fdr is None:
            return np.where(self.decision_function(X) >= 0, 1, -1)
        scores = self.anomaly_score(X)
        counts = self.model_.reached_by(torch.from_numpy(scores))
        return np.where(scores > self.model_.threshold_at_fdr(counts, fdr), -1, 1)

    def fit_predict(self, X: Any, semi: ArrayLike | None = None) -> NDArray[np.int64]:
        """``fit`` with the labels ``semi``, then ``predict`` of the same rows."""
        return self.fit(X, semi).predict(X)

    def score(self, X: Any, y: ArrayLike) -> float:
        """The AUROC in [0, 1]; nan if all rows are normal or all are anomalies.

        Args:
            X: rows.
            y: ``(B,)`` truth, 0 normal and 1 anomaly. For labels as in ``fit`` use ``label_auroc``.

        Raises:
            InputError: ``y`` holds something else.
        """
        scores = self.anomaly_score(X)
        return auroc(truth_of(y), scores)

    def plot_scores(self, X: Any = None) -> Figure:
        """The scores of the rows that set the threshold, and of ``X``, as a figure that a notebook shows.

        ``figure.file()`` is the SVG, to be written to a file.
        """
        rows, groups = self._calibration()
        if X is not None:
            groups["new rows"] = self.anomaly_score(X)
        return score_histograms(groups, self.model_.threshold, {rows: 8, "new rows": 0}, "Scores")

    def plot_threshold(self, X: Any = None, y: ArrayLike | None = None) -> Figure:
        """The share of rows that each threshold flags, as a figure: of the rows that set it, and of ``X``.

        Args:
            X: rows; None for those that set the threshold alone.
            y: ``(B,)`` their truth, 0 normal and 1 anomaly, which tells recall from false positives; None if unknown.

        Raises:
            InputError: ``y`` holds something else, or is given without ``X``.
        """
        rows, groups = self._calibration()
        if X is None and y is not None:
            raise InputError("plot_threshold: y is the truth of the rows X; give both")
        if X is not None:
            scores = self.anomaly_score(X)
            kinds = {"new rows": np.full(len(scores), True)} if y is None else _kinds(y)
            groups |= {name: scores[mask] for name, mask in kinds.items() if mask.any()}
        colours = {rows: 8, "new rows": 0, "new normal rows": 0, "new anomalies": 1}
        return flagged_shares(groups, self.model_.threshold, colours)

    def _calibration(self) -> tuple[str, dict[str, Floats]]:
        """What the rows that set the threshold are called, and their scores under that name."""
        check_is_fitted(self)
        name = "normal rows" if self.model_.held_out else "training rows"
        return name, {name: self.model_.calibration.cpu().numpy()}

    def explain(self, X: Any) -> Explanation:
        """What each column, or each pixel, adds to the score of each row, for any method, baseline or mixture.

        ``explain(X).frame()`` is a data frame of pandas, ``explain(X).figure(0)`` a figure of the first row. A score is
        computed once for each column of all rows, so give the rows of interest.
        """
        check_is_fitted(self)
        rows = self._raw_rows(X)
        return explain_scores(self.model_, rows, rows)

    def save(self, path: str | Path) -> None:
        """Write the model file that ``load`` and ``python -m sad_lightning.predict`` read: plain data, no pickle."""
        check_is_fitted(self)
        self.model_.save(Path(path))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The detector of a model file, or of the folder of a run or of a model hub.

        Raises:
            InputError: the file is damaged, something else, or of texts.
        """
        model = Model.load(path)
        schema = model.preparation.schema
        if isinstance(schema, TextSchema):
            raise InputError(f"{path}: reads texts; score them with python -m sad_lightning.predict")
        parameters = dict(model.card.get("detector", {}))
        if parameters.get("labels") is not None:
            parameters["labels"] = {name: sign for name, sign in parameters["labels"]}
        detector = cls(**parameters, target_fpr=model.target_fpr)
        detector.model_, detector.offset_ = model, -model.threshold
        if isinstance(schema, TableSchema):
            detector.n_features_in_ = len(schema.names)
            if schema.names != default_names(len(schema.names)):
                detector.feature_names_in_ = np.array(schema.names, dtype=object)
        return detector

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _typed(self, *, images: bool, labeled: bool) -> list[str]:
        """The estimator's parameters as overrides of the command line."""
        named = self.method is None or (isinstance(self.method, str) and self.method)
        if not named or not isinstance(self.settings, Mapping | None):
            raise InputError(
                f"method must be a name and settings a dictionary, got {self.method!r} and {self.settings!r}; for "
                f"example method='ae', settings={{'ensemble': 5}}"
            )
        settings = dict(self.settings or {})
        for key in settings:
            if not isinstance(key, str) or not key.strip():
                raise InputError(f"settings must have names as on the command line, got {key!r}; try 'ensemble'")
            if key in _OWN or (key.startswith(("data.", "split.", "hydra")) and key != "split.validation_ratio"):
                raise InputError(f"settings must not hold {key}: rows, labels and parameters of the Detector decide it")
        name = self._chosen(images=images, labeled=labeled)
        chosen = f"+preset={name}" if name in options_of("preset") else f"method={name}"
        own = {"target_fpr": self.target_fpr, "seed": self.random_state}
        return [_IMAGES if images else _TABLE, "logger=none", chosen, *typed(own), *typed(settings)]

    def _chosen(self, *, images: bool, labeled: bool) -> str:
        """The name of the method or preset."""
        if self.method is not None:
            return self.method
        return ("images" if labeled else "images_label_free") if images else "recommended" if labeled else "label_free"

    def _frame(self, X: Any) -> tuple[NDArray[Any], Schema]:
        """The raw rows to train on and the schema of a data frame with words, with the settings of ``data=table``."""
        data = composed(_TABLE).data
        validate_data(self, X, skip_check_array=True)
        schema = fit_schema(FRAME, frame_table(X), [], data.max_categories, data.hash_buckets, data.missing)
        return frame_rows(X, schema), schema

    def _numbers(self, X: Any) -> tuple[NDArray[Any], Schema]:
        """The raw rows to train on and the schema of numbers or images."""
        rows = self._checked(X, None)
        if rows.ndim == 4:
            return rows, ImageSchema(*rows.shape[1:])
        schema = TableSchema.of_numbers(list(getattr(self, "feature_names_in_", default_names(rows.shape[1]))), rows)
        return centered_rows(rows, schema), schema

    def _raw_rows(self, X: Any) -> NDArray[Any]:
        """``X`` as raw rows of the model, ``(N, C)`` float32 or ``(N, H, W, C)`` uint8."""
        schema, X = self.model_.preparation.schema, as_frame(X)
        if not isinstance(schema, TableSchema):
            return self._checked(X, schema)
        if any(column.is_text for column in schema.columns):
            return frame_rows(X, schema)
        return centered_rows(self._checked(X, schema), schema)

    def _checked(self, X: Any, schema: Schema | None) -> NDArray[Any]:
        """``X`` as ``(N, C)`` numbers or ``(N, H, W, C)`` uint8; its columns must be those of ``fit``, if there are."""
        X = as_array(X)
        if getattr(X, "ndim", 2) not in (3, 4) and not isinstance(schema, ImageSchema):
            x: NDArray[Any] = validate_data(
                self,
                X,
                dtype=[np.float64, np.float32],
                ensure_all_finite="allow-nan",
                ensure_min_samples=2 if schema is None else 1,
                reset=schema is None,
            )
            return x
        pixels: NDArray[Any] = np.require(X, requirements=["C", "W"])
        pixels = pixels[..., None] if pixels.ndim == 3 else pixels
        images = ImageSchema(*pixels.shape[1:]) if pixels.ndim == 4 else None
        if images is not None and isinstance(schema, ImageSchema):
            images = replace(images, bits=schema.bits)  # of files
        if images is None or pixels.dtype != np.uint8 or schema not in (None, images):
            of_fit = schema.shape if isinstance(schema, ImageSchema) else "a table"
            seen = "" if schema is None else f", and fit saw {of_fit}"
            raise InputError(f"X must hold images as (N, H, W, C) uint8{seen}, got {pixels.shape} {pixels.dtype}")
        return pixels


def label_auroc(detector: Detector, X: Any, semi: ArrayLike) -> float:
    """The AUROC of known anomalies against all other rows, for ``scoring=`` of a search over parameters.

    nan without a known anomaly; ``StratifiedKFold`` puts some into each fold.
    """
    scores = detector.anomaly_score(X)
    return auroc(semi_of_labels(semi, len(scores), detector.labels) < 0, scores)


def _kinds(y: ArrayLike) -> dict[str, NDArray[np.bool_]]:
    truth = truth_of(y)
    return {"new normal rows": truth == 0, "new anomalies": truth == 1}
