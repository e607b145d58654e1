"""What every method of conf/method keeps, on images and on a table, alone and stacked."""

import inspect
import warnings
from pathlib import Path
from types import SimpleNamespace

import lightning
import numpy as np
import pytest
import torch
from hydra.utils import get_class, instantiate
from omegaconf import OmegaConf

from sad_lightning.data.module import Batch, DataModule
from sad_lightning.data.preprocess import Affine
from sad_lightning.grid.population import Population, PopulationData
from sad_lightning.methods.method import Method
from sad_lightning.run import build
from sad_lightning.settings import CONF
from sad_lightning.training import quiet

METHODS = sorted(path.stem for path in (CONF / "method").glob("*.yaml"))
KINDS = {"images": (1, 8, 8), "table": (9,)}


def rows_of(kind: str, seed: int = 0) -> np.ndarray:
    """64 rows that look alike; the first six differ in kind, and the last lies far away."""
    generator = np.random.default_rng(seed)
    if kind == "images":
        x = np.clip(generator.normal(60, 12, (64, 8, 8, 1)), 0, 255).astype(np.uint8)
        x[:6] = 255 - x[:6]
        x[-1] = 255 * (np.indices((8, 8)).sum(axis=0)[..., None] % 2)
        return x
    x = generator.normal(0, 0.5, (64, 3)) @ generator.normal(0, 1, (3, 9))
    x[:6] *= -4
    x[-1] = 12
    return x.astype(np.float32)


def data_of(kind: str, rows: frozenset[int], x: np.ndarray | None = None, seed: int = 1) -> DataModule:
    x = rows_of(kind) if x is None else x
    affine = Affine(np.float32([1 / 255 if kind == "images" else 1]), np.float32([0]))
    semi = np.zeros(63, dtype=np.int8)
    semi[:6], semi[6:9] = -1, 1
    keep = np.isin(semi, sorted(rows))
    return DataModule(
        x, affine, rows=np.flatnonzero(keep), semi=semi[keep], scored=np.arange(64), batch_size=21, seed=seed
    )


@pytest.fixture
def make(settings):
    def method(name: str, kind: str, seed: int = 0, lr: float = 1e-3) -> Method:
        network = "digits" if kind == "images" else "cardio"
        cfg = settings(f"method={name}", f"network={network}", f"optimizer.lr={lr}")
        cfg.network.shape = KINDS[kind]
        return build(cfg.method, seed)

    return method


def train(module, data, epochs: int = 30, precision: str = "32-true") -> None:
    trainer = lightning.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, precision=precision, deterministic=True,
    )  # fmt: skip
    with quiet():
        trainer.fit(module, datamodule=data)


def trained(method: Method, data: DataModule, **options) -> Method:
    method.prepare(data.sweep(torch.device("cpu")))
    train(method, data, **options)
    return method.eval()


@pytest.mark.parametrize("name", METHODS)
def test_yaml_keys_are_the_keyword_parameters(name):
    settings = OmegaConf.load(CONF / "method" / f"{name}.yaml")
    target = get_class(settings["_target_"])
    parameters = list(inspect.signature(target.__init__).parameters.values())[1:]
    assert all(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters)
    assert set(settings) - {"_target_"} == {p.name for p in parameters}
    assert target.__bases__ == (Method,)  # every method is final
    module = Path(inspect.getfile(target)).stem
    assert target.__name__.lower() == module.replace("_", "")


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", METHODS)
def test_training_finds_the_planted_outlier(name, kind, precision, make):
    method = make(name, kind)
    before = {key: value.clone() for key, value in method.named_parameters()}
    data = data_of(kind, method.rows)
    batch = data.gather(torch.arange(7))
    loss = method.loss(batch)
    assert loss.shape == ()
    assert torch.isfinite(loss)
    everything = data.gather(torch.arange(len(data.rows)))
    with torch.no_grad():
        method.prepare(data.sweep(torch.device("cpu")))
        untrained = method.eval().loss(everything)
    method.train()
    trained(method, data, precision=precision)
    assert all(not torch.equal(value, before[key]) for key, value in method.named_parameters())  # everything moved
    with torch.no_grad():
        assert method.loss(everything) < 0.9 * untrained
        scores = method.score(data.samples(torch.arange(64)))
        odd = method.score(data.samples(torch.arange(7)))
    assert scores.shape == (64,)
    assert scores.dtype == torch.float32
    assert odd.shape == (7,)
    torch.testing.assert_close(odd, scores[:7], rtol=1e-4, atol=1e-5)  # a score does not depend on its batch
    normal = scores[9:63]
    assert normal.std() > 1e-6 * normal.mean()  # no collapse
    assert scores[63] > normal.median()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", METHODS)
