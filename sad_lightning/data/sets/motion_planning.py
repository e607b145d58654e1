"""Motion planning (daniel2021 section 5.4, after Ichter et al. 2018): states of a robot on paths between walls.

A map is the unit square with a horizontal and a vertical wall, 0.1 thick, that have two openings and one, 0.1 wide;
they join its four rooms. Height is free. A row is a state (position x, y, z and velocity), and what it is conditioned
on: the state at the start and at the goal, and an 11 x 11 image of the map, 1 where it is free. Normal rows lie on a
planned path, anomalous ones on the walls of the same map. Whole maps are held out.

Walls, openings and rows are those of the public code base, whose file of maps is not public: they are drawn here. Ours
are how openings are drawn, the planner (the shortest path with a clearance, by a visibility graph) and the speeds,
which rise and fall along it (a trapezoid). A state on a wall moves as one of the path does.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import dijkstra

from sad_lightning.checks import whole_number
from sad_lightning.data.arrays import Arrays
from sad_lightning.seeding import derive

STATE, GRID = 6, 11  # columns of a state; cells of a side of the image
CONDITION = 2 * STATE + GRID * GRID
_THICK = _GAP = 0.1
_CLEARANCE = 0.02  # what a path keeps between itself and a wall
_RAMP = 0.2  # share of the time in which the speed rises, and in which it falls
_DURATION = 4.0  # units of time of a whole path, so that velocities are about as large as positions
_HIT = 1e-9

Floats = NDArray[np.float64]


class Task(NamedTuple):
    """A map, and where a robot starts and ends on it.

    Attributes:
        walls: ``(5, 2, 2)``, boxes: their lower and their upper corners, of x and y.
        start: ``(3,)``, the position in the beginning.
        goal: ``(3,)``, the position in the end.
    """

    walls: Floats
    start: Floats
    goal: Floats


def motion_planning(seed: int, maps: int, test_maps: int, states: int) -> Arrays:
    """States on planned paths and on walls.

    Args:
        seed: draws everything.
        maps: of the training half.
        test_maps: of the test half; none of them trains.
        states: on the path of each map, and as many on its walls.
    """
    whole_number("data.maps", maps)
    whole_number("data.test_maps", test_maps)
    whole_number("data.states", states, least=2)
    rows = []
    for number in range(maps + test_maps):
        task, generator = draw_task(seed, number)
        path = travel(plan(task), states, task)
        walls = on_walls(task, states, generator)
        walls = np.concatenate([walls, path[generator.integers(states, size=states), 3:]], axis=1)
        condition = condition_of(task)
        rows += [np.concatenate([some, np.tile(condition, (states, 1))], axis=1) for some in (path, walls)]
    x = np.concatenate(rows).astype(np.float32)
    classes = np.tile(np.repeat([0, 1], states), maps + test_maps)
    return Arrays(x, classes.astype(np.int64), ("path", "wall"), n_train=2 * states * maps)


def draw_task(seed: int, number: int) -> tuple[Task, np.random.Generator]:
    """A map with four joined rooms, a start and a goal in two of them, and the generator that drew it."""
    generator = np.random.default_rng(derive(seed, "motion_planning", number))
    x, y = generator.uniform(0.3, 0.8, size=2)  # where the right and the upper side of the walls are
    left = generator.uniform(0, x - _THICK - _GAP)
    right = generator.uniform(x, 1 - _GAP)
    above = generator.uniform() < 0.5
    opening = generator.uniform(y, 1 - _GAP) if above else generator.uniform(0, y - _THICK - _GAP)
    walls = np.array([
        [[0, y - _THICK], [left, y]],
        [[left + _GAP, y - _THICK], [right, y]],
        [[right + _GAP, y - _THICK], [1, y]],
        [[x - _THICK, 0], [x, opening]],
        [[x - _THICK, opening + _GAP], [x, 1]],
    ])  # fmt: skip
    while True:
        start, goal = generator.uniform(0, 1, size=(2, 3))
        ends = np.stack([start, goal])[:, :2]
        apart = ((ends[0] > (x, y)) != (ends[1] > (x, y))).any()
        if apart and not inside(ends, walls, _CLEARANCE).any():
            return Task(walls, start, goal), generator


def inside(points: Floats, walls: Floats, margin: float = 0.0) -> NDArray[np.bool_]:
    """Which points ``(N, 2)`` are in a wall, or within a margin of one, or outside of the square, ``(N,)``."""
    low, high = walls[:, 0] - margin, walls[:, 1] + margin
    within = np.all((points[:, None] > low + _HIT) & (points[:, None] < high - _HIT), axis=2).any(axis=1)
    return np.asarray(within | (points < 0).any(axis=1) | (points > 1).any(axis=1))


def blocked(a: Floats, b: Floats, walls: Floats, margin: float = 0.0) -> NDArray[np.bool_]:
    """Which segments from ``a`` to ``b``, ``(N, 2)`` each, run through a wall widened by a margin, ``(N,)``."""
    low, high = walls[:, 0] - margin + _HIT, walls[:, 1] + margin - _HIT
    step = (b - a)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        first, second = (low - a[:, None]) / step, (high - a[:, None]) / step
    enter, leave = np.fmin(first, second), np.fmax(first, second)  # along x and y
    between = (a[:, None] > low) & (a[:, None] < high)
    parallel = step == 0
    enter = np.where(parallel, np.where(between, -np.inf, np.inf), enter).max(axis=2)
    leave = np.where(parallel, np.where(between, np.inf, -np.inf), leave).min(axis=2)
    return np.asarray((np.maximum(enter, 0) < np.minimum(leave, 1)).any(axis=1))


def plan(task: Task) -> Floats:
    """The corners of the shortest path that keeps its clearance, ``(K, 2)`` from the start to the goal."""
    low, high = task.walls[:, 0] - _CLEARANCE, task.walls[:, 1] + _CLEARANCE
    corners = np.stack([np.stack([x, y], axis=1) for x in (low[:, 0], high[:, 0]) for y in (low[:, 1], high[:, 1])])
    corners = corners.reshape(-1, 2)
    free = corners[~inside(corners, task.walls, _CLEARANCE)]
    nodes = np.concatenate([[task.start[:2], task.goal[:2]], free])
    i, j = np.triu_indices(len(nodes), k=1)
    seen = ~blocked(nodes[i], nodes[j], task.walls, _CLEARANCE)
    lengths = np.zeros((len(nodes), len(nodes)))
    lengths[i[seen], j[seen]] = np.linalg.norm(nodes[i[seen]] - nodes[j[seen]], axis=1)
    _, before = dijkstra(lengths, directed=False, indices=[0], return_predecessors=True)
    path = [1]
    while path[-1] != 0:
        path.append(int(before[0, path[-1]]))
    return np.asarray(nodes[path[::-1]])


def travel(corners: Floats, states: int, task: Task) -> Floats:
    """States at equal times along a path, ``(states, 6)``: positions and velocities."""
    steps = np.diff(corners, axis=0)
    lengths = np.linalg.norm(steps, axis=1)
    time = np.linspace(0, 1, states)
    top = 1 / (1 - _RAMP)  # the speed between the ramps, in path lengths
    ends = np.minimum(time, 1 - time)
    ramp = top * np.minimum(ends, _RAMP) ** 2 / (2 * _RAMP)
    along = np.where(ends < _RAMP, ramp, ramp + top * (ends - _RAMP))
    along = np.where(time <= 0.5, along, 1 - along)
    speed = top * np.minimum(ends / _RAMP, 1) / _DURATION
    at = np.concatenate([[0], np.cumsum(lengths)])
    part = np.clip(np.searchsorted(at, along * at[-1], side="right") - 1, 0, len(steps) - 1)
    share = (along * at[-1] - at[part]) / lengths[part]
    flat = corners[part] + share[:, None] * steps[part]
    flat_velocity = (speed * at[-1] / lengths[part])[:, None] * steps[part]
    height = task.start[2] + along * (task.goal[2] - task.start[2])
    climb = speed * (task.goal[2] - task.start[2])
    return np.column_stack([flat, height, flat_velocity, climb])


def on_walls(task: Task, count: int, generator: np.random.Generator) -> Floats:
    """Positions on the sides of the walls that a robot can reach, uniform along them, ``(count, 3)``."""
    low, high = task.walls[:, 0], task.walls[:, 1]
    corners = np.stack([low, np.stack([high[:, 0], low[:, 1]], 1), high, np.stack([low[:, 0], high[:, 1]], 1)], axis=1)
    starts, steps = corners.reshape(-1, 2), (np.roll(corners, -1, axis=1) - corners).reshape(-1, 2)
    lengths = np.linalg.norm(steps, axis=1)
    flat = np.empty((0, 2))
    while len(flat) < count:
        side = generator.choice(len(lengths), size=2 * count, p=lengths / lengths.sum())
        some = starts[side] + generator.uniform(size=(2 * count, 1)) * steps[side]
        outside = ~inside(some, task.walls) & (some > 0).all(axis=1) & (some < 1).all(axis=1)
        flat = np.concatenate([flat, some[outside]])
    return np.column_stack([flat[:count], generator.uniform(size=count)])


def condition_of(task: Task) -> Floats:
    """What a state is conditioned on, ``(133,)``: start and goal at rest, and the image of the map, row by row."""
    centers = (np.arange(GRID) + 0.5) / GRID
    cells = np.stack(np.meshgrid(centers, centers), axis=-1).reshape(-1, 2)
    rest = np.zeros(3)
    return np.concatenate([task.start, rest, task.goal, rest, ~inside(cells, task.walls)])
