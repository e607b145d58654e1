"""A sweep as a grid: plan it, store the plan, run its jobs on a backend, and print how the cells ended."""

import os
import shlex
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus, setup_globals
from hydra.types import HydraContext
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from sad_lightning.cell.environment import git_commit
from sad_lightning.cell.key import plain
from sad_lightning.cell.loading import check_whole_path, load
from sad_lightning.cell.trainer_settings import check_trainer
from sad_lightning.checks import true_or_false, whole_number
from sad_lightning.config.compose import is_baseline
from sad_lightning.data.arrays import Arrays
from sad_lightning.errors import DamagedError, InputError
from sad_lightning.files import set_aside
from sad_lightning.grid.compose import Sweep
from sad_lightning.grid.dispatch import Backend, Work, run_jobs
from sad_lightning.grid.estimate import estimate_duration, seconds_of_steps
from sad_lightning.grid.hydra_job import HydraJob, settings_of_cells, settings_of_jobs
from sad_lightning.grid.plan import Job, PlannedCell, jobs_of, plan_cells
from sad_lightning.grid.store import Grid, MeanAuroc, Outcome, command_of, count, grid_folder, grid_name, outcomes_of
from sad_lightning.result import FAILURE, forget_checkpoints
from sad_lightning.training.stacking import Verdict, stacking_pays
from sad_lightning.version import __version__

_OURS = "sad_lightning."


def launch(
    context: HydraContext,
    master: DictConfig,
    overrides: Sequence[Sequence[str]],
    backend_settings: DictConfig,
    work: Work,
    *,
    retries: int,
    first: int,
) -> list[JobReturn]:
    """Run every cell of a sweep, each given by its overrides, that has no result yet.

    A job whose worker died is tried again, so many times as ``retries`` says. The number of the first cell is
    ``first``, since Hydra counts cells as jobs.

    Raises:
        InputError: a setting is wrong, or cells failed; each of them is printed before.
        KeyboardInterrupt: with the command that continues.
    """
    setup_globals()
    whole_number("hydra.launcher.retries", retries, least=0)
    if not overrides:
        raise InputError("the axes of the sweep span no cell; one of them is an empty range")
    cells = plan_cells(context.config_loader, master, overrides, first)
    distinct = list({cell.key: cell for cell in reversed(cells)}.values())[::-1]  # the first of equal ones
    settings = cells[0].settings
    _check(settings)
    if master.hydra.job.chdir:
        check_whole_path(settings["data"].get("path"), master.hydra.runtime.cwd)
    _check_folders(distinct)
    runs = Path(str(master.hydra.sweep.dir)).resolve()
    finished = {} if settings["overwrite"] else _finished(distinct, runs)
    backend: Backend = instantiate(backend_settings)
    of_jobs = settings_of_jobs(master, context.callbacks.callbacks)
    if of_jobs:
        by_key = settings_of_cells(Sweep(context.config_loader, master, overrides, first), distinct)
        work = HydraJob(work, context.callbacks, by_key)
    name = grid_name(distinct, settings["pack"], *of_jobs)
    try:
        backend.start(work, accelerator=str(settings["trainer"]["accelerator"]), logs=grid_folder(runs, name))
        grid, reason = _plan(name, len(cells), distinct, runs, backend, finished, of_jobs)
        jobs = _remaining(grid.jobs, finished)
        _print_plan(grid, jobs, finished, reason, backend)
        seconds = _seconds(jobs)
        if jobs:
            print(f"  {estimate_duration(jobs, [*seconds.values()], runs, slots=backend.slots, on_cpu=backend.on_cpu)}")
        if settings["plan_only"]:
            return []
        grid.write(runs)
        if settings["overwrite"]:
            for cell in distinct:
                forget_checkpoints(Path(cell.folder))
        # Pretrainings first, since other jobs wait for them; then the longest, which would else run alone at the end.
        jobs.sort(key=lambda job: (not job.pretrains, -seconds[job.number]))
        outcomes = finished | run_jobs(jobs, backend, retries=retries, finished=finished, total=len(distinct))
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(f"interrupted, nothing is half done; to go on: {_command()}") from stop
    finally:
        backend.close()
    _print_outcomes(grid, outcomes, runs)
    return [_job_return(cell, outcomes[cell.key]) for cell in cells]


