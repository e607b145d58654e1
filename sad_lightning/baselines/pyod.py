"""Any detector of PyOD for rows of numbers (Zhao et al. 2019), by its name.

    score(x)    its decision_function, higher = more anomalous

A detector whose ``fit`` must have labels, such as XGBOD, separates known anomalies from all other rows. All others see
no labels: known anomalies are no rows of a fit. Some, such as ECOD, compare the rows that they score with one another,
so that a score would depend on what else is scored; they score each row by itself, which takes longer.

PyOD, an extra, keeps what it learnt in objects that only a pickle could hold. So a file holds the rows of ``fit`` and a
few scores: who reads it fits again, and compares, but for the process that wrote it.
"""

import inspect
import random
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Self

import joblib
import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted, validate_data

from sad_lightning.baselines.baseline import Baseline, Floats, known_anomalies
from sad_lightning.errors import InputError, error_words
from sad_lightning.exports import exported

_TRIED = 10  # training rows that are scored at the end of a fit
_TOLERANCE = 1e-4  # of the range of these scores
_WRITTEN: dict[str, Any] = {}  # what was written last, by its arrays: a training reads its own model file
_ERRORS = (ArithmeticError, AttributeError, ImportError, LookupError, RuntimeError, TypeError, ValueError)


@dataclass(kw_only=True, eq=False, repr=False)
class PyOD(Baseline):
    """A detector of PyOD.

    Args:
        detector: its name, that of a class in a file of that name in ``pyod.models``.
        parameters: of the detector, by PyOD's names; None for PyOD's own values.
        random_state: the seed of all that it draws.
    """

    detector: str
    parameters: Mapping[str, Any] | None
    random_state: int | None

    learned = ("rows_", "semi_", "scores_")

    @property
    def needs_anomalies(self) -> bool:
        """Whether its ``fit`` must have labels."""
        return inspect.signature(_detector(self.detector).fit).parameters["y"].default is inspect.Parameter.empty

    @property
    def trains_on(self) -> frozenset[int]:
        """The values of ``semi`` that it is fitted on."""
        return frozenset({-1, 0, 1}) if self.needs_anomalies else frozenset({0, 1})

    def fit(self, X: ArrayLike, semi: ArrayLike | None = None) -> Self:
        """Fit to the rows ``X``, ``(n, D)``; ``semi``, ``(n,)``, is used where labels are needed.

        Raises:
            InputError: PyOD or what the detector needs is not installed, there is no such detector, a parameter or a
                label is wrong, there is no known anomaly and it needs some, or it can not score a row by itself.
        """
        x = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
        labels = (known_anomalies(semi, len(x)),) if self.needs_anomalies else ()
        with self._pyod("be fitted"):
            self._fitted = self._new().fit(x, *(anomaly.astype(int) for anomaly in labels))
        self.semi_ = -labels[0].astype(np.int8) if labels else np.zeros(len(x), dtype=np.int8)
        single = x.astype(np.float32)  # half as large a file, if float32 is exact
        self.rows_ = single if np.array_equal(single, x) else x
        tried = x[np.linspace(0, len(x) - 1, min(_TRIED, len(x)), dtype=int)]
        crowd = self._decide(np.concatenate([tried, np.repeat(tried[:1], len(x), axis=0)]))[: len(tried)]
        self.scores_ = self._alone(tried)
        self._compares = not (np.isfinite(self.scores_).all() and _close(crowd, self.scores_))
        if self._compares and not np.ptp(self.scores_) > 0:
            raise InputError(
                f"method.detector={self.detector} must score a row by itself, and it only compares the rows that it "
                f"scores with one another; choose another, such as KNN or LOF"
            )
        return self

    def anomaly_score(self, X: ArrayLike) -> Floats:
        """The score of each row of ``X``, ``(B,)``."""
        check_is_fitted(self)
        x = validate_data(self, X, dtype=np.float64, reset=False)
        return self._alone(x) if self._compares else self._decide(x)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The rows that it was fitted on, their labels, and a few scores."""
        arrays = super().to_arrays()
        _WRITTEN.clear()
        _WRITTEN[joblib.hash(arrays)] = self
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The estimator that ``to_arrays`` wrote, fitted again.

        Raises:
            InputError: an array is missing, or its scores are not those that it had.
        """
        stored = super().from_arrays(arrays)
        again: Self = _WRITTEN.get(joblib.hash(dict(arrays))) or clone(stored).fit(stored.rows_, stored.semi_)
        if not _close(again.scores_, stored.scores_):
            raise InputError(
                f"method.detector={stored.detector} scores otherwise when it is fitted again to the rows in the file, "
                f"with another version of PyOD or on another machine"
            )
        return again

    def _new(self) -> Any:
        """The detector, not fitted."""
        detector, given = _detector(self.detector), dict(self.parameters or {})
        known = inspect.signature(detector).parameters
        takes_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in known.values())
        if not takes_any and (unknown := sorted(set(given) - set(known))):
            raise InputError(
                f"method.parameters must be those of PyOD's {self.detector}, got {', '.join(unknown)}; there are "
                f"{', '.join(known)}"
            )
        return detector(**({"random_state": self.random_state} if "random_state" in known else {}) | given)

    def _decide(self, x: Floats) -> Floats:
        """The detector's scores of rows that are scored together, ``(B,)``."""
        with self._pyod("score a row by itself" if len(x) == 1 else "score rows"):
            scores = np.asarray(self._fitted.decision_function(x), dtype=np.float64)
        return scores.reshape(len(x))

    def _alone(self, x: Floats) -> Floats:
        """The scores of rows that are scored one at a time, ``(B,)``."""
        return np.concatenate([self._decide(row[None]) for row in x])

    @contextmanager
    def _pyod(self, task: str) -> Iterator[None]:
        """In the block PyOD draws by the seed, prints nothing, and its errors are one line that names the task."""
        import torch
        from lightning.pytorch.utilities.seed import isolate_rng

        seed = int(np.random.default_rng(self.random_state).integers(2**32))
        try:
            with isolate_rng(), redirect_stdout(None), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of PyOD and what it calls, about themselves
                random.seed(seed)
                np.random.seed(seed)  # noqa: NPY002  (some detectors draw from there)
                torch.manual_seed(seed)
                yield
        except InputError:
            raise
        except _ERRORS as error:
            raise InputError(
                f"method.detector={self.detector} can not {task} ({error_words(error)}); change method.parameters, or "
                f"choose another detector, such as KNN or LOF"
            ) from error


