"""A sweep as a grid: plan it, freeze the plan, hand its jobs to a backend, and say what came of every cell."""

import os
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from hydra.core.utils import JobReturn, JobStatus, setup_globals
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from sad_lightning.cell.environment import git_commit
from sad_lightning.cell.loading import load
from sad_lightning.checks import true_or_false, whole_number
from sad_lightning.errors import InputError
from sad_lightning.grid.compose import compose_all
from sad_lightning.grid.estimate import by_steps, estimate
from sad_lightning.grid.local import Death
from sad_lightning.grid.plan import Job, PlannedCell, cell_of, jobs_of
from sad_lightning.grid.store import Grid, Outcome, command_of, grid_folder, grid_name, keep, outcome_of
from sad_lightning.result import FAILURE
from sad_lightning.training.stacking import Verdict, stacking_pays
from sad_lightning.version import __version__

Work = Callable[[Job], list[Outcome]]


class Backend(Protocol):
    """What runs jobs.

    Attributes:
        slots: how many it runs at a time.
        on_cpu: whether a CPU trains.
    """

    slots: int
    on_cpu: bool

    def start(self, work: Work, *, accelerator: str, logs: Path) -> None:
        """Say what the jobs are done by."""

    def submit(self, job: Job) -> None:
        """Take a job."""

    def next(self) -> tuple[Job, list[Outcome] | Death]:
        """Wait for a job to end."""

    def close(self) -> None:
        """End what still runs."""


def launch(
    loader: Any,
    master: DictConfig,
    overrides: Sequence[Sequence[str]],
    backend_settings: DictConfig,
    work: Work,
    *,
    retries: int,
) -> list[JobReturn]:
    """Run every cell of a sweep that has no result yet.

    Args:
        loader: Hydra's loader.
        master: the settings of the sweep.
        overrides: of each cell.
        backend_settings: of what runs the jobs.
        work: does a job.
        retries: how often the cells of a worker that died are tried again.

    Raises:
        InputError: a setting is wrong, or cells failed; each is named before.
        KeyboardInterrupt: with how to go on.
    """
    setup_globals()
    whole_number("hydra.launcher.retries", retries, least=0)
    cells = [cell_of(cfg, cell) for cfg, cell in zip(compose_all(loader, master, overrides), overrides, strict=True)]
    distinct = list({cell.key: cell for cell in reversed(cells)}.values())[::-1]  # the first of equal ones
    settings = cells[0].settings
    _check(settings)
    _check_folders(distinct)
    runs = Path(str(master.hydra.sweep.dir)).resolve()
    done = {} if settings["overwrite"] else _done(distinct)
    backend: Backend = instantiate(backend_settings)
    name = grid_name(distinct, settings["pack"])
    backend.start(work, accelerator=str(settings["trainer"]["accelerator"]), logs=grid_folder(runs, name))
    try:
        grid, reason = _frozen(name, len(cells), distinct, runs, backend, done)
        jobs = _left(grid.jobs, done)
        _tell(grid, jobs, done, reason, backend)
        work_of = {job.number: _work(job) for job in jobs}
        if jobs:
            print(f"  {estimate(jobs, [*work_of.values()], runs, slots=backend.slots, on_cpu=backend.on_cpu)}")
        if settings["plan_only"]:
            return []
        grid.write(runs)
        if settings["overwrite"]:
            for cell in distinct:
                for state in Path(cell.folder).glob("*.resume.ckpt"):
                    state.unlink(missing_ok=True)
        # first what others wait for, then what takes longest: it would be alone in the end
        jobs.sort(key=lambda job: (not job.pretrains, -work_of[job.number]))
        ended = {**done, **_drive(jobs, backend, retries, done, len(distinct))}
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(f"interrupted, nothing is half done; to go on: {_command()}") from stop
    finally:
        backend.close()
    _summarise(grid, ended)
    return [_returned(cell, ended[cell.key]) for cell in cells]


def _check(settings: Mapping[str, Any]) -> None:
    devices, pack = settings["trainer"]["devices"], settings["pack"]
    if devices != 1 and not (isinstance(devices, list) and len(devices) == 1):
        raise InputError(f"trainer.devices must be 1 within a sweep, got {devices!r}; a sweep scales by cells")
    if pack != "auto":
        whole_number("pack", pack)
    true_or_false("overwrite", settings["overwrite"])
    true_or_false("plan_only", settings["plan_only"])


