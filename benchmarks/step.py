"""What the Trainer costs: a Deep SAD step under it against the same step in a bare PyTorch loop.

    python benchmarks/step.py [--rounds 7] [--epochs 3] [--batch-size 200] [--rows 6000]

One cell of Fashion-MNIST (real images where SAD_DATA_ROOT has them, else noise of the same size), trained as run.py
trains it: with the bar, the logger and the saved state. The bare side takes the same steps on the same batches. Rounds
alternate, so that a drifting machine slows both, and the ratio is taken round by round. Medians are printed in ms a
step, and both sides under bf16 beside them.
"""

import argparse
import logging
import os
import tempfile
import time
import warnings
from pathlib import Path

import lightning
import numpy as np
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from lightning.pytorch.loggers import CSVLogger
from omegaconf import DictConfig

from sad_lightning.cell.learner import build_method
from sad_lightning.config.options import CONF
from sad_lightning.data.module import DataModule
from sad_lightning.data.preprocess import Scaling
from sad_lightning.data.sets.images import fashion_mnist
from sad_lightning.methods.method import Method
from sad_lightning.training.trainer import Stage, fit, new_trainer


class Clock(lightning.Callback):
    """Seconds from the end of the first epoch to the end of training."""

    def __init__(self) -> None:
        self.start = self.seconds = 0.0

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        wait(pl_module.device)
        if trainer.current_epoch == 0:
            self.start = time.perf_counter()
        self.seconds = time.perf_counter() - self.start


def wait(device: torch.device) -> None:
    """Until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def data_of(batch_size: int, rows: int) -> DataModule:
    root = os.environ.get("SAD_DATA_ROOT")
    if root and (Path(root) / "fashion_mnist.npz").exists():
        arrays = fashion_mnist(root)
        images = arrays.x[: arrays.n_train][arrays.target_class[: arrays.n_train] == 0]
    else:
        images = np.random.default_rng(0).integers(0, 256, (6000, 28, 28, 1)).astype(np.uint8)
    positions = np.arange(min(rows, len(images)))
    semi = np.where(positions % 20 == 0, -1, 0).astype(np.int8)
    scaling = Scaling(np.float32([1 / 255]), np.float32([0]))
    return DataModule(images, scaling, rows=positions, semi=semi, scored=positions, batch_size=batch_size, seed=0)


def bare(method: Method, data: DataModule, epochs: int, bf16: bool) -> float:
    """Milliseconds a step in a plain loop."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    method.to(device).train()
    optimizer = torch.optim.Adam(method.parameters(), lr=1e-4, weight_decay=1e-6)
    loader, start = data.train_dataloader(), 0.0
    for epoch in range(epochs + 1):
        if epoch == 1:
            wait(device)
            start = time.perf_counter()
        loader.set_epoch(epoch)
        for (draw,) in loader:  # one kind of step
            assert draw is not None  # the first stream has a batch each step
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                loss = method.loss(data.gather(draw.positions.to(device)))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
    wait(device)
    return 1000 * (time.perf_counter() - start) / (epochs * len(loader))


def trained(method: Method, data: DataModule, epochs: int, bf16: bool, cfg: DictConfig) -> float:
    """Milliseconds a step under the Trainer."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        make = instantiate(cfg.trainer, precision="bf16-mixed" if bf16 else "32-true")
        logger = CSVLogger(folder)
        trainer = new_trainer(make, [Stage("train", "bench", logger)], epochs=epochs + 1, folder=Path(folder))
        trainer.callbacks.append(clock)
        fit(trainer, method, data)
    return 1000 * clock.seconds / (epochs * len(data.train_dataloader()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--epochs", type=int, default=3, help="epochs a round and side")
    parser.add_argument("--batch-size", type=int, default=200)
    parser.add_argument("--rows", type=int, default=6000, help="training rows, at most those of one class")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    data = data_of(arguments.batch_size, arguments.rows)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=["data=fashion_mnist", "network.shape=[1,28,28]"])

    rounds = []
    for number in range(arguments.rounds + 1):
        figures = []
        for bf16 in (False, True):
            figures.append(trained(build_method(cfg.method, 0), data, arguments.epochs, bf16, cfg))
            figures.append(bare(build_method(cfg.method, 0), data, arguments.epochs, bf16))
        if number:  # the first warms up
            rounds.append(figures)
    table = np.array(rounds)
    where = "cuda" if torch.cuda.is_available() else f"cpu, {torch.get_num_threads()} threads"
    steps = arguments.epochs * len(data.train_dataloader())
    print(f"{where}, batch {arguments.batch_size}, {steps} steps a round, {arguments.rounds} rounds")
    for name, first in (("fp32", 0), ("bf16", 2)):
        ratios = table[:, first] / table[:, first + 1]
        under, plain = np.median(table[:, first : first + 2], axis=0)
        print(
            f"{name}: Trainer {under:.2f} ms a step, bare loop {plain:.2f} ms; ratio, median {np.median(ratios):.3f}, "
            f"from {ratios.min():.3f} to {ratios.max():.3f}"
        )


if __name__ == "__main__":
    main()
