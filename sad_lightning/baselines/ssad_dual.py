"""The dual of SSAD (Goernitz et al. 2013, the convex form), solved exactly.

    minimise    1/2 u' K u                              u_i = c_i a_i: weights with the sign of their label
    subject to  sum u = 1
                sum side u = sum of labeled a >= kappa  side: +1 known normal, 0 unlabeled, -1 known anomaly
                0 <= c_i u_i <= C_i                     c: -1 for known anomalies, else +1

With ``g = K u`` it is solved where multipliers rho and mu >= 0 exist, mu = 0 where the second constraint is slack, with

    g_i - rho - mu side_i   >= 0 where u_i can not fall,   <= 0 where it can not rise,   = 0 between.

So every group of equal ``side`` has an interval, from the largest g that can fall to the smallest that can rise, and
one line rho + mu side must meet all three. Where none does, a move of two or three weights says so and improves the
objective: one rises and one falls, in one group, or in two where the labeled weight may change; or the unlabeled go
one way and a known normal and a known anomaly the other, half each. These are all moves there are, as a system of
inequalities in two unknowns that has no solution has three without one (Helly).

The moves find out who is free; they are slow to find out how much. So from time to time all free weights go at once
to the minimum of their face, by one Cholesky factor, as far as the bounds allow. Both steps stay feasible and never
raise the objective.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import linprog

from sad_lightning.errors import InputError

Floats = NDArray[np.float64]
_RIDGE = 1e-10  # keeps the factor of a face with equal rows from breaking
_FACE_ROUNDS = 10  # steps on a face at a time; each that meets a bound fixes a weight


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
    """The dual's solution.

    Args:
        kernel: ``(n, n)``, symmetric and positive semidefinite.
        semi: ``(n,)`` labels, ascending.
        kappa: the least weight of the labeled rows.
        largest: ``(n,)`` the bound C of each weight.
        start: ``(n,)`` signed weights that meet the constraints, as those of a similar kernel do.
        tolerance: the largest violation of the optimality conditions that is left.
        max_moves: where to stop in any case.

    Raises:
        InputError: no weights meet the constraints.
    """
    point = _Point(kernel, semi, kappa, largest, feasible(semi, kappa, largest) if start is None else start)
    moves, next_face = 0, 0
    while moves < max_moves:
        if moves >= next_face:
            next_face = moves + point.descend_face()
        violation, rows, steps = point.worst()
        if violation <= tolerance:
            break
        point.move(rows, steps)
        moves += 1
    return point.solution(moves)


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
            f"method.kappa must be reached by the labeled rows, got {kappa:g}: the weights of known anomalies, unlabeled "
            f"and known normals add up to at most {room[-1]:g}, {room[0]:g} and {room[1]:g}; lower it, or raise method.c_*"
        )
    least, most = max(0.0, others - room[0], kappa - anomalies), min(room[1], others)
    normals = min(max(others * room[1] / (room[0] + room[1]), least), most)
    u = np.zeros(len(semi))
    for label, weight in ((-1, -anomalies), (0, others - normals), (1, normals)):
        if weight:
            u[semi == label] = largest[semi == label] * (weight / room[label])
    return u


class _Point:
    """A feasible point and its gradient, and the two kinds of step away from it.

    ``rise`` is the gradient where a weight can rise and else inf, ``fall`` where it can fall and else -inf: a sum of
    columns moves both, and the smallest and the largest of a group stand at its bounds.
    """

    def __init__(self, kernel: Floats, semi: NDArray[np.int8], kappa: float, largest: Floats, u: Floats) -> None:
        self.kernel, self.side, self.kappa, self.u = kernel, semi.astype(np.float64), kappa, u.copy()
        self.low, self.high = np.where(semi < 0, -largest, 0.0), np.where(semi < 0, 0.0, largest)
        self.diagonal = kernel.diagonal().copy()
        edges = np.searchsorted(semi, [-1, 0, 1, 2])
        self.groups = [(side, slice(*edges[k : k + 2])) for k, side in enumerate((-1, 0, 1)) if edges[k] < edges[k + 1]]
        self._refresh(self.kernel @ self.u)

    def _refresh(self, gradient: Floats) -> None:
        """Where every weight and the labeled sum may go, from scratch."""
        self.rise = np.where(self.u < self.high, gradient, np.inf)
        self.fall = np.where(self.u > self.low, gradient, -np.inf)
        slack = float(self.side @ self.u) - self.kappa
        self.slack = slack if slack > 1e-12 else 0.0

    @property
    def gradient(self) -> Floats:
        """``K u``."""
        return np.where(np.isinf(self.rise), self.fall, self.rise)

    def worst(self) -> tuple[float, list[int], list[float]]:
        """The move whose slope is steepest: half of it is what the conditions are violated by, its rows, their steps."""
        ups = {side: part.start + int(self.rise[part].argmin()) for side, part in self.groups}
        downs = {side: part.start + int(self.fall[part].argmax()) for side, part in self.groups}
        violation, up, down, group = -np.inf, 0, 0, self.groups[0][1]
        for side, part in self.groups:
            for other, i in ups.items():
                if self.slack > 0 or other >= side:
                    gap = float(self.fall[downs[side]] - self.rise[i])
                    if gap > violation:
                        violation, up, down, group = gap, i, downs[side], part
        rows, steps = [up, down], [1.0, -1.0]
        if len(self.groups) == 3 and self.slack == 0:
            for sign, bounds, ends in ((1.0, self.rise, (ups, downs)), (-1.0, self.fall, (downs, ups))):
                one, others = ends[0][0], [ends[1][1], ends[1][-1]]
                against = self.fall if sign > 0 else self.rise
                gap = sign * float((against[others[0]] + against[others[1]]) / 2 - bounds[one])
                if gap > violation:
                    violation, rows, steps = gap, [one, *others], [sign, -sign / 2, -sign / 2]
        if len(rows) == 2 and violation > 0:
            rows[1] = self._partner(up, group)
        return violation / 2, rows, steps

    def _partner(self, up: int, group: slice) -> int:
        """Who falls while ``up`` rises, so that the objective falls most: a second-order choice."""
        slope = self.fall[group] - self.rise[up]
        np.maximum(slope, 0, out=slope)
        curvature = self.kernel[up, group] * -2
        curvature += self.diagonal[group]
        curvature += self.diagonal[up] + 1e-12
        slope *= slope
        slope /= curvature
        return group.start + int(slope.argmax())

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

    def descend_face(self) -> int:
        """Go towards the minimum over all free weights; how many moves are then worth as much as this cost."""
        gradient = self.gradient
        for _ in range(_FACE_ROUNDS):
            free = np.flatnonzero((self.u > self.low) & (self.u < self.high))
            if len(free) < 2:
                break
            constraints = np.ones((len(free), 1 if self.slack > 0 else 2))
            constraints[:, 1:] = self.side[free, None]
            face = self.kernel[np.ix_(free, free)]
            face[np.diag_indices(len(free))] += _RIDGE
            solved = cho_solve(cho_factor(face, overwrite_a=True), np.column_stack([constraints, gradient[free]]))
            columns, newton = solved[:, :-1], solved[:, -1]
            multipliers = np.linalg.lstsq(constraints.T @ columns, constraints.T @ newton, rcond=1e-12)[0]
            step = columns @ multipliers - newton
            ahead = np.where(step > 0, self.high[free], self.low[free]) - self.u[free]
            room = np.divide(ahead, step, out=np.full(len(free), np.inf), where=step != 0)
            labeled = float(self.side[free] @ step)
            allowed = self.slack / -labeled if self.slack > 0 and labeled < 0 else np.inf
            length = min(1.0, float(room.min()), allowed)
            moved = self.u[free] + length * step
            moved = np.where(room <= length, np.where(step > 0, self.high[free], self.low[free]), moved)
            gradient = gradient + (moved - self.u[free]) @ self.kernel[free]
            self.u[free] = moved
            self._refresh(gradient)
            if length == 1:
                break
        return max(1000, len(free) ** 3 // 2_000_000)

    def solution(self, moves: int) -> Solution:
        """The point with its multipliers, from a gradient that no rounding has drifted."""
        gradient = self.kernel @ self.u
        self._refresh(gradient)
        rho, mu, residual = self._multipliers()
        return Solution(self.u, rho, mu, float(self.u @ gradient) / 2, residual, moves)

    def _multipliers(self) -> tuple[float, float, float]:
        """rho and mu that violate the conditions least, and by how much: a linear program in three unknowns."""
        lines, ends = [], []
        for side, part in self.groups:
            lines += [[-1.0, -side, -1.0], [1.0, side, -1.0]]
            ends += [-self.fall[part].max(), self.rise[part].min()]
        finite = np.isfinite(ends)
        found = linprog(
            [0, 0, 1], A_ub=np.array(lines)[finite], b_ub=np.array(ends)[finite],
            bounds=[(None, None), (0, None if self.slack == 0 else 0), (-1, None)],
        )  # fmt: skip
        rho, mu, violation = found.x
        return float(rho), float(mu), max(float(violation), 0.0)