def _check_folders(cells: Sequence[PlannedCell]) -> None:
    first: dict[str, PlannedCell] = {}
    for cell in cells:
        other = first.setdefault(cell.folder, cell)
        if other is not cell:
            raise InputError(
                f"hydra.sweep.subdir must give every cell a folder of its own, {' '.join(other.overrides)} and "
                f"{' '.join(cell.overrides)} share {cell.folder}; leave it out, or put ${{cell_folder:}} in it"
            )


def _done(cells: Sequence[PlannedCell]) -> dict[str, Outcome]:
    """How cells ended before; those that failed are tried again."""
    before = {cell.key: outcome_of(cell) for cell in cells}
    return {key: ended for key, ended in before.items() if ended is not None and ended.status != "failed"}


def _frozen(
    name: str, planned: int, cells: Sequence[PlannedCell], runs: Path, backend: Backend, done: Mapping[str, Outcome]
) -> tuple[Grid, str]:
    """The grid as it was planned when it began, else as it is planned now, and why it is packed so.

    What trains as one is settled once: in a pack of another size a member is rounded a little differently, and a grid
    that was killed and goes on ends in the numbers of one that was not.
    """
    todo = [cell for cell in cells if cell.key not in done]
    path = grid_folder(runs, name) / "plan.json"
    if path.exists():
        grid = Grid.read(path).renewed(cells)
        if {cell.key for cell in todo} <= {cell.key for job in grid.jobs for cell in job.cells}:
            return grid, "as when it began"
    verdicts = {(cell.data, cell.method): cell for cell in reversed(todo)}
    pays = {kind: _pays(cell, backend) for kind, cell in verdicts.items()}

    def size(cell: PlannedCell) -> int:
        pack = 1 if cell.settings["patience"] else cell.settings["pack"]  # an epoch is chosen for a cell alone
        models = cell.settings["ensemble"]  # each is a member; a wrong number is the cell's to tell
        if pack == "auto":
            return max(1, pays[cell.data, cell.method].limit // max(1, models if isinstance(models, int) else 1))
        return int(pack)

    jobs = jobs_of(todo, size=size, slots=backend.slots)
    grid = Grid(name, _command(), planned, __version__, git_commit(), tuple(cells), tuple(jobs))
    pack = cells[0].settings["pack"]
    return grid, "; ".join(sorted({each.reason for each in pays.values()})) if pack == "auto" else f"pack={pack}"


def _pays(cell: PlannedCell, backend: Backend) -> Verdict:
    if cell.settings["selection"] is not None:
        return Verdict(False, "a baseline is not trained by steps")
    return stacking_pays(load(OmegaConf.create(cell.settings).data).shape, on_cpu=backend.on_cpu)


def _work(job: Job) -> float:
    settings = OmegaConf.create(job.cells[0].settings)
    resolved: dict[str, Any] = OmegaConf.to_container(settings, resolve=True)  # type: ignore[assignment]
    arrays = load(settings.data)
    try:
        return by_steps(job, resolved, arrays)
    except (KeyError, TypeError, ValueError, ZeroDivisionError):  # a setting is wrong: its cell says which, at once
        return 0.0


def _left(jobs: Sequence[Job], done: Mapping[str, Outcome]) -> list[Job]:
    """The jobs of which something is left to do."""
    training = {job.number for job in jobs if not job.pretrains and any(cell.key not in done for cell in job.cells)}
    needed = {number for job in jobs if job.number in training for number in job.needs}
    return [job for job in jobs if job.number in training | needed]


def _tell(grid: Grid, jobs: Sequence[Job], done: Mapping[str, Outcome], reason: str, backend: Backend) -> None:
    left = sum(cell.key not in done for cell in grid.cells)
    merged = f", {len(grid.cells)} distinct" if grid.planned != len(grid.cells) else ""
    print(f"{_count(grid.planned, 'cell')}{merged}: {len(grid.cells) - left} done, {left} to run")
    if not jobs:
        return
    packs = [job for job in jobs if not job.pretrains]
    shared = sum(len(job.cells) for job in jobs if job.pretrains)
    largest = max(len(job.cells) for job in packs)
    sharing = sum(bool(job.needs) * len(job.cells) for job in packs)
    print(f"  {_count(shared, 'pretraining')} shared" + (f" by {_count(sharing, 'cell')}" if shared else ""))
    print(f"  {_count(len(packs), 'pack')} of up to {_count(largest, 'cell')} ({reason}), {backend.slots} at a time")


def _count(number: int, name: str) -> str:
    return f"{number} {name}{'' if number == 1 else 's'}"


def _drive(
    jobs: Sequence[Job], backend: Backend, retries: int, done: Mapping[str, Outcome], total: int
) -> dict[str, Outcome]:
    """Run the jobs, each after what it needs, and say how every cell of theirs ended."""
    waiting, running = list(jobs), 0
    tries, over = Counter[int](), {job.number for job in jobs}
    spoilt: dict[str, str] = {}  # pretrainings that can not be used, and why
    ended: dict[str, Outcome] = {}
    with tqdm(total=total, initial=len(done), desc="cells", unit="cell", disable=None, file=sys.stderr) as bar:
        while waiting or running:
            for job in [job for job in waiting if over.isdisjoint(job.needs)]:
                waiting.remove(job)
                lost = [cell for cell in job.cells if not job.pretrains and cell.shares in spoilt]
                _settle(lost, [_failed(cell, spoilt[cell.shares]) for cell in lost], done, ended, bar)
                if left := tuple(cell for cell in job.cells if cell not in lost):
                    backend.submit(job._replace(cells=left))
                    running += 1
            if not running:
                continue
            job, came = backend.next()
            if isinstance(came, Death) and tries[job.number] < retries:
                tries[job.number] += 1
                again = f"tried again: {_count(len(job.cells), 'cell')}"
                bar.write(f"sad_lightning: {came.reason}; {again}", sys.stderr)
                backend.submit(job)
                continue
            running -= 1
            over.discard(job.number)
            if isinstance(came, Death):
                came = [_failed(cell, came.reason) for cell in job.cells]
            if job.pretrains:
                shares = {cell.key: cell.shares for cell in job.cells}
                spoilt |= {shares[each.key]: f"its pretraining failed: {each.line}" for each in came}
            else:
                _settle(job.cells, came, done, ended, bar)
    return ended


def _settle(
    cells: Sequence[PlannedCell],
    outcomes: Sequence[Outcome],
    done: Mapping[str, Outcome],
    ended: dict[str, Outcome],
    bar: Any,
) -> None:
    for cell, outcome in zip(cells, outcomes, strict=True):
        if cell.key not in done:  # or it is a member of a pack of which others were left
            ended[cell.key] = outcome
            keep(cell, outcome)
            bar.update()
    bar.set_postfix_str(_mean(ended))


def _failed(cell: PlannedCell, line: str) -> Outcome:
    return Outcome(cell.key, "failed", line=line)


def _mean(ended: Mapping[str, Outcome]) -> str:
    areas = [100 * each.auroc for each in ended.values() if each.auroc is not None and each.auroc == each.auroc]
    return f"mean AUROC {sum(areas) / len(areas):.2f} %" if areas else ""


def _summarise(grid: Grid, ended: Mapping[str, Outcome]) -> None:
    """Say what came of the grid.

    Raises:
        InputError: cells failed.
    """
    counts = Counter(outcome.status for outcome in ended.values())
    told = [f"{count} {status}" for status, count in sorted(counts.items())]
    print(", ".join(filter(None, [*told, _mean(ended)])))
    print(f"  python -m sad_lightning.report {os.path.relpath(Path(grid.cells[0].folder).parent.parent.parent)}")
    skipped = Counter(outcome.line for outcome in ended.values() if outcome.status == "not defined")
    for line, number in skipped.items():
        print(f"sad_lightning: {_count(number, 'cell')} skipped: {line}", file=sys.stderr)
    failed = [cell for cell in grid.cells if ended[cell.key].status == "failed"]
    for cell in failed:
        print(f"sad_lightning: {' '.join(cell.overrides)}: {ended[cell.key].line}", file=sys.stderr)
        print(f"  once more: {command_of(cell)}", file=sys.stderr)
    if failed:
        raise InputError(
            f"{len(failed)} of {_count(len(grid.cells), 'cell')} failed, each is named above and has {FAILURE} in its "
            f"folder; the same command tries again"
        )


def _returned(cell: PlannedCell, outcome: Outcome) -> JobReturn:
    """What Hydra's sweepers ask for."""
    returned = JobReturn(overrides=cell.overrides, status=JobStatus.COMPLETED)
    returned.return_value = outcome.auroc
    return returned


def _command() -> str:
    return f"python -m sad_lightning {shlex.join(sys.argv[1:])}"
