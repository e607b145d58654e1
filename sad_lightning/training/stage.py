"""The record of one training of one method, and what it trains on."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from sad_lightning.data.module import DataModule
from sad_lightning.methods.method import Method

# Curve -> a bound, and what it means when the curve falls below it.
_COLLAPSE = {
    "spread": (1e-3, "the representation of the training rows has collapsed to a point"),
    "score_spread": (1e-3, "the scores of the training rows have collapsed to one value"),
}


class MetricLog(Protocol):
    """A log of the metrics of each epoch."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Log numbers by name."""


@dataclass
class Stage:
    """The record of one training of one method, to which callbacks write while it trains.

    Attributes:
        name: ``pretrain``, ``train``, ``train1``, ...
        key: of what determines its numbers, so that no other training resumes from its checkpoint.
        log: where its curves are logged.
        curves: by name one value an epoch, None where there was none.
        notes: warnings for a person.
        seconds: wall time; for a member of a population, its share of it.
        resumed: whether it was resumed from a checkpoint.
        cached: whether its weights come from an equal training.
        error: why its weights can not be used; None if they can.
    """

    name: str
    key: str
    log: MetricLog
    curves: dict[str, list[float | None]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    resumed: bool = False
    cached: bool = False
    error: str | None = None

    def add(self, epoch: int, values: Mapping[str, float]) -> None:
        """Add the metrics of an epoch; a loss that is not finite is an error."""
        for name, value in values.items():
            if name.endswith("loss") and not math.isfinite(value) and self.error is None:
                self.error = (
                    f"optimizer.lr must let the training converge, but {self.name}/{name} is {value} in epoch "
                    f"{epoch + 1}; lower it"
                )
            curve = self.curves.setdefault(name, [])
            curve += [None] * (epoch - len(curve))
            curve.append(float(f"{value:.5g}"))
            kind = name.split("/")[0]
            if kind in _COLLAPSE and value < _COLLAPSE[kind][0]:
                self._note(name, f"{_COLLAPSE[kind][1]} ({kind} {value:.2g} in epoch {epoch + 1})")
            if kind.endswith("zero_gradient") and value == 1:
                what = kind.removesuffix("zero_gradient").removesuffix("_") or "loss"
                self._note(name, f"the gradient of {what} is exactly zero everywhere since epoch {epoch + 1}")
        self.log.log_metrics({f"{self.name}/{name}": value for name, value in values.items()}, step=epoch)

    def log_curves(self) -> None:
        """Log all curves, of a training that did not log while it ran."""
        for epoch in range(max(map(len, self.curves.values()), default=0)):
            metrics = {name: values[epoch] for name, values in self.curves.items() if len(values) > epoch}
            self.log.log_metrics({f"{self.name}/{name}": v for name, v in metrics.items() if v is not None}, step=epoch)

    def _note(self, name: str, text: str) -> None:
        if not any(note.startswith(f"{self.name}/{name}:") for note in self.notes):
            self.notes.append(f"{self.name}/{name}: {text}")

    def state_dict(self) -> dict[str, Any]:
        """The state for a resume checkpoint and for the cache, as plain data."""
        return {"name": self.name, "curves": self.curves, "notes": self.notes, "error": self.error}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore a copy of a state, that of another stage too: what it says then names this one."""
        name = state_dict.get("name", self.name)
        self.curves = {metric: list(values) for metric, values in state_dict["curves"].items()}
        own = (f"{name}/", f"{name}:")
        self.notes = [self.name + note.removeprefix(name) if note.startswith(own) else note
                      for note in state_dict["notes"]]  # fmt: skip
        error = state_dict["error"]
        self.error = None if error is None else error.replace(f" {name}/", f" {self.name}/")


@dataclass(frozen=True)
class Training:
    """A method, the rows that it trains on, and the record of its training.

    Attributes:
        method: training changes its weights.
        data: its rows, with the batches of its steps.
        stage: the record, to which training writes.
    """

    method: Method
    data: DataModule
    stage: Stage