def _check(settings: Mapping[str, Any]) -> None:
    check_trainer(settings["trainer"], sweep=True)
    if settings["pack"] != "auto":
        whole_number("pack", settings["pack"])
    true_or_false("overwrite", settings["overwrite"])
    true_or_false("plan_only", settings["plan_only"])


def _check_folders(cells: Sequence[PlannedCell]) -> None:
    cell_in: dict[str, PlannedCell] = {}
    for cell in cells:
        other = cell_in.setdefault(cell.folder, cell)
        if other is not cell:
            raise InputError(
                f"hydra.sweep.subdir must give every cell a folder of its own, {' '.join(other.overrides)} and "
                f"{' '.join(cell.overrides)} share {cell.folder}; leave it out, or put ${{cell_folder:}} in it"
            )


def _finished(cells: Sequence[PlannedCell], runs: Path) -> dict[str, Outcome]:
    """Outcomes of earlier runs, by key; cells that failed or whose result is damaged are left out, they run again."""
    outcomes = outcomes_of(cells, runs, again=not cells[0].settings["plan_only"])
    return {key: outcome for key, outcome in outcomes.items() if outcome.status in ("finished", "not defined")}


def _plan(
    name: str,
    planned: int,
    cells: Sequence[PlannedCell],
    runs: Path,
    backend: Backend,
    finished: Mapping[str, Outcome],
    of_jobs: Sequence[str],
) -> tuple[Grid, str]:
    """The stored plan of a grid that began earlier, else a new one; and the reason for the size of its packs.

    A grid keeps the packs that it began with. A member of a pack of another size is rounded a little differently, and
    a grid that was killed and continued must end in the numbers of one that was not.
    """
    unfinished = [cell for cell in cells if cell.key not in finished]
    path = grid_folder(runs, name) / "plan.json"
    try:
        grid = Grid.read(path).with_cells(cells)
        if grid and {cell.key for cell in unfinished} <= {cell.key for job in grid.jobs for cell in job.cells}:
            return grid, "as when it began"
    except FileNotFoundError:
        pass
    except DamagedError as error:
        if not cells[0].settings["plan_only"]:
            set_aside(path, error)
    examples = {(cell.data, cell.method): cell for cell in reversed(unfinished)}
    verdicts = {kind: _stacking(cell, backend) for kind, cell in examples.items()}
    each = f"for {' and '.join(of_jobs)} are of one cell" if of_jobs else ""
    alone = {kind: each or _alone(cell) for kind, cell in {cell.kind: cell for cell in unfinished}.items()}

    def size(cell: PlannedCell) -> int:
        # early stopping ends each cell on its own; a mixture has no members of one kind
        by_itself = cell.settings["patience"] or cell.settings["voices"] or alone[cell.kind]
        pack = 1 if by_itself else cell.settings["pack"]
        models = cell.settings["ensemble"]  # each one is a member; the cell itself reports a wrong number
        if pack == "auto":
            return max(1, verdicts[cell.data, cell.method].limit // max(1, models if isinstance(models, int) else 1))
        return int(pack)

    jobs = jobs_of(unfinished, size=size, slots=backend.slots)
    grid = Grid(name, _command(), planned, __version__, git_commit(), tuple(cells), tuple(jobs))
    pack = cells[0].settings["pack"]
    reasons = sorted({verdict.reason for verdict in verdicts.values()}) if pack == "auto" else [f"pack={pack}"]
    return grid, "; ".join([*reasons, *sorted({f"alone, {reason}" for reason in alone.values() if reason})])


def _stacking(cell: PlannedCell, backend: Backend) -> Verdict:
    if is_baseline(cell.settings):
        return Verdict(False, "a baseline is not trained by steps")
    features = cell.settings["backbone"] is not None  # columns; how many, the plan need not know
    shape = (1,) if features else load(OmegaConf.create(cell.settings).data).shape
    return stacking_pays(shape, on_cpu=backend.on_cpu)


def _alone(cell: PlannedCell) -> str:
    """Why the cell trains alone, empty for no reason. Methods, networks and optimizers of the package can be packed."""
    trainer, *parts = (cell.settings.get(group) or {} for group in ("trainer", "method", "network", "optimizer"))
    if trainer.get("callbacks"):
        return "for trainer.callbacks watch one training"
    if all(isinstance(part, dict) and str(part.get("_target_", _OURS)).startswith(_OURS) for part in parts):
        return ""
    settings = OmegaConf.create(cell.settings)
    from sad_lightning.cell.learner import build, with_shape  # torch, which a method of one's own imports anyway
    from sad_lightning.methods.method import Method
    from sad_lightning.training.population import why_alone

    try:
        method = build(with_shape(settings, load(settings.data)).method, seed=0)
    except Exception:  # the cell itself says what is wrong
        return ""
    reason = why_alone(method) if isinstance(method, Method) else ""
    return f"for {type(method).__name__}: {reason}" if reason else ""


def _seconds(jobs: Sequence[Job]) -> dict[int, float]:
    """A rough estimate of how long each job takes, by its number."""
    seconds = {}
    of_kind: dict[object, tuple[dict[str, Any], Arrays]] = {}  # resolving settings takes longer than all the rest
    for job in jobs:
        cell = job.cells[0]
        alone = is_baseline(cell.settings) and not cell.settings["voices"]
        kind = (cell.data, cell.method) if alone else cell.kind  # of baselines each seed is a kind of its own
        if kind not in of_kind:
            settings = OmegaConf.create(cell.settings)
            of_kind[kind] = plain(settings), load(settings.data)
        try:
            seconds[job.number] = seconds_of_steps(job, *of_kind[kind])
        except (KeyError, TypeError, ValueError, ZeroDivisionError):  # a setting is wrong: the cell itself reports it
            seconds[job.number] = 0.0
    return seconds


def _remaining(jobs: Sequence[Job], finished: Mapping[str, Outcome]) -> list[Job]:
    """The jobs that train an unfinished cell, and the pretrainings that these need."""
    trainings = [job for job in jobs if not job.pretrains and any(cell.key not in finished for cell in job.cells)]
    numbers = {job.number for job in trainings} | {number for job in trainings for number in job.needs}
    return [job for job in jobs if job.number in numbers]


def _print_plan(
    grid: Grid, jobs: Sequence[Job], finished: Mapping[str, Outcome], reason: str, backend: Backend
) -> None:
    to_run = sum(cell.key not in finished for cell in grid.cells)
    distinct = f", {len(grid.cells)} distinct" if grid.planned != len(grid.cells) else ""
    print(f"{count(grid.planned, 'cell')}{distinct}: {len(grid.cells) - to_run} done, {to_run} to run")
    if not jobs:
        return
    packs = [job for job in jobs if not job.pretrains]
    shared = sum(len(job.cells) for job in jobs if job.pretrains)
    largest = max(len(job.cells) for job in packs)
    sharing = sum(bool(job.needs) * len(job.cells) for job in packs)
    print(f"  {count(shared, 'pretraining')} shared" + (f" by {count(sharing, 'cell')}" if shared else ""))
    print(f"  {count(len(packs), 'pack')} of up to {count(largest, 'cell')} ({reason}), {backend.slots} at a time")


def _print_outcomes(grid: Grid, outcomes: Mapping[str, Outcome], runs: Path) -> None:
    """Print how many cells ended how, and why some have no result.

    Raises:
        InputError: cells failed.
    """
    statuses = Counter(outcome.status for outcome in outcomes.values())
    counts = [f"{number} {status}" for status, number in sorted(statuses.items())]
    print(", ".join(filter(None, [*counts, str(MeanAuroc(outcomes.values()))])))
    print(f"  python -m sad_lightning.report {shlex.quote(os.path.relpath(runs))}")
    skipped = Counter(outcome.line for outcome in outcomes.values() if outcome.status == "not defined")
    for line, number in skipped.items():
        print(f"sad_lightning: {count(number, 'cell')} skipped: {line}", file=sys.stderr)
    failed = [cell for cell in grid.cells if outcomes[cell.key].status == "failed"]
    for cell in failed:
        print(f"sad_lightning: {' '.join(cell.overrides)}: {outcomes[cell.key].line}", file=sys.stderr)
        print(f"  once more: {command_of(cell)}", file=sys.stderr)
    if failed:
        raise InputError(
            f"{len(failed)} of {count(len(grid.cells), 'cell')} failed, each is named above and has {FAILURE} in its "
            f"folder; the same command tries again"
        )


def _job_return(cell: PlannedCell, outcome: Outcome) -> JobReturn:
    """What Hydra's sweepers expect of a cell."""
    returned = JobReturn(overrides=cell.overrides, status=JobStatus.COMPLETED)
    returned.return_value = outcome.auroc
    return returned


def _command() -> str:
    return f"python -m sad_lightning {shlex.join(sys.argv[1:])}"
