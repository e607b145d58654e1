"""What the Trainer costs: a Deep SAD step under it against the same step in a bare PyTorch loop.

    python benchmarks/step.py [--rounds 7] [--steps 60] [--batch-size 200]

Fashion-MNIST's network on images of its size. Both sides train the same method on the same batches; rounds alternate,
so that a drifting machine slows both, and the ratio is taken round by round. Medians are printed, in ms a step, and the
bare step under bf16 autocast beside them.
"""

import argparse
import logging
import time
import warnings

import lightning
import numpy as np
import torch
from hydra import compose, initialize_config_dir

from sad_lightning.data.module import DataModule
from sad_lightning.data.preprocess import Affine
from sad_lightning.methods.method import Method
from sad_lightning.run import build
from sad_lightning.settings import CONF


class Clock(lightning.Callback):
    """Seconds from the end of the first epoch to the end of training."""

    def __init__(self) -> None:
        self.start = self.seconds = 0.0

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if trainer.current_epoch == 0:
            self.start = time.perf_counter()
        self.seconds = time.perf_counter() - self.start


def data_of(rows: int, batch_size: int) -> DataModule:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (rows, 28, 28, 1)).astype(np.uint8)
    semi = np.where(np.arange(rows) % 20 == 0, -1, 0).astype(np.int8)
    affine = Affine(np.float32([1 / 255]), np.float32([0]))
    positions = np.arange(rows)
    return DataModule(images, affine, rows=positions, semi=semi, scored=positions, batch_size=batch_size, seed=0)


def bare(method: Method, data: DataModule, epochs: int, device: torch.device, bf16: bool = False) -> float:
    """Milliseconds a step in a plain loop."""
    method.to(device).train()
    optimizer = torch.optim.Adam(method.parameters(), lr=1e-4, weight_decay=1e-6)
    loader, steps, start = data.train_dataloader(), 0, 0.0
    for epoch in range(epochs + 1):
        if epoch == 1:
            start, steps = time.perf_counter(), 0
        loader.set_epoch(epoch)
        for index in loader:
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                loss = method.loss(data.gather(index.to(device)))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            steps += 1
        loss.item()
    return 1000 * (time.perf_counter() - start) / steps


def trained(method: Method, data: DataModule, epochs: int) -> float:
    """Milliseconds a step under the Trainer, as run.py sets it up but for the bar."""
    clock = Clock()
    trainer = lightning.Trainer(
        max_epochs=epochs + 1, logger=False, callbacks=[clock], enable_checkpointing=False, enable_model_summary=False,
        enable_progress_bar=False, num_sanity_val_steps=0, log_every_n_steps=1, devices=1,
    )  # fmt: skip
    trainer.fit(method, datamodule=data)
    return 1000 * clock.seconds / (epochs * len(data.train_dataloader()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=60, help="steps a round and side")
    parser.add_argument("--batch-size", type=int, default=200)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    epochs = max(1, arguments.steps // 10)
    data = data_of(10 * arguments.batch_size, arguments.batch_size)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=["data=fashion_mnist", "network.shape=[1,28,28]"])

    def method() -> Method:
        return build(cfg.method, 0)

    rounds = []
    for number in range(arguments.rounds + 1):
        figures = (
            trained(method(), data, epochs),
            bare(method(), data, epochs, device),
            bare(method(), data, epochs, device, bf16=True),
        )
        if number:  # the first warms up
            rounds.append(figures)
    under, plain, half = np.median(rounds, axis=0)
    ratios = np.array([a / b for a, b, _ in rounds])
    print(f"{device}, {torch.get_num_threads()} threads, batch {arguments.batch_size}, {epochs * 10} steps a round")
    print(f"Trainer      {under:7.2f} ms a step")
    print(f"bare loop    {plain:7.2f} ms a step")
    print(f"bare, bf16   {half:7.2f} ms a step")
    print(f"Trainer / bare: median {np.median(ratios):.3f}, from {ratios.min():.3f} to {ratios.max():.3f}")


if __name__ == "__main__":
    main()
