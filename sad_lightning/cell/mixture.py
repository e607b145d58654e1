"""A mixture in a cell: several learners (voices) on the same rows, whose calibrated scores are averaged.

Half of the validation rows calibrate the voices. The other half, which no part of the score has seen, sets the
threshold, so that its false-positive rate is promised as for any other method. If the other half were too few rows to
promise the rate, or no rows are held out, the training rows calibrate the voices: a forest by its out-of-bag scores,
others in-sample. On 21 splits of 7 tables of ADBench this gave the same as half of the held-out rows for hypersphere
networks and forests; but a method that fits its training rows exactly, such as kde, is calibrated badly by them.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig

from sad_lightning.cell.key import defining
from sad_lightning.cell.learner import check_optimisation, new_learner, with_shape
from sad_lightning.cell.shallow import Shallow, unseen_scores
from sad_lightning.cell.values import Cell, CellRows, Learner, PreparedCell, Scores, add_seconds
from sad_lightning.cell.warm_start import networks_before, shortened
from sad_lightning.checks import choice, whole_number
from sad_lightning.config.compose import is_baseline, one_line_errors, voice_of
from sad_lightning.data.preprocess import UNSCALED
from sad_lightning.data.split import Indices, Split
from sad_lightning.errors import InputError, NotDefinedError
from sad_lightning.model import BaselineScore, Model
from sad_lightning.seeding import derive
from sad_lightning.stats.calibration import fit_calibration
from sad_lightning.stats.threshold import promises
from sad_lightning.tracking.logger import CellLog
from sad_lightning.training.mixture import CalibrationLayer, Mixture
from sad_lightning.training.trainer import Training

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class MixtureRows:
    """Which rows calibrate the voices, and which set the threshold.

    Attributes:
        voices: the rows that calibrate the voices.
        split: of the cell; its calibration rows set the threshold.
        held_out: whether the rows that calibrate the voices are held out of training.
    """

    voices: Indices
    split: Split
    held_out: bool

    @property
    def split_of_voice(self) -> Split:
        """The split whose calibration rows are both, first those that calibrate the voices."""
        return replace(self.split, calibration=np.concatenate([self.voices, self.split.calibration]))


def divide(split: Split, *, target_fpr: float, seed: int) -> MixtureRows:
    """Divide the rows of a cell's split, where they are enough for the threshold to promise the false-positive rate.

    Raises:
        InputError: test rows set the threshold.
    """
    if split.threshold_rows not in ("validation", "in-sample"):
        raise InputError(
            f"split.calibration must be held_out for a mixture, whose voices no test row may calibrate, got "
            f"{split.threshold_rows.replace(' ', '_')}; leave it out"
        )
    rows = split.calibration
    half = len(rows) // 2
    if split.threshold_rows == "in-sample" or not promises(len(rows) - half, target_fpr):
        return MixtureRows(split.train[split.semi >= 0], split, held_out=False)
    order = np.random.default_rng(derive(seed, "split", "voices")).permutation(rows)
    voices, others = np.sort(order[:half]), np.sort(order[half:])
    counts = {**split.counts, "validation": len(others), "voices": half}
    if "calibration" in counts:
        counts["calibration"] = len(others)
    return MixtureRows(voices, replace(split, validation=others, calibration=others, counts=counts), held_out=True)


@dataclass(frozen=True)
class MixtureLearner:
    """The voices of a mixture, each prepared as a cell of its own.

    Attributes:
        voices: in the order of their names; the name of a voice is its ``cell.method``.
        divided: which rows calibrate them.
    """

    voices: tuple[PreparedCell, ...]
    divided: MixtureRows
    callbacks: ClassVar[tuple[()]] = ()

    @property
    def trainings(self) -> tuple[Training, ...]:
        """The trainings of all voices."""
        return tuple(training for voice in self.voices for training in voice.learner.trainings)

    @property
    def trains_on(self) -> frozenset[int]:
        """The values of ``semi`` whose rows train some voice."""
        return frozenset().union(*(voice.learner.trains_on for voice in self.voices))

    def start(self, pretraining: Sequence[Training], device: torch.device) -> None:
        """Start each voice from its own pretraining."""
        for voice in self.voices:
            voice.learner.start(voice.pretraining, device)

    def score(self, prepared: PreparedCell) -> Scores:
        """Score by each voice, calibrate, and average; each voice writes its checkpoint into a folder of its name."""
        scores = {voice.cell.method: _scores_of(voice) for voice in self.voices}
        count = len(self.divided.voices)
        reference = {
            voice.cell.method: self._reference(voice.learner, scores[voice.cell.method]) for voice in self.voices
        }
        mixture = Mixture(
            {name: one.scorer for name, one in scores.items()},
            {name: CalibrationLayer(fit_calibration(reference[name])) for name in scores},
            side=0 if prepared.arrays.thumbnails is None else prepared.arrays.thumbnails.shape[1],
            see_thumbnails=[voice.cell.method for voice in self.voices if voice.cfg.features == "pixels"],
        )
        normal = {name: one.normal[count:] for name, one in scores.items()}
        seconds: dict[str, float] = {}
        for one in scores.values():
            seconds = add_seconds(seconds, one.seconds)
        return Scores(
            self.divided.split,
            test=_mean(mixture, {name: one.test for name, one in scores.items()}),
            normal=_mean(mixture, reference if self.divided.split.threshold_rows == "in-sample" else normal),
            scorer=mixture,
            seconds=seconds,
            warnings=tuple(f"voices.{name}: {note}" for name, one in scores.items() for note in one.warnings),
        )

    def _reference(self, learner: Learner, scores: Scores) -> Floats:
        """The scores that calibrate a voice, those of rows that trained it by the parts that have not seen them."""
        reference = scores.normal[: len(self.divided.voices)]
        if self.divided.held_out or not (isinstance(learner, Shallow) and isinstance(scores.scorer, BaselineScore)):
            return reference
        unseen = unseen_scores(scores.scorer.baseline, learner.data, self.divided.voices, reference)
        return reference if unseen is None else unseen


def new_mixture(
    cell: Cell,
    rows: CellRows,
    log: CellLog,
    new_prepared: Callable[..., PreparedCell],
    notes: list[str],
    before: Model | None = None,
) -> MixtureLearner:
    """The voices of a mixture, each made by ``new_prepared`` from the attributes in which voices differ.

    They go on from the model ``before``, if there is one. Warnings for a person are added to ``notes``.

    Raises:
        InputError: a setting is wrong; the line names the voice.
        NotDefinedError: all voices that vote need known anomalies, and the cell has none.
    """
    if whole_number("patience", cell.cfg.patience, least=0):
        raise InputError(f"patience must be 0 for a mixture, got {cell.cfg.patience}; leave it out")
    divided = divide(rows.split, target_fpr=cell.cfg.target_fpr, seed=rows.seed)
    rows = replace(rows, split=divided.split_of_voice)
    voices = []
    for name, own in _that_vote(cell.cfg, int((rows.split.semi < 0).sum())).items():
        if "patches" in (own.features, cell.cfg.features):
            raise InputError(
                "features=patches is for a method alone, and these are voices of a mixture; leave them out"
            )
        with one_line_errors(f"voices.{name}: "):
            seen = _seen(rows, own)
            if seen is None:
                continue
            cfg, of_voice = with_shape(own, seen.arrays), replace(seen, balance=check_optimisation(own))
            networks = networks_before(before, name)
            cfg = shortened(cfg) if networks else cfg
            try:
                learner, pretraining = new_learner(cfg, of_voice, log, name, suffix=f".{name}", networks=networks)
            except NotDefinedError:
                notes.append(f"voices.{name}: is left out, it needs known anomalies and this cell has none")
                continue
            if is_baseline(cfg) and cfg.selection.rule != "none":
                raise InputError(f"selection.rule must be none in a mixture, got {cfg.selection.rule}; leave it out")
        voice = new_prepared(
            cell=replace(cell, cfg=own, folder=cell.folder / name, method=name), settings=defining(own), cfg=cfg,
            split=rows.split, pretraining=pretraining, learner=learner, warnings=(), seconds={},
        )  # fmt: skip
        voices.append(voice)
    if not voices:
        raise NotDefinedError(
            "voices: none of them is defined without known anomalies or pixels of grey images, and this cell has none"
        )
    if before is not None and isinstance(before.scorer, Mixture):
        notes += _changes(list(before.scorer.voices), [voice.cell.method for voice in voices])
    return MixtureLearner(tuple(voices), divided)


def _that_vote(cfg: DictConfig, known: int) -> dict[str, DictConfig]:
    """The settings of the voices for so many known anomalies, in the order of their names.

    Raises:
        InputError: a setting is wrong.
        NotDefinedError: no voice is for so many.
    """
    silent = "many" if known <= whole_number("few_known", cfg.few_known, least=0) else "few"
    voices = {}
    for name in sorted(map(str, cfg.voices)):
        own = voice_of(cfg, name)
        with one_line_errors(f"voices.{name}: "):
            if choice("votes", str(own.votes), ("always", "few", "many")) != silent:
                voices[name] = own
    if not voices:
        raise NotDefinedError(
            f"votes must not be {silent} of all voices, for {known} anomalies are known and few_known={cfg.few_known}; "
            f"leave votes out of one"
        )
    return voices


def _changes(before: Sequence[str], now: Sequence[str]) -> Iterator[str]:
    """What a warm start says where the mixture is of other voices than in the file."""
    new, gone = (sorted(set(one) - set(other)) for one, other in ((now, before), (before, now)))
    if new or gone:
        yield (
            f"warm_start: the mixture is of other voices than in the file; new are {', '.join(new) or 'none'}, and "
            f"left out {', '.join(gone) or 'none'}"
        )


def _seen(rows: CellRows, cfg: DictConfig) -> CellRows | None:
    """The rows as a voice sees them; None where it sees thumbnails and these are of grey images alone."""
    if cfg.features != "pixels":
        return rows
    if cfg.backbone is None or cfg.backbone.pixels is None:
        raise InputError("features=pixels needs a thumbnail of each image beside its features; set backbone.pixels=14")
    small = rows.arrays.thumbnails
    return None if small is None else replace(rows, arrays=small, scaling=UNSCALED)


def _scores_of(voice: PreparedCell) -> Scores:
    voice.cell.folder.mkdir(parents=True, exist_ok=True)
    with one_line_errors(f"voices.{voice.cell.method}: "):
        scores = voice.learner.score(voice)
        if not (np.isfinite(scores.normal).all() and np.isfinite(scores.test).all()):
            raise InputError("its scores must be finite to be calibrated, and some are not; leave it out")
    return scores


def _mean(mixture: Mixture, scores: dict[str, Floats]) -> Floats:
    return mixture.mean({name: torch.from_numpy(one) for name, one in scores.items()}).numpy()
