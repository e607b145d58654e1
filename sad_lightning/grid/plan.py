"""The plan of a grid: its cells, and the jobs that train them. It is made without importing torch."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from sad_lightning.cell.key import (
    defining,
    defining_part,
    digest_of,
    files_of,
    folder_of,
    key_of_texts,
    key_text,
    plain,
    text_of,
)
from sad_lightning.config.compose import is_baseline, method_name, with_voices
from sad_lightning.grid.compose import Kind, Sweep
from sad_lightning.grid.substitute import Substitution


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
        config_dir: the folder of ``--config-dir``; empty for none.
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
    config_dir: str = ""  # which older plans lack


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


def plan_cells(loader: Any, master: DictConfig, cells: Sequence[Sequence[str]], first: int = 0) -> list[PlannedCell]:
    """The cells of a sweep, by the overrides of each; Hydra counts them as jobs, the first as number ``first``."""
    sweep = Sweep(loader, master, cells, first)
    kinds: dict[Kind, _Cells | None] = {}
    planned = []
    for overrides in cells:
        kind, values = sweep.split(overrides)
        alike = kinds.get(kind)
        if alike is not None and alike.substitution.fits(values):
            planned.append(alike.cell(values, overrides))
            continue
        cfg = sweep.compose(overrides)
        planned.append(cell_of(cfg, overrides))
        if kind not in kinds:
            kinds[kind] = _cells_like(cfg, kind)
    return planned


def cell_of(cfg: DictConfig, overrides: Sequence[str]) -> PlannedCell:
    """The cell of composed settings, which hold the ``hydra`` node."""
    # What ${hydra:...} reads; HydraConfig.set_config would copy all settings for every cell.
    HydraConfig.instance().cfg = cfg  # type: ignore[assignment]
    mixed = with_voices(cfg, overrides)
    part = defining(mixed)
    unshared = _unshared(part)
    key, kind, shares, shares_kind = _digests(_texts(name, value, unshared) for name, value in part.items())
    choices = _choices(cfg)
    if _has_default_folder(cfg):
        folder = _top(cfg) / folder_of(*choices[:2], plain(cfg.split.normal_class), cfg.seed, key)
    else:
        folder = _top(cfg) / str(cfg.hydra.sweep.subdir)
    with read_write(cfg.hydra.runtime), open_dict(cfg.hydra.runtime):
        cfg.hydra.runtime.output_dir = str(folder)
    settings: dict[str, Any] = OmegaConf.to_container(cfg, resolve=False)  # type: ignore[assignment]
    del settings["hydra"]
    settings = _without_hydra(settings, cfg)
    settings["voices"] = OmegaConf.to_container(mixed.voices, resolve=False)
    settings["logger"] = plain(cfg.logger)
    return PlannedCell(
        key, str(folder), *choices, tuple(overrides), settings, kind, shares, shares_kind, _config_dir(cfg)
    )


def _without_hydra(value: Any, cfg: Any, place: str = "") -> Any:
    """Settings in which ``${hydra:...}`` is resolved, which workers do not have."""
    if isinstance(value, dict):
        return {name: _without_hydra(item, cfg, f"{place}.{name}" if place else name) for name, item in value.items()}
    if isinstance(value, list):
        return [_without_hydra(item, cfg, f"{place}[{number}]") for number, item in enumerate(value)]
    return plain(OmegaConf.select(cfg, place)) if isinstance(value, str) and "${hydra:" in value else value


def _cells_like(cfg: DictConfig, kind: Kind) -> "_Cells | None":
    """The cells of a kind; None where OmegaConf must resolve the settings of each.

    So it must for mixtures, and with a backbone, some of whose settings count for patches alone.
    """
    if cfg.get("voices") or cfg.backbone is not None or not _has_default_folder(cfg):
        return None
    try:
        return _Cells(cfg, kind)
    except ValueError:
        return None


class _Cells:
    """Cells that differ in single values, from plain data: each is what ``cell_of`` makes of it.

    Raises:
        ValueError: their values can not be substituted.
    """

    def __init__(self, cfg: DictConfig, kind: Kind) -> None:
        self.substitution = Substitution(cfg, kind.keys)
        self.choices, self.top, self.config_dir = _choices(cfg), str(_top(cfg)), _config_dir(cfg)
        self._texts: dict[tuple[Any, ...], list[tuple[str, ...]]] = {}

    def cell(self, values: Sequence[Any], overrides: Sequence[str]) -> PlannedCell:
        """The cell with these values, one a key."""
        resolved = self.substitution.resolved(values)
        unshared = _unshared(resolved)
        spelt = [repr(value) for value in values]  # 1 and 1.0 are two values
        texts: list[tuple[str, ...]] = []
        for numbers, names in self.substitution.shown.items():
            at = (unshared, numbers, *(spelt[number] for number in numbers))
            if at not in self._texts:
                some = {name: resolved[name] for name in names}
                self._texts[at] = [_texts(*item, unshared) for item in defining_part(some, files_of(some)).items()]
            texts += self._texts[at]
        key, kind, shares, shares_kind = _digests(texts)
        data, method, experiment = self.choices
        folder = f"{self.top}/{folder_of(data, method, resolved['split']['normal_class'], resolved['seed'], key)}"
        settings = self.substitution.unresolved(values)
        settings["logger"] = self.substitution.logger(values, folder)
        return PlannedCell(
            key, folder, data, method, experiment, tuple(overrides), settings, kind, shares, shares_kind,
            self.config_dir,
        )  # fmt: skip


def _choices(cfg: DictConfig) -> tuple[str, str, str | None]:
    """The options of data, of the method, and of the experiment or protocol where there is one."""
    chosen = cfg.hydra.runtime.choices
    method = method_name(cfg, str(chosen["method"]))
    return str(chosen["data"]), method, chosen.get("experiment") or chosen.get("protocol")


def _config_dir(cfg: DictConfig) -> str:
    """The folder of ``--config-dir``; empty for none."""
    sources = cfg.hydra.runtime.config_sources
    return next((str(source.path) for source in sources if source.provider == "command-line"), "")


def _top(cfg: DictConfig) -> Path:
    """The folder of the sweep."""
    return Path(str(cfg.hydra.sweep.dir)).resolve()


def _has_default_folder(cfg: DictConfig) -> bool:
    return bool(cfg.hydra.sweep._get_node("subdir")._value() == "${cell_folder:}")


# What a pretraining does not depend on. A mistake here costs time and never changes numbers, since the cache compares
# the content of what is pretrained.
_AFTER_PRETRAINING = ("method", "features", "selection", "optimizer", "batch_size", "target_fpr")


def _unshared(settings: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The settings of the split that the pretraining of a cell does not depend on; None where there is none.

    The known anomalies belong to them where they take no part in it.
    """
    pretrain, split = settings.get("pretrain") or {}, settings.get("split") or {}
    if not pretrain.get("method"):
        return None
    if pretrain.get("rows") != "unlabeled":
        return ()
    labels = ("known_anomaly", "n_known", "known_weights")
    return labels if split.get("known_normal_ratio") else (*labels, "labeled_ratio")


