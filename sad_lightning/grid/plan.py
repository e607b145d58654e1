"""The plan of a grid: its cells, and the jobs that train them. It is made without importing torch."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, Node, OmegaConf, open_dict, read_write

from sad_lightning.cell.key import defining, digest, folder_of, key_of
from sad_lightning.config.compose import with_voices
from sad_lightning.config.voices import method_name


@dataclass(frozen=True)
class PlannedCell:
    """One cell of a grid, as it was when the grid was planned.

    Attributes:
        key: identifies the settings that determine its numbers.
        folder: where its files go.
        data: the option of the group ``data``.
        method: the option of the group ``method``.
        experiment: the option of ``experiment`` or ``protocol``, where one is chosen.
        overrides: the command line that gives this cell.
        settings: composed, with interpolations unresolved (the logger's are resolved).
        kind: cells of one kind differ in classes and seed alone and can train as one pack.
        shares: identifies the pretraining that it starts from; empty for none.
        shares_kind: pretrainings of one kind can train as one pack.
    """

    key: str
    folder: str
    data: str
    method: str
    experiment: str | None
    overrides: tuple[str, ...]
    settings: dict[str, Any]
    kind: str
    shares: str
    shares_kind: str


class Job(NamedTuple):
    """What one worker runs at a time.

    Attributes:
        number: its position in the plan.
        cells: the cells that it trains, or whose pretraining it trains.
        pretrains: whether it trains pretrainings only.
        needs: numbers of the jobs that must end before it starts.
        stack: whether its cells train as one pack.
    """

    number: int
    cells: tuple[PlannedCell, ...]
    pretrains: bool
    needs: tuple[int, ...]
    stack: bool


def cell_of(cfg: DictConfig, overrides: Sequence[str]) -> PlannedCell:
    """The cell of composed settings, which hold the ``hydra`` node."""
    mixed = with_voices(cfg, overrides)
    settings_of_key = defining(mixed)
    key = key_of(settings_of_key)
    default_folder = _unresolved(cfg.hydra.sweep, "subdir") == "${cell_folder:}"
    subfolder = folder_of(cfg, key) if default_folder else str(cfg.hydra.sweep.subdir)
    folder = Path(str(cfg.hydra.sweep.dir)).resolve() / subfolder
    with read_write(cfg.hydra.runtime), open_dict(cfg.hydra.runtime):
        cfg.hydra.runtime.output_dir = str(folder)
    # What ${hydra:...} reads; HydraConfig.set_config would copy all settings for every cell.
    HydraConfig.instance().cfg = cfg  # type: ignore[assignment]
    settings = {str(name): _unresolved(cfg, name) for name in cfg if name not in ("hydra", "logger")}
    settings["voices"] = _unresolved(mixed, "voices")
    settings["logger"] = OmegaConf.to_container(cfg.logger, resolve=True)  # workers have no ${hydra:...}
    shared = _pretraining(settings_of_key)
    chosen = cfg.hydra.runtime.choices
    return PlannedCell(
        key=key,
        folder=str(folder),
        data=str(chosen["data"]),
        method=method_name(cfg, str(chosen["method"])),
        experiment=chosen.get("experiment") or chosen.get("protocol"),
        overrides=tuple(overrides),
        settings=settings,
        kind=digest(_without(settings_of_key, ("seed",), {"split": ("normal_class", "known_anomaly")})),
        shares=digest(shared) if shared else "",
        shares_kind=digest(_without(shared, ("seed",), {"split": ("normal_class",)})),
    )


def _unresolved(cfg: DictConfig, name: Any) -> Any:
    """A part of the settings as plain data, with interpolations unresolved."""
    node = cfg._get_node(name)
    assert isinstance(node, Node)  # a key of it
    return OmegaConf.to_container(node, resolve=False) if OmegaConf.is_config(node) else node._value()


def _pretraining(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that determine the pretraining of a cell, empty for none.

    The known anomalies belong to them only where they take part in it. A mistake here costs time and never changes
    numbers, since the cache compares the content of what is pretrained.
    """
    pretrain, split = settings.get("pretrain") or {}, settings.get("split") or {}
    if not pretrain.get("method"):
        return {}
    labels: tuple[str, ...] = ()
    if pretrain.get("rows") == "unlabeled":
        labels = ("known_anomaly", "n_known", "known_weights")
        labels += () if split.get("known_normal_ratio") else ("labeled_ratio",)
    tops = ("method", "features", "selection", "optimizer", "batch_size", "target_fpr")
    return _without(settings, tops, {"split": labels, "trainer": ("max_epochs",)})


def _without(settings: Mapping[str, Any], tops: Sequence[str], below: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    kept = {key: value for key, value in settings.items() if key not in tops}
    for group, names in below.items():
        if isinstance(kept.get(group), dict):
            kept[group] = {key: value for key, value in kept[group].items() if key not in names}
    return kept


def jobs_of(cells: Sequence[PlannedCell], *, size: Callable[[PlannedCell], int], slots: int) -> list[Job]:
    """The jobs that train these cells; each needs only jobs before it.

    Args:
        cells: what to train.
        size: the largest pack for a cell like this one.
        slots: number of workers; packs are small enough for each worker to have one.
    """
    ordered = _spread(cells)
    packs = _packs(ordered, [cell.kind for cell in ordered], size, slots)
    users: dict[str, set[int]] = {}
    for number, pack in enumerate(packs):
        for cell in pack:
            users.setdefault(cell.shares, set()).add(number)
    shared: dict[str, PlannedCell] = {}  # a cell for each pretraining that several packs start from
    for cell in cells:
        if cell.shares and len(users[cell.shares]) > 1:
            shared.setdefault(cell.shares, cell)
    jobs: list[Job] = []
    job_of: dict[str, int] = {}
    for pack in _packs(list(shared.values()), [cell.shares_kind for cell in shared.values()], size, slots):
        job_of |= {cell.shares: len(jobs) for cell in pack}
        jobs.append(Job(len(jobs), pack, pretrains=True, needs=(), stack=len(pack) > 1))
    for pack in packs:
        needs = tuple(sorted({job_of[cell.shares] for cell in pack if cell.shares in job_of}))
        jobs.append(Job(len(jobs), pack, pretrains=False, needs=needs, stack=len(pack) > 1))
    return jobs


def _spread(cells: Sequence[PlannedCell]) -> list[PlannedCell]:
    """The cells reordered: first one of each normal class and seed, then a second of each, and so on.

    A method without labels trains the same network whichever anomalies are known. Workers read the weights that
    another has finished, but cells that train at the same time would all train them, so these are kept apart.
    """
    counts: Counter[str] = Counter()
    rounds = []
    for cell in cells:
        settings = cell.settings
        alike = repr((cell.method, settings["data"], settings["split"]["normal_class"], settings["seed"]))
        rounds.append(counts[alike])
        counts[alike] += 1
    return [cell for _, cell in sorted(zip(rounds, cells, strict=True), key=lambda pair: pair[0])]


def _packs(
    cells: Sequence[PlannedCell], kinds: Sequence[str], size: Callable[[PlannedCell], int], slots: int
) -> list[tuple[PlannedCell, ...]]:
    """Packs of nearly equal size, each of cells of one kind."""
    share_of_a_worker = -(-len(cells) // slots)
    groups: dict[str, list[PlannedCell]] = {}
    for cell, kind in zip(cells, kinds, strict=True):
        groups.setdefault(kind if size(cell) > 1 else cell.key, []).append(cell)
    packs = []
    for group in groups.values():
        parts = -(-len(group) // max(1, min(size(group[0]), share_of_a_worker)))
        least, remainder = divmod(len(group), parts)
        start = 0
        for part in range(parts):
            end = start + least + (part < remainder)
            packs.append(tuple(group[start:end]))
            start = end
    return packs
