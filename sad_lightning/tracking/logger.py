"""The logger of a cell, from its first metric to its end."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from hydra.utils import instantiate
from lightning.pytorch.loggers import Logger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only
from numpy.typing import NDArray
from omegaconf import DictConfig, open_dict

from sad_lightning.errors import InputError, error_words
from sad_lightning.stats.ranking import roc_curve
from sad_lightning.stats.span import wide_span
from sad_lightning.tracking.login import logged_in

_WANDB = "lightning.pytorch.loggers.WandbLogger"
_FPR = np.linspace(0, 1, 101)


class CellLog:
    """The logger of one cell.

    Metrics that are logged before it is opened are dropped: cells that train together open theirs in the end.

    Args:
        settings: of the logger.
        hyperparameters: the settings of the cell.
        cell: ``key``, ``data``, ``method`` and the values that dashboards filter by.
        experiment: the experiment it belongs to.
        sweep: whether it is one of a sweep.
    """

    def __init__(
        self,
        settings: DictConfig,
        hyperparameters: dict[str, Any],
        *,
        cell: Mapping[str, Any],
        experiment: str | None = None,
        sweep: bool = False,
    ) -> None:
        self.settings, self.hyperparameters, self.cell = settings, hyperparameters, dict(cell)
        self.key = str(cell["key"])
        self.experiment, self.sweep = experiment, sweep
        self._logger: Logger | None = None

    def open(self) -> Logger:
        """Open the logger, unless it is open, and log the settings; to W&B also ``cell``.

        Raises:
            InputError: W&B should be online but nobody is logged in, or it can not be reached.
        """
        if self._logger is None:
            settings = self.settings
            if settings.get("_target_") == _WANDB:
                settings = _of_cell(settings, self.cell, self.experiment, self.sweep)
            try:
                self._logger = instantiate(settings)
            except Exception as error:
                if not isinstance(error.__cause__, ImportError):
                    raise
                raise InputError(
                    f"logger: {settings['_target_']} needs a package that is not there "
                    f"({error_words(error.__cause__)}); pip install 'sad_lightning[tensorboard,mlflow]' has those of "
                    f"the package's own loggers"
                ) from error
            _begin(self._logger, self.hyperparameters, self.cell)
        return self._logger

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Log the metrics of an epoch, if the logger is open."""
        if self._logger is not None:
            self._logger.log_metrics(metrics, step=step)

    def log_evaluation(
        self,
        metrics: Mapping[str, float],
        per_class: Mapping[str, Mapping[str, float]],
        y: NDArray[np.int64],
        scores: NDArray[np.float64],
    ) -> None:
        """Log the metrics of a cell, and of each class; to W&B also the ROC curve and the scores of both kinds of rows.

        The truth ``y`` of the test rows is 0 for normals and 1 for anomalies.
        """
        logger = self.open()
        logger.log_metrics({f"test/{name}": value for name, value in metrics.items()})
        if isinstance(logger, WandbLogger):
            _log_to_wandb(logger, per_class, y, scores)

    def finish(self, *, failed: bool = False) -> None:
        """Close the logger, if it is open; a W&B run is always finished."""
        if self._logger is None:
            return
        logger, self._logger = self._logger, None
        logger.finalize("failed" if failed else "success")
        if isinstance(logger, WandbLogger):
            import wandb  # only where it was asked for

            wandb.finish(exit_code=int(failed))


@rank_zero_only  # a logger of another process has no experiment
def _begin(logger: Logger, hyperparameters: dict[str, Any], cell: Mapping[str, Any]) -> None:
    if not isinstance(logger, WandbLogger):
        logger.log_hyperparams(hyperparameters)
        return
    import wandb

    try:
        logger.log_hyperparams(hyperparameters)
        logger.experiment.config.update({"cell": dict(cell)})
    except wandb.Error as error:
        reason = error_words(error)
        raise InputError(f"logger: W&B did not start ({reason}); `wandb login`, or logger.offline=true") from error


@rank_zero_only
def _log_to_wandb(
    logger: WandbLogger,
    per_class: Mapping[str, Mapping[str, float]],
    y: NDArray[np.int64],
    scores: NDArray[np.float64],
) -> None:
    import wandb

    run = logger.experiment
    for name, values in per_class.items():
        run.summary.update({f"class/{name}/{metric}": value for metric, value in values.items()})
    edges = np.histogram_bin_edges(scores, 50, wide_span(float(scores.min()), float(scores.max())))
    logged: dict[str, Any] = {
        f"scores/{name}": wandb.Histogram(np_histogram=np.histogram(scores[y == kind], edges))
        for kind, name in enumerate(("normal", "anomaly"))
    }
    fpr, recall = roc_curve(y, scores)
    if len(fpr):
        points = np.stack([_FPR, np.interp(_FPR, fpr, recall)], axis=1)
        table = wandb.Table(columns=["false_positive_rate", "recall"], data=points.tolist())
        logged["roc"] = wandb.plot.line(table, "false_positive_rate", "recall", title="ROC curve")
    run.log(logged)


def _of_cell(settings: DictConfig, cell: Mapping[str, Any], experiment: str | None, sweep: bool) -> DictConfig:
    """W&B's settings for a cell: the run has its key, the group is the grid, and it is offline if nobody is logged in.

    A sweep is always offline by default, since hundreds of runs that report at once meet rate limits; ``wandb sync``
    sends them later.
    """
    filled = settings.copy()
    with open_dict(filled):
        if filled.get("offline") is None:
            filled.offline = sweep or not logged_in()
        elif not filled.offline and not logged_in():  # else W&B would ask for a key, perhaps with nobody to answer
            raise InputError("logger.offline=false needs a login, and there is none; `wandb login`, or leave it out")
        if filled.get("group") is None:
            filled.group = experiment or cell["data"]
        if filled.get("tags") is None:
            filled.tags = [cell["data"], cell["method"]]
        filled.id = cell["key"]
        filled.resume = "allow"  # a cell that is trained again continues its run
    return filled