def _close(scores: Floats, others: Floats) -> bool:
    """Whether scores are the same but for rounding."""
    return np.allclose(scores, others, rtol=_TOLERANCE, atol=_TOLERANCE * float(np.ptp(others)))


def _detector(name: str) -> Any:
    """The class of a detector.

    Raises:
        InputError: there is none of that name, or PyOD or what it needs is not installed.
    """
    try:
        with redirect_stdout(None):
            from pyod import models

            return exported(models.__name__, models.__path__, str(name))
    except ImportError as error:
        missing = str(error.name).split(".")[0]
        package = "'sad_lightning[pyod]'" if missing == "pyod" else missing
        raise InputError(f"method.detector={name} needs {missing}; pip install {package}") from error
    except AttributeError as error:
        names = {name.lower(): name for name in _names(Path(models.__path__[0]))}
        similar = [names[close] for close in get_close_matches(str(name).lower(), names)]
        raise InputError(
            f"method.detector must name one of PyOD's detectors, got {name}; "
            f"{'similar names are' if similar else 'there are'} {', '.join(similar or names.values())}"
        ) from error


def _names(folder: Path) -> Iterator[str]:
    """The names of the detectors, from the text of their files: each imports something else."""
    for file in sorted(folder.glob("[a-z]*.py")):
        for name in re.findall(r"^class (\w+)\(", file.read_text(encoding="utf-8"), re.MULTILINE):
            if name.lower().replace("_", "") == file.stem.replace("_", ""):
                yield name
