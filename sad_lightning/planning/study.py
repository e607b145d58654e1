"""How good samples of robot positions are for a planner, on each of several maps.

A probabilistic roadmap (Kavraki et al. 1996) joins free samples that are near each other and see each other; it
succeeds where start and goal are in one component. As in Ichter et al. 2018, half of its samples are learned and half
uniform.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from sad_lightning.data.sets.motion_planning import Task, blocked, draw_task, inside, plan, travel
from sad_lightning.seeding import derive

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Design:
    """What is measured.

    Attributes:
        samples: of each map.
        near: how far from the path a sample is near it.
        sizes: numbers of samples of a roadmap.
        radius: how far apart two samples are joined.
        seed: draws the samples.
    """

    samples: int = 1000
    near: float = 0.05
    sizes: tuple[int, ...] = (50, 100, 200, 500)
    radius: float = 0.3
    seed: int = 0


class UnseenMap(NamedTuple):
    """A map that did not train, its number in the data set, and ``(S, 2)`` positions of the path planned on it."""

    number: int
    task: Task
    path: Floats


class Measures(NamedTuple):
    """Shares in [0, 1] on each of M maps.

    Attributes:
        collision: ``(M,)`` samples in a wall or outside of the square.
        near: ``(M,)`` samples near the planned path.
        coverage: ``(M,)`` states of the planned path that a sample is near to.
        success: ``(sizes, M)`` 1 where the roadmap joins start and goal.
    """

    collision: Floats
    near: Floats
    coverage: Floats
    success: Floats


def unseen_maps(seed: int, maps: int, test_maps: int, states: int) -> list[UnseenMap]:
    """The test half of ``data.motion_planning`` with the same settings."""
    unseen = []
    for number in range(maps, maps + test_maps):
        task, _ = draw_task(seed, number)
        unseen.append(UnseenMap(number, task, travel(plan(task), states, task)[:, :2]))
    return unseen


def uniform_samples(maps: Sequence[UnseenMap], design: Design) -> Floats:
    """``(M, samples, 2)`` positions anywhere in the square."""
    generators = [np.random.default_rng(derive(design.seed, "uniform", each.number)) for each in maps]
    return np.stack([generator.uniform(size=(design.samples, 2)) for generator in generators])


def measure(samples: Floats, maps: Sequence[UnseenMap], design: Design) -> Measures:
    """Measure ``(M, samples, 2)`` positions on their maps."""
    uniform = uniform_samples(maps, design)
    rows = []
    for some, anywhere, each in zip(samples, uniform, maps, strict=True):
        far = np.linalg.norm(some[:, None] - each.path, axis=2)
        roads = [
            roadmap(np.concatenate([some[: n // 2], anywhere[-(n - n // 2) :]]), each.task, design.radius)
            for n in design.sizes
        ]
        rows.append([
            inside(some, each.task.walls).mean(), (far.min(axis=1) < design.near).mean(),
            (far.min(axis=0) < design.near).mean(), *roads,
        ])  # fmt: skip
    collision, near, coverage, *success = np.array(rows, dtype=np.float64).T
    return Measures(collision, near, coverage, np.array(success))


def roadmap(points: Floats, task: Task, radius: float) -> bool:
    """Whether a roadmap of ``(N, 2)`` points joins start and goal."""
    nodes = np.concatenate([[task.start[:2], task.goal[:2]], points[~inside(points, task.walls)]])
    pairs = KDTree(nodes).query_pairs(radius, output_type="ndarray")
    i, j = pairs[~blocked(nodes[pairs[:, 0]], nodes[pairs[:, 1]], task.walls)].T
    graph = coo_array((np.ones(len(i)), (i, j)), shape=(len(nodes), len(nodes)))
    _, component = connected_components(graph, directed=False)
    return bool(component[0] == component[1])
