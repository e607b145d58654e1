"""The dual of SSAD: against another solver, against its own conditions, and against the one-class SVM."""

import numpy as np
import pytest
from hydra.utils import instantiate
from scipy.optimize import minimize
from sklearn.svm import OneClassSVM

from sad_lightning.baselines.kernel import rbf, squared_distances
from sad_lightning.baselines.ssad import SSAD
from sad_lightning.baselines.ssad_dual import Solution, feasible, solve
from sad_lightning.errors import InputError

KINDS = {"unlabeled": (0,), "anomalies": (-1, 0, 0), "normals": (0, 0, 1), "both": (-1, 0, 0, 0, 1), "labels": (-1, 1)}


def problem(kind: str, seed: int, n: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """A kernel and labels, ascending; the width of the kernel goes through the papers' grid."""
    generator = np.random.default_rng(seed)
    semi = np.sort(generator.choice(KINDS[kind], n)).astype(np.int8)
    x = generator.normal(size=(n, 3)) - 0.7 * (semi[:, None] == -1)
    return rbf(squared_distances(x, x), 2.0 ** (seed % 10 - 7)), semi


def solved(kernel: np.ndarray, semi: np.ndarray, kappa: float = 1.0, largest: float = 1.0, **options) -> Solution:
    caps = np.full(len(semi), largest)
    return solve(
        kernel, semi, kappa=kappa if semi.any() else 0.0, largest=caps, tolerance=1e-7, max_moves=10**6, **options
    )


def reference(kernel: np.ndarray, semi: np.ndarray, kappa: float, largest: float) -> float:
    """The objective that scipy's SLSQP reaches."""
    sign, labeled = np.where(semi < 0, -1.0, 1.0), (semi != 0).astype(float)
    constraints = [{"type": "eq", "fun": lambda a: sign @ a - 1, "jac": lambda a: sign}]
    if semi.any():
        constraints.append({"type": "ineq", "fun": lambda a: labeled @ a - kappa, "jac": lambda a: labeled})
    start = sign * feasible(semi, kappa if semi.any() else 0.0, np.full(len(semi), largest))
    q = kernel * np.outer(sign, sign)
    found = minimize(
        lambda a: (a @ q @ a / 2, q @ a), start, jac=True, bounds=[(0, largest)] * len(semi), constraints=constraints,
        method="SLSQP", options={"maxiter": 3000, "ftol": 1e-15},
    )  # fmt: skip
    return float(found.fun)


@pytest.mark.parametrize("largest", [1.0, 0.2])
@pytest.mark.parametrize("kappa", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("kind", KINDS)
def test_objective_constraints_and_conditions(kind, kappa, largest):
    for seed in range(10):
        kernel, semi = problem(kind, seed)
        found = solved(kernel, semi, kappa, largest)
        assert found.objective == pytest.approx(reference(kernel, semi, kappa, largest), rel=1e-6)
        weights = found.u * np.where(semi < 0, -1, 1)
        assert weights.min() >= 0
        assert weights.max() <= largest
        assert found.u.sum() == pytest.approx(1, abs=1e-12)
        labeled = float(weights[semi != 0].sum())
        assert labeled >= (kappa if semi.any() else 0) - 1e-12
        margin = kernel @ found.u - found.rho - found.mu * semi
        free, up = (weights > 0) & (weights < largest), np.where(semi < 0, found.u < 0, found.u < largest)
        down = np.where(semi < 0, found.u > -largest, found.u > 0)
        violations = [np.abs(margin[free]), -margin[up], margin[down], np.array([0.0])]
        assert max(part.max(initial=0) for part in violations) == pytest.approx(found.residual, abs=1e-9)
        assert found.residual < 1e-5
        assert found.mu >= 0
        assert found.mu * (labeled - kappa) < 1e-6  # the margin counts only where kappa binds


def test_tiny_problems_by_brute_force():
    """Two normals and an anomaly, kappa 1: u = (-a, b, 1 + a - b) on a grid of a >= 1 and b."""
    generator = np.random.default_rng(0)
    for _ in range(5):
        x = generator.normal(size=(3, 2))
        kernel = rbf(squared_distances(x, x), 0.5)
        a, b = np.meshgrid(np.linspace(1, 3, 401), np.linspace(0, 3, 601))
        u = np.stack([-a, b, 1 + a - b])
        objective = np.einsum("iab,ij,jab->ab", u, kernel, u) / 2
        objective[(u[2] < 0) | (u[2] > 3)] = np.inf
        found = solved(kernel, np.array([-1, 0, 0], dtype=np.int8), 1.0, 3.0)
        assert found.objective <= objective.min() + 1e-12
        assert found.objective == pytest.approx(objective.min(), rel=1e-3)


def test_without_labels_it_is_the_one_class_svm():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(80, 4))
    for nu in (0.05, 0.2, 0.5):
        theirs = OneClassSVM(gamma=0.3, nu=nu, tol=1e-8).fit(x)
        share = 1 / (nu * len(x))
        ours = SSAD(
            gamma=0.3, kappa=1.0, c_unlabeled=share, c_known_normal=share, c_known_anomaly=share, tolerance=1e-9,
            max_moves=10**6, max_rows=100, random_state=0,
        ).fit(x)  # fmt: skip
        np.testing.assert_allclose(ours.decision_function(x) * nu * len(x), theirs.decision_function(x), atol=1e-5)


def test_a_warm_start_ends_in_the_same_place_after_fewer_moves():
    generator = np.random.default_rng(0)
    semi = np.repeat([-1, 0], [10, 290]).astype(np.int8)
    x = generator.normal(size=(300, 4)) - (semi[:, None] == -1)
    distances = squared_distances(x, x)
    before = solved(rbf(distances, 0.25), semi)
    cold, warm = solved(rbf(distances, 0.2), semi), solved(rbf(distances, 0.2), semi, start=before.u)
    assert warm.objective == pytest.approx(cold.objective, rel=1e-6)
    assert warm.moves < cold.moves


def test_equal_rows_and_contradicting_labels_are_no_trouble():
    x = np.repeat(np.random.default_rng(0).normal(size=(10, 2)), 3, axis=0)
    semi = np.tile([-1, 0, 1], 10).astype(np.int8)
    order = np.argsort(semi, kind="stable")
    kernel = rbf(squared_distances(x, x), 0.5)[np.ix_(order, order)]
    found = solved(kernel, semi[order])
    assert found.residual < 1e-5
    assert found.objective == pytest.approx(reference(kernel, semi[order], 1.0, 1.0), rel=1e-6, abs=1e-9)


def test_what_can_not_be_met_is_told():
    semi = np.array([-1, 0, 0, 1], dtype=np.int8)
    for kappa, largest, word in ((5.0, 1.0, "kappa must be reached"), (0.0, 0.2, "kappa must be reached")):
        with pytest.raises(InputError, match=word):
            feasible(semi, kappa, np.full(4, largest))
    u = feasible(semi, 2.0, np.ones(4))
    assert u.sum() == pytest.approx(1)
    assert -u[0] + u[3] == pytest.approx(2)


def test_a_solver_that_is_stopped_says_so_and_labels_are_checked(settings):
    x = np.random.default_rng(0).normal(size=(50, 3))
    ssad = instantiate(settings("method=ssad").method, _convert_="all")
    with pytest.warns(UserWarning, match="stopped after 3 moves"):
        ssad.set_params(max_moves=3).fit(x)
    for semi in (np.zeros(49), np.full(50, 2)):
        with pytest.raises(InputError, match="semi must be 50 labels"):
            ssad.fit(x, semi)


def test_as_large_as_a_class_of_fashion_mnist():
    """n = 6,500: a minute a gamma is allowed; seconds of a busy core are enough."""
    generator = np.random.default_rng(0)
    semi = np.repeat([-1, 0], [325, 6175]).astype(np.int8)
    x = generator.normal(size=(6500, 8)) - (semi[:, None] == -1)
    found = solved(rbf(squared_distances(x, x), 0.125), semi)
    assert found.residual < 1e-5
    assert found.moves < 100_000
