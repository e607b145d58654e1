"""Scores the parts of a data set on a Ray cluster; all its machines must see the model file and the folder of scores.

A part is a task: its scores are one file, written whole or not at all, and a task whose worker dies is tried again
elsewhere. Ray Data would add nothing: its blocks split and merge files, so that a file of scores would no longer belong
to a part, and neither resuming nor the order of rows would be those of one process.
"""

import logging
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from sad_lightning.data.own.parts import DataPart
from sad_lightning.data.schema import TableSchema
from sad_lightning.errors import InputError, extra, first_line
from sad_lightning.model import Model
from sad_lightning.predict.opening import device_of, import_all
from sad_lightning.predict.scoring import Options, ScoredFile, Task, score_part

_TRIES = 3  # of a part whose worker dies


class RayEngine:
    """Scores parts as tasks of Ray; it joins the cluster that RAY_ADDRESS names, or starts one on this machine.

    Args:
        model: the model file.
        modules: that define methods of one's own.
        device: ``auto`` and cpu take a CPU a task, others a GPU too.
        options: of the prediction.

    Raises:
        InputError: Ray is not installed, or no cluster answers.
    """

    def __init__(self, model: Path, modules: Sequence[str], device: str, options: Options) -> None:
        with extra("ray", "--engine ray"):
            import ray
        self.ray: Any = ray
        self.task = (model.resolve(), tuple(modules), "cpu" if device == "auto" else device, options)
        try:
            if not ray.is_initialized():
                ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:  # a node that does not start in time is a plain one
            raise InputError(
                f"--engine ray: no Ray cluster answers ({first_line(error)}); `ray start --head` begins one, and "
                f"RAY_ADDRESS names it"
            ) from error

    def __call__(self, tasks: Sequence[Task]) -> Iterator[tuple[DataPart, ScoredFile | str]]:
        """Score the parts; each is yielded when it ends, with its rows or with what is wrong with it."""
        gpus = 0 if self.task[2] == "cpu" else 1
        remote = self.ray.remote(_score_there).options(num_cpus=1, num_gpus=gpus, max_retries=_TRIES - 1)
        running = {remote.remote(part, output.resolve(), *self.task): part for part, output in tasks}
        try:
            while running:
                (ended, *_), _ = self.ray.wait(list(running), num_returns=1)
                part = running.pop(ended)
                try:
                    yield part, self.ray.get(ended)
                except self.ray.exceptions.RayTaskError:
                    raise
                except self.ray.exceptions.RayError as error:
                    reason = f"Ray has lost its worker {_TRIES} times ({first_line(error)})"
                    yield part, f"{part.place}: {reason}; the same command tries it again"
        finally:
            for reference in running:
                self.ray.cancel(reference, force=True)
            self.ray.shutdown()


def _score_there(
    part: DataPart, output: Path, model: Path, modules: tuple[str, ...], device: str, options: Options
) -> ScoredFile | str:
    try:
        return score_part(_loaded(model, modules, device), part, output, options)
    except InputError as error:  # this machine does not see the model file, or has no such device
        return str(error)


@cache
def _loaded(path: Path, modules: tuple[str, ...], device: str) -> Model:
    """The model, read once in each worker."""
    from torch import set_num_threads

    import_all(modules)
    model = Model.load(path, device_of(device))
    if isinstance(model.preparation.schema, TableSchema):
        set_num_threads(1)  # as in one process
    return model
