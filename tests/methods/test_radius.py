"""The exact radius against brute force, and on real data."""

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from sad_lightning.cell.run import run_cell
from sad_lightning.cell.values import Cell
from sad_lightning.data.sets.tabular import odds
from sad_lightning.data.split import draw_split
from sad_lightning.methods.soft_deep_sad import soft_deep_sad_loss
from sad_lightning.methods.soft_deep_svdd import SoftDeepSVDD
from sad_lightning.methods.soft_hypersphere import solve_radius


def objective(squared: float, distance: np.ndarray, semi: np.ndarray, eta: float, nu: float) -> float:
    """ruff2019 equation 3 as a function of r = R^2, term by term."""
    total = 0.0
    for d, label in zip(distance, semi, strict=True):
        if label == 0:
            total += max(0.0, d - squared)
        else:
            total += eta * max(0.0, label * (d - squared))
    return squared + total / (nu * len(distance))


def brute_force(distance: np.ndarray, semi: np.ndarray, eta: float, nu: float) -> float:
    """The smallest of all breakpoints with the least objective: a piecewise linear function is least at one of them."""
    candidates = np.unique([0.0, *distance])
    values = np.array([objective(c, distance, semi, eta, nu) for c in candidates])
    return float(candidates[values <= values.min() + 1e-6].min())


@pytest.mark.parametrize("seed", range(60))
def test_solved_exactly_on_random_batches(seed):
    generator = np.random.default_rng(seed)
    size = int(generator.integers(1, 40))
    distance = generator.exponential(4, size).round(1 if seed % 3 == 0 else 6)  # a third of the batches have ties
    share = [(1, 0, 0), (0, 0, 1), (0, 1, 0), (0.5, 0.2, 0.3)][seed % 4]  # no labels, only anomalies, only normals, all
    semi = generator.choice([0, 1, -1], size, p=share)
    eta, nu = float(generator.choice([0.25, 1.0, 3.0])), float(generator.choice([0.01, 0.1, 0.37, 1.0]))
    solved = solve_radius(torch.tensor(distance, dtype=torch.float32), torch.tensor(semi), eta=eta, nu=nu)
    expected = brute_force(distance.astype(np.float32).astype(float), semi, eta, nu)
    assert solved.item() ** 2 == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_by_hand():
    distance = torch.tensor([4.0, 1.0, 9.0, 16.0, 25.0])
    unlabeled = torch.zeros(5)
    # ceil(5 (1 - nu))-th smallest: nu = 0.2 the fourth, nu = 0.5 the third, nu = 1 none
    assert solve_radius(distance, unlabeled, eta=1, nu=0.2).item() == 4
    assert solve_radius(distance, unlabeled, eta=1, nu=0.5).item() == 3
    assert solve_radius(distance, unlabeled, eta=1, nu=1.0).item() == 0
    # 1 is a known anomaly: 4 - 1 = 3 of weight needed, and its own weight counts: 1, 4, 9 reach it
    assert solve_radius(distance, torch.tensor([0, -1, 0, 0, 0]), eta=1, nu=0.2).item() == 3
    assert solve_radius(distance, torch.tensor([0, -1, 0, 0, 0]), eta=2, nu=0.2).item() == 2  # with weight 2: 1 and 4
    assert solve_radius(distance, -torch.ones(5), eta=1, nu=0.2).item() == 0
    assert solve_radius(torch.tensor([7.0]), torch.zeros(1), eta=1, nu=0.1).item() == pytest.approx(7**0.5)


def test_no_other_radius_is_better_in_the_loss_that_trains():
    generator = torch.Generator().manual_seed(0)
    distance = 5 * torch.rand(50, generator=generator)
    semi = torch.tensor([0] * 40 + [1] * 4 + [-1] * 6)
    best = solve_radius(distance, semi, eta=2.0, nu=0.1)
    least = soft_deep_sad_loss(distance, semi, best, 2.0, 0.1)
    for radius in torch.linspace(0, 3, 301):
        assert soft_deep_sad_loss(distance, semi, radius, 2.0, 0.1) >= least - 1e-5


@pytest.mark.parametrize("nu", [0.1, 0.01])
def test_the_share_outside_is_nu_on_real_data(nu, settings, tmp_path, real_data):
    cfg = settings(
        "data=cardio", f"data.root={real_data}", "method=soft_deep_svdd", f"method.nu={nu}", "trainer.max_epochs=10",
    )  # fmt: skip
    result = run_cell(Cell(cfg, tmp_path, "cardio", "soft_deep_svdd"))
    assert len(result.history["train"]["radius"]) == len(result.history["train"]["outside"]) == 10
    method = SoftDeepSVDD.load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True).eval()
    assert method.sphere.radius > 0
    arrays = odds("cardio", real_data)
    split = draw_split(arrays, **OmegaConf.to_container(cfg.split), seed=0)
    rows = arrays.x[split.train[split.semi >= 0]].astype(np.float64)
    with torch.no_grad():
        margin = method.sphere.margin(torch.from_numpy((rows - rows.mean(axis=0)) / rows.std(axis=0)).float())
    assert (margin > 1e-4).float().mean().item() == pytest.approx(nu, abs=0.005)
