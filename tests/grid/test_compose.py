"""The cells of a sweep from plain data are those that Hydra and OmegaConf compose, one by one."""

import pytest
from omegaconf import OmegaConf
from support.grids import sweep

from sad_lightning.cell.key import cell_key, plain
from sad_lightning.config.compose import with_voices
from sad_lightning.config.options import CONF
from sad_lightning.grid.compose import Kind, Sweep
from sad_lightning.grid.plan import cell_of, plan_cells

EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))


@pytest.fixture
def composed(monkeypatch):
    """The cells that OmegaConf composed."""
    cells: list[tuple[str, ...]] = []
    compose = Sweep.compose
    monkeypatch.setattr(Sweep, "compose", lambda self, cell: cells.append(tuple(cell)) or compose(self, cell))
    return cells


def check(cell, overrides, loader, master) -> None:
    """A cell, and each of its settings, is what Hydra makes of its overrides alone."""
    whole = loader.load_sweep_config(master, list(overrides))
    assert cell == cell_of(whole, overrides)
    assert cell.key == cell_key(with_voices(whole, overrides))
    resolved = plain(OmegaConf.create(cell.settings))
    for name in resolved:
        if name != "voices":  # they are composed in a cell, and typed in Hydra's settings
            assert repr(resolved[name]) == repr(plain(whole[name]))  # 1 is not 1.0


@pytest.mark.parametrize("number", range(len(EXPERIMENTS)), ids=EXPERIMENTS)
def test_every_experiment(number, composed):
    with sweep(f"+experiment={EXPERIMENTS[number]}") as (loader, master, cells):
        kinds: dict[Kind, list[list[str]]] = {}
        split = Sweep(loader, master, cells).split
        for cell in cells:
            kinds.setdefault(split(cell)[0], []).append(cell)
        alike = list(kinds.values())[number % len(kinds)]
        has_voices = EXPERIMENTS[number] == "images_scenario1"
        alike = [alike[0], alike[-1]] if has_voices else alike
        planned = plan_cells(loader, master, alike)
        assert composed == [tuple(cell) for cell in (alike if has_voices else alike[:1])]  # a mixture always is
        check(planned[-1], alike[-1], loader, master)


@pytest.mark.parametrize(
    "arguments",
    [
        ("method=iforest", "seed=0,3"),  # its random state
        ("data=synthetic", "seed=0,3"),  # a seed of the data
        ("method=dp_vae", "network.rep_dim=8,16", "logger=mlflow"),  # a network within a method, and one to pretrain
        ("optimizer.lr=1e-3,1", "trainer.max_epochs=2,3", "batch_size=10,20"),  # those of the pretraining
        ("optimizer.milestones=[10],[],[5,7]", "pretrain.method=null"),
        ("method.eta=1,1.0,2", "split.labeled_ratio=0,0.1", "split.known_anomaly=2,3"),
        ("logger=wandb", "seed=1,-2", "split.normal_class=1,2"),  # the name of its run
        ("pretrain.rows=all,unlabeled", "split.known_normal_ratio=0.0,0.1"),
        ("runs=/elsewhere", "plan_only=true", "seed=range(0,3)"),
        ("data=cardio", "data_root=/a,/b,null", "selection=null"),
    ],
)
def test_values_that_are_read_elsewhere(arguments, composed):
    with sweep(*arguments) as (loader, master, cells):
        planned = plan_cells(loader, master, cells)
        assert composed == [tuple(cells[0])]
        check(planned[-1], cells[-1], loader, master)
        check(planned[1], cells[1], loader, master)


@pytest.mark.parametrize(
    ("arguments", "slow"),
    [
        (("data=cardio,digits", "method=deep_sad,dp_vae", "seed=0,3", "split.normal_class=[0],1", "+extra=1,2"), 24),
        (("seed=0,'${batch_size}',2",), 2),
        (("runs=a,b", "seed=1"), 2),  # the folder of the sweep
        (("data=table", "+preset=recommended", "seed=0,1"), 2),  # voices
        (("hydra.sweep.subdir='x${seed}/${cell_folder:}'", "seed=0,1"), 2),
        (("++method.eta=1,2",), 2),
        (("~pretrain.epochs", "seed=0,1"), 1),
        (("seed=0,1,2", "method.eta='${.eps}'"), 3),
        (("logger=wandb", "split.normal_class=[0,1],[1,2]"), 2),
    ],
)
def test_what_plain_data_can_not_tell_is_composed(arguments, slow, composed):
    with sweep(*arguments) as (loader, master, cells):
        planned = plan_cells(loader, master, cells)
        assert len(composed) == slow
        for number in (0, len(cells) // 2, len(cells) - 1):
            check(planned[number], cells[number], loader, master)


def test_a_cell_set_in_place_is_the_one_that_hydra_composes():
    """OmegaConf's road, which is there for what plain data can not tell."""
    with sweep("data=cardio,digits", "seed=0,3", "split.normal_class=[0],1", "+extra=1,2") as (loader, master, cells):
        all_of_it = Sweep(loader, master, cells)
        for overrides in cells[::3]:
            cfg, whole = all_of_it.compose(overrides), loader.load_sweep_config(master, list(overrides))
            for key in whole:
                if key != "hydra":
                    part = [OmegaConf.to_container(OmegaConf.create({key: c._get_node(key)})) for c in (cfg, whole)]
                    assert part[0] == part[1]
            assert cfg.hydra.job.override_dirname == whole.hydra.job.override_dirname
            assert cfg.hydra.runtime.choices == whole.hydra.runtime.choices
            assert cfg.hydra.overrides.task == whole.hydra.overrides.task == overrides
