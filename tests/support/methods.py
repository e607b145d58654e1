"""Every method of conf/method on small images and a small table."""

import lightning
import numpy as np
import pytest
import torch

from sad_lightning.cell.learner import build_method
from sad_lightning.config.options import CONF
from sad_lightning.data.module import Batch, DataModule
from sad_lightning.data.preprocess import Scaling
from sad_lightning.methods.method import Method
from sad_lightning.training.trainer import quiet

DEEP = (path for path in (CONF / "method").glob("*.yaml") if "features:" not in path.read_text())
METHODS = sorted(path.stem for path in DEEP)
CLASSIFIERS = (
    "classifier",
    "devnet",
    "overlap",
    "prenet",
    "ss_dgm",
    "ss_dgm_m1m2",
)  # blind for anomalies of another kind (ruff2020 appendix E)
KINDS = {"images": (1, 8, 8), "table": (9,)}


def rows_of(kind: str, seed: int = 0) -> np.ndarray:
    """65 rows that look alike; the first six differ in kind, the last lies far away, the one before is like the six."""
    generator = np.random.default_rng(seed)
    if kind == "images":
        x = np.clip(generator.normal(60, 12, (65, 8, 8, 1)), 0, 255).astype(np.uint8)
        x[[*range(6), 63]] = 255 - x[[*range(6), 63]]
        x[-1] = 255 * (np.indices((8, 8)).sum(axis=0)[..., None] % 2)
        return x
    x = generator.normal(0, 0.5, (65, 3)) @ generator.normal(0, 1, (3, 9))
    x[[*range(6), 63]] = -4 * np.abs(x[[*range(6), 63]]) - 1
    x[-1] = 12
    return x.astype(np.float32)


def data_of(kind: str, method: Method, x: np.ndarray | None = None, seed: int = 1) -> DataModule:
    x = rows_of(kind) if x is None else x
    scaling = Scaling(np.float32([1 / 255 if kind == "images" else 1]), np.float32([0]))
    semi = np.zeros(63, dtype=np.int8)
    semi[:6], semi[6:9] = -1, 1
    keep = np.isin(semi, sorted(method.trains_on))
    return DataModule(
        x, scaling, rows=np.flatnonzero(keep), semi=semi[keep], scored=np.arange(65), batch_size=21, seed=seed,
        streams=[update.stream for update in method.updates], noise=method.noise,
    )  # fmt: skip


def batch_of(data: DataModule, count: int | None = None) -> Batch:
    """The first rows that train, or all, late in training, with the same noise each time."""
    count = len(data.rows) if count is None else count
    noise = torch.randn(count, *data.noise, generator=torch.Generator().manual_seed(5))
    return data.gather(torch.arange(count))._replace(noise=noise, epoch=torch.tensor(100.0))


@pytest.fixture
def make(settings):
    def method(name: str, kind: str, seed: int = 0, lr: float = 1e-3) -> Method:
        data = "digits" if kind == "images" else "cardio"
        cfg = settings(f"method={name}", f"data={data}", f"optimizer.lr={lr}")
        cfg.network.shape = KINDS[kind]
        if "anomalies" in cfg.method:
            cfg.method.anomalies.warm_up = 2
            cfg.method.anomalies.settle = kind == "images"  # as conf/pair has it
        return build_method(cfg.method, seed)

    return method


def train(module, data, epochs: int = 30, precision: str = "32-true", callbacks=()) -> None:
    trainer = lightning.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, precision=precision, deterministic=True, callbacks=list(callbacks),
    )  # fmt: skip
    with quiet():
        trainer.fit(module, datamodule=data)


def trained(method: Method, data: DataModule, **options) -> Method:
    method.prepare(data.in_order(torch.device("cpu")))
    train(method, data, **options)
    return method.eval()
