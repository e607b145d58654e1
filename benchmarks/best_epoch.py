"""What a fifth of held-out images and the best epoch are worth to DP-VAE (daniel2021 appendix D.2).

    SAD_DATA_ROOT=... python benchmarks/best_epoch.py [--normal 0 ...] [--known 5] [--rows 1500] [--epochs 200]
        [--seeds 2]

One class of Fashion-MNIST is normal, and 5 % of the training rows are known anomalies of another, with the paper's
settings and one network. All rows train and the last epoch counts, as in the experiments here; or a fifth is held out,
and the last epoch counts, or the one that ranks the held-out rows best. AUROC is over all test images, in percent.
"""

import argparse
import os
from collections.abc import Sequence

import numpy as np

from sad_lightning import Detector
from sad_lightning.data import fashion_mnist
from sad_lightning.stats.ranking import auroc

PAPER = {
    "network.widths": [16, 32], "network.dense": [64], "network.rep_dim": 32, "method.elbo.beta_kl": 0.005,
    "method.alpha": 10.0, "method.anomalies.interval": 2, "method.anomalies.settle": True, "ensemble": 1,
    "trainer.accelerator": "cpu",
}  # fmt: skip
VARIANTS = {
    "all rows, last epoch": {"split.validation_ratio": 0.0},
    "four fifths, last epoch": {"split.validation_ratio": 0.2},
    "four fifths, best epoch": {"split.validation_ratio": 0.2, "patience": 1000},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--normal", type=int, nargs="+", default=[0])
    parser.add_argument("--known", type=int, default=5, help="class of the known anomalies")
    parser.add_argument("--rows", type=int, default=1500, help="normal images that train")
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    arrays = fashion_mnist(os.environ.get("SAD_DATA_ROOT"))
    trains = np.arange(len(arrays.x)) < arrays.n_train
    half, half_classes = arrays.x[trains], arrays.target_class[trains]
    test, classes = arrays.x[~trains], arrays.target_class[~trains]
    milestones = [options.epochs // 2, options.epochs * 3 // 4]
    for normal in options.normal:
        found: dict[str, list[float]] = {name: [] for name in VARIANTS}
        for seed in range(options.seeds):
            x, semi = rows(half, half_classes, normal, options, seed)
            for name, settings in VARIANTS.items():
                schedule = {"trainer.max_epochs": options.epochs, "optimizer.milestones": milestones}
                detector = Detector("dp_vae", settings={**PAPER, **schedule, **settings}, random_state=seed)
                scores = detector.fit(x, semi).anomaly_score(test)
                found[name].append(100 * auroc(classes != normal, scores))
                print(f"  normal {normal}, seed {seed}, {name}: {found[name][-1]:.1f}", flush=True)
        for name, areas in found.items():
            print(f"normal {normal}, {name:26}{np.mean(areas):5.1f}")


def rows(
    x: np.ndarray, classes: np.ndarray, normal: int, options: argparse.Namespace, seed: int
) -> Sequence[np.ndarray]:
    """Normal images and known anomalies, 95 and 5 %, with their labels."""
    generator = np.random.default_rng(seed)
    normals = generator.permutation(np.flatnonzero(classes == normal))[: options.rows]
    anomalies = generator.permutation(np.flatnonzero(classes == options.known))[: round(options.rows * 0.05 / 0.95)]
    return x[np.concatenate([normals, anomalies])], np.repeat([0, -1], [len(normals), len(anomalies)])


if __name__ == "__main__":
    main()
