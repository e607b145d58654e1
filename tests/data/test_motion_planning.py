"""Maps, paths and walls of the motion planning data, against brute force."""

import numpy as np
import pytest

from sad_lightning.data import motion_planning
from sad_lightning.data.sets.motion_planning import (
    CONDITION,
    GRID,
    STATE,
    blocked,
    condition_of,
    draw_task,
    inside,
    on_walls,
    plan,
    travel,
)
from sad_lightning.errors import InputError

TASKS = [draw_task(0, number) for number in range(30)]


def test_segments_are_blocked_where_a_point_of_them_is_in_a_wall():
    generator = np.random.default_rng(0)
    for task, _ in TASKS[:10]:
        a, b = generator.uniform(size=(2, 200, 2))
        b[:20, 0], b[20:40, 1] = a[:20, 0], a[20:40, 1]  # parallel to a side
        shares = np.linspace(0, 1, 2001)[:, None, None]
        points = (a + shares * (b - a)).reshape(-1, 2)
        brute = inside(points, task.walls).reshape(2001, 200).any(axis=0)
        found = blocked(a, b, task.walls)
        assert not (brute & ~found).any()
        assert (found & ~brute).sum() <= 2  # a corner cut between two of the points


def test_a_path_is_clear_and_no_longer_than_one_on_a_grid():
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import dijkstra

    side = 61
    line = np.linspace(0, 1, side)
    nodes = np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2)
    offsets = [(1, 0), (0, 1), (1, 1), (1, -1), (1, 2), (2, 1), (1, -2), (2, -1)]
    at = np.arange(side * side).reshape(side, side)
    for task, _ in TASKS[:4]:
        corners = plan(task)
        assert not blocked(corners[:-1], corners[1:], task.walls, 0.0199).any()
        assert corners[0].tolist() == task.start[:2].tolist()
        assert corners[-1].tolist() == task.goal[:2].tolist()
        length = np.linalg.norm(np.diff(corners, axis=0), axis=1).sum()
        i, j = [], []
        for dx, dy in offsets:
            one = at[: side - dx, max(0, -dy) : side - max(0, dy)]
            other = at[dx:, max(0, dy) : side - max(0, -dy)]
            i.append(one.ravel())
            j.append(other.ravel())
        i, j = np.concatenate(i, dtype=np.int32), np.concatenate(j, dtype=np.int32)  # what old versions of scipy take
        free = ~blocked(nodes[i], nodes[j], task.walls, 0.02)
        ends = [int(np.linalg.norm(nodes - end[:2], axis=1).argmin()) for end in (task.start, task.goal)]
        graph = coo_array((np.linalg.norm(nodes[i] - nodes[j], axis=1)[free], (i[free], j[free])), (side**2, side**2))
        grid = dijkstra(graph, directed=False, indices=ends[0])[ends[1]]
        assert length <= grid + 2 / side  # start and goal lie between nodes
        assert length >= 0.9 * grid - 2 / side


def test_states_move_as_their_velocities_say():
    task, _ = TASKS[0]
    states = travel(plan(task), 4001, task)
    assert np.allclose(states[[0, -1], :3], [task.start, task.goal])
    assert np.allclose(states[[0, -1], 3:], 0)
    step = 4.0 / 4000  # a travel takes four units of time
    moved = np.diff(states[:, :3], axis=0)
    said = step * (states[:-1, 3:] + states[1:, 3:]) / 2
    assert np.abs(moved - said).max() < 2 * step  # at a corner the direction changes within a step
    assert np.quantile(np.abs(moved - said), 0.99) < 1e-6


def test_states_of_walls_lie_on_them():
    for task, generator in TASKS[:5]:
        walls = on_walls(task, 200, generator)[:, :2]
        assert not inside(walls, task.walls).any()
        nudged = np.stack([walls + step for step in 1e-6 * np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])])
        assert inside(nudged.reshape(-1, 2), task.walls).reshape(4, -1).any(axis=0).mean() > 0.99


def test_rows_hold_state_and_condition_and_no_map_is_in_both_halves():
    arrays = motion_planning(seed=0, maps=4, test_maps=2, states=5)
    assert arrays.x.shape == (60, STATE + CONDITION)
    assert arrays.x.dtype == np.float32
    assert arrays.classes == ("path", "wall")
    assert np.bincount(arrays.target_class).tolist() == [30, 30]
    assert arrays.n_train == 40
    maps = {row.tobytes() for row in arrays.x[:40, STATE:]}, {row.tobytes() for row in arrays.x[40:, STATE:]}
    assert (len(maps[0]), len(maps[1]), len(maps[0] & maps[1])) == (4, 2, 0)
    task, _ = draw_task(0, 3)
    assert np.array_equal(arrays.x[39, STATE:], condition_of(task).astype(np.float32))
    image = arrays.x[39, STATE + 12 :].reshape(GRID, GRID)
    assert set(image.ravel().tolist()) == {0.0, 1.0}
    assert (image == 0).sum() >= GRID  # both walls are seen
    with pytest.raises(InputError, match=r"data\.states"):
        motion_planning(seed=0, maps=1, test_maps=1, states=1)