def test_save_and_load_give_equal_scores(name, kind, make, tmp_path):
    method = make(name, kind)
    data = data_of(kind, method.rows)
    trainer = lightning.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    method.prepare(data.sweep(torch.device("cpu")))
    with quiet():
        trainer.fit(method, datamodule=data)
    trainer.save_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    loaded = type(method).load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True).eval()
    x = data.samples(torch.arange(64))
    with torch.no_grad():
        assert torch.equal(loaded.score(x), method.eval().score(x))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", METHODS)
def test_stacked_members_equal_the_cells_trained_alone(name, kind, make):
    x = np.concatenate([rows_of(kind, seed) for seed in range(3)])

    def member_data(number: int, rows: frozenset[int]) -> DataModule:
        data = data_of(kind, rows, x, seed=number)
        data.rows = data.rows + 64 * number
        return data

    # rounding differs between one and many; a learning rate of 1e-3 would let it grow through ReLUs and max-pooling
    alone = [make(name, kind, seed, lr=1e-4) for seed in range(3)]
    stacked = [make(name, kind, seed, lr=1e-4) for seed in range(3)]
    for number, method in enumerate(alone):
        data = member_data(number, method.rows)
        trained(method, data, epochs=34)  # 2 or 3 steps an epoch: at least 68
    datas = [member_data(number, method.rows) for number, method in enumerate(stacked)]
    for method, data in zip(stacked, datas, strict=True):
        method.prepare(data.sweep(torch.device("cpu")))
    population = Population(stacked)
    train(population, PopulationData(datas), epochs=34)
    population.unstack(stacked)
    for one, other in zip(alone, stacked, strict=True):
        for (key, expected), value in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
            distance = torch.linalg.vector_norm((value - expected).double())
            share = 1e-5 if key in dict(one.named_parameters()) else 1e-4  # buffers hold means that nearly cancel
            assert distance <= share * torch.linalg.vector_norm(expected.double()), key
    assert not torch.equal(next(stacked[0].parameters()), next(stacked[1].parameters()))


@pytest.mark.parametrize("name", METHODS)
def test_labels_are_ignored_where_the_method_says_so(name, make):
    method = make(name, "table")
    batch = data_of("table", frozenset({-1, 0, 1})).gather(torch.arange(12))
    method.eval()
    with torch.no_grad():
        with_labels = method.loss(batch)
        without = method.loss(Batch(batch.x, torch.zeros_like(batch.semi)))
    assert torch.equal(with_labels, without) == (-1 not in method.rows)


@pytest.mark.parametrize("name", METHODS)
def test_same_seed_same_weights_and_the_global_generator_is_left_alone(name, make):
    torch.manual_seed(3)
    first = make(name, "table", seed=0)
    drawn = torch.rand(3)
    torch.manual_seed(99)
    second, third = make(name, "table", seed=0), make(name, "table", seed=1)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(3))
    weights = [torch.cat([p.flatten() for p in method.parameters()]) for method in (first, second, third)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_population_refuses_members_that_differ(make):
    with pytest.raises(ValueError, match="equal settings"):
        Population([make("deep_sad", "table"), make("deep_svdd", "table")])
    data = [data_of("table", frozenset({0})), data_of("table", frozenset({0, 1}))]
    with pytest.raises(ValueError, match="equal numbers of rows"):
        PopulationData(data)


@pytest.mark.parametrize(("clip", "precision"), [(1.0, "32-true"), (None, "16-mixed")])
def test_a_population_refuses_what_would_couple_its_members(clip, precision, make):
    population = Population([make("deep_sad", "table", seed) for seed in range(2)])
    population.trainer = SimpleNamespace(gradient_clip_val=clip, precision=precision)  # float16 needs a GPU
    with pytest.raises(ValueError, match="in a population"):
        population.on_fit_start()


def test_a_recipe_in_a_checkpoint_never_names_what_is_imported(make, tmp_path):
    method = make("deep_sad", "table")
    checkpoint = {
        "state_dict": method.state_dict(), "pytorch-lightning_version": lightning.__version__,
        "hyper_parameters": {**method.hparams, "network": {"type": "subprocess.Popen", "args": "x"}},
    }  # fmt: skip
    torch.save(checkpoint, tmp_path / "foreign.ckpt")
    with warnings.catch_warnings(), pytest.raises(ValueError, match="import the module"):
        type(method).load_from_checkpoint(tmp_path / "foreign.ckpt", weights_only=True)


def test_instantiate_is_what_hydra_does(settings):
    cfg = settings("network=cardio", "network.shape=[9]")
    assert isinstance(instantiate(cfg.method, _convert_="all"), Method)
