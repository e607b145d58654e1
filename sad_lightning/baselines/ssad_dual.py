"""The dual of SSAD (Goernitz et al. 2013, the convex form), solved exactly.

    minimise    1/2 u' K u                              u_i = c_i a_i: weights with the sign of their label
    subject to  sum u = 1
                sum side u = sum of labeled a >= kappa  side: +1 known normal, 0 unlabeled, -1 known anomaly
                0 <= c_i u_i <= C_i                     c: -1 for known anomalies, else +1

Let ``g = K u``. A point u is optimal if there are multipliers rho and mu >= 0, with mu = 0 where the second constraint
is slack, such that

    g_i - rho - mu side_i   >= 0 where u_i can not fall,   <= 0 where it can not rise,   = 0 between.

So every group of equal ``side`` has an interval, from the largest g of a weight that can fall to the smallest g of one
that can rise, and one line rho + mu side must pass through all three intervals. If no line does, some move of two or
three weights improves the objective: one weight rises and one falls, in one group, or in two groups if the labeled
weight may change; or an unlabeled weight goes one way, and a known normal and a known anomaly go the other way by half
as much each. No other moves are needed, since of inequalities in two unknowns that can not all hold there are always
three that can not (Helly).

Each move goes to the minimum of the objective along it, or to the first bound, so that every point is feasible and
better than the one before (sequential minimal optimisation; the partner in a group is the one whose move gains most).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from sad_lightning.errors import InputError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Solution:
    """A point that meets all constraints.

    Attributes:
        u: ``(n,)`` signed weights.
        rho: the multiplier of ``sum u = 1``, the level of a normal row.
        mu: the multiplier of the labeled weight, the margin of a labeled row.
        objective: ``1/2 u' K u``.
        residual: the largest violation of the conditions at rho and mu.
        moves: how many moves were made.
    """

    u: Floats
    rho: float
    mu: float
    objective: float
    residual: float
    moves: int


def solve(
    kernel: Floats,
    semi: NDArray[np.int8],
    *,
    kappa: float,
    largest: Floats,
    start: Floats | None = None,
    tolerance: float,
    max_moves: int,
) -> Solution:
    """Solve the dual.

    Args:
        kernel: ``(n, n)``, symmetric and positive semidefinite.
        semi: ``(n,)`` labels, ascending.
        kappa: the least weight of the labeled rows.
        largest: ``(n,)`` the bound C of each weight.
        start: ``(n,)`` signed weights that meet the constraints, such as the solution for a similar kernel.
        tolerance: stop when the optimality conditions are violated by no more than this.
        max_moves: stop after so many moves.

    Raises:
        InputError: no weights meet the constraints.
    """
    point = _Point(kernel, semi, kappa, largest, feasible(semi, kappa, largest) if start is None else start)
    for move in range(max_moves):
        violation, rows, steps = point.worst()
        if violation <= tolerance:
            return point.solution(move)
        point.move(rows, steps)
    return point.solution(max_moves)


def feasible(semi: NDArray[np.int8], kappa: float, largest: Floats) -> Floats:
    """Signed weights that meet the constraints, spread evenly within each group.

    Raises:
        InputError: there are none.
    """
    room = {label: float(largest[semi == label].sum()) for label in (-1, 0, 1)}
    anomalies = max(0.0, kappa - room[1], (kappa - 1) / 2)
    others = 1 + anomalies
    if anomalies > room[-1] * (1 + 1e-12) or others > (room[0] + room[1]) * (1 + 1e-12):
        raise InputError(
            f"method.kappa must be reached by the labeled rows, got {kappa:g}: the weights of known anomalies, "
            f"unlabeled rows and known normals add up to at most {room[-1]:g}, {room[0]:g} and {room[1]:g}; lower "
            f"it, or raise method.c_known_anomaly and its like"
        )
    least, most = max(0.0, others - room[0], kappa - anomalies), min(room[1], others)
    normals = min(max(others * room[1] / (room[0] + room[1]), least), most)
    u = np.zeros(len(semi))
    for label, weight in ((-1, -anomalies), (0, others - normals), (1, normals)):
        if weight:
            u[semi == label] = largest[semi == label] * (weight / room[label])
    return u


class _Point:
    """A feasible point, its gradient, and the moves away from it.

    ``rise`` is the gradient of weights that can rise, else inf; ``fall`` that of weights that can fall, else -inf. A
    move adds columns of the kernel to both, and the interval of a group goes from its largest ``fall`` to its smallest
    ``rise``.
    """

    def __init__(self, kernel: Floats, semi: NDArray[np.int8], kappa: float, largest: Floats, u: Floats) -> None:
        self.kernel, self.side, self.u = kernel, semi.astype(np.float64), u.copy()
        self.low, self.high = np.where(semi < 0, -largest, 0.0), np.where(semi < 0, 0.0, largest)
        self.diagonal = kernel.diagonal().copy()
        edges = np.searchsorted(semi, [-1, 0, 1, 2])
        slices = {side: slice(*edges[k : k + 2]) for k, side in enumerate((-1, 0, 1))}
        self.groups = {side: part for side, part in slices.items() if part.start < part.stop}
        gradient = kernel @ u
        self.rise = np.where(u < self.high, gradient, np.inf)
        self.fall = np.where(u > self.low, gradient, -np.inf)
        slack = float(self.side @ u) - kappa
        self.slack = slack if slack > 1e-12 else 0.0

    def worst(self) -> tuple[float, list[int], list[float]]:
        """How far the conditions are violated, and the rows and steps of the steepest move."""
        up = {side: part.start + int(self.rise[part].argmin()) for side, part in self.groups.items()}
        down = {side: part.start + int(self.fall[part].argmax()) for side, part in self.groups.items()}
        low = {side: float(self.rise[i]) for side, i in up.items()}
        high = {side: float(self.fall[i]) for side, i in down.items()}
        moves = [
            (high[faller] - low[riser], [up[riser], down[faller]], [1.0, -1.0])
            for riser in up for faller in down if self.slack > 0 or riser >= faller
        ]  # fmt: skip
        if len(up) == 3 and self.slack == 0:
            moves += [
                ((high[-1] + high[1]) / 2 - low[0], [up[0], down[-1], down[1]], [1.0, -0.5, -0.5]),
                (high[0] - (low[-1] + low[1]) / 2, [down[0], up[-1], up[1]], [-1.0, 0.5, 0.5]),
            ]
        gap, rows, steps = max(moves, key=lambda move: move[0])
        if len(rows) == 2 and gap > 0:
            rows[1] = self._partner(rows[0], self.groups[int(self.side[rows[1]])])
        return gap / 2, rows, steps

    def _partner(self, up: int, group: slice) -> int:
        """The row of a group that should fall while ``up`` rises, so that the objective falls most (second order)."""
        slope = self.fall[group] - self.rise[up]
        np.maximum(slope, 0, out=slope)
        curvature = self.kernel[up, group] * -2
        curvature += self.diagonal[group]
        curvature += self.diagonal[up] + 1e-12
        slope *= slope
        slope /= curvature
        return int(group.start) + int(slope.argmax())

    def move(self, rows: list[int], steps: list[float]) -> None:
        """Go along a move to its minimum, or to the first bound."""
        slope = sum(step * (self.rise[i] if step > 0 else self.fall[i]) for i, step in zip(rows, steps, strict=True))
        curvature = sum(a * b * self.kernel[i, j] for i, a in zip(rows, steps, strict=True)
                        for j, b in zip(rows, steps, strict=True))  # fmt: skip
        rooms = [(self.high[i] - self.u[i] if step > 0 else self.u[i] - self.low[i]) / abs(step)
                 for i, step in zip(rows, steps, strict=True)]  # fmt: skip
        labeled = float(sum(step * self.side[i] for i, step in zip(rows, steps, strict=True)))
        allowed = self.slack / -labeled if labeled < 0 else np.inf
        length = min(-slope / max(curvature, 1e-12), *rooms, allowed)
        for i, step, room in zip(rows, steps, rooms, strict=True):
            gradient = self.rise[i] if step > 0 else self.fall[i]
            bound = self.high[i] if step > 0 else self.low[i]
            self.u[i] = bound if length >= room else self.u[i] + length * step
            self.rise[i] = gradient if self.u[i] < self.high[i] else np.inf
            self.fall[i] = gradient if self.u[i] > self.low[i] else -np.inf
        change = sum((length * step) * self.kernel[i] for i, step in zip(rows, steps, strict=True))
        self.rise += change
        self.fall += change
        self.slack = 0.0 if length >= allowed else max(self.slack + length * labeled, 0.0)

    def solution(self, moves: int) -> Solution:
        """The point, with the multipliers that violate the conditions least: a linear program in three unknowns."""
        lines, ends = [], []
        for side, part in self.groups.items():
            lines += [[-1.0, -side, -1.0], [1.0, side, -1.0]]
            ends += [-self.fall[part].max(), self.rise[part].min()]
        finite = np.isfinite(ends)
        program = linprog(
            [0, 0, 1], A_ub=np.array(lines)[finite], b_ub=np.array(ends)[finite],
            bounds=[(None, None), (0, None if self.slack == 0 else 0), (-1, None)],
        )  # fmt: skip
        assert program.x is not None  # with a large enough violation there is always a solution
        rho, mu = float(program.x[0]), float(program.x[1])
        violation = float((np.array(lines)[finite, :2] @ [rho, mu] - np.array(ends)[finite]).max())
        objective = float(self.u @ np.where(np.isinf(self.rise), self.fall, self.rise)) / 2
        return Solution(self.u, rho, mu, objective, max(violation, 0.0), moves)
