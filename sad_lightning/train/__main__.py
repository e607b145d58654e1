"""``python -m sad_lightning.train KEY=VALUE ...``, or without ``.train``: train one cell, or a sweep of cells.

Hydra composes the settings and runs one cell after the other, or hands all cells of a sweep to the grid. Torch is
imported when the first cell starts.
"""

import atexit
import gc
import os
import shlex
import sys
import warnings
from functools import partial
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from sad_lightning.cell.key import cell_folder, cell_key, runs_folder
from sad_lightning.cell.loading import check_whole_path, load
from sad_lightning.cell.trainer_settings import check_processes, check_trainer
from sad_lightning.command import VERSION, announce, command_frame
from sad_lightning.config.compose import method_name, with_voices
from sad_lightning.config.mistakes import is_not_defined, one_line
from sad_lightning.config.options import CONF
from sad_lightning.data.own.parts import is_many
from sad_lightning.data.own.sample import ReadRows
from sad_lightning.errors import InputError
from sad_lightning.files import CARD_FILE, MODEL_FILE
from sad_lightning.result import Result, finished, forget_checkpoints
from sad_lightning.train.arguments import check_arguments, help_text, multirun_first

_command = partial(
    command_frame,
    "sad_lightning",
    interrupted="the same command goes on where it was",
    way_out="choose a folder that can be written with runs=FOLDER",
)


def main() -> None:
    """Run the command."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then does not catch exceptions
    for resolver in (runs_folder, cell_folder):
        OmegaConf.register_new_resolver(resolver.__name__, resolver, replace=True)
    failed: list[str] = []  # cells of a sweep, by their overrides

    @hydra.main(config_path=str(CONF), config_name="config", version_base="1.3")
    def job(cfg: DictConfig) -> float | None:
        if HydraConfig.get().mode is RunMode.MULTIRUN:
            return _cell_of_sweep(cfg, failed)
        with _command():  # inside Hydra, which would print a message of its own for every exception
            return _cell(cfg)

    with _command():
        if "--version" in sys.argv[1:]:
            print(VERSION)
            return
        if {"--help", "-h"} & set(sys.argv[1:]):
            print(help_text(sys.argv[1:]))
            return
        check_arguments(sys.argv[1:])
        sys.argv[1:] = multirun_first(sys.argv[1:])
        job()
        if failed:
            raise InputError(
                f"{len(failed)} cells of the sweep failed, each is named above; the same command tries again"
            )


def _cell_of_sweep(cfg: DictConfig, failed: list[str]) -> float | None:
    """Train a cell of a sweep; if it fails, print why and let the others go on."""
    overrides = " ".join(HydraConfig.get().overrides.task)
    try:
        return _cell(cfg)
    except Exception as error:
        line = one_line(error)
        if line is None:
            raise
        if is_not_defined(error):
            line = f"skipped: {line}"
        else:
            failed.append(overrides)
        print(f"sad_lightning: {overrides}: {line}", file=sys.stderr)
        return None


def _cell(cfg: DictConfig) -> float:
    """Train the cell, or read its result, print it, and return the AUROC, which Hydra's sweepers maximise."""
    run = HydraConfig.get()
    folder = Path(run.runtime.output_dir)
    home = run.runtime.cwd if run.job.chdir else os.curdir  # what is printed is pasted where the command was typed
    try:
        result = _result(with_voices(cfg, run.overrides.task), folder)
    except Exception:
        os.chdir(home)
        _remove_if_empty(folder, Path(str(cfg.runs)).resolve())
        raise
    os.chdir(home)
    if os.environ.get("LOCAL_RANK", "0") == "0":  # Lightning starts the other processes of one run with this command
        print(result.table(Path(os.path.relpath(folder))))
        print(next_steps(Path(os.path.relpath(folder)), cfg))
    return result.metrics["auroc"]


def next_steps(folder: Path, cfg: DictConfig) -> str:
    """Commands for the files of a finished cell, to copy and paste; for own data also the page of the detector."""
    commands = {f"python -m sad_lightning.report {shlex.quote(str(cfg.runs))}": "all results, as one page"}
    lines = []
    if (folder / MODEL_FILE).exists() and cfg.data.get("path") is not None and "root" not in cfg.data:
        where = f"{shlex.quote(str(folder))} {shlex.quote(str(cfg.data.path))}"
        next_ones = {f"python -m sad_lightning.predict {where}": "scores and decisions of these rows, or of new ones"}
        if cfg.data.get("text") is None and not is_many([str(cfg.data.path)]):
            next_ones[f"python -m sad_lightning.explain {where}"] = "why the most anomalous rows score as they do"
        commands = next_ones | commands
        if (page := _page(folder, cfg, list(commands))) is not None:
            lines = [f"  {'page':<25}{page}"]
    width = max(map(len, commands))
    return "\n".join([*lines, "  next", *(f"    {command:<{width}}  # {about}" for command, about in commands.items())])


def _page(folder: Path, cfg: DictConfig, commands: list[str]) -> Path | None:
    """The page of a detector, written unless it is there; None without labels of one's own, as in a set of classes."""
    path = folder / CARD_FILE
    if path.exists() and not cfg.overwrite:
        return path
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the result has them
        arrays = load(cfg.data)
        if arrays.labels is None:
            return None
        from sad_lightning.card.page import write_card  # torch

        return write_card(folder, arrays, commands)


def _result(cfg: DictConfig, folder: Path) -> Result:
    run = HydraConfig.get()
    sweep = run.mode is RunMode.MULTIRUN
    if cfg.plan_only:
        raise InputError("plan_only=true plans a sweep with hydra/launcher=grid, and this is one cell; add --multirun")
    check_trainer(cfg.trainer, sweep=sweep)
    if run.job.chdir:
        check_whole_path(cfg.data.get("path"), run.runtime.cwd)
    check_processes(cfg.trainer, os.environ)
    if cfg.overwrite:
        forget_checkpoints(folder)
    elif (result := finished(folder, cell_key(cfg))) is not None:
        print("finished before; overwrite=true trains it again")
        return result
    if "path" in cfg.data:  # own data: report what is wrong with it before torch is imported
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            load(cfg.data)
        for warning in caught:
            if issubclass(warning.category, ReadRows):  # the others are shown with the result
                print(warning.message, flush=True)
    announce("importing torch")
    from sad_lightning.cell.run import run_cell  # torch and lightning take seconds to import
    from sad_lightning.cell.values import Cell

    if not gc.get_freeze_count():
        gc.freeze()  # what the imports left is never garbage, and to look through it takes longer than a small cell
        atexit.register(gc.unfreeze)
    choices = run.runtime.choices
    experiment = choices.get("experiment") or choices.get("protocol")
    result = run_cell(Cell(cfg, folder, choices["data"], method_name(cfg, choices["method"]), experiment, sweep))
    gc.collect()  # a Trainer and its module refer to each other, and a sweep has many
    return result


def _remove_if_empty(folder: Path, top: Path) -> None:
    """Remove the folder that Hydra made for a cell that did not start, and empty folders above it."""
    while folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
        if top not in (folder, *folder.parents):
            break


if __name__ == "__main__":
    main()
