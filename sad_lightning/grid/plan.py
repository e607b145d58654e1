"""What a grid does: cells that share a pretraining, and cells that train as one, become jobs. No import of torch."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, Node, OmegaConf, open_dict, read_write

from sad_lightning.cell.key import defining, digest, folder_of, key_of


@dataclass(frozen=True)
class PlannedCell:
    """One cell of a grid, as it was when the grid was planned.

    Attributes:
        key: names what determines its numbers.
        folder: where its files go.
        data: the data set's choice.
        method: the method's choice.
        experiment: the choice of an experiment or a protocol, where there is one.
        overrides: what gives this cell on the command line.
        settings: composed; interpolations are open, but for the logger's.
        kind: names what could train as one with it: equal in all but classes and seed.
        shares: names the pretraining it starts from; empty for none.
        shares_kind: names what could pretrain as one with it.
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
    """What a worker does in one go.

    Attributes:
        number: its place in the plan.
        cells: what it trains, or what the pretrainings that it trains are for.
        pretrains: whether it only pretrains.
        needs: numbers of the jobs before it.
        stack: whether its cells train as one.
    """

    number: int
    cells: tuple[PlannedCell, ...]
    pretrains: bool
    needs: tuple[int, ...]
    stack: bool


def cell_of(cfg: DictConfig, overrides: Sequence[str]) -> PlannedCell:
    """The cell of composed settings, which hold the ``hydra`` node."""
    promised = defining(cfg)
    key = key_of(promised)
    plain = _open(cfg.hydra.sweep, "subdir") == "${cell_folder:}"
    folder = Path(str(cfg.hydra.sweep.dir)).resolve() / (folder_of(cfg, key) if plain else str(cfg.hydra.sweep.subdir))
    with read_write(cfg.hydra.runtime), open_dict(cfg.hydra.runtime):
        cfg.hydra.runtime.output_dir = str(folder)
    HydraConfig.instance().cfg = cfg  # type: ignore[assignment]  # whom ${hydra:...} asks; its set_config would copy all of it, for every cell
    settings = {str(name): _open(cfg, name) for name in cfg if name not in ("hydra", "logger")}
    settings["logger"] = OmegaConf.to_container(cfg.logger, resolve=True)  # it may ask Hydra, which is not there later
    shared = _pretraining(promised)
    chosen = cfg.hydra.runtime.choices
    return PlannedCell(
        key=key,
        folder=str(folder),
        data=str(chosen["data"]),
        method=str(chosen["method"]),
        experiment=chosen.get("experiment") or chosen.get("protocol"),
        overrides=tuple(overrides),
        settings=settings,
        kind=digest(_without(promised, ("seed",), {"split": ("normal_class", "known_anomaly")})),
        shares=digest(shared) if shared else "",
        shares_kind=digest(_without(shared, ("seed",), {"split": ("normal_class",)})),
    )


def _open(cfg: DictConfig, name: Any) -> Any:
    """A part of the settings as plain data, interpolations open."""
    node = cfg._get_node(name)
    assert isinstance(node, Node)  # a key of it
    return OmegaConf.to_container(node, resolve=False) if OmegaConf.is_config(node) else node._value()


def _pretraining(promised: Mapping[str, Any]) -> dict[str, Any]:
    """What determines the pretraining of a cell, empty for none; who the known anomalies are only where they train it.

    Two cells that are wrongly told apart or put together here cost time, never numbers: weights are shared by content.
    """
    pretrain, split = promised.get("pretrain") or {}, promised.get("split") or {}
    if not pretrain.get("method"):
        return {}
    labels: tuple[str, ...] = ()
    if pretrain.get("rows") == "unlabeled":
        labels = ("known_anomaly", "n_known", "known_weights")
        labels += () if split.get("known_normal_ratio") else ("labeled_ratio",)
    tops = ("method", "features", "selection", "optimizer", "batch_size", "target_fpr")
    return _without(promised, tops, {"split": labels, "trainer": ("max_epochs",)})


def _without(settings: Mapping[str, Any], tops: Sequence[str], below: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    kept = {key: value for key, value in settings.items() if key not in tops}
    for group, names in below.items():
        if isinstance(kept.get(group), dict):
            kept[group] = {key: value for key, value in kept[group].items() if key not in names}
    return kept


def jobs_of(cells: Sequence[PlannedCell], *, size: Callable[[PlannedCell], int], slots: int) -> list[Job]:
    """What the workers do, in an order in which nothing waits for what comes later.

    Args:
        cells: what there is to train.
        size: how many cells like this one train as one at most.
        slots: how many workers there are; packs are no larger than leaves each of them some.
    """
    packs = _packs(_spread(cells), [cell.kind for cell in _spread(cells)], size, slots)
    users: dict[str, set[int]] = {}
    for number, pack in enumerate(packs):
        for cell in pack:
            users.setdefault(cell.shares, set()).add(number)
    first: dict[str, PlannedCell] = {}
    for cell in cells:
        if cell.shares and len(users[cell.shares]) > 1:
            first.setdefault(cell.shares, cell)
    jobs: list[Job] = []
    giver: dict[str, int] = {}
    for pack in _packs(list(first.values()), [cell.shares_kind for cell in first.values()], size, slots):
        giver |= {cell.shares: len(jobs) for cell in pack}
        jobs.append(Job(len(jobs), pack, pretrains=True, needs=(), stack=len(pack) > 1))
    for pack in packs:
        needs = tuple(sorted({giver[cell.shares] for cell in pack if cell.shares in giver}))
        jobs.append(Job(len(jobs), pack, pretrains=False, needs=needs, stack=len(pack) > 1))
    return jobs


def _spread(cells: Sequence[PlannedCell]) -> list[PlannedCell]:
    """One cell of each normal class and seed first, then the next of each: neighbours share as little as can be.

    A method that does not look at labels trains alike for all known anomalies: what one worker has left, the others
    read, but what two train at the same time is trained twice.
    """
    seen: Counter[str] = Counter()
    rounds = []
    for cell in cells:
        like = repr((cell.method, cell.settings["data"], cell.settings["split"]["normal_class"], cell.settings["seed"]))
        rounds.append(seen[like])
        seen[like] += 1
    return [cell for _, cell in sorted(zip(rounds, cells, strict=True), key=lambda pair: pair[0])]


def _packs(
    cells: Sequence[PlannedCell], kinds: Sequence[str], size: Callable[[PlannedCell], int], slots: int
) -> list[tuple[PlannedCell, ...]]:
    """Cells of one kind together, in packs of nearly equal size."""
    fair = -(-len(cells) // slots)
    groups: dict[str, list[PlannedCell]] = {}
    for cell, kind in zip(cells, kinds, strict=True):
        groups.setdefault(kind if size(cell) > 1 else cell.key, []).append(cell)
    packs = []
    for group in groups.values():
        parts = -(-len(group) // max(1, min(size(group[0]), fair)))
        each, over = divmod(len(group), parts)
        start = 0
        for part in range(parts):
            end = start + each + (part < over)
            packs.append(tuple(group[start:end]))
            start = end
    return packs
