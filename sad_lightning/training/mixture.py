"""Several detectors of one cell, of different methods; the score is the mean of their calibrated scores."""

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

from sad_lightning.stats.calibration import Calibration


class CalibrationLayer(nn.Module):
    """A calibration in torch operations, so that it can be exported as a graph."""

    scores: Tensor
    values: Tensor
    units: Tensor

    def __init__(self, calibration: Calibration) -> None:
        super().__init__()
        self.register_buffer("scores", torch.from_numpy(calibration.scores))
        self.register_buffer("values", torch.from_numpy(calibration.values))
        units = (calibration.below, calibration.above, calibration.share)
        self.register_buffer("units", torch.tensor(units, dtype=torch.float64))

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor], prefix: str) -> "CalibrationLayer":
        """The calibration whose ``state_dict`` is the part of ``state`` with the prefix."""
        scores, values, units = (state[f"{prefix}{name}"] for name in ("scores", "values", "units"))
        return cls(Calibration(scores.numpy(), values.numpy(), *units.tolist()))

    def forward(self, scores: Tensor) -> Tensor:
        """The calibrated values of scores, ``(B,)`` to ``(B,)`` float64."""
        scores = scores.double()
        below, above, share = self.units
        left, width = self.scores[:-1], self.scores.diff()
        way = ((scores[:, None] - left) / width).clamp(0, 1)  # within each interval between two knots
        inside = self.values[0] + (way * self.values.diff()).sum(dim=1)
        over = torch.log1p((scores - self.scores[-1]).clamp(min=0) / above)
        under = torch.log1p((self.scores[0] - scores).clamp(min=0) / below)
        values: Tensor = inside + over - share * under
        return values


class Mixture(nn.Module):
    """The mean of the calibrated scores of its voices.

    Args:
        voices: trained models with a ``score``, by name.
        calibrations: of the voices, by name.
        side: S where rows hold the pixels of thumbnails, ``S * S`` behind the features; 0 where they hold none.
        see_thumbnails: the names of the voices that see these alone; the others see the features alone.
    """

    def __init__(
        self,
        voices: Mapping[str, nn.Module],
        calibrations: Mapping[str, CalibrationLayer],
        *,
        side: int = 0,
        see_thumbnails: Collection[str] = (),
    ) -> None:
        super().__init__()
        self.side, self.see_thumbnails = side, sorted(see_thumbnails)
        names = sorted(voices)  # the last bit of a mean depends on the order
        self.voices = nn.ModuleDict({name: voices[name] for name in names})
        self.calibrations = nn.ModuleDict({name: calibrations[name] for name in names})

    def score(self, x: Tensor) -> Tensor:
        """The mean value of each row of ``x``, ``(B,)`` float64."""
        features, thumbnails = x, x
        if self.side:
            features, thumbnails = x[:, : -(self.side**2)], x[:, -(self.side**2) :]
            thumbnails = thumbnails.reshape(-1, 1, self.side, self.side)
        seen = {name: thumbnails if name in self.see_thumbnails else features for name in self.voices}
        return self.mean({name: voice.score(seen[name]) for name, voice in self.voices.items()})  # type: ignore[operator]

    def mean(self, scores: Mapping[str, Tensor]) -> Tensor:
        """The mean value of rows that the voices have scored, ``(B,)`` float64."""
        return torch.stack([one(scores[name]) for name, one in self.calibrations.items()]).mean(dim=0)