def _texts(name: str, value: Any, unshared: tuple[str, ...] | None) -> tuple[str, ...]:
    """A setting as the key, ``kind``, ``shares`` and ``shares_kind`` of a cell see it; empty where they do not."""
    texts = [key_text(name, value), _text(name, value, ("seed",), {"split": ("normal_class", "known_anomaly")})]
    if unshared is None:
        return (*texts, "", "")
    epochs = {"trainer": ("max_epochs",)}
    shares = _text(name, value, _AFTER_PRETRAINING, {"split": unshared, **epochs})
    kind = _text(name, value, ("seed", *_AFTER_PRETRAINING), {"split": (*unshared, "normal_class"), **epochs})
    return (*texts, shares, kind)


def _text(name: str, value: Any, tops: Sequence[str], below: Mapping[str, Sequence[str]]) -> str:
    if name in tops:
        return ""
    if name in below and isinstance(value, dict):
        value = {key: item for key, item in value.items() if key not in below[name]}
    return text_of(name, value)


def _digests(texts: Iterable[tuple[str, ...]]) -> list[str]:
    """Key, ``kind``, ``shares`` and ``shares_kind`` of a cell, from the texts of its settings."""
    key, *others = zip(*texts, strict=True)
    return [key_of_texts(key), *(digest_of(column) if any(column) else "" for column in others)]


def jobs_of(cells: Sequence[PlannedCell], *, size: Callable[[PlannedCell], int], slots: int) -> list[Job]:
    """The jobs that train these cells; each needs only jobs before it.

    ``size`` is the largest pack for a cell; packs are small enough for each worker to have one.
    """
    ordered = _ordered(cells)
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


def _ordered(cells: Sequence[PlannedCell]) -> list[PlannedCell]:
    """The cells reordered by what those that differ in their labels alone can share.

    Those that train a network: first one of each normal class and seed, then a second of each, and so on. A method
    without labels trains the same network whichever anomalies are known. Workers read the weights that another has
    finished, but cells that train at the same time would all train them, so these are kept apart. Those of baselines:
    one class and seed after the other, for a worker keeps the last fit of each in memory.
    """
    counts: Counter[str] = Counter()
    places: dict[str, int] = {}
    turns = []
    for cell in cells:
        settings = cell.settings
        alike = repr((cell.method, settings["data"], settings["split"]["normal_class"], settings["seed"]))
        trains = not all(map(is_baseline, settings["voices"].values() or (settings,)))
        turns.append(counts[alike] if trains else places.setdefault(alike, len(places)))
        counts[alike] += 1
    return [cell for _, cell in sorted(zip(turns, cells, strict=True), key=lambda pair: pair[0])]


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
